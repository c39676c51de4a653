//! gRPC over Unix domain sockets: a server for tonic's services, and a channel for tonic's clients.
//!
//! The server knows the process behind each call, replaces a running predecessor without a failed
//! call, and accepts clients in every language. The channel waits for a server that is starting,
//! reconnects, and repeats calls that no server has seen. Both work over TCP, too, if the address
//! is a URI.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "server"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! # let (_reporter, health) = tonic_health::server::health_reporter();
//! # let routes = tonic::service::Routes::new(health);
//! # let shutdown = std::future::pending::<()>();
//! use stoop_grpc::{Endpoint, Server, connect};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//!
//! let endpoint = Endpoint::try_from(path.as_path())?; // or "https://0.0.0.0:443".parse()?
//! let incoming = endpoint.listen(|bind| bind.mode(0o660)).await?;
//! tokio::spawn(Server::new(routes).serve(incoming, shutdown));
//!
//! let mut client = HealthClient::new(connect(path.as_path()).await?);
//! let health = client.check(HealthCheckRequest::default()).await?.into_inner();
//! assert_eq!(health.status().as_str_name(), "SERVING");
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "server")))]
//! # fn main() {}
//! ```
//!
//! | task | item | feature |
//! |---|---|---|
//! | serve a tonic router, or any tower service | `Server`, `Incoming` | `server` |
//! | identify and authorize callers | `Caller`, `only` | `server` |
//! | connect a generated client | `connect`, `Connect`, `Channel` | `client` |
//! | keep tonic's own server | `Connections` | `server` |
//! | keep tonic's own channel | `Connector` | `connector` |
//! | examine a response that is not gRPC, such as a proxy's | `HttpResponse` | `client` |
//! | name a status code, also if gRPC does not define it | `code_name`, `code_number` | `client` |
//! | accept either a socket or a host as an address | [`Endpoint`] | |
//! | let any HTTP/2 server accept every `:authority` | [`AuthorityStream`] | |
//! | pass messages as bytes | [`Raw`] | |
//! | add the standard services | `health`, `reflection` | of that name |
//! | use TLS on TCP endpoints | `Server::tls`, `Connect::tls` | `tls` |
//!
//! `client` and `server` are enabled by default. The crate `stoop-dynamic` calls services that are
//! known only at run time.
//!
//! # Serving
//!
//! [`stoop::Bind`] handles permissions, takeover and policy. [`stoop::serve::Server`] handles
//! limits, draining and hand-over. `Server` puts the [`stoop_http::Caller`](stoop_http) in the
//! extensions of each request.
//!
//! # Authorities
//!
//! A Unix socket has no host name, and clients send different values in `:authority`: `localhost`,
//! the path of the socket with or without percent-encoding, or nothing. HTTP/2 libraries in Rust
//! reject all but the first. [`AuthorityStream`] wraps the stream below such a library. It inspects
//! the first header block of a connection and rewrites an `:authority` that would be rejected.
//! `Server` has it built in.
//!
//! # Coming from tonic
//!
//! | tonic | here |
//! |---|---|
//! | `Server::builder().add_service(a)` | `Server::new(Routes::new(a))` |
//! | `serve_with_incoming(UnixListenerStream::new(…))` | with `Connections`; or `Server::serve` |
//! | `connect_with_connector(service_fn(…))` | with `Connector`; or `connect` |
//! | `UdsConnectInfo` in the extensions | `Caller`, which remains valid after the peer exits |
//! | `Server::timeout`, status `CANCELLED` | `Server::timeout`, status `DEADLINE_EXCEEDED` |
//!
//! Generated code, interceptors and tower layers are used unchanged. To keep tonic's own transport,
//! put stoop below it:
//!
//! ```
//! # #[cfg(all(feature = "connector", feature = "server"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! # let (_reporter, health) = tonic_health::server::health_reporter();
//! # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use stoop_grpc::{Connections, Connector};
//! use tonic::transport::{Endpoint, Server};
//!
//! let connections = Connections::from(stoop::Bind::new(&path).listen_async().await?);
//! tokio::spawn(Server::builder().add_service(health).serve_with_incoming(connections));
//!
//! let endpoint = Endpoint::from_static("http://localhost");
//! let channel = endpoint.connect_with_connector(Connector::new(&path)).await?;
//! let mut client = HealthClient::new(channel);
//! assert!(client.check(HealthCheckRequest::default()).await.is_ok());
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "connector", feature = "server")))]
//! # fn main() {}
//! ```
//!
//! # What it does not do
//!
//! There is no load balancing, no compression beyond that of the generated code, and no gRPC-Web.
//! Services, codecs and statuses are tonic's.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authority;
#[cfg(feature = "client")]
mod channel;
#[cfg(feature = "client")]
mod code;
#[cfg(feature = "server")]
mod connections;
#[cfg(any(feature = "client", feature = "server"))]
mod deadline;
mod endpoint;
mod error;
#[cfg(feature = "server")]
mod incoming;
#[cfg(feature = "server")]
mod only;
mod raw;
#[cfg(feature = "client")]
mod response;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "health", feature = "reflection"))]
mod services;
mod stream;
#[cfg(feature = "server")]
mod tcp;

#[cfg(feature = "client")]
pub use channel::{Channel, Connect, connect};
#[cfg(feature = "client")]
pub use code::{code_name, code_number};
#[cfg(feature = "server")]
pub use connections::{Connection, Connections};
pub use endpoint::Endpoint;
pub use error::Error;
#[cfg(feature = "server")]
pub use incoming::Incoming;
#[cfg(feature = "server")]
pub use only::only;
pub use raw::Raw;
#[cfg(feature = "client")]
pub use response::HttpResponse;
#[cfg(feature = "server")]
pub use server::Server;
#[cfg(feature = "health")]
pub use services::health;
#[cfg(feature = "reflection")]
pub use services::reflection;
#[cfg(feature = "server")]
pub use stoop_http::Caller;
#[cfg(feature = "connector")]
pub use stoop_http::Connector;
pub use stream::authority::AuthorityStream;

/// Items that `stoop-dynamic` and the command share with this crate. They are not part of the
/// public API, and change without notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::authority::HeaderBlocks;
    #[cfg(feature = "client")]
    pub use crate::response::{NoStatus, accept};
}

/// Runs the example of the README as a test.
#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;
