//! Whole messages over a connection.

use std::net::Shutdown;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::Result;
use crate::message::{Allow, Received};
use crate::packet;
use crate::socket::{Socket, configure};
use crate::{Connect, Kind, ToAddress, sys};

/// A connected socket that keeps messages apart: one send is one receive, in order, none lost, and
/// the end is seen.
///
/// An empty message looks like the end to a receiver that does not ask for credentials
/// (K-DGRAM-13); sending one is therefore refused unless [`Socket::send_with`] is used.
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
#[derive(Debug)]
pub struct SeqPacket(Socket);

/// What a receive on a seqpacket socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A message of this many bytes, whole.
    Message(usize),
    /// The peer has closed, or will send no more.
    End,
}

impl SeqPacket {
    /// Connects to a server. Waits for room in its backlog as long as it takes; [`Connect`] sets
    /// limits.
    ///
    /// # Errors
    /// As [`Connect::stream`].
    pub fn connect(address: impl ToAddress) -> Result<SeqPacket> {
        Connect::new(address).seqpacket()
    }

    /// Two sockets connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (one, other) = Socket::pair(Kind::SeqPacket)?;
        Ok((SeqPacket(one), SeqPacket(other)))
    }

    /// Takes a descriptor from elsewhere, after asking the kernel whether it is a local seqpacket
    /// socket.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind),
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
    pub fn from_descriptor(fd: OwnedFd) -> Result<SeqPacket> {
        Ok(SeqPacket(Socket::from_descriptor(fd)?.expect_kind(Kind::SeqPacket)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> SeqPacket {
        SeqPacket(socket)
    }

    /// Another owner of the same connection.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn try_clone(&self) -> Result<SeqPacket> {
        Ok(SeqPacket(self.0.duplicate()?))
    }

    /// Ends one direction or both. After `Write` the peer sees [`Packet::End`] once it has read
    /// what was sent.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.as_fd(), how).map_err(configure)
    }

    /// Sends one message, whole or not at all. Waits for room on a blocking socket; `EINTR` is
    /// retried.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge) (the limit is the send
    /// buffer less a little, K-DGRAM-6), [`ErrorKind::PeerGone`](crate::ErrorKind::PeerGone),
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an empty message.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        packet::refuse_empty(message)?;
        packet::send(&self.0, message, None)
    }

    /// Receives one message into `buffer`. Waits for one on a blocking socket; `EINTR` is retried.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated) where it does not fit:
    /// its start is in the buffer, the rest is lost; [`SeqPacket::recv_vec`] never cuts.
    /// [`ErrorKind::PeerGone`](crate::ErrorKind::PeerGone),
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock).
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        Ok(match packet::receive(&self.0, buffer)? {
            0 => Packet::End,
            len => Packet::Message(len),
        })
    }

    /// Receives one message, however long; `None` at the end. Descriptors that come with it are
    /// closed.
    ///
    /// # Errors
    /// As [`SeqPacket::recv`], but nothing is ever cut.
    pub fn recv_vec(&self) -> Result<Option<Vec<u8>>> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((!received.is_end()).then_some(message))
    }

    /// Receives one message, however long, with what came beside it.
    ///
    /// # Errors
    /// As [`Socket::recv_with`], but no bytes are ever cut.
    pub fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        packet::receive_whole(&self.0, allow)
    }

    /// The length of the next message in bytes, waiting for it on a blocking socket; 0 is the end.
    ///
    /// # Errors
    /// As [`SeqPacket::recv`].
    pub fn next_len(&self) -> Result<usize> {
        packet::next_len(&self.0)
    }

    /// Reads the next message without taking it. Never brings descriptors in (K-FD-10).
    ///
    /// # Errors
    /// As [`SeqPacket::recv`], but nothing is lost.
    pub fn peek(&self, buffer: &mut [u8]) -> Result<Packet> {
        Ok(match packet::peek(&self.0, buffer)? {
            0 => Packet::End,
            len => Packet::Message(len),
        })
    }
}

impl Deref for SeqPacket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

impl AsFd for SeqPacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<SeqPacket> for OwnedFd {
    fn from(socket: SeqPacket) -> OwnedFd {
        socket.0.into_fd()
    }
}
