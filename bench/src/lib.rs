//! Utilities shared by the benchmark programs in `src/bin`: options and reports, statistics, facts
//! about the machine, processes pinned to a CPU, and runs of commands.
//!
//! One program answers one question. Every program runs its peers in turn within one run, checks
//! every message, and prints its own numbers: no result is stored here.

mod command;
pub mod limits;
pub mod machine;
pub mod options;
pub mod pin;
pub mod process;
pub mod section;
pub mod stats;
pub mod tool;

pub use command::{Report, Result, command, progress, role};
