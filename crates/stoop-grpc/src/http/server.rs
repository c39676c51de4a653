//! A server of HTTP/1.1 and HTTP/2 on a listener of `stoop`: which of the two is found out from a client's first bytes.
//!
//! Accepting, policy, limits on connections and the drain are those of [`stoop::serve`]; what is HTTP about them is here.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{self, upgrade};
use stoop::aio;
use stoop::serve::{self, Draining, End};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Error, ErrorKind};
use crate::Caller;
use crate::spawn::Spawn;
use crate::stream::lingering::Lingering;
use crate::stream::met::Met;

/// How long a client may take over a request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client that has said nothing yet has when the server ends: one that came out of the queue has its request in
/// the socket already.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// A server's end of a connection, in the terms of hyper.
type Io = TokioIo<Lingering<Met>>;

/// Serves a [`hyper::service::Service`] to the clients of a [`stoop::serve::Server`].
///
/// Each request has its [`Caller`] in its extensions, asked of the kernel once for the connection. Bodies are streamed and have no
/// limit here: [`http_body_util::Limited`] sets one. Upgrades work (see [`upgraded_request`]).
///
/// When the server ends, requests under way are answered, connections without one are closed, and clients in the queue are still
/// served; the drain deadline is the outer server's.
///
/// ```
/// use hyper::{Request, Response, body::Incoming, service::service_fn};
/// use stoop::{Bind, Policy};
/// use stoop_grpc::Caller;
/// use stoop_grpc::http::Server;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).mode(0o660).policy(Policy::same_user()).listen_async().await?;
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
}

impl Server {
    /// Serves the clients of this server. A request's header may take 30 seconds, and an HTTP/2 connection may have 200 requests under
    /// way, unless told otherwise.
    pub fn new(server: serve::Server) -> Server {
        Server { server, header_timeout: HEADER_TIMEOUT, max_streams: 200 }
    }

    /// How long a client may take over the header of an HTTP/1.1 request, from the end of the one before it: an idle
    /// connection is closed after that time, too. [`serve::Server::idle_timeout`] is the limit for everything else.
    pub fn header_timeout(mut self, time: Duration) -> Server {
        self.header_timeout = time;
        self
    }

    /// How many requests of one HTTP/2 connection may be under way at once.
    pub fn max_requests_per_connection(mut self, requests: u32) -> Server {
        self.max_streams = requests;
        self
    }

    /// Serves until `shutdown` is done or a successor has taken over, then drains: see [`serve::Server::run`]. An error of the service
    /// ends the connection it came up on.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it cuts every connection.
    pub async fn run<S, B>(self, service: S, shutdown: impl Future) -> stoop::Result<End>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: HttpBody + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let builder = Arc::new(self.builder());
        let draining = self.server.draining();
        let handler = move |stream| {
            let (stream, caller) = Met::new(stream);
            let known = Known { service: service.clone(), caller, spoken: Arc::default() };
            converse(builder.clone(), stream, known, draining.clone())
        };
        self.server.run_unasked(handler, shutdown).await
    }

    fn builder(&self) -> auto::Builder<Spawn> {
        let mut builder = auto::Builder::new(Spawn);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.header_timeout);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(self.max_streams);
        builder
    }
}

/// One connection, to its end.
async fn converse<S, B>(
    builder: Arc<auto::Builder<Spawn>>,
    stream: Met,
    service: Known<S>,
    mut draining: Draining,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let spoken = service.spoken.clone();
    // On the heap at once: a task is copied on its way there, and this is most of it.
    let mut connection =
        Box::pin(builder.serve_connection_with_upgrades(Io::new(Lingering::new(stream)), service));
    let last = async {
        draining.wait().await;
        let _ = timeout(LAST_CHANCE, spoken.notified()).await;
    };
    // A client that breaks the rules, or goes, ends its own connection and concerns nobody else.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = last => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A service that knows who asks.
#[derive(Clone, Debug)]
struct Known<S> {
    service: S,
    caller: Caller,
    /// Told of every request.
    spoken: Arc<Notify>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for Known<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        self.spoken.notify_one();
        request.extensions_mut().insert(self.caller.clone());
        self.service.call(request)
    }
}

/// The stream behind a request that a server has answered with an upgrade (101, or the 200 of a CONNECT), and the bytes of what
/// comes after that have arrived already. To be awaited in a task of its own: it comes once the answer has been sent.
///
/// With HTTP, the outer server's care for the connection has ended: its limits and its drain no longer know of the stream.
///
/// # Errors
/// [`ErrorKind::NotUpgraded`].
///
/// # Cancel safety
/// Not cancel safe: the stream is closed.
pub async fn upgraded_request(request: Request<Incoming>) -> super::Result<(aio::Stream, Bytes)> {
    let not = |detail: String| Error::detailed(ErrorKind::NotUpgraded, detail);
    let upgraded = hyper::upgrade::on(request).await.map_err(|error| not(error.to_string()))?;
    let parts = upgrade::downcast::<Io>(upgraded).map_err(|_| not("no connection of this module".into()))?;
    let stream = parts.io.into_inner().into_inner().into_inner();
    Ok((stream.ok_or_else(|| not("somebody else holds the stream".into()))?, parts.read_buf))
}
