//! Upgraded connections of a server: they remain within its limits and its drain.

use std::convert::Infallible;
use std::fmt;
use std::net::Shutdown;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, Request};
use hyper_util::rt::TokioIo;
use stoop::aio;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use crate::stream::linger::Linger;
use crate::stream::peer_stream::PeerStream;
use crate::stream::progress::Progress;
use crate::stream::shared::SharedStream;
use crate::stream::sniff::Sniff;
use crate::{Error, ErrorKind, Result, flush_within, read_within, shutdown_within, write_within};

/// A server's end of a connection, as an I/O type of hyper.
pub(crate) type ServerIo = TokioIo<Progress<Sniff<Linger<PeerStream>>>>;

/// The stream of a connection that was upgraded by a server: see [`upgraded_request`].
///
/// It derefs to [`aio::Stream`], which can pass file descriptors. References to it can be read and
/// written concurrently.
///
/// The connection counts towards the limits of the [`stoop::serve::Server`] until this is dropped.
/// When the server ends it, because it is idle or at the drain deadline, both directions are shut
/// down. [`stoop::serve::Server::draining`] tells when the server starts to drain, so that a
/// protocol can say goodbye.
pub struct UpgradedStream {
    stream: SharedStream,
    // Dropped after the stream.
    _lease: Option<Lease>,
}

/// Held by the owner of the stream, and before by the request.
#[derive(Clone)]
pub(crate) struct Lease {
    _end: Arc<oneshot::Sender<Infallible>>,
}

/// The connection's side of a [`Lease`]. Empty until a request may be upgraded.
#[derive(Debug, Default)]
pub(crate) struct LeaseSlot(Mutex<Option<oneshot::Receiver<Infallible>>>);

impl LeaseSlot {
    /// Leaves a lease in a request that may be upgraded.
    pub(crate) fn grant<B>(&self, request: &mut Request<B>) {
        if request.headers().contains_key(UPGRADE) || request.method() == Method::CONNECT {
            let (end, ended) = oneshot::channel();
            request.extensions_mut().insert(Lease { _end: Arc::new(end) });
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        }
    }

    /// Waits until the last lease has ended. If dropped before, shuts down the stream.
    pub(crate) async fn ended(&self, stream: Weak<aio::Stream>) {
        let Some(ended) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut cut = ShutDownOnDrop(stream);
        let _ = ended.await;
        cut.0 = Weak::new();
    }
}

struct ShutDownOnDrop(Weak<aio::Stream>);

impl Drop for ShutDownOnDrop {
    fn drop(&mut self) {
        if let Some(stream) = self.0.upgrade() {
            // The peer may have closed it already.
            let _ = stream.shutdown_now(Shutdown::Both);
        }
    }
}

impl Deref for UpgradedStream {
    type Target = aio::Stream;

    fn deref(&self) -> &aio::Stream {
        &self.stream.0
    }
}

impl fmt::Debug for UpgradedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UpgradedStream").field(&self.stream.0).finish()
    }
}

impl AsyncRead for UpgradedStream {
    read_within!(stream);
}

impl AsyncWrite for UpgradedStream {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}

/// Returns the stream behind a request that was answered with an upgrade (101, or the 200 of a
/// CONNECT), and the bytes after the request that have arrived already.
///
/// Await it in a task of its own: it completes after the response has been sent. The request's
/// body is not needed: it may have been taken and read before. The limits and the drain of the
/// [`stoop::serve::Server`] apply to the stream: see [`UpgradedStream`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # use http_body_util::Empty;
/// # use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
/// # use stoop_http::{Client, Server, upgraded, upgraded_request};
/// # let listener = stoop::Bind::new(&path).listen_async().await?;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let attach = service_fn(async |request: Request<Incoming>| {
///     tokio::spawn(async move {
///         let (mut stream, _first) = upgraded_request(request).await?;
///         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(stream.write_all(b"hello").await?)
///     });
///     let response = Response::builder().status(101).header("Connection", "upgrade");
///     response.header("Upgrade", "greeting").body(Empty::<Bytes>::new())
/// });
/// let server = Server::new(stoop::serve::Server::new(listener));
/// tokio::spawn(server.run(attach, std::future::pending::<()>()));
///
/// let request = Request::post("/attach").header("Connection", "upgrade");
/// let request = request.header("Upgrade", "greeting").body(Empty::<Bytes>::new())?;
/// let response = Client::connect(&path).await?.send(request).await?;
/// let (mut stream, first) = upgraded(response).await?;
/// let mut greeting = first.to_vec();
/// stream.read_to_end(&mut greeting).await?;
/// assert_eq!(greeting, b"hello");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if the request was not upgraded ([`ErrorKind::NotUpgraded`]).
///
/// # Cancel safety
/// This function is not cancel safe. If dropped, the stream is closed.
pub async fn upgraded_request<B>(mut request: Request<B>) -> Result<(UpgradedStream, Bytes)> {
    let not = |detail: String| Error::detailed(ErrorKind::NotUpgraded, detail);
    let lease = request.extensions_mut().remove::<Lease>();
    let upgraded = hyper::upgrade::on(request).await.map_err(|error| not(error.to_string()))?;
    let parts = upgraded.downcast::<ServerIo>().map_err(|_| not("not a connection of this crate".into()))?;
    let (stream, unread) = parts.io.into_inner().into_inner().into_inner();
    let stream = stream.into_inner().into_shared();
    Ok((
        UpgradedStream { stream: SharedStream(stream), _lease: lease },
        [&parts.read_buf[..], &unread].concat().into(),
    ))
}
