//! `stoop tap`: shows what sockets transfer. Capturing and decoding are in `stoop-tap`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `select.rs` | which sockets to capture, from a snapshot |
//! | `names.rs` | the processes and addresses of ends |
//! | `run.rs` | captures until it is told to stop |
//! | `session.rs` | from pieces to what is shown, in order |
//! | `render.rs` | an entry as text or JSON: pure |
//! | `stats.rs` | the table of `--stats`: pure |
//! | `capture_file.rs` | the file of `--write` |
//! | `error.rs` | what is missing, explained |

pub(crate) mod args;
mod capture_file;
mod error;
mod names;
mod render;
mod run;
mod select;
mod session;
mod stats;

pub(super) use run::run;
