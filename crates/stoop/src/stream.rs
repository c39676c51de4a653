//! Byte streams.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::error::Result;
use crate::socket::{Socket, configure};
use crate::{Connect, Kind, ToAddress, sys};

/// A connected byte stream: bytes in order, none lost, no boundaries.
///
/// Reading gives what is there, which may be less than the buffer and less than one write of the
/// peer; 0 is the peer's end. Writing waits while the peer's queue is full and may take a part.
/// Neither raises `SIGPIPE`, vectored or not (K-END-6). As for every [`Read`] and [`Write`], a
/// signal shows as [`io::ErrorKind::Interrupted`]; `read_exact` and `write_all` go on.
///
/// [`Read`] and [`Write`] are implemented for `&Stream` too, so that one thread can read while
/// another writes.
///
/// Descriptors that a peer sends are dropped by the kernel when read plainly (K-FD-7): nothing
/// leaks, and they are lost. [`Socket::recv_with`] lets them in.
///
/// ```
/// use std::io::{Read, Write};
/// use stoop::{Bind, Stream};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).listen()?;
/// let mut client = Stream::connect(&path)?;
/// client.write_all(b"hello")?;
/// client.shutdown(std::net::Shutdown::Write)?;
///
/// let mut heard = String::new();
/// listener.accept()?.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Stream(Socket);

impl Stream {
    /// Connects to a server. Waits for room in its backlog as long as it takes; [`Connect`] sets
    /// limits.
    ///
    /// # Errors
    /// As [`Connect::stream`].
    pub fn connect(address: impl ToAddress) -> Result<Stream> {
        Connect::new(address).stream()
    }

    /// Two streams connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn pair() -> Result<(Stream, Stream)> {
        let (one, other) = Socket::pair(Kind::Stream)?;
        Ok((Stream(one), Stream(other)))
    }

    /// Takes a descriptor from elsewhere, after asking the kernel whether it is a local stream.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind),
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn from_descriptor(fd: OwnedFd) -> Result<Stream> {
        Ok(Stream(Socket::from_descriptor(fd)?.expect_kind(Kind::Stream)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> Stream {
        Stream(socket)
    }

    /// Another owner of the same connection, which ends when the last owner goes.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn try_clone(&self) -> Result<Stream> {
        Ok(Stream(self.0.duplicate()?))
    }

    /// Ends one direction or both. After `Write` the peer reads to the end and can still answer
    /// (K-END-1).
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.as_fd(), how).map_err(configure)
    }

    /// Reads without taking: the next read gives the same bytes. Never brings descriptors in
    /// (K-FD-10).
    ///
    /// # Errors
    /// As [`Read::read`].
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::receive(self.as_fd(), buffer, libc::MSG_PEEK)
    }
}

impl Deref for Stream {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.spin().wait(|flags| sys::receive(self.as_fd(), buffer, flags))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.spin().wait(|flags| sys::receive_vectored(self.as_fd(), buffers, flags))
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_vectored(self.as_fd(), buffers)
    }

    /// Does nothing: what was written is in the peer's queue already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> OwnedFd {
        stream.0.into_fd()
    }
}

impl From<Stream> for UnixStream {
    fn from(stream: Stream) -> UnixStream {
        OwnedFd::from(stream).into()
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream(Socket::from_known(stream.into(), Kind::Stream))
    }
}
