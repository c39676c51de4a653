//! HTTP/1.1 and HTTP/2 over Unix domain sockets, as spoken by Docker, podman, snapd and others.
//!
//! hyper implements the protocol. This crate adds what is specific to Unix sockets: the server
//! identifies the process behind each request, and the client detects servers that do not speak
//! HTTP.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "server"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! use http_body_util::{BodyExt, Empty};
//! use hyper::{Request, Response, body::Bytes, service::service_fn};
//! use stoop_http::{Caller, Client, Server};
//!
//! let whoami = service_fn(async |request: Request<_>| {
//!     let uid = Caller::of(request.extensions()).unwrap().uid.to_string();
//!     Ok::<_, hyper::Error>(Response::new(uid))
//! });
//! let listener = stoop::Bind::new(&path).mode(0o660).listen_async().await?;
//! let server = Server::new(stoop::serve::Server::new(listener));
//! tokio::spawn(server.run(whoami, std::future::pending::<()>()));
//!
//! let mut client = Client::connect(&path).await?;
//! let response = client.send(Request::get("/whoami").body(Empty::<Bytes>::new())?).await?;
//! let uid = response.into_body().collect().await?.to_bytes();
//! # use std::os::unix::fs::MetadataExt;
//! assert_eq!(uid, path.metadata()?.uid().to_string());
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "server")))]
//! # fn main() {}
//! ```
//!
//! | task | item | feature |
//! |---|---|---|
//! | send requests on one connection, streaming in both directions | `Client` | `client` |
//! | pool connections with hyper-util's client | `Connector` | `connector` |
//! | switch to another protocol: attach, exec, websockets | `upgraded` | `client` |
//! | demultiplex Docker's output streams | [`multiplexed`] | |
//! | serve a listener of [`stoop`], with its policy, limits and drain | `Server` | `server` |
//! | the process behind a request | `Caller` | `server` |
//! | header limits, keep-alive, windows, frame size | `Settings` | both |
//! | switch protocols on the server | `upgraded_request` | `server` |
//! | serve with axum | `AxumListener` | `axum` |
//! | serve with another library | `ServerStream` | `server` |
//! | the same, with the caller in requests to tower services | `MakeAddCaller` | `tower` |
//!
//! `client` and `server` are enabled by default.
//!
//! # Requests
//!
//! The socket address determines the server, so the URI of a request needs a path only. If it has
//! no authority, `localhost` is sent, which servers on Unix sockets expect.
//!
//! The client handles two cases that are easy to get wrong. If a server turns out to speak another
//! protocol, the error says which ([`ErrorKind`]). If a server responds while the request is still
//! being sent, the response is read, although the rest of the request can no longer be sent.
//!
//! # Coming from hyper and hyperlocal
//!
//! | hyper, hyperlocal | here |
//! |---|---|
//! | `hyper::client::conn::http1::handshake` | `Client::over`, or `Io::new` with the same |
//! | `hyper::server::conn`, an accept loop, `graceful_shutdown` | `Server` |
//! | `hyperlocal::UnixConnector`, `hyperlocal::Uri` | `Connector`, with any URI |
//! | `hyper::upgrade::on` | `upgraded`, `upgraded_request`, which return the socket itself |
//!
//! # What it does not do
//!
//! There are no redirects, cookies, compression, routing or TLS. Use hyper's ecosystem for these: a
//! service is a [`hyper::service::Service`], and a body is an [`http_body::Body`].

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "client")]
mod body;
#[cfg(feature = "server")]
mod caller;
#[cfg(feature = "client")]
mod classify;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "connector")]
mod connector;
#[cfg(feature = "server")]
mod disconnect;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "server")]
mod idle;
#[doc(hidden)]
pub mod internal;
#[cfg(feature = "client")]
mod io;
pub mod multiplexed;
#[cfg(feature = "client")]
mod protocol;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod server_stream;
#[cfg(feature = "server")]
mod server_upgrade;
#[cfg(any(feature = "client", feature = "server"))]
mod settings;
mod spawn;
mod stream;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "zstd")]
mod zstd;

#[cfg(feature = "axum")]
pub use axum::AxumListener;
#[cfg(feature = "client")]
pub use body::Body;
#[cfg(feature = "server")]
pub use caller::Caller;
#[cfg(feature = "client")]
pub use client::{Client, upgraded};
#[cfg(feature = "connector")]
pub use connector::Connector;
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "client")]
pub use io::Io;
#[cfg(feature = "client")]
pub use protocol::Version;
#[cfg(feature = "server")]
pub use server::Server;
#[cfg(feature = "server")]
pub use server_stream::ServerStream;
#[cfg(feature = "server")]
pub use server_upgrade::{UpgradedStream, upgraded_request};
#[cfg(any(feature = "client", feature = "server"))]
pub use settings::Settings;
#[cfg(feature = "tower")]
pub use tower::{AddCaller, MakeAddCaller};

/// Runs the example of the README as a test.
#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
