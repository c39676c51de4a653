//! A listener's connections, for tonic's own server.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use stoop::aio;
use stoop_http::internal::{flush_within, read_within, shutdown_within, write_within};
use stoop_http::{Caller, ServerStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::server::Connected;

use crate::AuthorityStream;

/// The connections of a listener, for `serve_with_incoming` of [`tonic::transport::Server`].
///
/// The listener's policy applies. Each request has its [`Caller`] in its extensions, and every
/// `:authority` is accepted (see [`AuthorityStream`]). The stream ends after an error of the
/// listener itself.
///
/// [`Server`](crate::Server) has limits on connections and slow clients, and hands over to a
/// successor. tonic's does not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let (_reporter, health) = tonic_health::server::health_reporter();
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// use stoop::Policy;
/// use stoop_grpc::{Connections, only};
/// use tonic::service::interceptor::InterceptedService;
/// use tonic::transport::Server;
///
/// let health = InterceptedService::new(health, only(Policy::same_user()));
/// let listener = stoop::Bind::new(&path).mode(0o660).listen_async().await?;
/// let server = Server::builder().add_service(health);
/// tokio::spawn(server.serve_with_incoming(Connections::from(listener)));
///
/// let mut client = HealthClient::new(stoop_grpc::connect(path.as_path()).await?);
/// assert!(client.check(HealthCheckRequest::default()).await.is_ok());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connections {
    listener: aio::Listener,
    has_failed: bool,
}

impl From<aio::Listener> for Connections {
    fn from(listener: aio::Listener) -> Connections {
        Connections { listener, has_failed: false }
    }
}

impl Stream for Connections {
    type Item = stoop::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_failed {
            return Poll::Ready(None);
        }
        let accepted = ready!(Pin::new(&mut self.listener).poll_next(cx));
        self.has_failed = matches!(accepted, Some(Err(_)));
        let connection = |stream: aio::Stream| Connection(AuthorityStream::new(stream.into()));
        Poll::Ready(accepted.map(|accepted| accepted.map(connection)))
    }
}

/// A connection of [`Connections`]. tonic puts its [`Caller`] in the extensions of each request.
#[derive(Debug)]
pub struct Connection(AuthorityStream<ServerStream>);

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.0.get_ref().caller()
    }
}

impl AsyncRead for Connection {
    read_within!(0);
}

impl AsyncWrite for Connection {
    write_within!(0);
    flush_within!(0);
    shutdown_within!(0);
}
