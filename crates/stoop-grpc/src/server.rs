//! A gRPC server on a listener, for a tonic router or any other tower service.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming as Received;
use hyper::server::conn::http2;
use hyper_util::rt::TokioIo;
use stoop::aio;
use stoop::serve::{self, Draining, End};
use stoop_http::internal::{IdleTracker, Linger, PeerHandle, PeerStream, Spawn, TrackedBody};
use tokio::sync::oneshot;
use tonic::codegen::{Service, StdError};
use tonic::{Status, body::Body};

use crate::deadline::{self, Side};
use crate::incoming::{Incoming, Source};
use crate::tcp::Tcp;
use crate::{AuthorityStream, Error};

/// The default time that a client has until its first call has begun.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A gRPC server. See [the crate documentation](crate#serving).
#[derive(Clone, Debug)]
pub struct Server<S> {
    service: S,
    http2: http2::Builder<Spawn>,
    settings: Settings,
}

/// Settings that neither hyper nor tonic stores.
#[derive(Clone, Debug)]
struct Settings {
    timeout: Option<Duration>,
    header_timeout: Duration,
    max_concurrent_streams: Option<u32>,
    #[cfg(feature = "tls")]
    tls: Option<tonic::transport::ServerTlsConfig>,
}

impl<S, B> Server<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<StdError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    /// Creates a server for this service, usually a [`tonic::service::Routes`].
    pub fn new(service: S) -> Server<S> {
        let mut http2 = http2::Builder::new(Spawn);
        // gRPC clients do not use the `date` header.
        http2.auto_date_header(false);
        Server { service, http2, settings: Settings::new() }
    }

    /// Sets how long a client of a Unix socket may take until its first call has begun; 30 seconds
    /// by default.
    ///
    /// The time covers the HTTP/2 preface, the settings and the whole header of the first call,
    /// however slowly the bytes arrive. When it is over, the client is sent `GOAWAY`, and its
    /// connection is aborted a second later. What follows the first call is limited by
    /// [`stoop::serve::Server::idle_timeout`], if it is set, and each call by [`Server::timeout`].
    pub fn header_timeout(mut self, time: Duration) -> Server<S> {
        self.settings.header_timeout = time;
        self
    }

    /// Sets how long a call may take; unlimited by default.
    ///
    /// A client can ask for less with `grpc-timeout`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// use std::time::Duration;
    /// use stoop_grpc::{Endpoint, Server, connect};
    /// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    ///
    /// let endpoint = Endpoint::try_from(path.as_path())?;
    /// let incoming = endpoint.listen(|bind| bind).await?;
    /// let server = Server::new(routes).timeout(Duration::from_millis(20));
    /// tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    ///
    /// // `Watch` streams the changes of a status, and has no end of its own.
    /// let mut client = HealthClient::new(connect(endpoint).await?);
    /// let mut changes = client.watch(HealthCheckRequest::default()).await?.into_inner();
    /// assert!(changes.message().await?.is_some());
    /// let status = changes.message().await.unwrap_err();
    /// assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, time: Duration) -> Server<S> {
        self.settings.timeout = Some(time);
        self
    }

    /// Sets how many calls of one connection are handled concurrently; 200 by default.
    ///
    /// The client holds back further calls (`SETTINGS_MAX_CONCURRENT_STREAMS`).
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
    /// let server = Server::new(routes).max_concurrent_calls(1);
    /// tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
    ///
    /// let mut client = HealthClient::new(connect(path.as_path()).await?);
    /// let first = client.watch(HealthCheckRequest::default()).await?;
    /// let second = tokio::spawn(async move { client.check(HealthCheckRequest::default()).await });
    /// tokio::time::sleep(Duration::from_millis(20)).await;
    /// assert!(!second.is_finished());
    /// drop(first);
    /// assert!(second.await?.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_concurrent_calls(mut self, calls: u32) -> Server<S> {
        self.http2.max_concurrent_streams(calls);
        self.settings.max_concurrent_streams = Some(calls);
        self
    }

    /// Sets the key and certificate for an `https` endpoint.
    ///
    /// It has no effect on other endpoints.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: tonic::transport::ServerTlsConfig) -> Server<S> {
        self.settings.tls = Some(tls);
        self
    }

    /// Serves until `shutdown` completes or a successor has taken over, then drains.
    ///
    /// The output of `shutdown` is ignored. When draining begins, clients are asked to open no more
    /// calls on their connections (`GOAWAY`), and calls under way may finish.
    /// [`stoop::serve::Server::run`] describes the order of events and the deadline.
    ///
    /// Over a Unix socket, each request has its [`Caller`](crate::Caller) in its extensions. Over
    /// TCP, it has tonic's own connection info.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let (_reporter, health) = tonic_health::server::health_reporter();
    /// # let routes = tonic::service::Routes::new(health);
    /// # use stoop_grpc::{Endpoint, Server, connect};
    /// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    /// use stoop::serve::End;
    ///
    /// let incoming = Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
    /// let (shut_down, shutdown) = tokio::sync::oneshot::channel::<()>();
    /// let server = tokio::spawn(Server::new(routes).serve(incoming, shutdown));
    ///
    /// let mut client = HealthClient::new(connect(path.as_path()).await?);
    /// client.check(HealthCheckRequest::default()).await?;
    /// drop(shut_down);
    /// assert_eq!(server.await??, End::ShutDown);
    /// assert!(!path.exists(), "the socket file is unlinked");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the listener is broken, or [`Error::NoTls`] if the endpoint is `https`
    /// and `Server::tls` was not called.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, every connection is aborted.
    pub async fn serve(self, incoming: impl Into<Incoming>, shutdown: impl Future) -> Result<End, Error> {
        match incoming.into().0 {
            Source::Local(server) => Ok(self.serve_local(*server, shutdown).await?),
            Source::Tcp(tcp) => {
                self.serve_tcp(tcp, shutdown).await?;
                Ok(End::ShutDown)
            }
        }
    }

    async fn serve_tcp(self, tcp: Tcp, shutdown: impl Future) -> Result<(), Error> {
        let server = self.settings.for_tcp(tcp.tls)?;
        let service = WithDeadline { service: self.service, timeout: self.settings.timeout };
        let drain_deadline = tcp.drain_deadline;
        let (begin, begun) = oneshot::channel::<()>();
        let shutdown = async {
            shutdown.await;
            drop(begin);
        };
        let served = server.serve_with_incoming_shutdown(service, tcp.clients(), shutdown);
        let over = async {
            let _ = begun.await;
            tokio::time::sleep(drain_deadline).await;
        };
        tokio::select! {
            served = served => served.map_err(|cause| Error::Transport(cause.into())),
            () = over => Ok(()),
        }
    }

    async fn serve_local(self, mut server: serve::Server, shutdown: impl Future) -> stoop::Result<End> {
        let draining = server.draining();
        let idle = server.take_idle_timeout();
        let handler = |stream: aio::Stream| {
            let (stream, peer_handle) = PeerStream::new(stream);
            let calls = ConnectionService {
                service: self.service.clone(),
                peer_handle,
                timeout: self.settings.timeout,
                idle: IdleTracker::new(self.settings.header_timeout, idle),
            };
            // Boxed at once: a future is copied several times until it is a task.
            Box::pin(serve_connection(self.http2.clone(), stream, calls, draining.clone()))
        };
        server.run_without_peer(handler, shutdown).await
    }
}

