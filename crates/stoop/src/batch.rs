//! Sending and receiving several datagrams or seqpackets with one system call (`sendmmsg`,
//! `recvmmsg`).
//!
//! A batch saves only the system calls: each message still costs the kernel as much as before. If
//! small messages have to be fast, a stream with [`frame`](mod@crate::frame) is many times faster.

use std::fmt;
use std::io::IoSlice;
use std::os::fd::AsFd;

use crate::control::Credentials;
use crate::datagram::send::destination;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::frame::buffer::PageBuffer;
use crate::packet;
use crate::refusals::Refusals;
use crate::retry::retry;
use crate::socket::Socket;
use crate::sys::{self, BATCH_MAX, BatchEntry, RawAddress};
use crate::{Address, Datagram, SeqPacket, ToAddress};

/// The alignment of each message's buffer: one cache line.
const STRIDE_BYTES: usize = 64;

/// A reusable buffer for several messages of one receive.
///
/// ```
/// use std::io::IoSlice;
/// use stoop::{Batch, SeqPacket};
///
/// let (one, other) = SeqPacket::pair()?;
/// assert_eq!(one.send_batch(&[IoSlice::new(b"first"), IoSlice::new(b"second")])?, 2);
///
/// let mut batch = Batch::new(16, 512);
/// assert_eq!(other.recv_batch(&mut batch)?, 2);
/// for message in batch.iter() {
///     assert!(message.bytes()?.len() >= 5); // an error if the message was truncated
/// }
/// # Ok::<(), stoop::Error>(())
/// ```
#[doc(alias = "mmsghdr")]
pub struct Batch {
    bytes: PageBuffer,
    message_bytes: usize,
    entries: Vec<BatchEntry>,
}

impl Batch {
    /// The maximum number of messages in a batch.
    #[doc(hidden)]
    pub const MESSAGES_MAX: usize = BATCH_MAX;

    /// Creates a buffer for `messages` (clamped to 1 to [`Batch::MESSAGES_MAX`]) of up to
    /// `message_bytes` each.
    ///
    /// All memory is allocated here.
    pub fn new(messages: usize, message_bytes: usize) -> Batch {
        let stride_bytes = stride(message_bytes);
        let bytes = PageBuffer::new(stride_bytes.saturating_mul(messages.clamp(1, BATCH_MAX)));
        Batch { bytes, message_bytes, entries: Vec::new() }
    }

    /// Returns the number of messages of the last receive.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the last receive returned no messages.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns an iterator over the messages of the last receive, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BatchMessage<'_>> {
        self.entries.iter().map(|entry| {
            let start = entry.slot * stride(self.message_bytes);
            BatchMessage { buffer: &self.bytes[start..start + self.message_bytes], entry }
        })
    }

    fn receive(&mut self, socket: &Socket, asks_sender: bool) -> Result<()> {
        self.entries.clear();
        let stride_bytes = stride(self.message_bytes);
        let (bytes, message_bytes) = (&mut self.bytes, self.message_bytes);
        self.entries =
            retry(|| sys::receive_batch(socket.as_fd(), bytes, stride_bytes, message_bytes, asks_sender))
                .map_err(|cause| packet::receiving(socket, cause))?;
        Ok(())
    }
}

fn stride(message_bytes: usize) -> usize {
    message_bytes.max(1).next_multiple_of(STRIDE_BYTES)
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len()).field("message_bytes", &self.message_bytes).finish()
    }
}

/// One message of a [`Batch`].
pub struct BatchMessage<'a> {
    buffer: &'a [u8],
    entry: &'a BatchEntry,
}

