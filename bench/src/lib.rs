//! What the benchmark programs in `src/bin` share: statistics, facts about the machine, and
//! processes pinned to a CPU.
//!
//! One program answers one question. Every program runs its peers in turn within one run, checks
//! every message, and prints the command's own numbers: nothing here holds a result from another
//! day.

mod command;
pub mod machine;
pub mod pin;
pub mod player;
pub mod section;
pub mod stats;

pub use command::{command, ended};
