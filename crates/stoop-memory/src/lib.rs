//! Messages between two processes without a socket: through shared memory ([`Ring`]) or a System V
//! message queue ([`Queue`]).
//!
//! The crate exists to measure these transports against Unix domain sockets on the same workloads
//! (`stoop bench`), and is safe to use for more: for example, a ring carries small messages between
//! two busy processes without a system call for each.
//!
//! ```
//! use std::time::Duration;
//! use stoop_memory::{Ring, Waiting};
//!
//! let limit = Duration::from_secs(1); // of each wait
//! let ring = Ring::new(1 << 16)?;
//! let passed = Ring::from_descriptor(ring.try_clone()?.into())?; // in practice, elsewhere
//! let mut sender = ring.into_sender(Waiting::Futex, limit)?;
//! let mut receiver = passed.into_receiver(Waiting::Futex, limit)?;
//! sender.send(b"hello")?;
//!
//! let mut message = Vec::new();
//! receiver.recv(&mut message)?;
//! assert_eq!(message, b"hello");
//! # Ok::<(), stoop_memory::Error>(())
//! ```
//!
//! # What is in the crate
//!
//! | Task | Items |
//! |---|---|
//! | Send and receive in shared memory | [`Ring`], [`Sender`], [`Receiver`] |
//! | Choose between latency and processor time | [`Waiting`] |
//! | Send and receive through the kernel, addressed by a number | [`Queue`] |
//! | Distinguish a slow peer, a closed one and a hostile one | [`ErrorKind`] |
//!
//! Dropping a value releases what it owns, and every wait has a limit. Nothing that the other
//! process does (exiting, stopping, writing invalid data) makes this one panic, hang, or access
//! memory that is not its own.
//!
//! # Coming from another API
//!
//! | From | Use | Note |
//! |---|---|---|
//! | `memfd_create`, `mmap` | [`Ring::new`] | sealed against resizing; checked when opened |
//! | `shm_open` | [`Ring::new`] | no name: the file descriptor is passed over a socket |
//! | `msgget`, `msgsnd`, `msgrcv` | [`Queue`] | with a limit on each wait; one message type |
//!
//! # What the crate does not do
//!
//! - It carries no file descriptors, does not identify the peer, and does not work with `poll`. Set
//!   up the connection over a Unix domain socket, which does all of that, and pass the ring's file
//!   descriptor or the queue's number there.
//! - A ring has one sender and one receiver. It does not connect more.
//! - A queue whose creator was killed stays until it is removed with `ipcrm`.
//! - It has no features, and supports Linux on 64-bit machines only.
//!
//! | module | contents |
//! |---|---|
//! | `ring/` | rings: their memory and their two ends |
//! | `waiting.rs` | how one end waits for the other |
//! | `queue.rs`, `watchdog.rs` | System V queues, and the thread that ends a wait |
//! | `sys/` | system calls and raw memory: the only unsafe code |

#![cfg_attr(docsrs, feature(doc_cfg))]
// Elsewhere the build fails here. Without the rest of the crate, no other errors hide this one.
#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    doc = compile_error!("stoop-memory supports Linux on 64-bit machines only"),
    cfg(any())
)]

mod error;
mod queue;
mod ring;
mod sys;
mod waiting;
mod watchdog;

pub use error::{Error, ErrorKind};
pub use queue::Queue;
pub use ring::{CAPACITY_BYTES, Receiver, Ring, Sender};
pub use waiting::Waiting;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
