//! Where a server's clients come from.

use stoop::serve;
use stoop::{Bind, aio};
use tonic::transport::server::TcpIncoming;

use crate::{Endpoint, Error};

/// Where a server's clients come from: made by [`Endpoint::listen`], or from a listener, or from a [`stoop::serve::Server`] with
/// the limits it is to keep and perhaps a successor it is to hand over to.
#[derive(Debug)]
pub struct Incoming(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Local(Box<serve::Server>),
    Tcp { clients: TcpIncoming, tls: bool },
}

impl Endpoint {
    /// Listens here. A local socket is bound as `settings` add to it: [`Bind::mode`], [`Bind::policy`] and so on; they mean
    /// nothing for TCP.
    ///
    /// ```no_run
    /// # async fn listen() -> Result<(), stoop_grpc::Error> {
    /// use stoop::Policy;
    /// use stoop_grpc::Endpoint;
    ///
    /// let endpoint: Endpoint = "/run/app.sock".parse()?;
    /// let incoming = endpoint.listen(|bind| bind.mode(0o660).policy(Policy::same_user().allow_gid(44))).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Bind::listen_async`]; for TCP where the name has no address, or the address cannot be bound.
    pub async fn listen(&self, settings: impl FnOnce(Bind) -> Bind) -> Result<Incoming, Error> {
        match self {
            Endpoint::Local(address) => Ok(settings(Bind::new(address)).listen_async().await?.into()),
            Endpoint::Tcp(uri) => {
                let default = if self.is_tls() { 443 } else { 80 };
                let place = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default));
                let listener = tokio::net::TcpListener::bind(place)
                    .await
                    .map_err(|cause| Error::Transport(cause.into()))?;
                let clients = TcpIncoming::from(listener).with_nodelay(Some(true));
                Ok(Incoming(Source::Tcp { clients, tls: self.is_tls() }))
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
    /// Sets limits for clients of a local socket, as [`stoop::serve::Server`] has them; they mean nothing for TCP.
    ///
    /// ```no_run
    /// # async fn listen() -> Result<(), stoop_grpc::Error> {
    /// # let endpoint: stoop_grpc::Endpoint = "/run/app.sock".parse()?;
    /// let incoming = endpoint.listen(|bind| bind.mode(0o660)).await?.limits(|server| server.max_connections(100));
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
