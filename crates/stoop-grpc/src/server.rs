//! Calls from the clients of a listener, answered by a tonic router or any other tower service.

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
use tokio::sync::oneshot;
use tonic::codegen::{Service, StdError};
use tonic::{Status, body::Body};

use crate::caller::Introduction;
use crate::deadline::{self, Side};
use crate::incoming::{Incoming, Source};
use crate::quiet::{Answer, Quiet};
use crate::spawn::Spawn;
use crate::stream::lingering::Lingering;
use crate::stream::met::Met;
use crate::tcp::Tcp;
use crate::{Error, Mended};

/// How long a client may take until its first call has begun, unless told otherwise.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// A server of calls: see [the crate](crate#serve).
#[derive(Clone, Debug)]
pub struct Server<S> {
    service: S,
    http2: http2::Builder<Spawn>,
    settings: Settings,
}

/// What is asked for, where hyper and tonic do not keep it themselves.
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
    /// Answers with this service: [`tonic::service::Routes`], as a rule.
    pub fn new(service: S) -> Server<S> {
        let mut http2 = http2::Builder::new(Spawn);
        // Nobody reads the date of an answer to a call.
        http2.auto_date_header(false);
        Server { service, http2, settings: Settings::new() }
    }

    /// How long a client of a local socket may take until its first call has begun: for the preface
    /// of HTTP/2, its settings, and the whole header of the call, however slowly the bytes
    /// come. 30 seconds by default. Then it is told to go, and is cut a second later. What
    /// comes after the first call is bounded by [`stoop::serve::Server::idle_timeout`], if it is
    /// set, and each call by [`Server::timeout`].
    pub fn header_timeout(mut self, time: Duration) -> Server<S> {
        self.settings.header_timeout = time;
        self
    }

    /// How long a call may take at all; clients can ask for less. Without it, as long as the client
    /// lets it.
    pub fn timeout(mut self, time: Duration) -> Server<S> {
        self.settings.timeout = Some(time);
        self
    }

    /// How many calls of one connection are answered at once; 200 unless told otherwise. The client
    /// keeps the rest.
    pub fn max_concurrent_calls(mut self, calls: u32) -> Server<S> {
        self.http2.max_concurrent_streams(calls);
        self.settings.max_concurrent_streams = Some(calls);
        self
    }

    /// The key and certificate with which clients are served where the endpoint is `https`; of no
    /// effect elsewhere.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: tonic::transport::ServerTlsConfig) -> Server<S> {
        self.settings.tls = Some(tls);
        self
    }

    /// Serves until `shutdown` is done (whatever it gives) or a successor has taken over. Clients
    /// are then told to begin nothing new on their connections (`GOAWAY`), and calls under way
    /// may finish: see [`stoop::serve::Server::run`] for the order of that and its deadline.
    ///
    /// Over a local socket each request has its [`Caller`](crate::Caller) in its extensions. Over
    /// TCP it has what tonic puts there.
    ///
    /// # Errors
    /// Where the listener is broken; [`Error::NoTls`] for an `https` endpoint without
    /// `Server::tls`.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it cuts every connection.
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
        let service = Timely { service: self.service, timeout: self.settings.timeout };
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
            let (stream, introduction) = Met::new(stream);
            let calls = Calls {
                service: self.service.clone(),
                introduction,
                timeout: self.settings.timeout,
                quiet: Quiet::new(self.settings.header_timeout, idle),
            };
            converse(self.http2.clone(), stream, calls, draining.clone())
        };
        server.run_unasked(handler, shutdown).await
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

/// One connection, to its end.
async fn converse<S, B>(http2: http2::Builder<Spawn>, stream: Met, calls: Calls<S>, mut draining: Draining)
where
    Calls<S>: hyper::service::HttpService<Received, ResBody = B, Error = Infallible, Future: Send + 'static>,
    B: http_body::Body<Error: Into<StdError>, Data: Send> + Send + 'static,
{
    let stream = Mended::new(Lingering::new(stream));
    let quiet = calls.quiet.clone();
    // On the heap at once: a task is copied on its way there, and this is most of it.
    let mut connection = Box::pin(http2.serve_connection(TokioIo::new(stream), calls));
    tokio::select! {
        biased;
        // A client that breaks the protocol or goes away ends its own connection only.
        _ = connection.as_mut() => return,
        () = draining.wait() => connection.as_mut().graceful_shutdown(),
        () = quiet.too_long() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        // Its client hears nothing: it does not even speak HTTP/2, or not to its end.
        () = quiet.not_gone() => {}
    }
}

/// The calls of one connection.
#[derive(Clone)]
struct Calls<S> {
    service: S,
    introduction: Introduction,
    timeout: Option<Duration>,
    quiet: Quiet,
}

impl<S, B> hyper::service::Service<Request<Received>> for Calls<S>
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
        if let Some(caller) = self.introduction.caller() {
            request.extensions_mut().insert(caller);
        }
        let under_way = self.quiet.call();
        let answer = answer(self.service.clone(), request, self.timeout);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match under_way {
                None => answer,
                call => answer.map(|body| Body::new(Answer::new(body, call))),
            })
        })
    }
}

/// The calls of all connections over TCP, where tonic would have another word than the deadline's,
/// and none for the rest of a stream.
#[derive(Clone, Debug)]
struct Timely<S> {
    service: S,
    timeout: Option<Duration>,
}

impl<S, B> Service<Request<Body>> for Timely<S>
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
        Box::pin(answer(self.service.clone(), request, self.timeout))
    }
}

/// What the service answers, within the time that the call has from now on.
fn answer<S, B>(
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

/// The answer to a call that could not be answered.
fn failed(status: Status) -> Response<Body> {
    status.into_http()
}
