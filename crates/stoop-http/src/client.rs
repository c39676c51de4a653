//! A client of one connection.

use std::error::Error as StdError;

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri};
use stoop::{Connect, ToAddress, aio};

use crate::settings::Settings;
use crate::stream::record_prefix::Opening;
use crate::{Body, Error, ErrorKind, Io, Result, Version};

/// The authority of a request that names none.
const AUTHORITY: &str = "localhost";

/// A connection to an HTTP server.
///
/// Requests are sent one after the other. With HTTP/2, [`Client::try_clone`] returns another
/// handle, whose requests are sent concurrently.
///
/// A task drives the connection. It ends when the client and the responses still being read are
/// dropped. After an error the client cannot be used again: connect a new one.
///
/// ```
/// use http_body_util::{BodyExt, Empty};
/// use hyper::Request;
/// use hyper::body::Bytes;
/// use stoop_http::Client;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let listener = stoop::Bind::new(&path).listen_async().await?;
/// # let hello = hyper::service::service_fn(|_| async {
/// #     Ok::<_, std::convert::Infallible>(hyper::Response::new("hello".to_owned()))
/// # });
/// # let server = stoop_http::Server::new(stoop::serve::Server::new(listener));
/// # tokio::spawn(server.run(hello, std::future::pending::<()>()));
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
    /// Connects to a server, to speak HTTP/1.1.
    ///
    /// Waits indefinitely for room in a full backlog.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use http_body_util::Empty;
    /// use hyper::body::Bytes;
    /// use stoop_http::{Client, ErrorKind};
    ///
    /// let missing = std::env::temp_dir().join("stoop-http-missing.sock");
    /// let error = Client::<Empty<Bytes>>::connect(&missing).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Connect);
    /// assert_eq!(error.socket().unwrap().kind(), stoop::ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the connection cannot be made ([`ErrorKind::Connect`]).
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    pub async fn connect(address: impl ToAddress) -> Result<Client<B>> {
        Client::over(Connect::new(address).stream_async().await?, Version::Http1).await
    }

    /// Creates a client for a stream that is connected already.
    ///
    /// To connect with a timeout, use [`Connect::stream_async`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, body::Bytes};
    /// # let listener = stoop::Bind::new(&path).listen_async().await?;
    /// # let no_content = hyper::service::service_fn(|request: Request<_>| async move {
    /// #     let response = hyper::Response::builder().status(204).version(request.version());
    /// #     response.body(Empty::<Bytes>::new())
    /// # });
    /// # let server = stoop_http::Server::new(stoop::serve::Server::new(listener));
    /// # tokio::spawn(server.run(no_content, std::future::pending::<()>()));
    /// use std::time::Duration;
    /// use stoop_http::{Client, Version};
    ///
    /// let connect = stoop::Connect::new(&path).timeout(Duration::from_secs(1));
    /// let mut client = Client::over(connect.stream_async().await?, Version::Http2).await?;
    /// let response = client.send(Request::get("/").body(Empty::<Bytes>::new())?).await?;
    /// assert_eq!((response.version(), response.status().as_u16()), (hyper::Version::HTTP_2, 204));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the connection is broken already.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, the stream is closed.
    pub async fn over(stream: aio::Stream, version: Version) -> Result<Client<B>> {
        Client::with(stream, version, &Settings::new()).await
    }

    /// Creates a client as [`over`](Client::over) does, with these settings.
    ///
    /// # Errors
    /// Returns an error if the connection is broken already.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, the stream is closed.
    pub async fn with(stream: aio::Stream, version: Version, settings: &Settings) -> Result<Client<B>> {
        let io = Io::recording(stream, settings.recorded_bytes());
        let opening = io.opening();
        // The connection's task ends, and drops it, when it is shut down.
        let io = io.closed_after_shutdown();
        let failed = |error| Error::of(error, version, &opening);
        let sender = match version {
            Version::Http1 => {
                let (sender, connection) = settings.http1_client().handshake(io).await.map_err(failed)?;
                // The error that ends it is returned to the callers that wait for a response.
                tokio::spawn(connection.with_upgrades());
                Sender::Http1(sender)
            }
            Version::Http2 => {
                let (sender, connection) = settings.http2_client().handshake(io).await.map_err(failed)?;
                tokio::spawn(connection);
                Sender::Http2(sender)
            }
        };
        Ok(Client { sender, opening })
    }

    pub(crate) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Returns the version of HTTP that is spoken.
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::Http1,
            Sender::Http2(_) => Version::Http2,
        }
    }

    /// Returns another client on the same connection, whose requests do not wait for those of this
    /// one.
    ///
    /// Returns `None` for HTTP/1.1, which has no concurrent requests: open another connection
    /// instead.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use http_body_util::Empty;
    /// # use hyper::body::Bytes;
    /// use stoop_http::{Client, Version};
    ///
    /// let (stream, _server) = stoop::aio::Stream::pair()?;
    /// let client = Client::<Empty<Bytes>>::over(stream, Version::Http1).await?;
    /// assert!(client.try_clone().is_none());
    /// let (stream, _server) = stoop::aio::Stream::pair()?;
    /// let client = Client::<Empty<Bytes>>::over(stream, Version::Http2).await?;
    /// assert!(client.try_clone().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_clone(&self) -> Option<Client<B>> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => {
                Some(Client { sender: Sender::Http2(sender.clone()), opening: self.opening.clone() })
            }
        }
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// Waits first until the response to the previous request has begun. The request's body may
    /// still be in transit when this returns, and is sent until the server closes. It never times
    /// out: use [`tokio::time::timeout`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, body::Bytes};
    /// use stoop_http::{Client, ErrorKind, Version};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// // A mail server.
    /// let (stream, mut server) = stoop::aio::Stream::pair()?;
    /// server.write_all(b"220 mail.example ESMTP\r\n").await?;
    /// let mut client = Client::over(stream, Version::Http1).await?;
    /// let error = client.send(Request::get("/").body(Empty::<Bytes>::new())?).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotHttp);
    /// assert!(error.opening().starts_with(b"220 mail.example"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error of any kind but [`ErrorKind::Connect`] if the request or the head of its
    /// response fails. Later failures are errors of the [`Body`].
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, the server may have seen the request or not,
    /// and the client cannot be used again.
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

