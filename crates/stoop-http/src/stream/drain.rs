//! A client's stream on which a server's last message can be read after the server stopped
//! reading.
//!
//! A server may send a final message and close without reading the rest of the request. In
//! HTTP/1.1 that is an error response, in HTTP/2 a `GOAWAY` that says which calls were seen. HTTP
//! libraries stop reading when a write fails, and miss it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

/// A client's stream that discards writes after the server has stopped reading, so that what it
/// sent before can still be read.
#[derive(Debug)]
pub struct Drain<S> {
    stream: S,
    /// Set once the server reads no more.
    is_closed: bool,
}

impl<S> Drain<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Drain<S> {
        Drain { stream, is_closed: false }
    }

    /// Returns the stream.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncWrite + Unpin> Drain<S> {
    /// Polls a write, and reports success if the server reads no more.
    fn poll_unless_closed(
        &mut self,
        len_bytes: usize,
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Ok(len_bytes));
        }
        match write(Pin::new(&mut self.stream)) {
            // If the server closes with unread bytes in its queue (K-END-3), a write that crosses
            // with the close fails with `EPIPE` or `ECONNRESET`.
            Poll::Ready(Err(error))
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                self.is_closed = true;
                Poll::Ready(Ok(len_bytes))
            }
            written => written,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Drain<S> {
    read_within!(stream);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Drain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_unless_closed(bytes.len(), |stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len_bytes = pieces.iter().map(|piece| piece.len()).sum();
        self.poll_unless_closed(len_bytes, |stream| stream.poll_write_vectored(cx, pieces))
    }

    flush_within!(stream);
    shutdown_within!(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_last_message_is_read_after_epipe() {
        let (client, mut server) = UnixStream::pair().unwrap();
        let mut client = Drain::new(client);
        client.write_all(b"a long request").await.unwrap();
        server.write_all(b"too long").await.unwrap();
        drop(server);
        for _ in 0..3 {
            client.write_all(b"and more of it").await.unwrap();
        }
        let mut heard = [0; 8];
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"too long");
        // Reads are unchanged: that the server did not read everything is still reported.
        assert_eq!(client.read(&mut heard).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
