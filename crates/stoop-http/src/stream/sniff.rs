//! Protocol detection with replay: reads a client's first bytes, and returns them to the next
//! reader.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::PREFACE;

/// The size of one read during detection. Most requests fit, and are read whole.
const READ_BYTES: usize = 8 * 1024;

/// A stream that first replays what was read from it already.
#[derive(Debug)]
pub(crate) struct Sniff<S> {
    stream: S,
    /// The bytes to replay, from `taken` on.
    first: Vec<u8>,
    taken: usize,
}

impl<S> Sniff<S> {
    /// Wraps a stream from which nothing has been read.
    pub(crate) fn new(stream: S) -> Sniff<S> {
        Sniff { stream, first: Vec::new(), taken: 0 }
    }

    /// Returns the stream, and the bytes that were not replayed yet.
    pub(crate) fn into_inner(mut self) -> (S, Vec<u8>) {
        self.first.drain(..self.taken);
        (self.stream, self.first)
    }
}

impl<S: AsyncRead + Unpin> Sniff<S> {
    /// Waits until the client's bytes show whether it speaks HTTP/2. Anything that is not the
    /// preface of HTTP/2 is treated as HTTP/1.
    ///
    /// # Cancel safety
    /// This method is cancel safe: the bytes read so far are kept.
    pub(crate) async fn is_http2(&mut self) -> io::Result<bool> {
        poll_fn(|cx| self.poll_is_http2(cx)).await
    }

    /// Returns what is known without waiting, as [`Sniff::is_http2`] does.
    pub(crate) async fn is_http2_already(&mut self) -> Poll<io::Result<bool>> {
        poll_fn(|cx| Poll::Ready(self.poll_is_http2(cx))).await
    }

    fn poll_is_http2(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.first.len() >= PREFACE.len() || !PREFACE.starts_with(&self.first) {
                return Poll::Ready(Ok(self.first.starts_with(PREFACE)));
            }
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(false));
            }
            self.first.extend_from_slice(read.filled());
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniff<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let left = &self.first[self.taken..];
        let part = &left[..left.len().min(buffer.remaining())];
        buffer.put_slice(part);
        self.taken += part.len();
        if self.taken == self.first.len() {
            (self.first, self.taken) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sniff<S> {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn sniffed_bytes_are_replayed() {
        let http2 = [PREFACE, b"settings"].concat();
        for (said, expected) in [
            (&http2[..], true),
            (PREFACE, true),
            (b"PRI * HTTP/2.0", false),
            (b"PUT / HTTP/1.1\r\n\r\n", false),
            (b"x", false),
            (b"", false),
        ] {
            for room_bytes in [1, 7, 24, 100] {
                let (mut client, server) = duplex(room_bytes);
                let saying = async move { client.write_all(said).await.unwrap() };
                let reading = async move {
                    let mut server = Sniff::new(server);
                    let found = server.is_http2().await.unwrap();
                    let mut heard = Vec::new();
                    server.read_to_end(&mut heard).await.unwrap();
                    (found, heard)
                };
                let ((), heard) = tokio::join!(saying, reading);
                assert_eq!(heard, (expected, said.to_vec()));
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn into_inner_returns_unread_bytes() {
        let (mut client, server) = duplex(100);
        client.write_all(b"GET / and more").await.unwrap();
        let mut server = Sniff::new(server);
        assert!(!server.is_http2().await.unwrap());
        server.read_exact(&mut [0; 6]).await.unwrap();
        assert_eq!(server.into_inner().1, b"and more");
    }
}
