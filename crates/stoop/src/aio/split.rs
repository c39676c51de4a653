//! Read and write halves of a stream, each of which can still pass file descriptors and
//! credentials.
//!
//! Borrowed halves come from [`Stream::split`](super::Async::split), owned ones from
//! [`Stream::into_split`](super::Async::into_split). A seqpacket or datagram socket needs no
//! halves: all its methods take `&self`, so a reference or an [`Arc`] of it is enough.
//!
//! ```
//! use std::io::IoSlice;
//! use stoop::{Allow, Outgoing, aio};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (one, other) = aio::Stream::pair()?;
//! let (mut reads, mut writes) = one.into_split();
//! let writer = tokio::spawn(async move { writes.write_all(b"both at once").await });
//! other.send_with(&[IoSlice::new(b"hello")], &Outgoing::new()).await?;
//!
//! let mut buffer = [0; 5];
//! reads.read_exact(&mut buffer).await?;
//! assert_eq!(&buffer, b"hello");
//! writer.await??;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Borrow;
use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};

use super::Stream;
use crate::error::Result;
use crate::message::{Allow, Outgoing, Received};

/// The read half of a stream. `P` is `&Stream`, or [`Arc<Stream>`](Arc) in [`OwnedReadHalf`].
#[derive(Debug)]
pub struct ReadHalf<P>(pub(super) P);

/// The write half of a stream. `P` is `&Stream`, or [`Closing`] in [`OwnedWriteHalf`].
#[derive(Debug)]
pub struct WriteHalf<P>(pub(super) P);

/// An owned read half, which can be moved to another task.
pub type OwnedReadHalf = ReadHalf<Arc<Stream>>;

/// An owned write half, which can be moved to another task.
///
/// Dropping it shuts down the write direction: the peer reads to the end, even while the read half
/// lives.
pub type OwnedWriteHalf = WriteHalf<Closing>;

/// A shared stream whose write direction is shut down on drop.
#[doc(hidden)]
#[derive(Debug)]
pub struct Closing {
    stream: Arc<Stream>,
    armed: bool,
}

impl Closing {
    pub(super) fn new(stream: Arc<Stream>) -> Closing {
        Closing { stream, armed: true }
    }

    fn disarm(mut self) -> Arc<Stream> {
        self.armed = false;
        self.stream.clone()
    }
}

impl Deref for Closing {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if self.armed {
            // A peer that has closed needs no end of stream.
            let _ = self.stream.shutdown_now(Shutdown::Write);
        }
    }
}

impl<P: Deref<Target = Stream>> ReadHalf<P> {
    /// Waits for any of the requested kinds of readiness.
    ///
    /// See [`Stream::ready`](super::Async::ready).
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn ready(&self, interest: Interest) -> Result<Ready> {
        self.0.ready(interest).await
    }

    /// Waits until the stream is readable.
    ///
    /// See [`Stream::readable`](super::Async::readable).
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn readable(&self) -> Result<()> {
        self.0.readable().await
    }

    /// Reads the data that is available now.
    ///
    /// See [`Stream::try_read`](super::Async::try_read).
    ///
    /// # Errors
    /// Returns an error if no data is available ([`io::ErrorKind::WouldBlock`]), or if the read
    /// fails.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }

    /// Reads the data that is available now into several buffers.
    ///
    /// # Errors
    /// Returns an error if no data is available ([`io::ErrorKind::WouldBlock`]), or if the read
    /// fails.
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.try_read_vectored(buffers)
    }

    /// Receives bytes together with ancillary data. See
    /// [`Stream::recv_with`](super::Async::recv_with).
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
    /// use std::io::IoSliceMut;
    /// use stoop::{Allow, SocketExt, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let (mut reader, _writer) = one.into_split();
    /// reader.as_ref().set_pass_credentials(true)?;
    /// other.try_write(b"hello")?;
    /// let mut buffer = [0; 64];
    /// let received = reader.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).await?;
    /// assert!(received.credentials.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_with(&mut self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.0.recv_with(buffers, allow).await
    }
}

impl<P: Deref<Target = Stream>> WriteHalf<P> {
    /// Waits for any of the requested kinds of readiness.
    ///
    /// See [`Stream::ready`](super::Async::ready).
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn ready(&self, interest: Interest) -> Result<Ready> {
        self.0.ready(interest).await
    }

