//! `stoop tap`: shows what sockets transfer. Capturing and decoding are in `stoop-tap`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `select.rs` | which sockets to capture, from a snapshot |
//! | `filter.rs` | which calls, answers and messages are shown: pure |
//! | `names.rs` | the processes and addresses of ends |
//! | `bodies.rs` | messages as JSON: pure |
//! | `hide.rs` | secrets in the bytes of messages, overwritten: pure |
//! | `containers.rs` | names of containers in place of ids: pure |
//! | `view.rs` | what of the entries is shown, by these: pure |
//! | `run.rs` | captures until it is told to stop |
//! | `session.rs` | from pieces to what is shown, in order |
//! | `render.rs` | an entry as text or JSON: pure |
//! | `stats.rs` | the table of `--stats`: pure |
//! | `capture_file.rs` | the file of `--write` |
//! | `error.rs` | what is missing, explained |

pub(crate) mod args;
mod bodies;
mod capture_file;
mod containers;
mod error;
mod filter;
#[cfg(feature = "grpc")]
mod hide;
mod names;
mod render;
mod run;
mod select;
mod session;
mod stats;
mod view;

pub(super) use run::run;
