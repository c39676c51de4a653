//! An HTTP/1.1 and HTTP/2 server on a listener of `stoop`. The version is detected from a client's
//! first bytes.
//!
//! [`stoop::serve`] accepts, applies the policy, limits connections and drains. This module adds
//! what is specific to HTTP.

use std::error::Error as StdError;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stoop::serve::{self, Draining, End};
use tokio::time::timeout;

use crate::caller::PeerHandle;
use crate::disconnect::DisconnectWatch;
use crate::idle::{IdleTracker, TrackedBody};
use crate::server_upgrade::{LeaseSlot, ServerIo};
use crate::settings::Settings;
use crate::spawn::Spawn;
use crate::stream::linger::Linger;
use crate::stream::peer_stream::PeerStream;
use crate::stream::progress::Progress;
use crate::stream::sniff::Sniff;

/// The default for [`Server::header_timeout`].
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client that has sent nothing yet is given when the server ends. One that came out of
/// the queue has its request in the socket already.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// Serves a [`hyper::service::Service`] to the clients of a [`stoop::serve::Server`].
///
/// Each request has its [`Caller`](crate::Caller) in its extensions. Credentials are fetched once
/// per connection. Bodies are streamed and unlimited: use
/// [`http_body_util::Limited`](https://docs.rs/http-body-util) to limit one. Upgrades are
/// supported: see [`upgraded_request`](crate::upgraded_request).
///
/// When the server drains, requests under way complete, connections without one are closed,
/// and clients in the queue are still served. The deadline is that of the
/// [`stoop::serve::Server`].
///
/// ```
/// use hyper::{Request, Response, body::Incoming, service::service_fn};
/// use stoop::{Bind, Policy};
/// use stoop_http::{Caller, Server};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).mode(0o600).policy(Policy::same_user()).listen_async().await?;
/// let greet = service_fn(async |request: Request<Incoming>| {
///     let caller = request.extensions().get::<Caller>().unwrap();
///     Ok::<_, std::convert::Infallible>(Response::new(format!("hello, user {}", caller.uid)))
/// });
/// let server = stoop::serve::Server::new(listener).max_connections(1000);
/// let shutdown = async { /* a signal, … */ };
/// Server::new(server).run(greet, shutdown).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    server: serve::Server,
    header_timeout: Duration,
    max_streams: u32,
    settings: Settings,
}

impl Server {
    /// Creates an HTTP server for the clients of this server.
    ///
    /// By default, a request's header may take 30 seconds, and an HTTP/2 connection may have 200
    /// requests under way.
    pub fn new(server: serve::Server) -> Server {
        Server { server, header_timeout: HEADER_TIMEOUT, max_streams: 200, settings: Settings::new() }
    }

    /// Sets how long a client may take until its first request has begun; 30 seconds by default.
    ///
    /// The time covers the detection of the version, the preface and settings of HTTP/2, and the
    /// whole header, however slowly the bytes arrive. The same limit applies
    ///
    /// - to each later header of HTTP/1.1, from the end of the previous request,
    /// - to an HTTP/2 connection that has no request under way and reads nothing.
    ///
    /// An idle connection is therefore closed after that time. HTTP/2 clients are sent `GOAWAY`,
    /// and aborted a second later.
    ///
    /// Bodies are not limited by it. If no byte moves, [`serve::Server::idle_timeout`] ends the
    /// connection. A body that is sent or read a byte at a time must be limited by the service, or
    /// by [`serve::Server::max_lifetime`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use hyper::{Response, service::service_fn};
    /// # use stoop_http::Server;
    /// # let listener = stoop::Bind::new(&path).listen_async().await?;
    /// # let hello = service_fn(async |_| Ok::<_, hyper::Error>(Response::new(String::new())));
    /// use std::time::Duration;
    /// use tokio::io::AsyncReadExt;
    ///
    /// let server = Server::new(stoop::serve::Server::new(listener));
    /// let server = server.header_timeout(Duration::from_millis(20));
    /// tokio::spawn(server.run(hello, std::future::pending::<()>()));
    ///
    /// let mut silent = stoop::Connect::new(&path).stream_async().await?;
    /// assert_eq!(silent.read(&mut [0]).await?, 0, "the server has closed the connection");
    /// # Ok(())
    /// # }
    /// ```
    pub fn header_timeout(mut self, time: Duration) -> Server {
        self.header_timeout = time;
        self
    }