impl<'a> BatchMessage<'a> {
    /// Returns the message.
    ///
    /// # Errors
    /// Returns an error if the message was truncated ([`ErrorKind::MessageTruncated`]):
    /// [`BatchMessage::prefix`] returns its start, the rest is lost.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::{Batch, Datagram, ErrorKind};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send_batch(&[IoSlice::new(b"bye"), IoSlice::new(b"hello")])?;
    /// let mut batch = Batch::new(16, 4);
    /// other.recv_batch(&mut batch)?;
    ///
    /// let messages: Vec<_> = batch.iter().collect();
    /// assert_eq!(messages[0].bytes()?, b"bye");
    /// assert_eq!(messages[1].bytes().unwrap_err().kind(), ErrorKind::MessageTruncated);
    /// assert_eq!((messages[1].prefix(), messages[1].sent_bytes()), (&b"hell"[..], 5));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn bytes(&self) -> Result<&'a [u8]> {
        let buffer_bytes = self.buffer.len();
        self.buffer.get(..self.entry.len).ok_or_else(|| {
            let detail = crate::message::truncation(self.entry.len, buffer_bytes);
            Error::new(Operation::Receive, ErrorKind::MessageTruncated, detail).with_received(buffer_bytes)
        })
    }

    /// Returns the message, or its start if it was truncated.
    pub fn prefix(&self) -> &'a [u8] {
        &self.buffer[..self.entry.len.min(self.buffer.len())]
    }

    /// Returns the length with which the message was sent, in bytes.
    pub fn sent_bytes(&self) -> usize {
        self.entry.len
    }

    /// Returns the sender's address.
    ///
    /// It is unnamed on connected sockets and for unbound senders. It is only a name that the
    /// sender chose: to reply, see [`Datagram::reply`].
    pub fn from(&self) -> Address {
        self.entry.from.to_address()
    }
}

impl fmt::Debug for BatchMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchMessage")
            .field("from", &self.from())
            .field("sent_bytes", &self.sent_bytes())
            .finish()
    }
}

/// Sends messages until all are sent or one fails. Returns an error only if the first one failed.
fn send_all(socket: &Socket, messages: &[IoSlice<'_>], to: Option<&RawAddress>) -> Result<usize> {
    let mut sent = 0;
    while sent < messages.len() {
        let left = &messages[sent..];
        match retry(|| sys::send_batch(socket.as_fd(), left, to)) {
            Ok(count) => sent += count,
            Err(_) if sent > 0 => break,
            Err(cause) => return Err(packet::sending(socket, cause)),
        }
    }
    Ok(sent)
}

impl SeqPacket {
    /// Sends each buffer as a message, in order, many with one system call.
    ///
    /// Returns how many were sent. If one fails, this is fewer than all, and the next call with the
    /// rest returns the error. A blocking socket waits for space. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the first message could not be sent: see [`SeqPacket::send`]. If any
    /// message is empty, none is sent ([`ErrorKind::Unsupported`]).
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::{ErrorKind, SeqPacket, SocketExt};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// let messages = [IoSlice::new(b"first"), IoSlice::new(b"")];
    /// let error = one.send_batch(&messages).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported);
    /// assert_eq!(other.unread_bytes()?, 0); // the first one was not sent either
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "sendmmsg")]
    pub fn send_batch(&self, messages: &[IoSlice<'_>]) -> Result<usize> {
        messages.iter().try_for_each(|message| packet::refuse_empty(message))?;
        send_all(self.as_ref(), messages, None)
    }

    /// Receives up to a batch of messages with one system call.
    ///
    /// A blocking socket waits for the first message, then takes those that are already there.
    /// Returns how many were received; 0 is the end. File descriptors that arrive with them are
    /// closed. `EINTR` is retried. An empty message from a peer may look like the end (see
    /// [`SeqPacket`]).
    ///
    /// # Errors
    /// Returns an error if the peer has closed with unread data ([`ErrorKind::PeerClosed`]) or the
    /// call would have to wait ([`ErrorKind::WouldBlock`]). A truncated message is reported by
    /// [`BatchMessage::bytes`].
    ///
    /// ```
    /// use stoop::{Batch, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// for message in [b"a", b"b", b"c"] {
    ///     one.send(message)?;
    /// }
    /// drop(one);
    /// let mut batch = Batch::new(2, 64);
    /// assert_eq!(other.recv_batch(&mut batch)?, 2);
    /// assert_eq!(other.recv_batch(&mut batch)?, 1);
    /// assert_eq!(other.recv_batch(&mut batch)?, 0); // the end
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "recvmmsg")]
    pub fn recv_batch(&self, batch: &mut Batch) -> Result<usize> {
        batch.receive(self.as_ref(), false)?;
        // At the end of a connection recvmmsg fills every further buffer with an empty message
        // (K-DGRAM-18).
        while batch.entries.pop_if(|last| last.len == 0).is_some() {}
        Ok(batch.len())
    }
}

