//! The source of a server's connections.

use std::time::Duration;

use stoop::serve;
use stoop::{Bind, aio};

use crate::tcp::Tcp;
use crate::{Endpoint, Error};

/// The source of a server's connections.
///
/// Create it with [`Endpoint::listen`], from a listener, or from a [`stoop::serve::Server`], which
/// brings its limits and perhaps a successor to hand over to.
#[derive(Debug)]
pub struct Incoming(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Local(Box<serve::Server>),
    Tcp(Tcp),
}

impl Endpoint {
    /// Listens on this endpoint.
    ///
    /// `settings` configures the bind of a Unix socket: [`Bind::mode`], [`Bind::policy`] and so
    /// on. It is ignored for TCP.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// use std::os::unix::fs::PermissionsExt;
    /// use stoop::Policy;
    /// use stoop_grpc::Endpoint;
    ///
    /// let endpoint = Endpoint::try_from(path.as_path())?; // or "/run/app.sock".parse()?
    /// let policy = Policy::same_user().allow_gid(44);
    /// let incoming = endpoint.listen(|bind| bind.mode(0o660).policy(policy)).await?;
    /// assert_eq!(path.metadata()?.permissions().mode() & 0o777, 0o660);
    /// drop(incoming);
    /// assert!(!path.exists(), "the socket file is unlinked");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the socket cannot be bound: see [`Bind::listen_async`] for Unix
    /// sockets. For TCP, returns an error if the host name does not resolve or the address cannot
    /// be bound.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, a listener that was bound meanwhile is closed and
    /// its socket file is unlinked.
    pub async fn listen(&self, settings: impl FnOnce(Bind) -> Bind) -> Result<Incoming, Error> {
        match self {
            Endpoint::Local(address) => Ok(settings(Bind::new(address)).listen_async().await?.into()),
            Endpoint::Tcp(uri) => {
                let default = if self.is_tls() { 443 } else { 80 };
                let place = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default));
                let listener = tokio::net::TcpListener::bind(place)
                    .await
                    .map_err(|cause| Error::Transport(cause.into()))?;
                Ok(Incoming(Source::Tcp(Tcp::new(listener, self.is_tls()))))
            }
        }
    }
}

impl From<aio::Listener> for Incoming {
    fn from(listener: aio::Listener) -> Incoming {
        serve::Server::new(listener).into()
    }
}

impl From<serve::Server> for Incoming {
    fn from(server: serve::Server) -> Incoming {
        Incoming(Source::Local(Box::new(server)))
    }
}

impl Incoming {
    /// Limits how many clients are served at once, over Unix sockets and TCP; unlimited by
    /// default.
    ///
    /// Further clients wait in the kernel's queue.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # use std::time::Duration;
    /// # use stoop_grpc::{Endpoint, Server, connect};
    /// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// # let endpoint = Endpoint::try_from(path.as_path())?;
    /// let incoming = endpoint.listen(|bind| bind).await?.max_connections(1);
    /// tokio::spawn(Server::new(routes).serve(incoming, std::future::pending::<()>()));
    ///
    /// let first = connect(path.as_path()).await?;
    /// let mut second = HealthClient::new(connect(path.as_path()).await?);
    /// let call = tokio::spawn(async move { second.check(HealthCheckRequest::default()).await });
    /// tokio::time::sleep(Duration::from_millis(20)).await;
    /// assert!(!call.is_finished());
    /// drop(first);
    /// assert!(call.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_connections(self, clients: usize) -> Incoming {
        match self.0 {
            Source::Local(server) => server.max_connections(clients).into(),
            Source::Tcp(tcp) => Incoming(Source::Tcp(Tcp { max_connections: clients, ..tcp })),
        }
    }

    /// Sets how long calls under way have when the server ends, over Unix sockets and TCP; five
    /// seconds by default.
    ///
    /// Unix connections left at the deadline are aborted. TCP connections continue until they, or
    /// the runtime, end.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # use std::time::Duration;
    /// # use stoop_grpc::{Endpoint, Server, connect};
    /// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// # let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
    /// let incoming = incoming.drain_deadline(Duration::from_millis(20));
    /// let (shut_down, shutdown) = tokio::sync::oneshot::channel::<()>();
    /// let server = tokio::spawn(Server::new(routes).serve(incoming, shutdown));
    ///
    /// let mut client = HealthClient::new(connect(path.as_path()).await?);
    /// let mut changes = client.watch(HealthCheckRequest::default()).await?.into_inner();
    /// assert!(changes.message().await?.is_some());
    /// drop(shut_down);
    /// server.await??;
    /// let status = changes.message().await.unwrap_err();
    /// assert_eq!(status.code(), tonic::Code::Unavailable);
    /// # Ok(())
    /// # }
    /// ```
    pub fn drain_deadline(self, time: Duration) -> Incoming {
        match self.0 {
            Source::Local(server) => server.drain_deadline(time).into(),
            Source::Tcp(tcp) => Incoming(Source::Tcp(Tcp { drain_deadline: time, ..tcp })),
        }
    }

    /// Sets the limits that apply to clients of a Unix socket only, as settings of a
    /// [`stoop::serve::Server`].
    ///
    /// They are ignored for TCP: its clients have no known user, and the mesh or load balancer in
    /// between manages connections.
    ///
    /// A connection is idle when no call is under way on it, not when no byte moves: a call may be
    /// silent for hours. The client of an idle connection is sent `GOAWAY`, so that it makes its
    /// next call on another connection and loses none. If it does not react, the connection is
    /// aborted a second later. The same applies to clients that never complete the header of a
    /// call, or send nothing. [`max_lifetime`](serve::Server::max_lifetime) aborts without
    /// `GOAWAY`, calls under way included.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # use std::time::Duration;
    /// # use stoop_grpc::{Endpoint, Server, connect};
    /// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// # let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
    /// let mut counters = None;
    /// let incoming = incoming.limits(|server| {
    ///     counters = Some(server.counters());
    ///     server.idle_timeout(Duration::from_millis(10))
    /// });
    /// tokio::spawn(Server::new(routes).serve(incoming, std::future::pending::<()>()));
    ///
    /// let mut client = HealthClient::new(connect(path.as_path()).await?);
    /// client.check(HealthCheckRequest::default()).await?;
    /// tokio::time::sleep(Duration::from_millis(50)).await;
    /// client.check(HealthCheckRequest::default()).await?;
    /// let accepted = counters.unwrap().snapshot().accepted;
    /// assert_eq!(accepted, 2, "the second call was made on another connection");
    /// # Ok(())
    /// # }
    /// ```
    pub fn limits(self, settings: impl FnOnce(serve::Server) -> serve::Server) -> Incoming {
        match self.0 {
            Source::Local(server) => settings(*server).into(),
            tcp => Incoming(tcp),
        }
    }
}
