//! Running the built `stoop` command, and the programs it talks to, with a time limit on
//! everything.
//!
//! | file | holds |
//! |---|---|
//! | `binary.rs` | where the command is; building it |
//! | `run.rs` | starting a program, feeding and hearing it, its end |
//! | `parts.rs` | how a failure of the command explains itself |
//! | `ready.rs` | waiting until a server is there, by looking at the kernel's table and touching nothing |
//! | `place.rs` | a place for a socket, and the command serving there |
//! | `raw.rs` | clients in the test's own process, with plain system calls |
//! | `web.rs` | a web server that does what it is told, however wrong |
//! | `sample.rs` | bytes and messages to send |
//! | `containerd/` | a containerd of the test's own, and an image for it |
//! | `docker.rs` | a dockerd of the test's own |
//! | `../peers/peer.py` | the other side, written with Python's socket module |
//! | `../peers/talk.c` | a client inside a container |
//!
//! Knows nothing of the library under test: what a socket is doing comes from `/proc/net/unix`,
//! what it carries from peers written by others.

mod binary;
pub mod containerd;
pub mod docker;
mod parts;
mod place;
mod raw;
mod ready;
mod run;
mod sample;
pub mod web;

/// Every kind of local socket, by the word used on the command line.
pub const KINDS: [&str; 3] = ["stream", "dgram", "seqpacket"];

pub use binary::binary;
pub use parts::Part;
pub use place::{place, serve};
pub use raw::Raw;
pub use ready::{is_served, wait_gone, wait_served};
pub use run::{LIMIT, Output, Run, Running, peer, program, stoop, stoop_as, verbs};
pub use sample::{bytes, message, messages};
