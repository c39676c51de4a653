//! A gRPC channel on an existing connection, and the server's first bytes on it. If the peer
//! speaks another protocol, errors of HTTP/2 do not explain why no response arrives. The
//! first bytes do.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::uri::Authority;
use hyper_util::rt::TokioIo;
use stoop::aio::Stream;
use stoop_http::internal::{Drain, Opening, Protocol, RecordPrefix};
use tonic::transport::{Channel, Endpoint};

/// What a server is told about the client; tonic appends its own name.
const AGENT: &str = concat!("stoop/", env!("CARGO_PKG_VERSION"));

/// The protocol of a server's first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Greeting {
    /// HTTP/2, as gRPC servers speak it.
    Http2,
    /// HTTP/1, with its first line.
    Http1(String),
    /// Another protocol, with its first bytes.
    Other(Vec<u8>),
    /// The server closed the connection.
    Closed,
    /// The server has sent nothing so far.
    Nothing,
}

impl Greeting {
    fn of(bytes: &[u8]) -> Greeting {
        match Protocol::of(bytes) {
            Protocol::Nothing => Greeting::Closed,
            Protocol::Http1 => {
                let line = bytes.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
                Greeting::Http1(String::from_utf8_lossy(line).into_owned())
            }
            Protocol::Http2 => Greeting::Http2,
            Protocol::Other => Greeting::Other(bytes.to_vec()),
        }
    }
}

/// Access to a server's first bytes on a connection.
#[derive(Clone, Debug)]
pub struct Listening {
    opening: Opening,
}

impl Listening {
    /// Waits for the server's first bytes, and returns their protocol.
    ///
    /// Returns [`Greeting::Nothing`] if that takes longer than `patience`.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It reads nothing, and the bytes can be requested again.
    pub async fn greeting(&mut self, patience: Duration) -> Greeting {
        match tokio::time::timeout(patience, self.opening.wait()).await {
            Ok(bytes) => Greeting::of(&bytes),
            Err(_) => Greeting::Nothing,
        }
    }
}

/// Creates a gRPC channel on this connection only: when it breaks, every call fails.
///
/// Returns after the client's HTTP/2 preface was sent. The second value gives access to the
/// server's first bytes.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use stoop_dynamic::{Greeting, channel};
/// use tokio::io::AsyncWriteExt;
///
/// let (stream, mut server) = stoop::aio::Stream::pair()?;
/// let (channel, mut listening) = channel(stream).await?;
/// server.write_all(b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n").await?;
/// let greeting = listening.greeting(Duration::from_secs(1)).await;
/// assert_eq!(greeting, Greeting::Http1("HTTP/1.1 505 HTTP Version Not Supported".into()));
/// # drop(channel);
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
/// This function is not cancel safe. If dropped, the stream is closed.
pub async fn channel(stream: Stream) -> Result<(Channel, Listening), tonic::transport::Error> {
    // gRPC requires an authority, and servers on Unix sockets expect this one.
    channel_as(stream, Authority::from_static("localhost")).await
}

/// Creates a gRPC channel on this connection, as [`channel`] does, with this `:authority`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (stream, server) = stoop::aio::Stream::pair()?;
/// let (channel, _) = stoop_dynamic::channel_as(stream, "app.example".parse()?).await?;
/// # drop((channel, server));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns an error if the connection is broken already, or if the authority has user information.
///
/// # Panics
/// Panics if called outside of a runtime.
///
/// # Cancel safety
/// This function is not cancel safe. If dropped, the stream is closed.
pub async fn channel_as(
    stream: Stream,
    authority: Authority,
) -> Result<(Channel, Listening), tonic::transport::Error> {
    let (stream, opening) = RecordPrefix::new(Drain::new(stream));
    let connector = Once(Arc::new(Mutex::new(Some(stream))));
    let endpoint = Endpoint::from_shared(format!("http://{authority}"))?.user_agent(AGENT)?;
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok((channel, Listening { opening }))
}

type Connection = RecordPrefix<Drain<Stream>>;

/// A connector that returns the existing connection, once.
#[derive(Clone)]
struct Once(Arc<Mutex<Option<Connection>>>);

impl tower_service::Service<http::Uri> for Once {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = std::future::Ready<Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gone = || io::Error::new(io::ErrorKind::ConnectionAborted, "the server closed the connection");
        std::future::ready(connection.map(TokioIo::new).ok_or_else(gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_are_classified() {
        assert_eq!(Greeting::of(&[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3]), Greeting::Http2);
        assert_eq!(Greeting::of(b""), Greeting::Closed);
        let http = Greeting::Http1("HTTP/1.1 400 Bad Request".into());
        assert_eq!(Greeting::of(b"HTTP/1.1 400 Bad Request\r\nX: y"), http);
        assert_eq!(Greeting::of(b"220 mail"), Greeting::Other(b"220 mail".to_vec()));
    }
}
