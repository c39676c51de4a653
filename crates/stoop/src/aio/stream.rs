//! Asynchronous byte streams.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::split::{Closing, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use super::{Async, Stream};
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::retry::retry;
use crate::socket_methods::peer_methods;
use crate::sys::{self, ReadResult};
use crate::{Connect, ToAddress};
use std::os::fd::AsFd;

impl Async<crate::Stream> {
    peer_methods!();

    /// Connects to a server.
    ///
    /// Waits indefinitely for room in the server's backlog. Use [`Connect`] to set a timeout.
    ///
    /// # Errors
    /// Returns an error if the address is invalid, the server does not exist or refuses, or
    /// permissions forbid the connection. See [`Connect::stream_async`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let error = aio::Stream::connect(&path).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    ///
    /// let listener = Bind::new(&path).listen_async().await?;
    /// let stream = aio::Stream::connect(&path).await?; // before it is accepted
    /// assert_eq!(stream.peer().pid.known(), Some(&std::process::id()));
    /// # drop(listener);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connect(address: impl ToAddress) -> Result<Stream> {
        Connect::new(address).stream_async().await
    }

    /// Creates a pair of streams connected to each other.
    ///
    /// # Errors
    /// Returns an error if the file descriptors of the process or the system are exhausted
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// # Examples
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (mut one, mut other) = stoop::aio::Stream::pair()?;
    /// one.write_all(b"ping").await?;
    /// let mut buffer = [0; 4];
    /// other.read_exact(&mut buffer).await?;
    /// assert_eq!(&buffer, b"ping");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pair() -> Result<(Stream, Stream)> {
        let (one, other) = crate::Stream::pair()?;
        Ok((Stream::registered_duplex(one)?, Stream::registered_duplex(other)?))
    }

    /// Shuts down the read half, the write half, or both, without waiting.
    ///
    /// See [`crate::Stream::shutdown`].
    ///
    /// # Errors
    /// Returns an error if the stream is not connected
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    ///
    /// # Examples
    /// ```
    /// use std::net::Shutdown;
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, mut other) = stoop::aio::Stream::pair()?;
    /// one.shutdown_now(Shutdown::Write)?;
    /// assert_eq!(other.read(&mut [0; 8]).await?, 0);
    /// // The other direction stays open.
    /// other.write_all(b"bye").await?;
    /// assert_eq!(one.try_read(&mut [0; 8])?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown_now(&self, how: Shutdown) -> Result<()> {
        self.get_ref().shutdown(how)
    }

    /// Sends bytes together with ancillary data: file descriptors or credentials.
    ///
    /// Waits until the peer's queue has room. Returns the number of bytes sent, which may be fewer
    /// than given. Ancillary data goes with the first byte; after a partial send, send only the
    /// rest of the bytes. See [`Stream::send_with`](crate::Stream::send_with).
    ///
    /// # Errors
    /// Returns an error if the peer has closed, if it refuses file descriptors, if too many of them
    /// are in flight, or if no byte carries them. See
    /// [`Stream::send_with`](crate::Stream::send_with) for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// assert_eq!(one.send_with(&[IoSlice::new(b"a pipe")], &outgoing).await?, 6);
    ///
    /// let mut buffer = [0; 64];
    /// let buffers = &mut [IoSliceMut::new(&mut buffer)];
    /// let received = other.recv_with(buffers, Allow::descriptors(1)).await?;
    /// assert_eq!((received.len, received.descriptors.len()), (6, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|stream| stream.send_with(buffers, outgoing)).await
    }

    /// Receives bytes together with ancillary data.
    ///
    /// `allow` limits which ancillary data is accepted. See
    /// [`Stream::recv_with`](crate::Stream::recv_with).
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrive than `allow` accepts, if control data is
    /// truncated, or if the peer has reset the connection. See
    /// [`Stream::recv_with`](crate::Stream::recv_with) for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, ErrorKind, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// one.send_with(&[IoSlice::new(b"a pipe")], &outgoing).await?;
    ///
    /// let mut buffer = [0; 64];
    /// let result = other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).await;
    /// // The surplus file descriptor has been closed.
    /// assert_eq!(result.unwrap_err().kind(), ErrorKind::SurplusDescriptors);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|stream| stream.recv_with(buffers, allow)).await
    }

    /// Receives data without removing it from the queue, waiting until there is some.
    ///
    /// See [`crate::Stream::peek`].
    ///
    /// # Errors
    /// Returns an error if the read fails, for the same reasons as [`Read::read`].
    ///
    /// # Cancel safety
    /// This method is cancel safe. It removes nothing from the queue.
    ///
    /// # Examples
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (mut one, mut other) = stoop::aio::Stream::pair()?;
    /// one.write_all(b"GET /").await?;
    /// let mut start = [0; 3];
    /// assert_eq!(other.peek(&mut start).await?, 3);
    /// assert_eq!(&start, b"GET");
    ///
    /// let mut all = [0; 5];
    /// other.read_exact(&mut all).await?;
    /// assert_eq!(&all, b"GET /");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receiving(|stream| retry(|| stream.peek(buffer))).await
    }

    /// Reads the data that is available now, without waiting.
    ///
    /// Clears the socket's readiness if none is available.
    ///
    /// # Errors
    /// Returns an error if no data is available ([`io::ErrorKind::WouldBlock`]), or if the read
    /// fails for the same reasons as [`Read::read`].
    ///
    /// # Examples
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = stoop::aio::Stream::pair()?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(other.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// drop(one);
    /// other.readable().await?;
    /// assert_eq!(other.try_read(&mut buffer)?, 0); // the end of the stream
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(Interest::READABLE, |mut stream| retry(|| stream.read(buffer)))
    }

    /// Reads the data that is available now into several buffers, without waiting.
    ///
    /// # Errors
    /// Returns an error if no data is available ([`io::ErrorKind::WouldBlock`]), or if the read
    /// fails: see [`Async::try_read`].
    ///
    /// # Examples
    /// ```
    /// use std::io::IoSliceMut;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = stoop::aio::Stream::pair()?;
    /// one.try_write(b"headbody")?;
    /// let (mut head, mut body) = ([0; 4], [0; 16]);
    /// let buffers = &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// assert_eq!(other.try_read_vectored(buffers)?, 8);
    /// assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.attempt(Interest::READABLE, |mut stream| retry(|| stream.read_vectored(buffers)))
    }

    /// Writes as many bytes as the queue has room for now, without waiting.
    ///
    /// Clears the socket's readiness if the queue is full.
    ///
    /// # Errors
    /// Returns an error if the queue is full ([`io::ErrorKind::WouldBlock`]), or if the write fails
    /// for the same reasons as [`Write::write`].
    ///
    /// # Examples
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, _other) = stoop::aio::Stream::pair()?;
    /// let error = loop {
    ///     // Each call may write less than it is given.
    ///     match one.try_write(&[0; 65_536]) {
    ///         Ok(len) => assert!(0 < len && len <= 65_536),
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |mut stream| retry(|| stream.write(bytes)))
    }

    /// Writes from several buffers as many bytes as the queue has room for now, without waiting.
    ///
    /// # Errors
    /// Returns an error if the queue is full ([`io::ErrorKind::WouldBlock`]), or if the write
    /// fails: see [`Async::try_write`].
    ///
    /// # Examples
    /// ```
    /// use std::io::IoSlice;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = stoop::aio::Stream::pair()?;
    /// assert_eq!(one.try_write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])?, 8);
    /// let mut buffer = [0; 16];
    /// assert_eq!(other.try_read(&mut buffer)?, 8);
    /// assert_eq!(&buffer[..8], b"headbody");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |mut stream| retry(|| stream.write_vectored(buffers)))
    }

    /// Splits the stream into a borrowed read half and a borrowed write half.
    ///
    /// The halves can be used concurrently in one task. See [`split`](super::split).
    ///
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (mut one, other) = stoop::aio::Stream::pair()?;
    /// let (mut reader, mut writer) = one.split();
    /// let mut buffer = [0; 4];
    /// other.try_write(b"pong")?;
    /// // Both at once, in one task.
    /// let sending = writer.write_all(b"ping");
    /// let (sent, received) = tokio::join!(sending, reader.read_exact(&mut buffer));
    /// sent?;
    /// received?;
    /// assert_eq!(&buffer, b"pong");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(&mut self) -> (ReadHalf<&Stream>, WriteHalf<&Stream>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into owned halves, which can be moved to different tasks.
    ///
    /// Dropping the write half shuts down the write direction.
    ///
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, mut other) = stoop::aio::Stream::pair()?;
    /// let (mut reader, mut writer) = one.into_split();
    /// writer.write_all(b"ping").await?;
    /// drop(writer);
    ///
    /// let mut received = Vec::new();
    /// other.read_to_end(&mut received).await?; // the end, although `reader` is still open
    /// assert_eq!(received, b"ping");
    /// other.write_all(b"pong").await?;
    /// assert_eq!(reader.read(&mut [0; 8]).await?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        (ReadHalf(stream.clone()), WriteHalf(Closing::new(stream)))
    }

    /// Polls until the peer has closed the connection or shut down both directions. That it has
    /// shut down its write half is not enough ([K-END-5]).
    ///
    /// Only the last task that polled this or another `poll_…` method is woken.
    ///
    /// [K-END-5]: crate::kernel_facts#K-END-5
    pub(crate) fn poll_hang_up(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A peer that has sent nothing more has not closed either. Waiting for that first avoids a
        // wake-up for everything that the peer reads.
        ready!(self.main.poll_read_ready(cx))?.retain_ready();
        loop {
            let mut guard = ready!(self.main.poll_write_ready(cx))?;
            if guard.ready().is_write_closed() {
                guard.retain_ready();
                return Poll::Ready(Ok(()));
            }
            // Nothing is lost: a send is attempted before its readiness is asked for.
            guard.clear_ready();
        }
    }

    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Remembered before the read: whether the read was short decides about the readiness.
        let room_bytes = buffer.remaining();
        if self.expects_early_data() {
            let result = self.receive(buffer);
            let found = !matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            self.note_first_read(found);
            if found {
                return Poll::Ready(self.recorded(result).map(drop));
            }
        }
        loop {
            // Edge-triggered: readiness stays set until it is cleared here, and must be cleared only once
            // the queue is known to be empty. The guard clears only the event it has seen: one that arrives
            // during the read is kept.
            let mut guard = ready!(self.main.poll_read_ready(cx))?;
            match self.receive(buffer) {
                Ok(piece) => {
                    if self.has_emptied(&piece, room_bytes) {
                        guard.clear_ready();
                    }
                    self.record_activity();
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn receive(&self, buffer: &mut ReadBuf<'_>) -> io::Result<ReadResult> {
        retry(|| self.as_ref().spin().wait(|flags| sys::receive_into(self.as_fd(), buffer, flags)))
    }

    /// Returns whether a short read has emptied the socket's queue.
    ///
    /// With edge-triggered readiness, a short read normally does, and the readiness can be cleared
    /// without a second call that returns `EAGAIN`. There are two exceptions. A read also stops
    /// short at ancillary data ([K-FD-5], [K-CRED-11]) and in front of an urgent byte ([K-END-10]).
    /// The data behind either has been signaled already: no further edge would come, and the task
    /// would wait indefinitely. A stream with a spin budget tries again itself, so its readiness is
    /// kept.
    ///
    /// [K-FD-5]: crate::kernel_facts#K-FD-5
    /// [K-CRED-11]: crate::kernel_facts#K-CRED-11
    /// [K-END-10]: crate::kernel_facts#K-END-10
    fn has_emptied(&self, piece: &ReadResult, room_bytes: usize) -> bool {
        let short = 0 < piece.len_bytes && piece.len_bytes < room_bytes;
        // `try_io` fails without running its closure unless a priority event is pending.
        short
            && !piece.had_control
            && self.main.try_io(Interest::PRIORITY, |_| Ok(())).is_err()
            && self.as_ref().spin().budget().is_zero()
    }
}

/// For a shared stream. Of several tasks that read, or several that write, only the last one that
/// polled is woken.
impl AsyncRead for &Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_receive(cx, buffer)
    }
}

/// For a shared stream. Of several tasks that write, only the last one that polled is woken.
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
    /// Reads plain bytes. The kernel drops file descriptors that arrive with them ([K-FD-7]).
    ///
    /// [K-FD-7]: crate::kernel_facts#K-FD-7
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

    /// Does nothing: written bytes are in the peer's queue already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Shuts down the write direction ([K-END-1]).
    ///
    /// [K-END-1]: crate::kernel_facts#K-END-1
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
    /// Panics if called outside of a runtime.
    #[track_caller]
    fn try_from(stream: crate::Stream) -> Result<Stream> {
        Stream::registered_duplex(stream)
    }
}

impl TryFrom<Async<crate::Stream>> for crate::Stream {
    type Error = Error;

    fn try_from(stream: Stream) -> Result<crate::Stream> {
        stream.into_sync()
    }
}
