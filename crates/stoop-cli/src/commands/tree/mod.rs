//! `stoop tree`: the processes of the machine, connected by their Unix sockets.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | creates the graph from the flags, and writes it |
//! | `graph.rs` | groups, processes and their connections |
//! | `merge.rs` | which processes are one node: pure |
//! | `render/text.rs` `dot.rs` `json.rs` | formats the graph for people and for programs: pure |
//! | `render/svg.rs` | draws the picture: pure |
//! | `render/metrics.rs` | the sizes of its boxes: pure |
//! | `render/layers.rs` `component.rs` `layout.rs` | their columns, order and positions: pure |

pub(crate) mod args;
mod graph;
mod merge;
mod render;
mod run;

pub(super) use run::run;
