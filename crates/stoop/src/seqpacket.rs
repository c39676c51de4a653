//! Sequenced packets over Unix domain sockets.

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};

use crate::connect::attempt::{Attempts, Client};
use crate::error::Result;
use crate::message::{Allow, Received};
use crate::packet;
use crate::socket::{Socket, configure};
use crate::socket_file::SocketFile;
use crate::socket_methods::{base_methods, blocking_methods, data_methods, fd_traits, peer_methods};
use crate::{Kind, ToAddress, sys};

/// A connected socket that preserves message boundaries (`SOCK_SEQPACKET`).
///
/// One send is one receive. Messages arrive in order, none are lost, and the end of the connection
/// is visible.
///
/// An empty message looks like the end to a receiver without credentials ([K-DGRAM-13]).
/// [`SeqPacket::send`] therefore refuses it; [`SeqPacket::send_with`] sends it.
///
/// ```
/// use stoop::{Packet, SeqPacket};
/// let (one, other) = SeqPacket::pair()?;
/// one.send(b"first")?;
/// one.send(b"second")?;
/// drop(one);
///
/// let mut buffer = [0; 64];
/// assert_eq!(other.recv(&mut buffer)?, Packet::Message(5));
/// assert_eq!(other.recv(&mut buffer)?, Packet::Message(6));
/// assert_eq!(other.recv(&mut buffer)?, Packet::End);
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// [K-DGRAM-13]: crate::kernel_facts#K-DGRAM-13
#[doc(alias = "SOCK_SEQPACKET")]
#[derive(Debug)]
pub struct SeqPacket {
    // Fields drop in this order: the file is unlinked while the socket still holds its inode, so
    // its number cannot be reused in between.
    /// The file of a client that was bound to a path.
    file: Option<Box<SocketFile>>,
    socket: Socket,
}

/// The outcome of a receive on a seqpacket socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A whole message of this many bytes.
    Message(usize),
    /// The peer has closed the connection, or shut down its write half.
    End,
}

impl SeqPacket {
    /// Connects to a server.
    ///
    /// If the server's backlog is full, this blocks indefinitely. [`Connect`] sets a timeout.
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no server listens there, the socket is of
    /// another kind, or permission is denied. See [`Connect::stream`] for the kinds.
    ///
    /// ```
    /// use stoop::{Bind, Listener, SeqPacket, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener: Listener<SeqPacket> = Bind::new(&path).listen_seqpacket()?;
    /// let client = SeqPacket::connect(&path)?;
    /// assert_eq!(Stream::connect(&path).unwrap_err().kind(), stoop::ErrorKind::WrongKind);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [`Connect`]: crate::Connect
    /// [`Connect::stream`]: crate::Connect::stream
    pub fn connect(address: impl ToAddress) -> Result<SeqPacket> {
        Ok(SeqPacket::client(Attempts::new(address).connect(Kind::SeqPacket)?))
    }

