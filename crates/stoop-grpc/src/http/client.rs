//! One connection to a server, and requests over it.

use std::error::Error as StdError;

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioTimer;
use stoop::{Connect, ToAddress, aio};

use super::{Body, Error, ErrorKind, Io, Result};
use crate::spawn::Spawn;
use crate::stream::overheard::Opening;

/// The authority of a request that names none.
const AUTHORITY: &str = "localhost";

/// HTTP/2's credit for what is on its way, so that no local server ever waits for it: for one
/// answer, and for all.
const WINDOW_BYTES: (u32, u32) = (4 << 20, 8 << 20);

/// Which HTTP to speak. There is nothing to negotiate at a local socket: the client has to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 from the first byte on ("prior knowledge").
    Http2,
}

/// One connection to a server. Requests go out one after the other; with HTTP/2, [`Client::beside`]
/// sends others at the same time.
///
/// The connection is driven by a task of its own, which ends when the client and the answers still
/// being read are dropped. After an error it is of no use any more: make another.
///
/// ```
/// use http_body_util::{BodyExt, Empty};
/// use hyper::Request;
/// use hyper::body::Bytes;
/// use stoop_grpc::http::Client;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let listener = stoop::Bind::new(&path).listen_async().await?;
/// # let hello = hyper::service::service_fn(|_| async { Ok::<_, std::convert::Infallible>(hyper::Response::new("hello".to_owned())) });
/// # tokio::spawn(stoop_grpc::http::Server::new(stoop::serve::Server::new(listener)).run(hello, std::future::pending::<()>()));
/// let mut client = Client::connect(&path).await?;
/// let answer = client.send(Request::get("/version").body(Empty::<Bytes>::new())?).await?;
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.into_body().collect().await?.to_bytes(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client<B> {
    sender: Sender<B>,
    opening: Opening,
}

#[derive(Debug)]
enum Sender<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>),
}

impl<B> Client<B>
where
    B: HttpBody + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Connects, to speak HTTP/1.1. Waits for room in a full backlog as long as it takes.
    ///
    /// # Errors
    /// [`ErrorKind::Connect`].
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up, and the server never sees it.
    pub async fn connect(address: impl ToAddress) -> Result<Client<B>> {
        Client::over(Connect::new(address).stream_async().await?, Version::Http1).await
    }

    /// Speaks over a stream that is connected already: see [`Connect::stream_async`] for one with
    /// limits.
    ///
    /// # Errors
    /// Where the connection is broken already.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    /// Not cancel safe: the stream is closed.
    pub async fn over(stream: aio::Stream, version: Version) -> Result<Client<B>> {
        let io = Io::new(stream);
        let opening = io.opening();
        let failed = |error| Error::of(error, version, &opening);
        let sender = match version {
            Version::Http1 => {
                let (sender, connection) = http1::Builder::new().handshake(io).await.map_err(failed)?;
                // What ends it is told to whoever waits for an answer.
                tokio::spawn(connection.with_upgrades());
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = http2::Builder::new(Spawn)
                    .timer(TokioTimer::new())
                    .initial_stream_window_size(WINDOW_BYTES.0)
                    .initial_connection_window_size(WINDOW_BYTES.1)
                    .handshake(io)
                    .await
                    .map_err(failed)?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Client { sender, opening })
    }

    /// Which HTTP is spoken.
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::Http1,
            Sender::Http2(_) => Version::Http2,
        }
    }

    /// Another client on the same connection, whose requests do not wait for those of this one.
    /// None with HTTP/1.1, where they would have to: it takes a connection of its own there.
    pub fn beside(&self) -> Option<Client<B>> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => {
                Some(Client { sender: Sender::Http2(sender.clone()), opening: self.opening.clone() })
            }
        }
    }

    /// Sends a request, once the one before it has been answered, and waits for the start of its
    /// answer. The request's body is still being sent then, for as long as either side wants
    /// that.
    ///
    /// # Errors
    /// Every kind but [`ErrorKind::Connect`]; what comes after the start is an error of the
    /// [`Body`]. No limit in time: see [`tokio::time::timeout`].
    ///
    /// # Cancel safety
    /// Not cancel safe: the server may have seen the request or not, and the client is of no use
    /// any more.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Body>> {
        let version = self.version();
        let request = addressed(request, version)?;
        let sent = match &mut self.sender {
            Sender::Http1(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
            Sender::Http2(sender) => match sender.ready().await {
                Ok(()) => sender.send_request(request).await,
                Err(error) => Err(error),
            },
        };
        let answer = sent.map_err(|error| Error::of(error, version, &self.opening))?;
        Ok(answer.map(|body| Body::new(body, version, self.opening.clone())))
    }
}

