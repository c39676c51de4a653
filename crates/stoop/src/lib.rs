//! Unix domain sockets (`AF_UNIX`) for Linux: byte streams, datagrams and sequenced packets between
//! processes of one machine.
//!
//! [`std::os::unix::net`] wraps the system calls. This crate adds what a server or client needs
//! around them: safe management of the socket file, deadlines, peer credentials, access policies,
//! file descriptor passing without leaks, and errors with their operation, address and class.
//!
//! ```
//! use std::io::{Read, Write};
//! use stoop::{Bind, Policy, Stream};
//!
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! let listener = Bind::new(&path).mode(0o600).policy(Policy::same_user()).listen()?;
//!
//! let mut client = Stream::connect(&path)?;
//! client.write_all(b"hello")?;
//! client.shutdown(std::net::Shutdown::Write)?;
//!
//! let mut text = String::new();
//! listener.accept()?.0.read_to_string(&mut text)?;
//! assert_eq!(text, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is in the crate
//!
//! | Task | Items |
//! |---|---|
//! | Bind a server: exact mode, stale files replaced, takeover without a gap | [`Bind`] |
//! | Accept connections | [`Listener`] |
//! | Connect with a timeout, or wait for a server to start | [`Connect`] |
//! | Exchange bytes | [`Stream`] |
//! | Exchange messages, with or without a connection | [`SeqPacket`], [`Datagram`] |
//! | Send and receive many messages with one system call | [`Batch`] |
//! | Answer a datagram safely | [`Datagram::reply`] |
//! | Limit how much of the send buffer unread replies occupy | [`SendQuota`] |
//! | Send messages over a byte stream | [`frame`](mod@frame) |
//! | Identify the peer; decide who may connect or send | [`Peer`], [`Policy`] |
//! | Send and receive file descriptors and credentials | [`Outgoing`], [`Received`] |
//! | Set the options of a socket, query its queues | [`SocketExt`] |
//! | Distinguish failures; find out why | [`Error`], [`ErrorKind`]; `stoop_inspect::diagnose` |
//! | Use sockets passed by a service manager, and report to it | [`activation`], [`notify`] |
//! | Pass a listener to the next version of a server | [`handover`] |
//! | Use all of this from async tasks | [`aio`] |
//! | Run an accept loop with limits and graceful shutdown | [`serve`] |
//!
//! # Features
//!
//! | Feature | Default | Adds |
//! |---|---|---|
//! | `tokio` | off | [`aio`], the same sockets driven by tokio, and [`serve`], the accept loop |
//! | `futures` | off | an [`aio::Listener`] as a `futures_core::Stream`; turns on `tokio` |
//! | `tracing` | off | `tracing` events from [`serve`]; turns on `tokio` |
//! | `serde` | off | `Serialize` and `Deserialize` for [`Address`], as text |
//!
//! Without features everything is synchronous and blocks unless told otherwise. The dependencies
//! are then `libc` and `rustix`.
//!
//! # Coming from std
//!
//! Replacing `std::os::unix::net::Unix` by `stoop::` compiles most programs, and those that compile
//! behave the same except in these rows:
//!
//! | In std | Here |
//! |---|---|
//! | errors are an `io::Error` | an [`Error`], which `?` converts into it |
//! | addresses are a `SocketAddr` | an [`Address`]; they convert, and functions accept both |
//! | binding fails if the file exists | an unused socket file is replaced: [`Bind`] |
//! | a bound file stays | it is unlinked when its owner is dropped |
//! | an abstract server accepts every user | its own user and root: [`Policy`] |
//! | a path of 108 bytes or more is an error | it is bound and connected to: [`Address`] |
//! | a long datagram is silently truncated | [`ErrorKind::MessageTruncated`] |
//! | `From<OwnedFd>`, `FromRawFd` | `TryFrom<OwnedFd>`, which checks the kind of the socket |
//!
//! Sockets convert with `From` from and into those of std.
//!
//! # Coming from another crate
//!
//! | From | Use | Note |
//! |---|---|---|
//! | tokio `UnixStream`, `UnixDatagram` | [`aio`] | same methods; convert with `TryFrom` |
//! | tokio `UnixListener` and its accept loop | `aio::Listener`, [`serve::Server`] | |
//! | interprocess `Name` | [`Address`] | a path or an abstract name |
//! | interprocess `ListenerOptions` | [`Bind`] | |
//! | nix `sendmsg` with `ScmRights` | [`Stream::send_fds`], [`Outgoing`] | |
//! | nix `recvmsg`, `cmsg_space!` | [`Stream::recv_fds`], [`Stream::recv_with`] | |
//! | nix `PeerCredentials` | [`Stream::peer`] | unknown ids are [`Fact::Unknown`] |
//!
//! # What the crate does not do
//!
//! - It never prints, starts a thread, or raises `SIGPIPE`. With feature `tokio`, work that blocks
//!   on the file system runs on the runtime's blocking pool.
//! - It never touches state that the whole process shares: umask, working directory, signal
//!   handlers, environment.
//! - It supports Linux on 64-bit machines only. Anything that requires a kernel newer than 4.18
//!   says so.
//!
//! Kernel behaviour that the crate relies on is cited as `K-…`: a row of [`kernel_facts`], which
//! names the test that demonstrates it.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The tables above link to what features add. The build with all features checks these links.
#![cfg_attr(
    not(feature = "tokio"),
    allow(rustdoc::broken_intra_doc_links, reason = "`aio` and `serve` are not in this build")
)]
// Elsewhere the build fails here. Without the rest of the crate, no other errors hide this one.
#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    doc = compile_error!("stoop supports Linux on 64-bit machines only"),
    cfg(any())
)]

mod address;
#[cfg(feature = "tokio")]
pub mod aio;
mod batch;
mod bind;
mod connect;
mod control;
mod datagram;
// The kernel's table of sockets. Used here, by `stoop-inspect` and by the command.
#[doc(hidden)]
pub mod diag;
mod error;
mod file_id;
pub mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod internal;
#[doc = include_str!("../KERNEL.md")]
pub mod kernel_facts {}
mod kind;
mod listener;
mod message;
mod mountinfo;
mod origin;
mod overflow_ids;
mod owner;
mod packet;
mod peer;
mod policy;
mod refusals;
mod reply;
mod responding;
mod retry;
mod send_quota;
mod sends;
mod seqpacket;
#[cfg(feature = "tokio")]
pub mod serve;
mod server_options;
mod socket;
mod socket_addr;
mod socket_ext;
mod socket_file;
mod socket_methods;
mod spin;
mod stream;
mod sys;

pub use address::{Address, AddressError, ToAddress, escaped};
pub use batch::{Batch, BatchMessage};
pub use bind::{Bind, activation, handover, notify};
pub use connect::Connect;
pub use control::{Credentials, DESCRIPTORS_MAX};
pub use datagram::Datagram;
pub use error::{Error, ErrorKind, Result};
pub use kind::Kind;
pub use listener::{Arrival, Connected, Counts, Incoming, Listener};
pub use message::{Allow, Outgoing, Received};
pub use origin::Origin;
pub use owner::Holder;
pub use peer::{Fact, Peer, Refusal};
pub use policy::Policy;
pub use reply::ReplyTo;
pub use send_quota::SendQuota;
pub use seqpacket::{Packet, SeqPacket};
pub use socket_ext::SocketExt;
pub use socket_file::SocketFile;
pub use stream::Stream;

/// Compiles the examples of both READMEs as tests, and runs those that need no server.
#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../../../README.md")]
#[doc = include_str!("../README.md")]
struct Readme;