    /// Creates a pair of connected sockets (`socketpair`).
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    #[doc(alias = "socketpair")]
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (one, other) = Socket::pair(Kind::SeqPacket)?;
        Ok((SeqPacket::from_socket(one), SeqPacket::from_socket(other)))
    }

    /// Wraps a file descriptor of unknown origin, after asking the kernel whether it is a Unix
    /// seqpacket socket.
    ///
    /// # Errors
    /// Returns an error if it is a Unix socket of another kind
    /// ([`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind)), or a socket of another address
    /// family ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    pub(crate) fn from_descriptor(fd: OwnedFd) -> Result<SeqPacket> {
        Ok(SeqPacket::from_socket(Socket::from_descriptor(fd)?.expect_kind(Kind::SeqPacket)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> SeqPacket {
        SeqPacket { file: None, socket }
    }

    /// Wraps a connected socket with the file that it is bound to.
    pub(crate) fn client((socket, file): Client) -> SeqPacket {
        SeqPacket { file: file.map(Box::new), socket }
    }

    /// Creates a new independently owned handle to the same socket.
    ///
    /// The connection closes when the last handle is dropped. If there is a socket file, the
    /// original handle keeps the duty to remove it.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    #[doc(alias("dup", "F_DUPFD_CLOEXEC"))]
    pub fn try_clone(&self) -> Result<SeqPacket> {
        Ok(SeqPacket::from_socket(self.socket.duplicate()?))
    }

    /// Shuts down the read, write, or both halves of this connection.
    ///
    /// After `Write` the peer receives what was sent and then [`Packet::End`].
    ///
    /// # Errors
    /// Returns an error if the socket is not connected
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    ///
    /// ```
    /// use std::net::Shutdown;
    /// use stoop::{Packet, SeqPacket};
    ///
    /// let (client, server) = SeqPacket::pair()?;
    /// client.send(b"last request")?;
    /// client.shutdown(Shutdown::Write)?;
    ///
    /// assert_eq!(server.recv(&mut [0; 64])?, Packet::Message(12));
    /// assert_eq!(server.recv(&mut [0; 64])?, Packet::End);
    /// server.send(b"reply")?; // the other direction is still open
    /// assert_eq!(client.recv(&mut [0; 64])?, Packet::Message(5));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.as_fd(), how).map_err(configure)
    }

    /// Sends one message, whole or not at all.
    ///
    /// A blocking socket waits for space in the send buffer. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message is larger than the send buffer less a small overhead ([K-DGRAM-6])
    ///   ([`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge));
    /// - the peer has closed ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed));
    /// - the socket is nonblocking, or its write timeout passed
    ///   ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock));
    /// - the message is empty ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    ///
    /// ```
    /// use stoop::{ErrorKind, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// assert_eq!(one.send(b"").unwrap_err().kind(), ErrorKind::Unsupported);
    /// let error = one.send(&vec![0; 64 << 20]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    /// drop(other);
    /// assert!(one.send(b"hello").unwrap_err().is_peer_closed()); // and no SIGPIPE
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-DGRAM-6]: crate::kernel_facts#K-DGRAM-6
    pub fn send(&self, message: &[u8]) -> Result<()> {
        packet::refuse_empty(message)?;
        packet::send(&self.socket, message, None)
    }

    /// Receives one message into `buffer`.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    /// `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message does not fit
    ///   ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)): its start is in the
    ///   buffer, the rest is lost. [`SeqPacket::recv_vec`] never truncates;
    /// - the peer has closed with unread data
    ///   ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed));
    /// - the socket is nonblocking, or its read timeout passed
    ///   ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)).
    ///
    /// ```
    /// use stoop::{ErrorKind, Packet, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// one.send(b"hello")?;
    /// one.send(b"bye")?;
    /// let mut buffer = [0; 4];
    /// let error = other.recv(&mut buffer).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated);
    /// assert_eq!(&buffer, b"hell"); // the "o" is lost
    /// assert_eq!(other.recv(&mut buffer)?, Packet::Message(3)); // the next message
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        Ok(match packet::receive(&self.socket, buffer)? {
            0 => Packet::End,
            len => Packet::Message(len),
        })
    }

    /// Receives one message of any length. Returns `None` at the end of the connection.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the peer has closed with unread data
    /// ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)) or the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). If several threads receive on the
    /// socket, a longer message may be truncated
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)).
    ///
    /// ```
    /// let (one, other) = stoop::SeqPacket::pair()?;
    /// one.send(&[7; 100_000])?;
    /// drop(one);
    /// assert_eq!(other.recv_vec()?.map(|message| message.len()), Some(100_000));
    /// assert_eq!(other.recv_vec()?, None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_vec(&self) -> Result<Option<Vec<u8>>> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((!received.is_end()).then_some(message))
    }

    /// Receives one message of any length, with its ancillary data.
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrived than allowed, ancillary data was
    /// truncated, the peer has closed with unread data, or the call would have to wait. See
    /// [`SeqPacket::recv_with`] for the kinds.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// one.send_with(&[IoSlice::new(b"self")], &Outgoing::new().descriptors(&[one.as_fd()]))?;
    /// let (message, received) = other.recv_vec_with(Allow::descriptors(4))?;
    /// assert_eq!((&message[..], received.descriptors.len()), (&b"self"[..], 1));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        packet::receive_whole(&self.socket, allow)
    }

    /// Returns the length of the next message in bytes, without receiving it; 0 is the end.
    ///
    /// A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the peer has closed with unread data
    /// ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)) or the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)).
    ///
    /// ```
    /// let (one, other) = stoop::SeqPacket::pair()?;
    /// one.send(b"hello")?;
    /// assert_eq!(other.next_len()?, 5);
    /// assert_eq!(other.recv_vec()?.as_deref(), Some(&b"hello"[..])); // it was still there
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("MSG_TRUNC", "FIONREAD"))]
    pub fn next_len(&self) -> Result<usize> {
        packet::next_len(&self.socket)
    }

    /// Receives the next message without removing it from the queue.
    ///
    /// Never receives file descriptors: [`SeqPacket::peek_with`] does.
    ///
    /// # Errors
    /// Returns an error if the message does not fit
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)), in which case its
    /// start is in the buffer, if the peer has closed with unread data
    /// ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)), or if the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). The message stays in the queue in
    /// any case.
    ///
    /// ```
    /// use stoop::{Packet, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// one.send(b"hello")?;
    /// let mut start = [0; 4];
    /// assert!(other.peek(&mut start).unwrap_err().is_truncated());
    /// assert_eq!(&start, b"hell");
    /// assert_eq!(other.recv(&mut [0; 8])?, Packet::Message(5)); // nothing is lost
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Packet> {
        Ok(match packet::peek(&self.socket, buffer)? {
            0 => Packet::End,
            len => Packet::Message(len),
        })
    }

    base_methods!();
    blocking_methods!();
    peer_methods!();
    data_methods!();
}

impl AsRef<Socket> for SeqPacket {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

fd_traits!(SeqPacket);

impl From<SeqPacket> for OwnedFd {
    /// Converts the socket into its file descriptor.
    ///
    /// If there is a socket file, it is left for the new owner of the file descriptor.
    fn from(socket: SeqPacket) -> OwnedFd {
        if let Some(file) = socket.file {
            file.keep();
        }
        socket.socket.into_fd()
    }
}
