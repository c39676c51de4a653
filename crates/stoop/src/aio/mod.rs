//! Asynchronous Unix domain sockets for tokio, with the same guarantees as the synchronous ones
//! (feature `tokio`).
//!
//! [`Async`] drives any socket of this crate. [`Stream`], [`SeqPacket`], [`Datagram`] and
//! [`Listener`] in this module are aliases of it. Each operation is the synchronous one, run again
//! when the socket becomes ready, so policies, truncation, file descriptor passing and errors
//! behave as documented on the synchronous types.
//!
//! - Create one with [`Stream::connect`], [`Connect::stream_async`](crate::Connect::stream_async)
//!   or [`Bind::listen_async`](crate::Bind::listen_async) and their siblings, or convert a
//!   synchronous socket with `TryFrom`, which also converts back.
//! - A stream implements [`AsyncRead`](tokio::io::AsyncRead) and
//!   [`AsyncWrite`](tokio::io::AsyncWrite), and never raises `SIGPIPE`. It splits into halves that
//!   can still pass file descriptors ([`split`]).
//! - [`FrameReader`] and [`FrameWriter`] send messages over a stream, with or without file
//!   descriptors.
//! - For a readiness loop of your own, use [`Async::readable`], [`Async::writable`],
//!   [`Async::ready`] and the methods `try_…`; for system calls of your own, [`Async::try_io`]; in
//!   hand-written futures, the methods `poll_…`.
//!
//! The kernel signals no usable readiness for three conditions, which this module handles itself:
//!
//! - *Room in a full backlog.* A nonblocking connect fails at once and is not queued
//!   ([K-CONNECT-1], [K-CONNECT-2]). The connect is retried on a timer, so that no thread is
//!   blocked per attempt.
//! - *Room in a datagram receiver's queue.* The sender's own readiness does not reflect it
//!   ([K-DGRAM-4]). A second, connected socket is polled instead.
//! - *A listener when no file descriptor is free.* It stays readable ([K-ACCEPT-1]). Accepting
//!   pauses instead of spinning.
//!
//! These types need a runtime with I/O and time enabled (`enable_all`). Creating a socket outside
//! of a runtime panics, as it does with tokio's own types. Only the methods of
//! [`Bind`](crate::Bind) use threads: they access the file system, and run on the runtime's
//! blocking pool.
//!
//! # Coming from `tokio::net`
//!
//! [`Stream`], [`Listener`] and [`Datagram`] have the methods of `UnixStream`, `UnixListener` and
//! `UnixDatagram`, and convert from and to them, and those of std, with `TryFrom`. These differ on
//! purpose:
//!
//! | `tokio::net` | Here |
//! |---|---|
//! | `UnixListener::bind` | [`bind`](Async::bind) replaces a stale file, and unlinks on drop |
//! | `UnixStream::connect` | [`connect`](Async::connect) waits if the backlog is full |
//! | `UnixStream::peer_cred` | [`Credentials`](crate::Credentials), whose ids are fields |
//! | `"\0name"` | [`Address::abstract_name`](crate::Address::abstract_name) |
//! | `UnixSocket` | [`Bind`](crate::Bind), [`Connect::bind`](crate::Connect::bind) |
//! | a new pair is writable, an accepted socket readable, at once | after the first event |
//! | `UnixDatagram::recv` | [`recv`](Async::recv) fails if the message does not fit the buffer |
//! | `SocketAddr` | [`Address`](crate::Address) |
//!
//! A listener applies its policy, and continues after failures of single clients.
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
//! listener.accept().await?.0.read_to_string(&mut heard).await?;
//! assert_eq!(heard, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [K-CONNECT-1]: crate::kernel_facts#K-CONNECT-1
//! [K-CONNECT-2]: crate::kernel_facts#K-CONNECT-2
//! [K-DGRAM-4]: crate::kernel_facts#K-DGRAM-4
//! [K-ACCEPT-1]: crate::kernel_facts#K-ACCEPT-1

mod backoff;
mod bind;
mod buf;
mod connect;
mod convert;
mod datagram;
mod frame;
#[cfg(feature = "futures")]
mod incoming;
mod listener;
mod retry_timer;
mod send_ready;
mod seqpacket;
mod socket;
pub mod split;
mod stream;

pub use frame::{FrameReader, FrameWriter};
pub use socket::Async;

/// A connected byte stream.
pub type Stream = Async<crate::Stream>;

/// A connected socket that preserves message boundaries.
pub type SeqPacket = Async<crate::SeqPacket>;

/// A datagram socket.
pub type Datagram = Async<crate::Datagram>;

/// A listening socket that accepts clients.
pub type Listener<C = crate::Stream> = Async<crate::Listener<C>>;

pub(crate) use backoff::Backoff;
pub(crate) use bind::in_background;
pub(crate) use send_ready::{Receiver, wait as wait_send_ready};
pub(crate) use socket::Activity;
