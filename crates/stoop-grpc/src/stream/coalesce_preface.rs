//! Coalesces the HTTP/2 preface with what follows.
//!
//! h2 writes the preface by itself, and its settings and the first call after it. Each write wakes
//! the server, which can do nothing with the preface alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use stoop_http::internal::{PREFACE, read_within};
use tokio::io::{AsyncRead, AsyncWrite};

/// A client's stream. If the preface is written first and by itself, it is held back and sent with
/// the next write or flush.
#[derive(Debug)]
pub(crate) struct CoalescePreface<S> {
    stream: S,
    /// The part of the preface that is still held back.
    kept: &'static [u8],
    has_begun: bool,
}

impl<S> CoalescePreface<S> {
    /// Wraps a stream to which nothing has been written.
    pub(crate) fn new(stream: S) -> CoalescePreface<S> {
        CoalescePreface { stream, kept: &[], has_begun: false }
    }
}

impl<S: AsyncWrite + Unpin> CoalescePreface<S> {
    /// Writes what is held back, followed by these pieces, until none of it is left. Returns how
    /// many bytes of the pieces were written with it.
    fn poll_kept(&mut self, cx: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.kept.is_empty() {
            let all: Vec<_> = [IoSlice::new(self.kept)].into_iter().chain(pieces.iter().copied()).collect();
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &all))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_kept = written.min(self.kept.len());
            self.kept = &self.kept[of_kept..];
            if written > of_kept {
                return Poll::Ready(Ok(written - of_kept));
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CoalescePreface<S> {
    read_within!(stream);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CoalescePreface<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !std::mem::replace(&mut self.has_begun, true) && bytes == PREFACE {
            self.kept = PREFACE;
            return Poll::Ready(Ok(bytes.len()));
        }
        match ready!(self.poll_kept(cx, &[IoSlice::new(bytes)]))? {
            0 => Pin::new(&mut self.stream).poll_write(cx, bytes),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.has_begun = true;
        match ready!(self.poll_kept(cx, pieces))? {
            0 => Pin::new(&mut self.stream).poll_write_vectored(cx, pieces),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx, &[]))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_kept(cx, &[]))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Returns the reads that result from these writes on a pipe of this capacity.
    async fn arrived(room_bytes: usize, writes: &'static [&'static [u8]]) -> Vec<u8> {
        let (client, mut server) = duplex(room_bytes);
        let writing = async move {
            let mut client = CoalescePreface::new(client);
            for bytes in writes {
                client.write_all(bytes).await.unwrap();
            }
            client.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, read) = tokio::join!(writing, server.read_to_end(&mut heard));
        read.unwrap();
        heard
    }

    #[tokio::test(flavor = "current_thread")]
    async fn bytes_arrive_in_order_at_any_capacity() {
        for room_bytes in [1, 5, 23, 24, 25, 30, 100] {
            let writes: [&[&[u8]]; 3] =
                [&[PREFACE, b"settings", b"call"], &[PREFACE], &[b"GET / HTTP/1.1", PREFACE]];
            for writes in writes {
                assert_eq!(arrived(room_bytes, writes).await, writes.concat());
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_preface_is_held_until_a_write_or_flush() {
        let (client, mut server) = duplex(100);
        let mut client = CoalescePreface::new(client);
        client.write_all(PREFACE).await.unwrap();
        let mut heard = [0; 100];
        assert!(at_once(server.read(&mut heard)).await.is_none());
        client.flush().await.unwrap();
        assert_eq!(server.read(&mut heard).await.unwrap(), PREFACE.len());
    }

    /// Returns the bytes that can be read without waiting.
    async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}
