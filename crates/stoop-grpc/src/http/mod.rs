//! HTTP/1.1 and HTTP/2 over local sockets, as Docker, podman, snapd and many others speak it
//! (feature `http`).
//!
//! | what | with |
//! |---|---|
//! | one connection, one request after the other, streaming both ways | [`Client`] |
//! | a pool of connections for hyper's own client | [`Connector`] |
//! | a protocol of its own after an upgrade: attach, exec, websockets | [`upgraded`] |
//! | Docker's output streams, told apart again | [`multiplexed`] |
//! | a server on a listener of [`stoop`], with its policy, limits and drain | [`Server`] |
//!
//! An address says where; a request says what. Its URI needs a path only: the authority is
//! `localhost` where it has none, which is what servers at local sockets expect.
//!
//! Two things that a client has to get right are done here. A server that turns out to speak
//! something else is named for what it was heard to say ([`ErrorKind`]), and an answer that is sent
//! while the request is still on its way is read, although the rest of the request can no longer be
//! sent.

mod body;
mod client;
mod connector;
mod error;
mod io;
pub mod multiplexed;
mod server;

pub use body::Body;
pub use client::{Client, Version, upgraded};
pub use connector::Connector;
pub use error::{Error, ErrorKind, Result};
pub use io::Io;
pub use server::{Server, upgraded_request};
