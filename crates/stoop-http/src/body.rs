//! A response body that is streamed, and never mistaken for complete when it is not.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use crate::classify::ends_early;
use crate::protocol::Version;
use crate::stream::record_prefix::Opening;
use crate::{Error, ErrorKind};

/// The body of a response.
///
/// Each frame is what has arrived: nothing is collected, and nothing is read ahead of the caller.
///
/// Read it with [`http_body_util::BodyExt`](https://docs.rs/http-body-util). `frame` is cancel
/// safe: if its future is dropped, the next one loses nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use http_body_util::Empty;
/// # use hyper::{Request, body::Bytes};
/// use http_body_util::BodyExt;
/// use stoop_http::{Client, ErrorKind, Version};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// // A server that exits after five of nine bytes.
/// let (stream, mut server) = stoop::aio::Stream::pair()?;
/// tokio::spawn(async move {
///     server.read(&mut [0; 1024]).await?;
///     server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort").await
/// });
/// let mut client = Client::over(stream, Version::Http1).await?;
/// let mut body = client.send(Request::get("/").body(Empty::<Bytes>::new())?).await?.into_body();
/// assert_eq!(body.announced_bytes(), Some(9));
/// let frame = body.frame().await.unwrap()?;
/// assert_eq!(frame.into_data().unwrap(), "short");
/// let error = body.frame().await.unwrap().unwrap_err();
/// assert_eq!((error.kind(), body.received_bytes()), (ErrorKind::CutShort, 5));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    version: Version,
    opening: Opening,
    received_bytes: u64,
    announced_bytes: Option<u64>,
}

impl Body {
    pub(crate) fn new(incoming: Incoming, version: Version, opening: Opening) -> Body {
        let announced_bytes = incoming.size_hint().exact();
        Body { incoming, version, opening, received_bytes: 0, announced_bytes }
    }

    /// Returns how many bytes have arrived so far.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// Returns the length that the server announced (`Content-Length`), if it did.
    pub fn announced_bytes(&self) -> Option<u64> {
        self.announced_bytes
    }

    fn failed(&self, error: hyper::Error) -> Error {
        if !ends_early(&error) && !error.is_incomplete_message() {
            return Error::of(error, self.version, &self.opening);
        }
        let received = self.received_bytes;
        let detail = match self.announced_bytes {
            Some(announced) => format!("received {received} of {announced} bytes"),
            None => format!("received {received} bytes, and no end"),
        };
        Error::detailed(ErrorKind::CutShort, detail).caused(error)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                self.received_bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                Ok(frame)
            }
            Err(error) => Err(self.failed(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
