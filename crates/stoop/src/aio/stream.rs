//! Byte streams.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

use super::split::{Closing, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{Async, Stream};
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::socket::{configure, retry};
use crate::sys::{self, Piece};
use crate::{Connect, ToAddress};
use std::os::fd::AsFd;

impl Async<crate::Stream> {
    /// Connects to a server. Waits for room in its backlog as long as it takes; [`Connect`] sets
    /// limits.
    ///
    /// # Errors
    /// As [`Connect::stream_async`].
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up, and the server never sees it.
    pub async fn connect(address: impl ToAddress) -> Result<Stream> {
        Connect::new(address).stream_async().await
    }

    /// Two streams connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn pair() -> Result<(Stream, Stream)> {
        let (one, other) = crate::Stream::pair()?;
        Ok((Stream::watching_both(one)?, Stream::watching_both(other)?))
    }

    /// Ends one direction or both. See [`crate::Stream::shutdown`].
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected).
    pub fn shutdown_now(&self, how: Shutdown) -> Result<()> {
        self.get_ref().shutdown(how)
    }

    /// Sends bytes with descriptors or credentials beside them, once there is room for some. See
    /// [`Socket::send_with`](crate::Socket::send_with): after a partial send only the rest of the
    /// bytes is still to go.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|stream| stream.send_with(buffers, outgoing)).await
    }

    /// Receives bytes with what came beside them. See
    /// [`Socket::recv_with`](crate::Socket::recv_with).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|stream| stream.recv_with(buffers, allow)).await
    }

    /// Reads without taking, once there is something. See [`crate::Stream::peek`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receiving(|stream| retry(|| stream.peek(buffer))).await
    }

    /// Reads what is there. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is nothing, and as [`Read::read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(Interest::READABLE, |mut stream| retry(|| stream.read(buffer)))
    }

    /// Reads what is there into several buffers. As [`Async::try_io`].
    ///
    /// # Errors
    /// As [`Async::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.attempt(Interest::READABLE, |mut stream| retry(|| stream.read_vectored(buffers)))
    }

    /// Writes what there is room for. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where there is none, and as [`Write::write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |mut stream| retry(|| stream.write(bytes)))
    }

    /// Writes what there is room for from several buffers. As [`Async::try_io`].
    ///
    /// # Errors
    /// As [`Async::try_write`].
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |mut stream| retry(|| stream.write_vectored(buffers)))
    }

    /// A half for reading and one for writing, to be used at the same time. See
    /// [`split`](super::split).
    pub fn split(&mut self) -> (ReadHalf<&Stream>, WriteHalf<&Stream>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// The same for halves that live in different tasks. Dropping the write half ends its
    /// direction.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        (ReadHalf(stream.clone()), WriteHalf(Closing::new(stream)))
    }

    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room_bytes = buffer.remaining();
        if self.is_fresh() {
            match self.receive(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(self.noted(result).map(drop)),
            }
        }
        loop {
            let mut guard = ready!(self.main.poll_read_ready(cx))?;
            match self.receive(buffer) {
                Ok(piece) => {
                    if self.has_emptied(&piece, room_bytes) {
                        guard.clear_ready();
                    }
                    self.note();
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn receive(&self, buffer: &mut ReadBuf<'_>) -> io::Result<Piece> {
        retry(|| self.spin().wait(|flags| sys::receive_into(self.as_fd(), buffer, flags)))
    }

    /// Whether a read that left room in the buffer has left nothing in the socket. Not so where it
    /// stopped at something that came beside the bytes (K-FD-5, K-CRED-11) or in front of an
    /// urgent byte (K-END-10): what lies behind that has been announced already, and waiting
    /// for another announcement would be for ever. A stream that spins looks for itself.
    fn has_emptied(&self, piece: &Piece, room_bytes: usize) -> bool {
        let short = 0 < piece.len_bytes && piece.len_bytes < room_bytes;
        short
            && !piece.had_control
            && self.main.try_io(Interest::PRIORITY, |_| Ok(())).is_err()
            && self.spin().budget().is_zero()
    }
}

/// For a stream that is shared. Of several tasks that read, or that write, the last one to ask is
/// woken.
impl AsyncRead for &Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_receive(cx, buffer)
    }
}

/// As for reading.
impl AsyncWrite for &Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_now(Shutdown::Write).map_err(io::Error::from))
    }
}

impl AsyncRead for Async<crate::Stream> {
    /// Reads plain bytes; descriptors that come with them are dropped by the kernel (K-FD-7).
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_receive(cx, buffer)
    }
}

impl AsyncWrite for Async<crate::Stream> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: what was written is in the peer's queue already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends the direction of writing (K-END-1).
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_now(Shutdown::Write).map_err(io::Error::from))
    }
}

impl Async<crate::Stream> {
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_sending(cx, |mut stream| retry(|| stream.write(bytes)))
    }

    pub(super) fn poll_send_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_sending(cx, |mut stream| retry(|| stream.write_vectored(buffers)))
    }
}

impl TryFrom<crate::Stream> for Async<crate::Stream> {
    type Error = Error;

    /// # Panics
    /// Outside of a runtime.
    fn try_from(stream: crate::Stream) -> Result<Stream> {
        Stream::watching_both(stream)
    }
}

impl TryFrom<Async<crate::Stream>> for crate::Stream {
    type Error = Error;

    fn try_from(stream: Stream) -> Result<crate::Stream> {
        stream.into_sync()
    }
}

impl TryFrom<UnixStream> for Async<crate::Stream> {
    type Error = Error;

    fn try_from(stream: UnixStream) -> Result<Stream> {
        Stream::watching_both(stream.into_std().map_err(configure)?.into())
    }
}

impl TryFrom<Async<crate::Stream>> for UnixStream {
    type Error = Error;

    fn try_from(stream: Stream) -> Result<UnixStream> {
        let stream = stream.main.into_inner().into_inner();
        UnixStream::from_std(stream.into()).map_err(configure)
    }
}