    /// Limits how many requests of one HTTP/2 connection may be under way at once; 200 by default.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    /// # use std::time::Duration;
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, Response, body::Bytes, service::service_fn};
    /// # use stoop_http::{Client, Server, Version};
    /// # let listener = stoop::Bind::new(&path).listen_async().await?;
    /// # static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    /// let slow = service_fn(async |_| {
    ///     let others = UNDER_WAY.fetch_add(1, Relaxed);
    ///     tokio::time::sleep(Duration::from_millis(10)).await;
    ///     UNDER_WAY.fetch_sub(1, Relaxed);
    ///     Ok::<_, std::convert::Infallible>(Response::new(others.to_string()))
    /// });
    /// let server = Server::new(stoop::serve::Server::new(listener));
    /// let server = server.max_requests_per_connection(1);
    /// tokio::spawn(server.run(slow, std::future::pending::<()>()));
    ///
    /// let stream = stoop::Connect::new(&path).stream_async().await?;
    /// let mut client = Client::over(stream, Version::Http2).await?;
    /// # client.send(Request::new(Empty::<Bytes>::new())).await?;
    /// let mut other = client.try_clone().unwrap();
    /// let get = || Request::new(Empty::<Bytes>::new());
    /// let responses = tokio::try_join!(client.send(get()), other.send(get()))?;
    /// for response in [responses.0, responses.1] {
    ///     let body = http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes();
    ///     assert_eq!(body, "0", "no other request was under way");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_requests_per_connection(mut self, requests: u32) -> Server {
        self.max_streams = requests;
        self
    }

    /// Sets header limits, keep-alive, windows and frame size.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, Response, body::Bytes, service::service_fn};
    /// # use stoop_http::{Client, Server};
    /// # let listener = stoop::Bind::new(&path).listen_async().await?;
    /// # let hello = service_fn(async |_| Ok::<_, hyper::Error>(Response::new(String::new())));
    /// use stoop_http::Settings;
    ///
    /// let server = Server::new(stoop::serve::Server::new(listener));
    /// let server = server.settings(Settings::new().max_headers(2));
    /// tokio::spawn(server.run(hello, std::future::pending::<()>()));
    ///
    /// let mut client = Client::connect(&path).await?;
    /// let request = Request::get("/").header("A", "1").header("B", "2");
    /// let response = client.send(request.body(Empty::<Bytes>::new())?).await?;
    /// assert_eq!(response.status(), 431, "with Host there are three");
    /// # Ok(())
    /// # }
    /// ```
    pub fn settings(mut self, settings: Settings) -> Server {
        self.settings = settings;
        self
    }

    /// Serves until `shutdown` completes or a successor has taken over, then drains.
    ///
    /// See [`serve::Server::run`]. An error returned by the service ends its connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, Response, body::Bytes, service::service_fn};
    /// # use stoop_http::{Client, ErrorKind, Server};
    /// # let listener = stoop::Bind::new(&path).listen_async().await?;
    /// use stoop::serve::End;
    ///
    /// let fails = service_fn(async |_| Err::<Response<String>, _>("no disk left"));
    /// let (shut_down, shutdown) = tokio::sync::oneshot::channel::<()>();
    /// let server = Server::new(stoop::serve::Server::new(listener));
    /// let server = tokio::spawn(server.run(fails, shutdown));
    ///
    /// let mut client = Client::connect(&path).await?;
    /// let error = client.send(Request::new(Empty::<Bytes>::new())).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NoAnswer);
    /// drop(shut_down);
    /// assert_eq!(server.await??, End::ShutDown);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the listener is broken, after draining.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, every connection is aborted.
    pub async fn run<S, B>(self, service: S, shutdown: impl Future) -> stoop::Result<End>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let protocols = Arc::new(self.protocols());
        let (draining, header_timeout) = (self.server.draining(), self.header_timeout);
        let handler = move |stream| {
            let (stream, peer_handle) = PeerStream::new(stream);
            let idle = IdleTracker::new(header_timeout, Some(header_timeout));
            let known = WithCaller { service: service.clone(), peer_handle, lease: Arc::default(), idle };
            // Boxed at once: a future is copied several times until it is a task.
            Box::pin(protocols.clone().converse(stream, known, draining.clone()))
        };
        self.server.run_without_peer(handler, shutdown).await
    }

    fn protocols(&self) -> Protocols {
        let (mut http1, mut http2) = (self.settings.http1_server(), self.settings.http2_server());
        http1.header_read_timeout(self.header_timeout);
        http2.max_concurrent_streams(self.max_streams);
        Protocols { http1, http2 }
    }
}

/// The settings of both versions.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<Spawn>,
}

