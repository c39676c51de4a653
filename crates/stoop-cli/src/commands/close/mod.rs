//! `stoop close`: closes one connection of other processes, and only the one that was shown.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `select.rs` | selects the one connection: pure |
//! | `run.rs` | finds the sockets, asks for confirmation, and closes it |

pub(crate) mod args;
mod run;
mod select;

pub(super) use run::run;
