//! `stoop ls`: every Unix socket, both ends, and the processes that own them.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | takes a snapshot with only what is shown, and prints it |
//! | `select.rs` | selects the lines that the flags ask for |
//! | `render.rs` | formats lines as a table: columns, order, merging |
//! | `watch.rs` | compares two snapshots |

pub(crate) mod args;
mod render;
mod run;
mod select;
mod watch;

pub(super) use run::run;
