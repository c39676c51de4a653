//! `stoop top`: what sockets do now. Counting is in `stoop-bpf`, comparing in `stoop-tap`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | chooses the output, and repeats it |
//! | `source.rs` | counters and snapshots, one frame after the other: the only reading |
//! | `frame.rs` | what was seen at one time |
//! | `labels.rs` | the names of addresses, processes, containers and units |
//! | `accounts.rs` | from a frame to entries: pure |
//! | `column.rs` | the columns, and an entry's cells in them: pure |
//! | `order.rs` | sorts and filters entries: pure |
//! | `text.rs`, `json.rs` | entries as a table or sentences, as JSON lines: pure |
//! | `metrics.rs` | totals as metrics: pure |
//! | `publish.rs` | metrics at a socket, or in a file |
//! | `screen/` | the terminal interface: its state (pure), drawing, and the terminal |

mod accounts;
pub(crate) mod args;
mod column;
mod frame;
mod json;
mod labels;
mod metrics;
mod order;
mod publish;
mod run;
#[cfg(test)]
mod sample;
mod screen;
mod source;
mod text;

pub(super) use run::run;
