//! Byte streams over Unix domain sockets.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::connect::attempt::{Attempts, Client};
use crate::error::Result;
use crate::socket::{Socket, configure};
use crate::socket_file::SocketFile;
use crate::socket_methods::{base_methods, blocking_methods, data_methods, fd_traits, peer_methods};
use crate::{Kind, ToAddress, sys};

/// A connected byte stream (`SOCK_STREAM`): bytes arrive in order, none are lost, and message
/// boundaries are not kept.
///
/// A read returns the bytes that are available. They may be fewer than the buffer holds, and fewer
/// than one write of the peer. A read of 0 bytes is the end of the stream. A write waits while the
/// peer's queue is full, and may write a part of the bytes.
///
/// Neither raises `SIGPIPE`, vectored or not ([K-END-6]). As with every [`Read`] and [`Write`], a
/// call interrupted by a signal returns [`io::ErrorKind::Interrupted`]; `read_exact` and
/// `write_all` retry.
///
/// [`Read`] and [`Write`] are also implemented for `&Stream`, so one thread can read while another
/// writes.
///
/// If a peer sends file descriptors, a plain read makes the kernel close them ([K-FD-7]). They do
/// not leak, but they are lost. [`Stream::recv_with`] receives them.
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
/// listener.accept()?.0.read_to_string(&mut heard)?;
/// assert_eq!(heard, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [K-END-6]: crate::kernel_facts#K-END-6
/// [K-FD-7]: crate::kernel_facts#K-FD-7
#[doc(alias("SOCK_STREAM", "UnixStream"))]
#[derive(Debug)]
pub struct Stream {
    // Fields drop in this order: the file is unlinked while the socket still holds its inode, so
    // its number cannot be reused in between.
    /// The file of a client that was bound to a path.
    file: Option<Box<SocketFile>>,
    socket: Socket,
}

impl Stream {
    /// Connects to a server.
    ///
    /// If the server's backlog is full, this blocks indefinitely. [`Connect`] sets a timeout.
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no server listens there, the socket is of
    /// another kind, or permission is denied. See [`Connect::stream`] for the kinds.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// assert!(Stream::connect(&path).unwrap_err().is_not_found());
    /// let listener = Bind::new(&path).listen()?;
    /// let client = Stream::connect(&path)?; // connected before the server accepts
    /// drop(listener);
    /// assert!(Stream::connect(&path).unwrap_err().is_not_found());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [`Connect`]: crate::Connect
    /// [`Connect::stream`]: crate::Connect::stream
    pub fn connect(address: impl ToAddress) -> Result<Stream> {
        Ok(Stream::client(Attempts::new(address).connect(Kind::Stream)?))
    }

    /// Connects like [`Stream::connect`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Stream::connect`] would return one.
    pub fn connect_addr(address: impl ToAddress) -> Result<Stream> {
        Stream::connect(address)
    }

