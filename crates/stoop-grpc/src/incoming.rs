//! Where a server's clients come from.

use std::time::Duration;

use stoop::serve;
use stoop::{Bind, aio};

use crate::tcp::Tcp;
use crate::{Endpoint, Error};

/// Where a server's clients come from: made by [`Endpoint::listen`], or from a listener, or from a
/// [`stoop::serve::Server`] with the limits it is to keep and perhaps a successor it is to hand
/// over to.
#[derive(Debug)]
pub struct Incoming(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Local(Box<serve::Server>),
    Tcp(Tcp),
}

impl Endpoint {
    /// Listens here. A local socket is bound as `settings` add to it: [`Bind::mode`],
    /// [`Bind::policy`] and so on; they mean nothing for TCP.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// use stoop::Policy;
    /// use stoop_grpc::Endpoint;
    ///
    /// let endpoint = Endpoint::try_from(path.as_path())?;    // or "/run/app.sock".parse()?
    /// let policy = Policy::same_user().allow_gid(44);
    /// let incoming = endpoint.listen(|bind| bind.mode(0o660).policy(policy)).await?;
    /// # drop(incoming);
    /// # Ok::<(), stoop_grpc::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Bind::listen_async`]; for TCP where the name has no address, or the address cannot be
    /// bound.
    ///
    /// # Cancel safety
    /// As [`Bind::listen_async`].
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
    /// How many clients are served at once, local or not. Those who come beyond that wait in the
    /// kernel's queue.
    pub fn max_connections(self, clients: usize) -> Incoming {
        match self.0 {
            Source::Local(server) => server.max_connections(clients).into(),
            Source::Tcp(tcp) => Incoming(Source::Tcp(Tcp { max_connections: clients, ..tcp })),
        }
    }

    /// How long calls under way have when the server ends, local or not; five seconds unless told
    /// otherwise. What is left then is cut. Over TCP it is no longer waited for, and ends with
    /// the runtime.
    pub fn drain_deadline(self, time: Duration) -> Incoming {
        match self.0 {
            Source::Local(server) => server.drain_deadline(time).into(),
            Source::Tcp(tcp) => Incoming(Source::Tcp(Tcp { drain_deadline: time, ..tcp })),
        }
    }

    /// Sets the limits that only clients of a local socket can have, as [`stoop::serve::Server`]
    /// has them: over TCP nobody knows whose they are, and whoever stands between (a mesh, a
    /// load balancer) keeps the connections. They mean nothing there.
    ///
    /// A connection is idle when no call is under way on it, not when no byte moves: a call may
    /// have nothing to say for hours. Its client is told (`GOAWAY`), so that it makes its next
    /// call on another one and loses none; it is cut a second later if it does not listen. So
    /// are those who begin a call and never finish its header, or say nothing at all.
    /// [`max_lifetime`](serve::Server::max_lifetime) cuts without a word, calls under way too.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let endpoint = stoop_grpc::Endpoint::try_from(directory.path().join("app.sock").as_path())?;
    /// let incoming = endpoint.listen(|bind| bind.mode(0o660)).await?.limits(|server| server.max_connections(100));
    /// # drop(incoming);
    /// # Ok::<(), stoop_grpc::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(self, settings: impl FnOnce(serve::Server) -> serve::Server) -> Incoming {
        match self.0 {
            Source::Local(server) => settings(*server).into(),
            tcp => Incoming(tcp),
        }
    }
}
