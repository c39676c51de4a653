//! `stoop tap`: shows what sockets transfer. Capturing and decoding are in `stoop-tap`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `select.rs` | which sockets to capture, from a snapshot |
//! | `unread.rs` | looks at what waits in queues |
//! | `kernel_keys.rs` | what of a selection the kernel decides |
//! | `filter.rs` | which calls, answers and messages are shown: pure |
//! | `names.rs` | the processes and addresses of ends |
//! | `origin.rs` | what is known of a connection before its bytes are seen: pure |
//! | `bodies.rs` | messages as JSON: pure |
//! | `hide.rs` | which fields of messages are secrets: pure |
//! | `containers.rs` | names of containers in place of ids: pure |
//! | `view.rs` | what of the entries is shown, by these: pure |
//! | `run.rs` | captures until it is told to stop |
//! | `session.rs` | from pieces to what is shown, in order |
//! | `render.rs` | an entry as text or JSON: pure |
//! | `stats.rs` | the table of `--stats`: pure |
//! | `source.rs` | where pieces come from: a capture, a file, a program that was started |
//! | `saved.rs`, `recorded.rs` | read a capture file and a relay's recording |
//! | `label_filter.rs` | selects from a file: pure |
//! | `program.rs` | a program that is started |
//! | `file_flags.rs` | flags about files |
//! | `capture_file.rs` | the file of `--write`;  `rotation.rs`: several of them |
//! | `error.rs` | what is missing, explained |

pub(crate) mod args;
mod bodies;
mod capture_file;
mod containers;
mod error;
mod file_flags;
mod filter;
#[cfg(feature = "grpc")]
mod hide;
mod kernel_keys;
mod label_filter;
mod names;
mod origin;
mod program;
mod recorded;
mod render;
mod rotation;
mod run;
mod saved;
pub(crate) mod select;
mod session;
mod source;
mod stats;
mod unread;
mod view;

pub(super) use run::run;

/// Returns what is known of methods by the built-in definitions.
#[cfg(feature = "grpc")]
pub(super) fn known_methods() -> std::sync::Arc<dyn stoop_tap::Methods> {
    std::sync::Arc::new(bodies::BuiltIn::default())
}