impl Settings {
    fn new() -> Settings {
        Settings {
            timeout: None,
            header_timeout: HEADER_TIMEOUT,
            max_concurrent_streams: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    fn for_tcp(&self, tls: bool) -> Result<tonic::transport::Server, Error> {
        let server = tonic::transport::Server::builder().max_concurrent_streams(self.max_concurrent_streams);
        if !tls {
            return Ok(server);
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return server.tls_config(tls.clone()).map_err(|cause| Error::Transport(cause.into()));
        }
        Err(Error::NoTls)
    }
}

/// Serves one connection to its end.
async fn serve_connection<S, B>(
    http2: http2::Builder<Spawn>,
    stream: PeerStream,
    calls: ConnectionService<S>,
    mut draining: Draining,
) where
    ConnectionService<S>:
        hyper::service::HttpService<Received, ResBody = B, Error = Infallible, Future: Send + 'static>,
    B: http_body::Body<Error: Into<StdError>, Data: Send> + Send + 'static,
{
    let stream = AuthorityStream::new(Linger::new(stream));
    let idle = calls.idle.clone();
    // Boxed at once: a future is copied when it is spawned, and this is most of its size.
    let mut connection = Box::pin(http2.serve_connection(TokioIo::new(stream), calls));
    tokio::select! {
        biased;
        // A client that violates the protocol or disconnects ends only its own connection.
        _ = connection.as_mut() => return,
        () = draining.wait() => connection.as_mut().graceful_shutdown(),
        () = idle.expired() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        // What has arrived in time is read before the connection is aborted.
        biased;
        _ = connection => {}
        // The client does not react to `GOAWAY`: it does not speak HTTP/2, or not to the end.
        () = idle.goaway_expired() => {}
    }
}

/// The service that hyper calls for each request of one connection.
#[derive(Clone)]
struct ConnectionService<S> {
    service: S,
    peer_handle: PeerHandle,
    timeout: Option<Duration>,
    idle: IdleTracker,
}

impl<S, B> hyper::service::Service<Request<Received>> for ConnectionService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<StdError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Received>) -> Self::Future {
        let mut request = request.map(Body::new);
        if let Some(caller) = self.peer_handle.caller() {
            request.extensions_mut().insert(caller);
        }
        let under_way = self.idle.call();
        let answer = respond(self.service.clone(), request, self.timeout);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match under_way {
                None => answer,
                call => answer.map(|body| Body::new(TrackedBody::new(body, call))),
            })
        })
    }
}

/// Applies deadlines to calls over TCP. tonic's own timeout returns another status than
/// `DEADLINE_EXCEEDED`, and does not cover the rest of a stream.
#[derive(Clone, Debug)]
struct WithDeadline<S> {
    service: S,
    timeout: Option<Duration>,
}

impl<S, B> Service<Request<Body>> for WithDeadline<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<StdError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(respond(self.service.clone(), request, self.timeout))
    }
}

/// ConnectionService the service, within the call's deadline, which starts now.
fn respond<S, B>(
    mut service: S,
    request: Request<Body>,
    timeout: Option<Duration>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send
where
    S: Service<Request<Body>, Response = Response<B>> + Send,
    S::Future: Send,
    S::Error: Into<StdError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    let timer = deadline::timer(&request, timeout);
    async move {
        let answer = async {
            let answer = async {
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            };
            Ok(match answer.await {
                Ok(answer) => answer.map(Body::new),
                Err(error) => failed(Status::from_error(error.into())),
            })
        };
        match timer {
            None => answer.await,
            timer => {
                let failed = |status| Ok(failed(status));
                Box::pin(deadline::within(timer, Side::Server, answer, failed)).await
            }
        }
    }
}

/// Returns the response for a call that the service failed to answer.
fn failed(status: Status) -> Response<Body> {
    status.into_http()
}
