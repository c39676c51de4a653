//! Calls over one connection to a Unix socket, which is made again when it has ended.

use std::error::Error as Cause;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{HeaderValue, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use stoop::Address;
use stoop_http::internal::{Drain, Spawn};
use tokio::time::timeout;
use tonic::{Status, body::Body};

use super::retry_body::RetryBody;
use crate::response;
use crate::stream::coalesce_preface::CoalescePreface;

/// The value of `:authority`: a Unix socket has no host name.
const AUTHORITY: Authority = Authority::from_static("localhost");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("stoop-grpc/", env!("CARGO_PKG_VERSION")));

/// How often a call that no server has seen is attempted. Each further attempt means that a
/// connection ended in between.
const ATTEMPTS: usize = 8;

/// How long the parts of a failed request may take to be dropped. They are, at once: the limit is
/// for a runtime that is starved.
const RETURN: Duration = Duration::from_secs(10);

type Connection = SendRequest<RetryBody>;

type Current = Mutex<Option<Connection>>;

pub(super) struct Local {
    address: Address,
    connect: stoop::Connect,
    http2: Builder<Spawn>,
    current: Arc<Current>,
    /// Held by the task that makes the next connection. Contains when and how the last attempt
    /// failed.
    turn: tokio::sync::Mutex<Option<(Instant, Arc<stoop::Error>)>>,
}

impl Local {
    /// Creates calls to this address, over connections that are made like this one.
    pub(super) fn new(address: Address, connect: stoop::Connect) -> Local {
        Local {
            address,
            connect,
            http2: Builder::new(Spawn),
            current: Arc::default(),
            turn: tokio::sync::Mutex::new(None),
        }
    }

    /// Returns the current connection, or makes a new one.
    pub(super) async fn connection(&self) -> Result<Connection, Arc<stoop::Error>> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let asked = Instant::now();
        let mut failure = self.turn.lock().await;
        // Another task may have made one while we waited. If it failed after we began to wait, it
        // has waited as long as we would have, and its error is returned.
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        match &*failure {
            Some((at, error)) if *at > asked => return Err(error.clone()),
            _ => {}
        }
        let made = self.make().await.map_err(Arc::new);
        *failure = made.as_ref().err().map(|error| (Instant::now(), error.clone()));
        made
    }

    fn current(&self) -> Option<Connection> {
        locked(&self.current).as_ref().filter(|connection| !connection.is_closed()).cloned()
    }

    async fn make(&self) -> stoop::Result<Connection> {
        loop {
            let stream = self.connect.stream_async().await?;
            // Boxed: hyper reserves space for a connection in each call's task, and copies it.
            let stream = TokioIo::new(Box::new(CoalescePreface::new(Drain::new(stream))));
            // The handshake fails only if the server has closed the connection again.
            let Ok((requests, connection)) = self.http2.handshake(stream).await else {
                continue;
            };
            *locked(&self.current) = Some(requests.clone());
            // Weak, so that the task does not keep a channel alive after its last handle was
            // dropped.
            let current = Arc::downgrade(&self.current);
            tokio::spawn(async move {
                let _ = connection.await;
                // A request that was being queued at this moment is returned when no sender is
                // left.
                if let Some(current) = current.upgrade() {
                    locked(&current).take_if(|connection| connection.is_closed());
                }
            });
            return Ok(requests);
        }
    }

    pub(super) async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        *request.uri_mut() = on_this_host(std::mem::take(request.uri_mut()))?;
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        for _ in 0..ATTEMPTS {
            let mut connection = match self.current() {
                Some(connection) => connection,
                // Boxed, like everything that few calls need: the size of this future is copied
                // for every call.
                None => Box::pin(self.connection()).await.map_err(unavailable)?,
            };
            let (mut parts, body) = request.into_parts();
            // Extensions are not sent. They stay here, for another attempt.
            let extensions = std::mem::take(&mut parts.extensions);
            let (lent, back) = RetryBody::new(body);
            let sending = connection.try_send_request(Request::from_parts(parts.clone(), lent));
            // The request is returned only after all senders are dropped, this one included.
            drop(connection);
            let cause = match sending.await {
                Ok(response) => return response::accept(response.map(|body| body.map_err(gone))).await,
                // Drops the request if hyper returned it whole. The body then returns through
                // `back`.
                Err(failure) => failure.into_error(),
            };
            if !is_unseen(&cause) {
                return Err(gone(cause));
            }
            match Box::pin(timeout(RETURN, back)).await {
                Ok(Ok(body)) => {
                    parts.extensions = extensions;
                    request = Request::from_parts(parts, body);
                }
                _ => return Err(gone(cause)),
            }
        }
        Err(Status::unavailable("the connection closed before the call was sent, repeatedly"))
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel to '{}'", self.address)
    }
}

fn locked(current: &Current) -> MutexGuard<'_, Option<Connection>> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_this_host(uri: Uri) -> Result<Uri, Status> {
    let mut parts = uri.into_parts();
    (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(AUTHORITY));
    Uri::from_parts(parts).map_err(|cause| Status::internal(cause.to_string()))
}

fn unavailable(cause: Arc<stoop::Error>) -> Status {
    let mut status = Status::unavailable(cause.to_string());
    status.set_source(cause);
    status
}

/// Returns whether no server has acted on the request: it was never sent, or the server
/// rejected it unprocessed (`GOAWAY`, `REFUSED_STREAM`).
fn is_unseen(cause: &hyper::Error) -> bool {
    let Some(cause) = http2_cause(cause) else { return cause.is_canceled() };
    cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM)
}

fn http2_cause(cause: &hyper::Error) -> Option<&h2::Error> {
    cause.source()?.downcast_ref()
}

/// Maps an error to a status: `Unavailable` if the connection ended under the call, otherwise what
/// tonic makes of it.
fn gone(cause: hyper::Error) -> Status {
    let ended = http2_cause(&cause).is_none_or(|cause| cause.is_io() || cause.is_go_away());
    if !ended {
        return Status::from_error(cause.into());
    }
    let mut status =
        Status::unavailable(format!("the connection closed before the response was complete: {cause}"));
    status.set_source(Arc::new(cause));
    status
}
