//! The same sockets for tokio: a task waits where a thread would, with the same guarantees (feature
//! `tokio`).
//!
//! [`Async`] drives any socket of this crate: [`Stream`], [`SeqPacket`], [`Datagram`] and
//! [`Listener`] here are names for it. Each operation is the synchronous one, run again when the
//! socket is ready, so policies, truncation, descriptors and errors are as documented there.
//!
//! - Made by: [`Stream::connect`], [`Connect::stream_async`](crate::Connect::stream_async) and its
//!   siblings; [`Bind::listen_async`](crate::Bind::listen_async) and its siblings; `TryFrom` a
//!   synchronous socket; [`Async::into_sync`] leads back.
//! - A stream implements [`AsyncRead`](tokio::io::AsyncRead) and
//!   [`AsyncWrite`](tokio::io::AsyncWrite), splits into halves that still carry descriptors
//!   ([`split`]), and never raises `SIGPIPE`.
//! - For a loop of your own: [`Async::readable`], [`Async::writable`], [`Async::ready`],
//!   [`Async::try_io`].
//!
//! Three waits that the kernel does not help with are solved here:
//!
//! - *Room in a full backlog* has no readiness: a non-blocking connect fails at once and queues
//!   nothing (K-CONNECT-1, K-CONNECT-2). It is tried again on a timer, so no thread sits idle for
//!   each attempt.
//! - *Room in a datagram receiver's queue* is not shown by the sender's own readiness (K-DGRAM-4).
//!   A second, connected socket is watched instead.
//! - *A listener without free descriptors* stays readable (K-ACCEPT-1). Accepting pauses.
//!
//! Needs a runtime with I/O and time enabled (`enable_all`); making a socket outside of one panics,
//! as with tokio's own. Nothing here starts a thread but [`Bind`](crate::Bind)'s methods, which
//! work with files and use the runtime's blocking pool.
//!
//! ```
//! use stoop::{Bind, aio};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! let listener = Bind::new(&path).mode(0o660).listen_async().await?;
//! let mut client = aio::Stream::connect(&path).await?;
//! client.write_all(b"hello").await?;
//! client.shutdown().await?;
//!
//! let mut heard = String::new();
//! listener.accept().await?.read_to_string(&mut heard).await?;
//! assert_eq!(heard, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bind;
mod connect;
mod datagram;
mod listener;
mod pause;
mod room;
mod seqpacket;
mod socket;
pub mod split;
mod stream;

pub use socket::Async;

/// A connected byte stream.
pub type Stream = Async<crate::Stream>;

/// A connected socket that keeps messages apart.
pub type SeqPacket = Async<crate::SeqPacket>;

/// A datagram socket.
pub type Datagram = Async<crate::Datagram>;

/// A server's socket, from which clients are accepted.
pub type Listener<C = crate::Stream> = Async<crate::Listener<C>>;

pub(crate) use bind::in_background;
pub(crate) use pause::Pause;
pub(crate) use room::{Receiver, wait as wait_for_room};
pub(crate) use socket::Activity;
