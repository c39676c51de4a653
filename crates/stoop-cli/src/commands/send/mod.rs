//! `stoop send`: sends one message, completely or not at all, and prints the answer if one is
//! wanted.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | sends the message, and receives the answer |

pub(crate) mod args;
mod run;

pub(super) use run::run;
