//! gRPC over Unix domain sockets.
//!
//! # Serving
//!
//! [`Server`] serves a tonic router, or any other tower service, to the clients of a `stoop`
//! listener. [`stoop::Bind`] handles permissions, takeover and policy. [`stoop::serve::Server`]
//! handles limits, draining and hand-over. Each request carries its [`Caller`]: the peer's
//! credentials.
//!
//! ```
//! # #[cfg(feature = "server")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! # let routes = tonic::service::Routes::default();
//! # let shutdown = async { /* tokio::signal::ctrl_c() */ };
//! use stoop_grpc::{Endpoint, Server};
//!
//! let endpoint = Endpoint::try_from(path.as_path())?;    // or "https://0.0.0.0:443".parse()?
//! let incoming = endpoint.listen(|bind| bind.mode(0o660)).await?;
//! Server::new(routes).serve(incoming, shutdown).await?;
//! # Ok::<(), stoop_grpc::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Authorities
//!
//! A Unix socket has no host name, and clients send different values in `:authority`: `localhost`,
//! the path of the socket with or without percent-encoding, or nothing. HTTP/2 libraries in Rust
//! reject all but the first. [`AuthorityStream`] wraps the stream below such a library. It inspects
//! the first header block of a connection and rewrites an `:authority` that would be rejected.
//! [`Server`] has it built in.
//!
//! # Calling
//!
//! [`connect`] returns a [`Channel`] for the clients that `tonic-prost-build` generates.
//!
//! | item | module | feature |
//! |---|---|---|
//! | [`Server`], [`Caller`], [`only`], [`AuthorityStream`] | here | `server` |
//! | [`connect`], [`Channel`] | here | `client` |
//! | [`Raw`]: a codec that passes messages as bytes | here | |
//! | `health`, `reflection`: the standard services | here | of that name |
//! | TLS for TCP endpoints | here | `tls` |
//! | calls to services that are known only at run time | `dynamic` | `dynamic` |
//! | a ttrpc client (containerd's protocol) | `ttrpc` | `dynamic` |

pub mod authority;
#[cfg(feature = "client")]
mod channel;
#[cfg(any(feature = "client", feature = "server"))]
mod deadline;
#[cfg(feature = "dynamic")]
pub mod dynamic;
mod endpoint;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "server")]
mod incoming;
#[cfg(feature = "server")]
mod only;
mod raw;
#[cfg(feature = "server")]
mod server;
#[cfg(any(feature = "health", feature = "reflection"))]
mod services;
mod stream;
#[cfg(feature = "server")]
mod tcp;
#[cfg(feature = "dynamic")]
pub mod ttrpc;

#[cfg(feature = "client")]
pub use channel::{Channel, Connect, connect};
pub use endpoint::Endpoint;
pub use error::Error;
#[cfg(feature = "server")]
pub use incoming::Incoming;
#[cfg(feature = "server")]
pub use only::only;
pub use raw::Raw;
#[cfg(feature = "server")]
pub use server::Server;
#[cfg(feature = "health")]
pub use services::health;
#[cfg(feature = "reflection")]
pub use services::reflection;
#[cfg(feature = "server")]
pub use stoop_http::Caller;
pub use stream::authority::AuthorityStream;
