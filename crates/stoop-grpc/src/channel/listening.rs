//! A client's stream that hears a server out.
//!
//! With its last word a server says which calls it has seen. Libraries stop reading when they cannot write any more, and miss it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client's stream: bytes for a server that has hung up are dropped, and what it said before can still be read.
#[derive(Debug)]
pub(super) struct Listening<S> {
    stream: S,
}

impl<S> Listening<S> {
    pub(super) fn new(stream: S) -> Listening<S> {
        Listening { stream }
    }
}

/// A write that came too late counts as made.
fn forgiven(written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
    match written {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(all)),
        other => other,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forgiven(Pin::new(&mut self.stream).poll_write(cx, bytes), bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = buffers.iter().map(|buffer| buffer.len()).sum();
        forgiven(Pin::new(&mut self.stream).poll_write_vectored(cx, buffers), all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