impl Protocols {
    /// Serves one connection to its end.
    async fn converse<S, B>(
        self: Arc<Self>,
        stream: PeerStream,
        service: WithCaller<S>,
        mut draining: Draining,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (lease, idle) = (service.lease.clone(), service.idle.clone());
        let socket = stream.downgrade();
        let mut late = pin!(idle.no_first_call());
        let mut last = pin!(async {
            draining.wait().await;
            let _ = timeout(LAST_CHANCE, idle.first_call()).await;
        });
        let mut stream = Sniff::new(Linger::new(stream));
        // Usually the client has sent its first request already, and no timer is needed for it.
        let (is_http2, has_waited) = match stream.is_http2_already().await {
            Poll::Ready(is_http2) => (is_http2, false),
            Poll::Pending => tokio::select! {
                biased;
                is_http2 = stream.is_http2() => (is_http2, true),
                () = last.as_mut() => return,
                () = late.as_mut() => return,
            },
        };
        match is_http2 {
            Ok(true) => {
                let stream = Progress::new(stream, idle.clone());
                let connection = self.http2.serve_connection(TokioIo::new(stream), Counted(service));
                let (late, grace) = (idle.expired(), idle.goaway_expired());
                let connection = UntilGone { connection: Box::pin(connection), watch: None };
                drive(connection, http2::Connection::graceful_shutdown, last, late, grace).await;
            }
            Ok(false) => {
                let stream = ServerIo::new(Progress::new(stream, idle.clone()));
                let connection = self.http1.serve_connection(stream, service).with_upgrades();
                let watch = Some(DisconnectWatch::new(socket.clone(), idle.clone()));
                let connection = UntilGone { connection: Box::pin(connection), watch };
                // Otherwise hyper's own limit on the time of a header has begun only now.
                let late = async {
                    match has_waited {
                        true => late.await,
                        false => pending().await,
                    }
                };
                let shut_down = http1::UpgradeableConnection::graceful_shutdown;
                drive(connection, shut_down, last, late, ready(())).await;
                // If it was upgraded, it still counts as a connection.
                lease.ended(socket).await;
            }
            Err(_) => {}
        }
    }
}

/// A connection that is driven until it ends, or until its client has disconnected.
///
/// It is boxed: it needs only a few bytes of its state until it has sent something.
struct UntilGone<C> {
    connection: Pin<Box<C>>,
    watch: Option<DisconnectWatch>,
}

impl<C: Future> UntilGone<C> {
    /// # Cancel safety
    /// This method is cancel safe.
    async fn ended(&mut self) {
        poll_fn(|cx| match (self.connection.as_mut().poll(cx), &self.watch) {
            (Poll::Pending, Some(watch)) => watch.poll_gone(cx),
            (ended, _) => ended.map(drop),
        })
        .await
    }
}

/// Drives a connection to its end. When `last` or `late` completes, it is shut down gracefully.
/// After `late`, it is aborted when `grace` completes. A client that violates the protocol or
/// disconnects ends only its own connection.
async fn drive<C: Future>(
    mut connection: UntilGone<C>,
    shut_down: impl FnOnce(Pin<&mut C>),
    last: impl Future<Output = ()>,
    late: impl Future<Output = ()>,
    grace: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        () = connection.ended() => {}
        () = last => {
            shut_down(connection.connection.as_mut());
            connection.ended().await;
        }
        () = late => {
            shut_down(connection.connection.as_mut());
            tokio::select! {
                // What has arrived in time is read before the connection is aborted.
                biased;
                () = connection.ended() => {}
                () = grace => {}
            }
        }
    }
}

/// Adds the caller to each request.
#[derive(Clone, Debug)]
struct WithCaller<S> {
    service: S,
    peer_handle: PeerHandle,
    /// Of requests that may be upgraded.
    lease: Arc<LeaseSlot>,
    idle: IdleTracker,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithCaller<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        self.lease.grant(&mut request);
        self.idle.begin();
        if let Some(caller) = self.peer_handle.caller() {
            request.extensions_mut().insert(caller);
        }
        self.service.call(request)
    }
}

/// Like [`WithCaller`], for HTTP/2, whose concurrent requests are counted.
#[derive(Clone, Debug)]
struct Counted<S>(WithCaller<S>);

impl<S, B> Service<Request<Incoming>> for Counted<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: Send,
    B: HttpBody + 'static,
{
    type Response = Response<TrackedBody<Pin<Box<B>>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let call = self.0.idle.call();
        let answer = self.0.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| TrackedBody::new(Box::pin(body), call))) })
    }
}
