//! [`AuthorityRewriter`] as a stream wrapper: only what a server reads goes through it. Once the
//! rewriter is done, it costs one comparison per read.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use stoop_http::internal::{flush_within, shutdown_within, write_within};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::authority::AuthorityRewriter;

/// The size of one read while the rewriter is active.
const READ_BYTES: usize = 8 * 1024;

/// The default limit of [hyper](https://docs.rs/hyper)'s servers on the length of a request's
/// header list.
pub(crate) const HEADER_LIST_MAX_BYTES: usize = 16 * 1024;

/// A server's end of an HTTP/2 connection with `:authority` rewriting.
///
/// Its reader sees no `:authority` that HTTP/2 libraries reject. See [the crate
/// documentation](crate#authorities).
#[derive(Debug)]
pub struct AuthorityStream<S> {
    stream: S,
    /// `None` once everything passes unchanged.
    work: Option<Box<Work>>,
}

#[derive(Debug)]
struct Work {
    rewriter: AuthorityRewriter,
    /// The bytes for the reader, from `taken` on.
    output: Vec<u8>,
    taken: usize,
}

impl<S> AuthorityStream<S> {
    /// Wraps a stream from which nothing has been read.
    ///
    /// The limit on header lists is the default of hyper's servers, 16 KiB.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use stoop_grpc::AuthorityStream;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let (mut client, server) = stoop::aio::Stream::pair()?;
    /// client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    /// client.write_all(b"\0\0\x0c\x01\x05\0\0\0\x01\x83\x86\x84\x41\x07/a.sock").await?;
    /// drop(client);
    /// let mut received = Vec::new();
    /// AuthorityStream::new(server).read_to_end(&mut received).await?;
    /// assert!(received.ends_with(b"localhost"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(stream: S) -> AuthorityStream<S> {
        let rewriter = AuthorityRewriter::new(HEADER_LIST_MAX_BYTES);
        AuthorityStream { stream, work: Some(Box::new(Work { rewriter, output: Vec::new(), taken: 0 })) }
    }

    /// Returns a reference to the underlying stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl Work {
    /// Copies output to the reader's buffer, and returns whether there was any.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let left = &self.output[self.taken..];
        let part = &left[..left.len().min(buffer.remaining())];
        buffer.put_slice(part);
        self.taken += part.len();
        let gave = !part.is_empty();
        if self.taken == self.output.len() {
            self.output.clear();
            self.taken = 0;
        }
        gave
    }

    fn is_over(&self) -> bool {
        self.rewriter.is_done() && self.output.is_empty()
    }
}

impl<S: AsyncRead + Unpin> AuthorityStream<S> {
    fn poll_work(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while let Some(work) = &mut self.work {
            if buffer.remaining() == 0 || work.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            if work.is_over() {
                self.work = None;
                break;
            }
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if !read.filled().is_empty() {
                work.rewriter.push(read.filled(), &mut work.output);
                continue;
            }
            work.rewriter.finish(&mut work.output);
            if work.output.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AuthorityStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.work.is_none() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        self.poll_work(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AuthorityStream<S> {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}
