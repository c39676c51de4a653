//! Lingering close: lets a client read the server's last message.
//!
//! In HTTP/1.1 that is a response sent before the whole request was read, and the client may stop
//! at the first write that fails.
//!
//! In HTTP/2 it is `GOAWAY`, which says which calls were seen, so that the client can repeat the
//! others on another connection. If the server closes while requests are still arriving, the
//! client's write fails, and it does not read the `GOAWAY`.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a server waits for its client to close.
const LINGER: Duration = Duration::from_secs(1);

/// A server's stream with a lingering close. After the write direction was shut down, it discards
/// what still arrives until the client closes too.
#[derive(Debug)]
pub struct Linger<S> {
    stream: S,
    has_shut_down: bool,
    /// Whether the client has closed its write direction.
    peer_has_closed: bool,
    since: Option<Pin<Box<Sleep>>>,
}

impl<S> Linger<S> {
    /// Wraps a stream.
    pub fn new(stream: S) -> Linger<S> {
        Linger { stream, has_shut_down: false, peer_has_closed: false, since: None }
    }

    /// Returns a reference to the stream.
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Returns the stream.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> Linger<S> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.peer_has_closed {
            let mut room = [MaybeUninit::uninit(); 4096];
            let mut read = ReadBuf::uninit(&mut room);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => {
                    // Usually the client has closed first, and no timer is needed.
                    let over = self.since.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
                    return over.as_mut().poll(cx).map(Ok);
                }
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => self.peer_has_closed = true,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before_bytes = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came_nothing = buffer.filled().len() == before_bytes && buffer.remaining() > 0;
        self.peer_has_closed |= came_nothing && matches!(read, Poll::Ready(Ok(())));
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    write_within!(stream);
    flush_within!(stream);

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is left to wait for: the stream is dropped, and so closed, at once.
        if self.peer_has_closed {
            return Poll::Ready(Ok(()));
        }
        if !self.has_shut_down {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.has_shut_down = true;
        }
        self.poll_end(cx)
    }
}
