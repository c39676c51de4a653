//! Local sockets (Unix domain sockets, `AF_UNIX`) done right: byte streams, datagrams and sequenced
//! packets between the processes of one machine.
//!
//! - Serve: [`Bind`] makes an address and keeps it safe — exact permissions, stale files replaced,
//!   live servers left alone, takeover without a gap — and gives a [`Listener`] or a [`Datagram`]
//!   socket.
//! - Talk: [`Connect`] reaches it, with deadlines, and gives a [`Stream`], a [`SeqPacket`] or a
//!   [`Datagram`] socket.
//! - Know: [`Peer`] says who is at the other end, [`Policy`] who may be, [`Error::explain`] why
//!   something failed.
//! - Pass: [`Outgoing`] and [`Received`] carry descriptors and credentials beside the bytes,
//!   leaking none.
//! - Async: with feature `tokio`, `aio` is the same for tasks, and `serve` the accept loop every
//!   daemon needs.
//! - Look: [`diag`] is the kernel's own table of local sockets.
//! - Last: [`activation`] takes sockets from a service manager, [`notify`] reports to it,
//!   [`handover`] passes a listener to the next version of a server.
//!
//! Everything here is synchronous and blocks unless told otherwise. The library never prints, never
//! starts a thread, never touches what the whole process shares (umask, working directory, signal
//! handlers, environment), and never raises `SIGPIPE`. Linux only; what needs a newer kernel than
//! 4.18 says so. Kernel behaviour relied on is cited as `K-…`, a row of the project's `KERNEL.md`
//! with the test that pins it.
//!
//! Read in this order: [`Address`], [`Bind`], [`Listener`], [`Connect`], [`Stream`], then what you
//! need.
//!
//! ```
//! use std::io::{Read, Write};
//! use stoop::{Bind, Policy, Stream};
//!
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! let listener = Bind::new(&path).mode(0o660).policy(Policy::same_user()).listen()?;
//!
//! let mut client = Stream::connect(&path)?;
//! client.write_all(b"hello")?;
//! client.shutdown(std::net::Shutdown::Write)?;
//!
//! let mut text = String::new();
//! listener.accept()?.read_to_string(&mut text)?;
//! assert_eq!(text, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("stoop is for Linux on 64-bit machines");

mod address;
#[cfg(feature = "tokio")]
pub mod aio;
mod batch;
pub mod bind;
mod connect;
pub mod control;
mod datagram;
pub mod diag;
mod error;
pub mod explain;
mod file_id;
pub mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod holder;
mod kind;
mod listener;
mod message;
mod overflow_ids;
mod packet;
mod peer;
mod policy;
mod refusals;
mod reply;
mod send_quota;
mod seqpacket;
#[cfg(feature = "tokio")]
pub mod serve;
mod socket;
mod spin;
mod stream;
mod sys;

pub use address::{
    ABSTRACT_NAME_MAX_BYTES, Address, AddressError, DIRECT_PATH_MAX_BYTES, Place, Target, ToAddress, escaped,
};
pub use batch::{Batch, BatchMessage};
pub use bind::{Bind, SocketFile, activation, handover, notify};
pub use connect::{Connect, Connection};
pub use control::Credentials;
pub use datagram::Datagram;
pub use error::{Error, ErrorKind, Operation, Result};
pub use holder::Holder;
pub use kind::{Kind, UnknownKind};
pub use listener::{Arrival, Connected, Counts, Listener};
pub use message::{Allow, Outgoing, Received};
pub use peer::{Fact, Peer};
pub use policy::{Policy, Refusal};
pub use reply::{Origin, ReplyTo};
pub use send_quota::SendQuota;
pub use seqpacket::{Packet, SeqPacket};
pub use socket::Socket;
pub use spin::SPIN_MAX;
pub use stream::Stream;

/// The README's example runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
