//! Messages between two processes without a socket: through shared memory ([`Ring`]) and through a
//! System V message queue ([`Queue`]).
//!
//! Both are here to be measured beside sockets on the same work, and are safe to use for more: what
//! they own is released when dropped, no wait is without a limit, and nothing that the other
//! process does (dying, stopping, writing nonsense) makes this one panic, hang, or touch memory
//! that is not its own.
//!
//! What they do not do: carry descriptors, say who is at the other end, or work with `poll`. Make
//! the acquaintance over a local socket, which does all of that, and pass the ring's descriptor or
//! the queue's number there.
//!
//! ```
//! use std::time::Duration;
//! use stoop_memory::{Ring, Waiting};
//!
//! let limit = Duration::from_secs(1);
//! let ring = Ring::new(1 << 16)?;
//! let theirs = Ring::from_descriptor(ring.try_clone()?.into())?; // in the other process, really
//! let mut sender = ring.into_sender(Waiting::Futex, limit)?;
//! let mut receiver = theirs.into_receiver(Waiting::Futex, limit)?;
//! sender.send(b"hello")?;
//! let mut message = Vec::new();
//! receiver.recv(&mut message)?;
//! assert_eq!(message, b"hello");
//! # Ok::<(), stoop_memory::Error>(())
//! ```
//!
//! | what | where |
//! |---|---|
//! | rings: their memory and their two ends | `ring/` |
//! | how one end waits for the other | `waiting.rs` |
//! | System V queues, and the thread that ends a wait | `queue.rs`, `watch.rs` |
//! | system calls and raw memory: the only unsafe | `sys/` |

mod error;
mod queue;
mod ring;
mod sys;
mod waiting;
mod watch;

pub use error::{Error, ErrorKind};
pub use queue::Queue;
pub use ring::{CAPACITY_BYTES, Receiver, Ring, Sender};
pub use waiting::Waiting;

/// What every call here returns.
pub type Result<T> = std::result::Result<T, Error>;
