//! Runs the built `stoop` command, and the programs it talks to, with a timeout on everything.
//!
//! | file | contents |
//! |---|---|
//! | `binary.rs` | locating the command; building it |
//! | `run.rs` | starting a program, its input and output, its exit |
//! | `error_parts.rs` | the parts of an error of the command |
//! | `ready.rs` | waiting for a server without side effects, through the kernel's table |
//! | `serve.rs` | a path for a socket, and the command serving there |
//! | `raw.rs` | clients in the test's own process, with plain system calls |
//! | `web.rs` | a web server that does what it is told, even if invalid |
//! | `certificates.rs` | certificates of two machines |
//! | `sample.rs` | bytes and messages to send |
//! | `containerd/` | a containerd for one test, and an image for it |
//! | `docker.rs` | a dockerd for one test |
//! | `../peers/peer.py` | the other side, written with Python's socket module |
//! | `../peers/talk.c` | a client inside a container |
//!
//! Does not use the library under test: the state of a socket comes from `/proc/net/unix`, its data
//! from peers written by others.

mod binary;
pub mod certificates;
pub mod containerd;
pub mod docker;
mod error_parts;
mod programs;
mod raw;
mod ready;
mod run;
mod sample;
mod serve;
pub mod web;

/// Every socket type, by its name on the command line.
pub const KINDS: [&str; 3] = ["stream", "dgram", "seqpacket"];

pub use binary::binary;
pub use error_parts::Part;
pub use programs::{postgres_programs, redis};
pub use raw::Raw;
pub use ready::{is_served, wait_gone, wait_served};
pub use run::{LIMIT, Output, Run, Running, peer, program, stoop, stoop_as, verbs};
pub use sample::{bytes, message, messages};
pub use serve::{serve, socket_path};
