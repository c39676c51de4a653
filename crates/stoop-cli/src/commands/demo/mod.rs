//! `stoop demo`: every feature in one run, on sockets in a temporary directory.
//!
//! Nothing is simulated: each step starts this command as real processes, or uses the library, and
//! is checked. If a check fails, the demo exits with 1.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | runs the sections in order |
//! | `kinds.rs` | streams, datagrams, seqpackets |
//! | `processes.rs` | peer credentials, passing a file descriptor, permissions |
//! | `socket_file.rs` | a socket file's life: stale, live, taken over |
//! | `failures.rs` | failures with explanations |
//! | `sandbox.rs` | processes, and their directory |
//! | `interrupt.rs` | cleaning up if a signal ends the demo |
//! | `render.rs` | output and checks |

pub(crate) mod args;
mod failures;
mod interrupt;
mod kinds;
mod processes;
mod render;
mod run;
mod sandbox;
mod socket_file;

pub(super) use run::run;
