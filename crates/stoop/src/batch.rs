//! Several datagrams or seqpackets with one system call.
//!
//! It saves the system calls and nothing else: each message still costs the kernel what a message
//! costs. Where small messages have to be fast, a stream with [`frame`](mod@crate::frame) is many
//! times faster.

use std::fmt;
use std::io::IoSlice;
use std::os::fd::AsFd;

use crate::control::Credentials;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::frame::PageBuffer;
use crate::packet;
use crate::refusals::Refusals;
use crate::socket::{Socket, retry};
use crate::sys::{self, BATCH_MAX, BatchEntry, RawAddress};
use crate::{Address, Datagram, SeqPacket};

/// Each message's room begins on a cache line.
const STRIDE_BYTES: usize = 64;

/// Room for several messages of one receive, used again and again.
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
///     assert!(message.bytes()?.len() >= 5); // an error where one was cut: it cannot be overlooked
/// }
/// # Ok::<(), stoop::Error>(())
/// ```
pub struct Batch {
    bytes: PageBuffer,
    message_bytes: usize,
    entries: Vec<BatchEntry>,
}

impl Batch {
    /// The most messages that a batch holds.
    pub const MESSAGES_MAX: usize = BATCH_MAX;

    /// Room for `messages`, 1 to [`Batch::MESSAGES_MAX`], of up to `message_bytes` each. All memory
    /// is allocated here.
    pub fn new(messages: usize, message_bytes: usize) -> Batch {
        let stride_bytes = stride(message_bytes);
        let bytes = PageBuffer::new(stride_bytes.saturating_mul(messages.clamp(1, BATCH_MAX)));
        Batch { bytes, message_bytes, entries: Vec::new() }
    }

    /// How many messages the last receive brought.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it brought none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages of the last receive, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BatchMessage<'_>> {
        self.entries.iter().map(|entry| {
            let start = entry.slot * stride(self.message_bytes);
            BatchMessage { room: &self.bytes[start..start + self.message_bytes], entry }
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
    room: &'a [u8],
    entry: &'a BatchEntry,
}

impl<'a> BatchMessage<'a> {
    /// The message.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTruncated`] where it was longer than the room: [`BatchMessage::cut`] has
    /// its start, the rest is lost.
    pub fn bytes(&self) -> Result<&'a [u8]> {
        let room_bytes = self.room.len();
        self.room.get(..self.entry.len).ok_or_else(|| {
            let detail = crate::message::truncation(self.entry.len, room_bytes);
            Error::new(Operation::Receive, ErrorKind::MessageTruncated, detail).with_received(room_bytes)
        })
    }

    /// The message, or as much as there was room for.
    pub fn cut(&self) -> &'a [u8] {
        &self.room[..self.entry.len.min(self.room.len())]
    }

    /// How long it was when it was sent, in bytes.
    pub fn sent_bytes(&self) -> usize {
        self.entry.len
    }

    /// Where it came from: unnamed on connected sockets and from unbound senders. Only a name: see
    /// [`Datagram::reply`].
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

/// Sends messages until all have gone or one fails. An error only where not even the first went.
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
    /// Sends each of these as a message, in order, many with one system call. Returns how many
    /// went: fewer than all where one failed, which the next call with the rest then reports.
    /// Waits for room on a blocking socket; `EINTR` is retried.
    ///
    /// # Errors
    /// As [`SeqPacket::send`], where not even the first went; an empty message refuses all.
    pub fn send_batch(&self, messages: &[IoSlice<'_>]) -> Result<usize> {
        messages.iter().try_for_each(|message| packet::refuse_empty(message))?;
        send_all(self, messages, None)
    }

    /// Receives messages with one system call: waits for the first on a blocking socket and takes
    /// what else is there. Returns how many came; 0 is the end. Descriptors that come along are
    /// closed. `EINTR` is retried.
    ///
    /// As for [`SeqPacket::recv`], an empty message of a foreign peer may look like the end.
    ///
    /// # Errors
    /// As [`SeqPacket::recv`], but a message that was cut shows when it is looked at: see
    /// [`BatchMessage::bytes`].
    pub fn recv_batch(&self, batch: &mut Batch) -> Result<usize> {
        batch.receive(self, false)?;
        // At the end every further room is filled with it too (K-DGRAM-18).
        while batch.entries.pop_if(|last| last.len == 0).is_some() {}
        Ok(batch.len())
    }
}

impl Datagram {
    /// Sends each of these as a message to the receiver named by connecting, in order, many with
    /// one system call. Returns how many went: fewer than all where one failed, which the next
    /// call with the rest then reports. Waits as [`Datagram::send`]; `EINTR` is retried.
    ///
    /// # Errors
    /// As [`Datagram::send`], where not even the first went.
    pub fn send_batch(&self, messages: &[IoSlice<'_>]) -> Result<usize> {
        send_all(self, messages, None)
    }

    /// The same, to an address, which is looked up as by [`Datagram::send_to`].
    ///
    /// # Errors
    /// As [`Datagram::send_to`], where not even the first went.
    pub fn send_batch_to(&self, messages: &[IoSlice<'_>], to: &Address) -> Result<usize> {
        let target = self.target(to)?;
        send_all(self, messages, Some(&target.raw)).map_err(|error| error.on(to))
    }

    /// Receives messages with one system call: waits for the first on a blocking socket and takes
    /// what else is there. Returns how many came. What the policy refuses is dropped and
    /// counted; descriptors that come along are closed. `EINTR` is retried.
    ///
    /// # Errors
    /// As [`Datagram::recv`], but a message that was cut shows when it is looked at: see
    /// [`BatchMessage::bytes`].
    pub fn recv_batch(&self, batch: &mut Batch) -> Result<usize> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            batch.receive(self, self.asks_senders())?;
            let received = batch.len();
            batch.entries.retain(|entry| self.admits(entry.credentials.and_then(Credentials::resolve)));
            if !batch.is_empty() {
                return Ok(batch.len());
            }
            refusals.add(self, received)?;
        }
    }
}