    /// Creates a pair of connected streams (`socketpair`).
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// let (mut one, mut other) = stoop::Stream::pair()?;
    /// one.write_all(b"hel")?;
    /// one.write_all(b"lo")?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(other.read(&mut buffer)?, 5); // boundaries of writes are not kept
    /// drop(one);
    /// assert_eq!(other.read(&mut buffer)?, 0); // the end
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "socketpair")]
    pub fn pair() -> Result<(Stream, Stream)> {
        let (one, other) = Socket::pair(Kind::Stream)?;
        Ok((Stream::from_socket(one), Stream::from_socket(other)))
    }

    /// Wraps a file descriptor of unknown origin, after asking the kernel whether it is a Unix
    /// stream socket.
    ///
    /// # Errors
    /// Returns an error if it is a Unix socket of another kind
    /// ([`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind)), or a socket of another address
    /// family ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    ///
    /// ```
    /// use std::os::fd::OwnedFd;
    /// use stoop::{ErrorKind, SeqPacket, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let stream = Stream::try_from(OwnedFd::from(one))?;
    /// let error = SeqPacket::try_from(OwnedFd::from(other)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WrongKind);
    /// let file = std::fs::File::open("/dev/null")?;
    /// assert!(Stream::try_from(OwnedFd::from(file)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub(crate) fn from_descriptor(fd: OwnedFd) -> Result<Stream> {
        Ok(Stream::from_socket(Socket::from_descriptor(fd)?.expect_kind(Kind::Stream)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> Stream {
        Stream { file: None, socket }
    }

    /// Wraps a connected socket with the file that it is bound to.
    pub(crate) fn client((socket, file): Client) -> Stream {
        Stream { file: file.map(Box::new), socket }
    }

    /// Creates a new independently owned handle to the same socket.
    ///
    /// The connection closes when the last handle is dropped. If there is a socket file, the
    /// original handle keeps the duty to remove it.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// ```
    /// use std::io::Read;
    /// use std::net::Shutdown;
    ///
    /// let (one, mut other) = stoop::Stream::pair()?;
    /// let twin = one.try_clone()?;
    /// drop(one); // the connection stays open
    /// twin.shutdown(Shutdown::Both)?; // affects every handle
    /// assert_eq!(other.read(&mut [0; 8])?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias("dup", "F_DUPFD_CLOEXEC"))]
    pub fn try_clone(&self) -> Result<Stream> {
        Ok(Stream::from_socket(self.socket.duplicate()?))
    }

    /// Shuts down the read, write, or both halves of this connection.
    ///
    /// After `Write` the peer reads what was sent and then the end, and can still send ([K-END-1]).
    ///
    /// # Errors
    /// Returns an error if the socket is not connected
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::Shutdown;
    ///
    /// let (mut client, mut server) = stoop::Stream::pair()?;
    /// client.write_all(b"request")?;
    /// client.shutdown(Shutdown::Write)?; // half-close
    ///
    /// let mut request = String::new();
    /// server.read_to_string(&mut request)?; // ends there
    /// server.write_all(b"reply")?; // the other direction is still open
    /// assert_eq!(client.read(&mut [0; 8])?, 5);
    /// assert_eq!(client.write(b"more").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-END-1]: crate::kernel_facts#K-END-1
    #[doc(alias("SHUT_RD", "SHUT_WR", "SHUT_RDWR"))]
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.as_fd(), how).map_err(configure)
    }

    /// Receives data without removing it from the queue: the next read returns the same bytes.
    ///
    /// Blocks until data is available. Never receives file descriptors: [`Stream::peek_with`] does.
    ///
    /// # Errors
    /// Returns an error if the read fails, as [`Read::read`] does.
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// let (mut one, mut other) = stoop::Stream::pair()?;
    /// one.write_all(b"hello")?;
    /// let mut start = [0; 2];
    /// assert_eq!(other.peek(&mut start)?, 2);
    /// assert_eq!(&start, b"he");
    /// assert_eq!(other.read(&mut [0; 8])?, 5); // still all of it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        sys::receive(self.as_fd(), buffer, libc::MSG_PEEK)
    }

    base_methods!();
    blocking_methods!();
    peer_methods!();
    data_methods!();
}

impl AsRef<Socket> for Stream {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

fd_traits!(Stream);

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.spin().wait(|flags| sys::receive(self.as_fd(), buffer, flags))
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.socket.spin().wait(|flags| sys::receive_vectored(self.as_fd(), buffers, flags))
    }
}

impl Write for &Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), bytes)
    }

    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_vectored(self.as_fd(), buffers)
    }

    /// Does nothing: written bytes are already in the peer's queue.
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

impl From<Stream> for OwnedFd {
    /// Converts the socket into its file descriptor.
    ///
    /// If there is a socket file, it is left for the new owner of the file descriptor.
    fn from(stream: Stream) -> OwnedFd {
        if let Some(file) = stream.file {
            file.keep();
        }
        stream.socket.into_fd()
    }
}

impl From<Stream> for UnixStream {
    fn from(stream: Stream) -> UnixStream {
        OwnedFd::from(stream).into()
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream::from_socket(Socket::from_known(stream.into(), Kind::Stream))
    }
}
