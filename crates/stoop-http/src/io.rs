//! A client's stream in the types that hyper expects.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
#[cfg(feature = "connector")]
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use stoop::aio;

use crate::stream::drain::Drain;
use crate::stream::record_prefix::{Opening, RecordPrefix};
use crate::{flush_within, write_within};

/// A connected stream that implements hyper's I/O traits.
#[derive(Debug)]
pub struct Io {
    stream: TokioIo<RecordPrefix<Drain<aio::Stream>>>,
    opening: Opening,
    /// Whether shutting down is left to closing, which follows at once.
    is_closed_after: bool,
}

impl Io {
    /// Wraps the client's end of a connection.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use http_body_util::Empty;
    /// # use hyper::{Request, body::Bytes};
    /// # use tokio::io::AsyncWriteExt;
    /// use hyper::client::conn::http1;
    /// use stoop_http::Io;
    ///
    /// let (stream, mut server) = stoop::aio::Stream::pair()?;
    /// server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    /// let (mut sender, connection) = http1::handshake(Io::new(stream)).await?;
    /// tokio::spawn(connection);
    /// let response = sender.send_request(Request::new(Empty::<Bytes>::new())).await?;
    /// assert_eq!(response.status(), 204);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(stream: aio::Stream) -> Io {
        Io::recording(stream, None)
    }

    /// Wraps the client's end, and records this number of the server's first bytes.
    pub(crate) fn recording(stream: aio::Stream, max_bytes: Option<usize>) -> Io {
        let (stream, opening) = match max_bytes {
            None => RecordPrefix::new(Drain::new(stream)),
            Some(max_bytes) => RecordPrefix::up_to(max_bytes, Drain::new(stream)),
        };
        Io { stream: TokioIo::new(stream), opening, is_closed_after: false }
    }

    /// Saves a system call if the owner drops the stream as soon as it is shut down.
    pub(crate) fn closed_after_shutdown(mut self) -> Io {
        self.is_closed_after = true;
        self
    }

    /// Returns the stream, for the protocol that follows HTTP.
    pub fn into_inner(self) -> aio::Stream {
        self.stream.into_inner().into_inner().into_inner()
    }

    pub(crate) fn opening(&self) -> Opening {
        self.opening.clone()
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Write for Io {
    write_within!(stream);
    flush_within!(stream);

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.is_closed_after {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

#[cfg(feature = "connector")]
impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
