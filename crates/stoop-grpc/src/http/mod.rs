//! HTTP/1.1 and HTTP/2 over Unix domain sockets, as spoken by Docker, podman, snapd and others
//! (feature `http`).
//!
//! | task | item |
//! |---|---|
//! | send requests on one connection, streaming in both directions | [`Client`] |
//! | pool connections with hyper's own client | [`Connector`] |
//! | switch to another protocol: attach, exec, websockets | [`upgraded`] |
//! | demultiplex Docker's output streams | [`multiplexed`] |
//! | serve a listener of [`stoop`], with its policy, limits and drain | [`Server`] |
//!
//! The socket address says which server to connect to, so a request's URI needs a path only. If it
//! has no authority, `localhost` is sent, which servers on Unix sockets expect.
//!
//! The client handles two cases that are easy to get wrong. If a server turns out to speak another
//! protocol, the error says which ([`ErrorKind`]). If a server responds while the request is still
//! being sent, the response is read, although the rest of the request can no longer be sent.

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
