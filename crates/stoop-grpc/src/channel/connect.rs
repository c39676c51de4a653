//! How a channel is made.

use std::time::Duration;

use super::{Channel, Way, local::Local, remote};
use crate::{Endpoint, Error};

/// How long to wait for a server, and for room in its queue, unless told otherwise.
const WAIT: Duration = Duration::from_secs(5);

/// Connects to a server: `connect("/run/app.sock")`, `connect("@app")`, `connect("https://app.example")`. Waits five seconds for one that
/// is just starting, or has no room; [`Connect`] has settings for that.
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
/// [`Error::Address`], and as [`Connect::connect`].
///
/// # Cancel safety
/// Cancel safe: the attempt is given up, and the server never sees it.
pub async fn connect<E: TryInto<Endpoint, Error: Into<Error>>>(endpoint: E) -> Result<Channel, Error> {
    Connect::new(endpoint.try_into().map_err(Into::into)?).connect().await
}

/// Settings of a [`Channel`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected until `connect`"]
pub struct Connect {
    pub(super) endpoint: Endpoint,
    pub(super) timeout: Duration,
    pub(super) wait: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tonic::transport::ClientTlsConfig>,
}

impl Connect {
    /// To a server here.
    pub fn new(endpoint: impl Into<Endpoint>) -> Connect {
        Connect {
            endpoint: endpoint.into(),
            timeout: WAIT,
            wait: WAIT,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// How long to wait for room in the server's queue; over TCP, for an answer to one attempt.
    pub fn timeout(mut self, time: Duration) -> Connect {
        self.timeout = time;
        self
    }

    /// How long to wait for a server that is not there: at first, and each time the connection has
    /// ended. A call that has to wait longer fails with
    /// [`Code::Unavailable`](tonic::Code::Unavailable).
    pub fn wait_for_server(mut self, time: Duration) -> Connect {
        self.wait = time;
        self
    }

    /// Whom to trust, and who we are, where the endpoint is `https`; of no effect elsewhere.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: tonic::transport::ClientTlsConfig) -> Connect {
        self.tls = Some(tls);
        self
    }

    /// A channel with a connection.
    ///
    /// # Errors
    /// As [`stoop::Connect::stream`], within [`Error::Socket`]; [`Error::Transport`] over TCP;
    /// [`Error::NoTls`].
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up, and the server never sees it.
    pub async fn connect(self) -> Result<Channel, Error> {
        match &self.endpoint {
            Endpoint::Local(address) => {
                let local = Local::new(address, &self);
                local.connection().await.map_err(Error::Socket)?;
                Ok(Channel(Way::Local(local.into())))
            }
            Endpoint::Tcp(uri) => {
                let (endpoint, connector) = remote::endpoint(uri, &self)?;
                let channel = endpoint.connect_with_connector(connector).await;
                Ok(Channel(Way::Remote(channel.map_err(|cause| Error::Transport(cause.into()))?)))
            }
        }
    }

    /// A channel that connects with its first call.
    ///
    /// # Errors
    /// [`Error::NoTls`], and where keys or certificates are none.
    pub fn lazy(self) -> Result<Channel, Error> {
        Ok(Channel(match &self.endpoint {
            Endpoint::Local(address) => Way::Local(Local::new(address, &self).into()),
            Endpoint::Tcp(uri) => {
                let (endpoint, connector) = remote::endpoint(uri, &self)?;
                Way::Remote(endpoint.connect_with_connector_lazy(connector))
            }
        }))
    }
}