/// The same request, with an authority where it has none: in `Host` for HTTP/1.1, in the URI for
/// HTTP/2.
fn addressed<B>(mut request: Request<B>, version: Version) -> Result<Request<B>> {
    let mut parts = request.uri().clone().into_parts();
    let authority = parts.authority.take().unwrap_or_else(|| http::uri::Authority::from_static(AUTHORITY));
    // A user in the URI is for whoever makes an `Authorization` of it, and never part of a host (RFC
    // 9110, 4.2.4).
    let authority = match authority.as_str().rsplit_once('@') {
        Some((_, host)) => host.parse().map_err(unfit)?,
        None => authority,
    };
    match version {
        Version::Http1 => {
            if !request.headers().contains_key(HOST) {
                let host = HeaderValue::from_str(authority.as_str()).map_err(unfit)?;
                request.headers_mut().insert(HOST, host);
            }
            // CONNECT alone names an authority in place of a path.
            if request.method() != Method::CONNECT {
                parts.scheme = None;
                *request.uri_mut() = Uri::from_parts(parts).map_err(unfit)?;
            }
        }
        Version::Http2 => {
            let host = request.headers_mut().remove(HOST);
            let host = host.and_then(|host| host.to_str().ok()?.parse().ok());
            parts.authority = Some(host.unwrap_or(authority));
            parts.scheme.get_or_insert(http::uri::Scheme::HTTP);
            *request.uri_mut() = Uri::from_parts(parts).map_err(unfit)?;
        }
    }
    Ok(request)
}

fn unfit(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::new(ErrorKind::RequestBody).caused(error)
}

/// The stream behind an answer that ends HTTP on it (101 Switching Protocols, or the 200 of a
/// CONNECT), and the bytes of what comes after that have arrived already.
///
/// Each direction can be ended by itself, and the stream carries descriptors. With HTTP/2 there is
/// no stream to have.
///
/// # Errors
/// [`ErrorKind::NotUpgraded`].
///
/// # Cancel safety
/// Not cancel safe: the stream is closed.
pub async fn upgraded(answer: Response<Body>) -> Result<(aio::Stream, Bytes)> {
    let status = answer.status();
    let not = |detail: String| Error::detailed(ErrorKind::NotUpgraded, detail);
    if status != StatusCode::SWITCHING_PROTOCOLS && !status.is_success() {
        return Err(not(format!("it answered {status}")));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| not(error.to_string()))?;
    let parts = upgraded.downcast::<Io>().map_err(|_| not("no connection of this module".into()))?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(uri: &str, version: Version, host: Option<&'static str>) -> (String, Option<HeaderValue>) {
        let mut request = Request::new(());
        *request.uri_mut() = uri.parse().unwrap();
        if let Some(host) = host {
            request.headers_mut().insert(HOST, HeaderValue::from_static(host));
        }
        let request = addressed(request, version).unwrap();
        (request.uri().to_string(), request.headers().get(HOST).cloned())
    }

    #[test]
    fn a_request_has_an_authority_where_its_version_wants_it() {
        let host = |text| Some(HeaderValue::from_static(text));
        assert_eq!(sent("/a?b", Version::Http1, None), ("/a?b".into(), host("localhost")));
        assert_eq!(sent("/a", Version::Http1, Some("d")), ("/a".into(), host("d")));
        assert_eq!(sent("http://api/a", Version::Http1, None), ("/a".into(), host("api")));
        assert_eq!(sent("http://u:p@api/a", Version::Http1, None), ("/a".into(), host("api")));
        assert_eq!(sent("http://u@api/a", Version::Http2, None), ("http://api/a".into(), None));
        assert_eq!(sent("/a?b", Version::Http2, None), ("http://localhost/a?b".into(), None));
        assert_eq!(sent("/a", Version::Http2, Some("d")), ("http://d/a".into(), None));
        assert_eq!(sent("http://api/a", Version::Http2, None), ("http://api/a".into(), None));
    }
}
