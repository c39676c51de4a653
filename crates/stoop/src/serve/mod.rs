//! The loop every daemon needs, once: accept, check, limit, hand to a handler, and end well
//! (feature `tokio`).
//!
//! [`Server`] serves streams and seqpackets, each client in a task of its own; [`Datagrams`] serves
//! messages. Both:
//!
//! - let nobody past the policy, and know who came, before the handler sees a byte;
//! - bound what clients can take: how many at once, how many of one user, how long without a byte
//!   moving, how long at all. Clients over the total wait in the kernel's queue; those over their
//!   user's share are turned away;
//! - survive what clients and handlers do: a handler that panics ends its own connection, a process
//!   out of descriptors goes on when some are free;
//! - end without losing anybody: the file goes first, clients in the queue are served,
//!   conversations under way may finish, and what is left after a deadline is cut;
//! - count all of that in [`Counters`], and tell it as `tracing` events with the feature of that
//!   name.
//!
//! A handler that waits for a client that says nothing would hold up the end until the deadline.
//! [`Draining`] tells it.
//!
//! ```
//! use std::time::Duration;
//! use stoop::serve::Server;
//! use stoop::{Bind, Policy};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! let listener = Bind::new(&path).policy(Policy::same_user()).listen_async().await?;
//! let server = Server::new(listener)
//!     .max_connections(1000)
//!     .max_connections_per_uid(100)
//!     .idle_timeout(Duration::from_secs(60))
//!     .drain_deadline(Duration::from_secs(5));
//! let counters = server.counters();
//! let shutdown = async { /* a signal, … */ };
//! # let shutdown = async {
//! #     let mut client = stoop::aio::Stream::connect(&path).await.unwrap();
//! #     client.write_all(b"hello").await.unwrap();
//! #     client.read_exact(&mut [0; 5]).await.unwrap();
//! # };
//!
//! server
//!     .run(
//!         |mut stream, peer| async move {
//!             let mut buffer = [0; 4096];
//!             while let Ok(len @ 1..) = stream.read(&mut buffer).await {
//!                 if stream.write_all(&buffer[..len]).await.is_err() {
//!                     break;
//!                 }
//!             }
//!             println!("user {:?} has been served", peer.uid);
//!         },
//!         shutdown,
//!     )
//!     .await?;
//! println!("{:?}", counters.snapshot());
//! # assert_eq!(counters.snapshot().accepted, 1);
//! # Ok::<(), stoop::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | what | file |
//! |---|---|
//! | the loop, and its end | `server.rs` |
//! | who is connected, and who has to go | `connections.rs` |
//! | the same for messages | `datagrams.rs` |
//! | replies, and what a sender that does not read them may take | `replies.rs`, `shares.rs` |
//! | passing the listener to a successor | `successor.rs` |
//! | telling handlers that the end has begun, and when it is over | `draining.rs`, `deadline.rs` |
//! | counts, events | `counters.rs`, `trace.rs` |

mod connections;
mod counters;
mod datagrams;
mod deadline;
mod draining;
mod replies;
mod server;
mod shares;
mod successor;
mod trace;

pub use counters::{Counters, Snapshot};
pub use datagrams::{Datagrams, Message};
pub use draining::Draining;
pub use server::{End, Server};
