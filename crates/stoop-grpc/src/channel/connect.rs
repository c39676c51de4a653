//! Connecting a channel.

use std::time::Duration;

use http::Uri;
use stoop::Address;
use tonic::transport;

use super::local::Local;
use super::remote::Waiting;
use super::{Channel, Transport};
use crate::{Endpoint, Error};

/// The default time to wait for a server, and for room in its queue.
const WAIT: Duration = Duration::from_secs(5);

/// Connects to a server.
///
/// Text is the path of a socket, exactly as it is. Parse other endpoints:
/// `"https://app.example".parse::<Endpoint>()?`. Waits up to five seconds for a server that is just
/// starting, or whose queue is full. Use [`Connect`] to change that.
///
/// ```
/// # #[cfg(feature = "health")]
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
/// # let (_, routes) = stoop_grpc::health(tonic::service::Routes::default());
/// # tokio::spawn(stoop_grpc::Server::new(routes).serve(incoming, std::future::pending::<()>()));
/// use tonic_health::pb::HealthCheckRequest;
/// use tonic_health::pb::health_client::HealthClient;
///
/// let channel = stoop_grpc::connect(path.as_path()).await?;
/// let mut client = HealthClient::new(channel);
/// let health = client.check(HealthCheckRequest::default()).await?.into_inner();
/// assert_eq!(health.status().as_str_name(), "SERVING");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error if the endpoint is invalid ([`Error::Address`]), or if the connection cannot
/// be made: see [`Connect::connect`].
///
/// # Cancel safety
/// This function is cancel safe. If dropped, the attempt is abandoned and the server never sees
/// it.
pub async fn connect<E: TryInto<Endpoint, Error: Into<Error>>>(endpoint: E) -> Result<Channel, Error> {
    Connect::new(endpoint.try_into().map_err(Into::into)?).connect().await
}

/// Settings of a [`Channel`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected until `connect`"]
pub struct Connect {
    endpoint: Endpoint,
    timeout: Duration,
    wait: Duration,
    #[cfg(feature = "tls")]
    tls: Option<tonic::transport::ClientTlsConfig>,
}

impl Connect {
    /// Creates settings for a channel to this endpoint.
    pub fn new(endpoint: impl Into<Endpoint>) -> Connect {
        Connect {
            endpoint: endpoint.into(),
            timeout: WAIT,
            wait: WAIT,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Sets how long to wait for room in the server's queue; five seconds by default.
    ///
    /// Over TCP, it limits one attempt to connect.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// use std::time::Duration;
    /// use stoop_grpc::{Connect, Endpoint};
    ///
    /// // A listener that accepts nothing, and a queue of one connection.
    /// let listener = stoop::Bind::new(&path).backlog(0).listen()?;
    /// let _first = stoop::Stream::connect(&path)?;
    /// let endpoint = Endpoint::try_from(path.as_path())?;
    /// let connect = Connect::new(endpoint).timeout(Duration::from_millis(10));
    /// let error = connect.connect().await.unwrap_err();
    /// assert_eq!(error.socket().unwrap().kind(), stoop::ErrorKind::TimedOut);
    /// # drop(listener);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, time: Duration) -> Connect {
        self.timeout = time;
        self
    }

    /// Sets how long to wait for a server that is not running; five seconds by default.
    ///
    /// It applies to the first connection and to each reconnection. A call that would wait longer
    /// fails with [`Code::Unavailable`](tonic::Code::Unavailable).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// use std::time::Duration;
    /// use stoop_grpc::{Connect, Endpoint};
    ///
    /// let missing = Endpoint::try_from(path.as_path())?;
    /// let connect = Connect::new(missing).wait_for_server(Duration::ZERO);
    /// let error = connect.connect().await.unwrap_err();
    /// assert_eq!(error.socket().unwrap().kind(), stoop::ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for_server(mut self, time: Duration) -> Connect {
        self.wait = time;
        self
    }

    /// Sets the trusted certificates and the client's identity for an `https` endpoint.
    ///
    /// It has no effect on other endpoints.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: tonic::transport::ClientTlsConfig) -> Connect {
        self.tls = Some(tls);
        self
    }

    /// Connects and returns a channel.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use stoop_grpc::{Connect, Endpoint, Error};
    ///
    /// let endpoint: Endpoint = "https://app.example".parse()?;
    /// assert!(matches!(Connect::new(endpoint).connect().await, Err(Error::NoTls)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the connection cannot be made: [`Error::Socket`] for a Unix socket,
    /// with one of the kinds that [`stoop::Connect::stream`] lists, [`Error::Transport`] for TCP,
    /// or [`Error::NoTls`] if the endpoint is `https` and `Connect::tls` was not called.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    pub async fn connect(self) -> Result<Channel, Error> {
        match &self.endpoint {
            Endpoint::Local(address) => {
                let local = self.local(address);
                local.connection().await.map_err(Error::Socket)?;
                Ok(Channel(Transport::Local(local.into())))
            }
            Endpoint::Tcp(uri) => {
                let (endpoint, connector) = self.remote(uri)?;
                let channel = endpoint.connect_with_connector(connector).await;
                Ok(Channel(Transport::Remote(channel.map_err(|cause| Error::Transport(cause.into()))?)))
            }
        }
    }

    /// Returns a channel that connects on its first call.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # use stoop_grpc::{Connect, Endpoint, Server};
    /// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// let endpoint = Endpoint::try_from(path.as_path())?;
    /// let mut client = HealthClient::new(Connect::new(endpoint.clone()).lazy()?);
    /// // The call waits for the server, which starts only now.
    /// let call = tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
    /// let incoming = endpoint.listen(|bind| bind).await?;
    /// tokio::spawn(Server::new(routes).serve(incoming, std::future::pending::<()>()));
    /// assert!(call.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the endpoint is `https` and `Connect::tls` was not called
    /// ([`Error::NoTls`]), or if keys or certificates are invalid.
    pub fn lazy(self) -> Result<Channel, Error> {
        Ok(Channel(match &self.endpoint {
            Endpoint::Local(address) => Transport::Local(self.local(address).into()),
            Endpoint::Tcp(uri) => {
                let (endpoint, connector) = self.remote(uri)?;
                Transport::Remote(endpoint.connect_with_connector_lazy(connector))
            }
        }))
    }

    fn local(&self, address: &Address) -> Local {
        let connect = stoop::Connect::new(address).timeout(self.timeout).wait_for_server(self.wait);
        Local::new(address.clone(), connect)
    }

    fn remote(&self, uri: &Uri) -> Result<(transport::Endpoint, Waiting), Error> {
        let endpoint = transport::Endpoint::from(uri.clone());
        let waiting = Waiting { timeout: self.timeout, wait: self.wait };
        if !self.endpoint.is_tls() {
            return Ok((endpoint, waiting));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let endpoint =
                endpoint.tls_config(tls.clone()).map_err(|cause| Error::Transport(cause.into()))?;
            return Ok((endpoint, waiting));
        }
        Err(Error::NoTls)
    }
}