    /// Waits until the stream is writable.
    ///
    /// See [`Stream::writable`](super::Async::writable).
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn writable(&self) -> Result<()> {
        self.0.writable().await
    }

    /// Writes as many bytes as fit into the queue now.
    ///
    /// See [`Stream::try_write`](super::Async::try_write).
    ///
    /// # Errors
    /// Returns an error if the queue is full ([`io::ErrorKind::WouldBlock`]), or if the write
    /// fails.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// Writes from several buffers as many bytes as fit into the queue now.
    ///
    /// # Errors
    /// Returns an error if the queue is full ([`io::ErrorKind::WouldBlock`]), or if the write
    /// fails.
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(buffers)
    }

    /// Sends bytes together with ancillary data. See
    /// [`Stream::send_with`](super::Async::send_with).
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
    /// let (mut one, other) = aio::Stream::pair()?;
    /// let (_reader, mut writer) = one.split();
    /// let (pipe, _keep) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// writer.send_with(&[IoSlice::new(b"a pipe")], &outgoing).await?;
    ///
    /// let mut buffer = [0; 64];
    /// let buffers = &mut [IoSliceMut::new(&mut buffer)];
    /// assert_eq!(other.recv_with(buffers, Allow::descriptors(1)).await?.descriptors.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_with(&mut self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.0.send_with(buffers, outgoing).await
    }
}

impl ReadHalf<Arc<Stream>> {
    /// Reunites the two halves of a stream.
    ///
    /// # Errors
    /// Returns an error if the halves are not of the same stream. It contains both halves.
    ///
    /// # Examples
    /// ```
    /// use stoop::aio::{self, split};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let (reader, writer) = one.into_split();
    /// let (other_reader, other_writer) = other.into_split();
    ///
    /// let split::ReuniteError(reader, other_writer) = reader.reunite(other_writer).unwrap_err();
    /// let one = reader.reunite(writer).expect("two halves of one stream");
    /// assert_eq!(one.try_write(b"still open")?, 10);
    /// # drop((other_reader, other_writer));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reunite(self, other: OwnedWriteHalf) -> std::result::Result<Stream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &other.0.stream) {
            return Err(ReuniteError(self, other));
        }
        drop(other.0.disarm());
        Arc::try_unwrap(self.0)
            .map_err(|stream| ReuniteError(ReadHalf(stream.clone()), WriteHalf(Closing::new(stream))))
    }
}

/// The error of [`OwnedReadHalf::reunite`](ReadHalf::reunite): the halves are not of the same
/// stream. It contains both.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves are not of the same stream")
    }
}

impl std::error::Error for ReuniteError {}

impl<P: Deref<Target = Stream>> AsRef<Stream> for ReadHalf<P> {
    fn as_ref(&self) -> &Stream {
        &self.0
    }
}

impl<P: Deref<Target = Stream>> Borrow<Stream> for ReadHalf<P> {
    fn borrow(&self) -> &Stream {
        &self.0
    }
}

impl<P: Deref<Target = Stream>> Borrow<Stream> for WriteHalf<P> {
    fn borrow(&self) -> &Stream {
        &self.0
    }
}

impl<P: Deref<Target = Stream>> AsRef<Stream> for WriteHalf<P> {
    fn as_ref(&self) -> &Stream {
        &self.0
    }
}

impl WriteHalf<Closing> {
    /// Reunites the two halves of a stream. See [`OwnedReadHalf::reunite`](ReadHalf::reunite).
    ///
    /// # Errors
    /// Returns an error if the halves are not of the same stream. It contains both halves.
    pub fn reunite(self, other: OwnedReadHalf) -> std::result::Result<Stream, ReuniteError> {
        other.reunite(self)
    }

    /// Drops the half without shutting down the write direction.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = stoop::aio::Stream::pair()?;
    /// let (_reader, writer) = one.into_split();
    /// writer.forget();
    /// // Not the end of the stream, which dropping the half would have caused.
    /// assert_eq!(other.try_read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forget(self) {
        drop(self.0.disarm());
    }
}

impl<P: Deref<Target = Stream> + Unpin> AsyncRead for ReadHalf<P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_receive(cx, buffer)
    }
}

impl<P: Deref<Target = Stream> + Unpin> AsyncWrite for WriteHalf<P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_send_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown_now(Shutdown::Write).map_err(io::Error::from))
    }
}
