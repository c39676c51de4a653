//! Records a stream's reads and writes, for idle tracking.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::idle::IdleTracker;

/// A stream that reports its successful writes, and whether its last read waits, to an
/// [`IdleTracker`].
#[derive(Debug)]
pub(crate) struct Progress<S> {
    stream: S,
    idle: IdleTracker,
}

impl<S> Progress<S> {
    pub(crate) fn new(stream: S, idle: IdleTracker) -> Progress<S> {
        Progress { stream, idle }
    }

    /// Returns the stream.
    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.idle.note_write();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.idle.note_read(read.is_pending());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.noted(written)
    }

    flush_within!(stream);
    shutdown_within!(stream);
}
