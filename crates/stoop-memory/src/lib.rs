//! Messages between two processes without a socket: through shared memory ([`Ring`]) or a System V
//! message queue ([`Queue`]).
//!
//! Both exist to be benchmarked against sockets on the same workloads, and are safe to use for
//! more. Dropping a value releases what it owns, and every wait has a limit. Nothing that the other
//! process does (exiting, stopping, writing invalid data) makes this one panic, hang, or access
//! memory that is not its own.
//!
//! They do not carry file descriptors, identify the peer, or work with `poll`. Set up the
//! connection over a Unix domain socket, which does all of that, and pass the ring's file
//! descriptor or the queue's number there.
//!
//! ```
//! use std::time::Duration;
//! use stoop_memory::{Ring, Waiting};
//!
//! let limit = Duration::from_secs(1);
//! let ring = Ring::new(1 << 16)?;
//! let theirs = Ring::from_descriptor(ring.try_clone()?.into())?; // in practice, elsewhere
//! let mut sender = ring.into_sender(Waiting::Futex, limit)?;
//! let mut receiver = theirs.into_receiver(Waiting::Futex, limit)?;
//! sender.send(b"hello")?;
//! let mut message = Vec::new();
//! receiver.recv(&mut message)?;
//! assert_eq!(message, b"hello");
//! # Ok::<(), stoop_memory::Error>(())
//! ```
//!
//! | module | contents |
//! |---|---|
//! | `ring/` | rings: their memory and their two ends |
//! | `waiting.rs` | how one end waits for the other |
//! | `queue.rs`, `watchdog.rs` | System V queues, and the thread that ends a wait |
//! | `sys/` | system calls and raw memory: the only unsafe code |

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