/// Sets the authority of a request that has none: in `Host` for HTTP/1.1, in the URI for HTTP/2.
fn addressed<B>(mut request: Request<B>, version: Version) -> Result<Request<B>> {
    let uri = request.uri();
    // The common case, without a copy of the URI.
    if version == Version::Http1 && uri.authority().is_none() && uri.scheme().is_none() {
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static(AUTHORITY));
        return Ok(request);
    }
    let mut parts = uri.clone().into_parts();
    let authority = parts.authority.take().unwrap_or_else(|| http::uri::Authority::from_static(AUTHORITY));
    // User information in a URI is meant for an `Authorization` header, and is never part of a
    // host (RFC 9110, 4.2.4).
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
            // Only CONNECT has an authority in place of a path.
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

/// Returns the stream behind a response that switches protocols (101 Switching Protocols, or the
/// 200 of a CONNECT), and the bytes after the response that have arrived already.
///
/// The stream can pass file descriptors, and each direction can be shut down by itself. HTTP/2 has
/// no such stream to return. The response's body is not needed: it may have been taken before.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use http_body_util::Empty;
/// # use hyper::{Request, body::Bytes};
/// use stoop_http::{Client, Version, upgraded};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # let (stream, mut server) = stoop::aio::Stream::pair()?;
/// # tokio::spawn(async move {
/// #     let mut request = [0; 1024];
/// #     server.read(&mut request).await?;
/// #     server.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n").await?;
/// #     server.write_all(b"Upgrade: echo\r\n\r\nready").await?;
/// #     let mut line = [0; 4];
/// #     server.read_exact(&mut line).await?;
/// #     server.write_all(&line).await
/// # });
/// let mut client = Client::over(stream, Version::Http1).await?;
/// let request = Request::post("/attach").header("Connection", "upgrade");
/// let request = request.header("Upgrade", "echo").body(Empty::<Bytes>::new())?;
/// let response = client.send(request).await?;
/// let (mut stream, first) = upgraded(response).await?;
/// assert_eq!(first, "ready", "what the server sent together with its response");
/// stream.write_all(b"ping").await?;
/// let mut echo = [0; 4];
/// stream.read_exact(&mut echo).await?;
/// assert_eq!(&echo, b"ping");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if the response is not an upgrade ([`ErrorKind::NotUpgraded`]).
///
/// # Cancel safety
/// This function is not cancel safe. If dropped, the stream is closed.
pub async fn upgraded<B>(answer: Response<B>) -> Result<(aio::Stream, Bytes)> {
    let status = answer.status();
    let not = |detail: String| Error::detailed(ErrorKind::NotUpgraded, detail);
    if status != StatusCode::SWITCHING_PROTOCOLS && !status.is_success() {
        return Err(not(format!("it responded {status}")));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| not(error.to_string()))?;
    let parts = upgraded.downcast::<Io>().map_err(|_| not("not a connection of this crate".into()))?;
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
    fn the_authority_is_set_for_each_version() {
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
