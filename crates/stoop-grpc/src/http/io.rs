//! A stream as hyper wants it, and what the peer said first.
//!
//! The first bytes are remembered because hyper's errors do not tell them, and they alone say what a server speaks that does
//! not speak HTTP. Nothing is remembered beyond them, and nothing is changed on the way.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use stoop::aio;
use tokio::io::{AsyncRead, ReadBuf};

/// How many bytes of the first read are remembered: enough for the start of a line.
const REMEMBERED_BYTES: usize = 96;

/// How much is read at first, before it is known what is there.
const FIRST_READ_BYTES: usize = 4096;

/// What the peer said first; nothing yet, or nothing at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Opening(Arc<OnceLock<Box<[u8]>>>);

impl Opening {
    /// The first bytes that came; empty where none did.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.get().map_or(&[], |bytes| bytes)
    }
}

/// A connected stream, in the terms of hyper.
#[derive(Debug)]
pub struct Io {
    stream: TokioIo<aio::Stream>,
    opening: Opening,
    heard: bool,
    /// Whether the peer reads no more. What it said before that is still to be read.
    deaf: bool,
}

impl Io {
    /// A client's end of this stream.
    pub fn new(stream: aio::Stream) -> Io {
        Io { stream: TokioIo::new(stream), opening: Opening::default(), heard: false, deaf: false }
    }

    /// The stream, for what comes after HTTP.
    pub fn into_inner(self) -> aio::Stream {
        self.stream.into_inner()
    }

    pub(super) fn opening(&self) -> Opening {
        self.opening.clone()
    }

    fn poll_first(&mut self, cx: &mut Context<'_>, into: &mut ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut room = [0; FIRST_READ_BYTES];
        let most = room.len().min(into.remaining());
        let mut first = ReadBuf::new(&mut room[..most]);
        ready!(Pin::new(self.stream.inner_mut()).poll_read(cx, &mut first))?;
        let bytes = first.filled();
        let _ = self.opening.0.set(bytes[..bytes.len().min(REMEMBERED_BYTES)].into());
        self.heard = true;
        into.put_slice(bytes);
        Poll::Ready(Ok(()))
    }

    /// A server may answer and go without reading the rest of a request: an answer that says why. What can no longer be sent is
    /// dropped, so that the answer is read, or its absence is found out.
    fn unless_gone(&mut self, wrote: Poll<io::Result<usize>>, len_bytes: usize) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match wrote {
            Poll::Ready(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                Poll::Ready(Ok(len_bytes))
            }
            wrote => wrote,
        }
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.heard {
            return self.poll_first(cx, &mut into);
        }
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_gone(wrote, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len_bytes = pieces.iter().map(|piece| piece.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(len_bytes));
        }
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.unless_gone(wrote, len_bytes)
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

impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
