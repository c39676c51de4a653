//! `stoop close`: closes one connection of other processes, and only the one that was shown.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | finds the connection, asks for confirmation, and closes it |

pub(crate) mod args;
mod run;

pub(super) use run::run;