impl Datagram {
    /// Sends each buffer as a message to the connected address, in order, many with one system
    /// call.
    ///
    /// Returns how many were sent. If one fails, this is fewer than all, and the next call with the
    /// rest returns the error. A blocking socket waits while the receiver's queue is full (see
    /// [`Datagram::send`]). `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the first message could not be sent: see [`Datagram::send`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::Datagram;
    ///
    /// let (one, _other) = Datagram::pair()?;
    /// one.set_nonblocking(true)?;
    /// let messages = vec![IoSlice::new(b"hello"); 5000];
    /// let sent = one.send_batch(&messages)?;
    /// assert!(sent > 0 && sent < 5000); // as many as the queue holds
    /// assert!(one.send_batch(&messages[sent..]).unwrap_err().is_would_block());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "sendmmsg")]
    pub fn send_batch(&self, messages: &[IoSlice<'_>]) -> Result<usize> {
        send_all(self.as_ref(), messages, None)
    }

    /// Sends each buffer as a message to an address, which is looked up as by
    /// [`Datagram::send_to`].
    ///
    /// Returns how many were sent, like [`Datagram::send_batch`].
    ///
    /// # Errors
    /// Returns an error if the first message could not be sent: see [`Datagram::send_to`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::{Batch, Datagram};
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.send_batch_to(&[IoSlice::new(b"a"), IoSlice::new(b"b")], &server.local_addr()?)?;
    /// let mut batch = Batch::new(16, 64);
    /// server.recv_batch(&mut batch)?;
    /// assert!(batch.iter().all(|message| message.from() == client.local_addr().unwrap()));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "sendmmsg")]
    pub fn send_batch_to(&self, messages: &[IoSlice<'_>], to: impl ToAddress) -> Result<usize> {
        let to = destination(&to)?;
        let target = self.target(&to)?;
        send_all(self.as_ref(), messages, Some(&target.raw)).map_err(|error| error.on(&to))
    }

    /// Receives up to a batch of messages with one system call.
    ///
    /// A blocking socket waits for the first message, then takes those that are already there.
    /// Returns how many were received. Messages that the policy refuses are dropped and counted.
    /// File descriptors that arrive with messages are closed. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait, or refused as much as one call may
    /// ([`ErrorKind::WouldBlock`]). A truncated message is reported by [`BatchMessage::bytes`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::{Batch, Datagram};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send_batch(&[IoSlice::new(b"first"), IoSlice::new(b"")])?;
    /// let mut batch = Batch::new(16, 64);
    /// assert_eq!(other.recv_batch(&mut batch)?, 2); // without waiting for 14 more
    /// assert_eq!(batch.iter().map(|message| message.sent_bytes()).collect::<Vec<_>>(), [5, 0]);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "recvmmsg")]
    pub fn recv_batch(&self, batch: &mut Batch) -> Result<usize> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            batch.receive(self.as_ref(), self.as_ref().asks_senders())?;
            let received = batch.len();
            batch
                .entries
                .retain(|entry| self.as_ref().allows(entry.credentials.and_then(Credentials::resolve)));
            if !batch.is_empty() {
                return Ok(batch.len());
            }
            refusals.add(self.as_ref(), received)?;
        }
    }
}
