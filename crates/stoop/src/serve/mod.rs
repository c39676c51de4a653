//! Server loops: accept, authorize, limit, run a handler, and drain on shutdown (feature `tokio`).
//!
//! [`Server`] serves stream and seqpacket connections, each client in a task of its own.
//! [`Datagrams`] serves messages. Both:
//!
//! - apply the policy before the handler sees a byte, and know the peer's credentials;
//! - limit what clients can use: how many are served at once in total and per user, how long a
//!   connection may be idle, and how long it may last. Clients over the total wait in the kernel's
//!   queue; those over their user's limit are closed;
//! - survive failures of clients and handlers: a handler that panics ends its own connection, and a
//!   process that runs out of file descriptors continues when some are free;
//! - drain on shutdown without losing a client: the socket file is unlinked first, clients in the
//!   queue are served, handlers may finish, and connections left at the deadline are aborted;
//! - count all of that in [`Counters`]. With the feature `tracing` they emit events, and run each
//!   handler in a span of level `DEBUG` that says whom it serves.
//!
//! A handler that waits for a silent client would hold up the shutdown until the deadline. Use
//! [`Draining`] to notify it.
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
//! | responsibility | file |
//! |---|---|
//! | the accept loop, and draining | `server.rs` |
//! | open connections and their limits | `connections.rs` |
//! | handlers that count their own end | `counted.rs` |
//! | the same for messages | `datagrams.rs` |
//! | replies, and limits on senders that do not read them | `replies.rs`, `keyed_semaphore.rs` |
//! | passing the listener to a successor | `successor.rs` |
//! | the drain notification for handlers, and its deadline | `draining.rs`, `drain_deadline.rs` |
//! | counts, events | `counters.rs`, `trace.rs` |

mod connections;
mod counted;
mod counters;
mod datagrams;
mod drain_deadline;
mod draining;
mod keyed_semaphore;
mod replies;
mod server;
mod successor;
mod trace;

pub use counters::{Counters, Snapshot};
pub use datagrams::{Datagrams, Message};
pub use draining::Draining;
pub use server::{End, Server};
