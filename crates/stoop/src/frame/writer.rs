//! Writing messages to a stream.

use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::codec::Codec;
use super::native::Native;
use super::outbound::Outbound;
#[cfg(doc)]
use crate::control::DESCRIPTORS_MAX;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;

/// Sends messages on a stream: small ones batched into few system calls, large ones without
/// copying.
///
/// A message of less than 4 KiB is appended to the batch. The batch is sent when it is full, when
/// [`FrameWriter::flush`] is called, or when [`FrameWriter::flush_if_older`] finds that it has
/// waited long enough. It is full at 32 KiB, and at up to 128 KiB while batches fill within a
/// millisecond: larger writes wake the reader less often. No thread flushes in the background:
/// **a message that is not flushed is not sent**. A larger message is sent immediately, together
/// with the batch. Dropping a writer flushes it and ignores errors.
///
/// On a [`Stream`](crate::Stream), sending never raises `SIGPIPE`. `EINTR` is retried.
///
/// If the stream is nonblocking, or a write timeout expires, a call may fail with
/// [`ErrorKind::WouldBlock`]. A message is then either accepted completely (`Ok`) or not at all (an
/// error). Send it again only in the second case. If a large message was sent in part, its rest is
/// copied and kept. So at most one such rest and 128 KiB are pending.
///
/// ```
/// use std::time::Duration;
/// use stoop::Stream;
/// use stoop::frame::{FrameReader, FrameWriter, Native};
///
/// let (one, other) = Stream::pair()?;
/// let mut writer = FrameWriter::new(&one, Native);
/// for number in 0..1000u32 {
///     writer.send(&number.to_le_bytes())?;
///     // Called often by an event loop: no message waits longer than a millisecond.
///     writer.flush_if_older(Duration::from_millis(1))?;
/// }
/// writer.flush()?;
/// let mut reader = FrameReader::new(&other, Native);
/// for number in 0..1000u32 {
///     assert_eq!(reader.next()?, Some(&number.to_le_bytes()[..]));
/// }
/// # Ok::<(), stoop::Error>(())
/// ```
pub struct FrameWriter<W: Write, C: Codec = Native> {
    io: W,
    outbound: Outbound<C>,
}

impl<W: Write, C: Codec> FrameWriter<W, C> {
    /// Creates a writer. Memory is allocated with the first message.
    pub fn new(io: W, codec: C) -> FrameWriter<W, C> {
        FrameWriter { io, outbound: Outbound::new(codec) }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameWriter<W, C> {
        self.outbound.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of the largest batch, in bytes. The default is 128 KiB; the minimum is 4 KiB.
    pub fn batch_bytes(mut self, batch_bytes: usize) -> FrameWriter<W, C> {
        self.outbound.set_batch_bytes(batch_bytes);
        self
    }

    /// Sends a message: appends it to the batch, or writes it immediately if it is large.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message exceeds the limit ([`ErrorKind::MessageTooLarge`]);
    /// - this framing cannot carry the message ([`ErrorKind::Unsupported`]);
    /// - the call would block ([`ErrorKind::WouldBlock`]);
    /// - writing fails, for example because the peer has closed ([`ErrorKind::PeerClosed`]).
    ///
    /// In the first three cases the message was not accepted and the stream is intact. After a
    /// failed write the stream is unusable.
    ///
    /// # Examples
    /// ```
    /// use stoop::frame::{FrameReader, FrameWriter, Lines};
    /// use stoop::{ErrorKind, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let mut writer = FrameWriter::new(one, Lines);
    /// writer.send(b"a line")?;
    /// let error = writer.send(b"two\nlines").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported); // rejected, and the stream is intact
    /// writer.send(b"another")?;
    /// drop(writer); // flushes
    /// let mut reader = FrameReader::new(other, Lines);
    /// assert_eq!(reader.next()?, Some(&b"a line"[..]));
    /// assert_eq!(reader.next()?, Some(&b"another"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        self.outbound.send(&mut self.io, message)
    }

    /// Sends all pending bytes. On a blocking stream it waits for space.
    ///
    /// # Errors
    /// Returns an error if the call would block ([`ErrorKind::WouldBlock`]) or writing fails. In
    /// the first case some bytes may have been sent, and the rest stays pending.
    ///
    /// # Examples
    /// ```
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    /// use stoop::{ErrorKind, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// other.set_nonblocking(true)?;
    /// let mut reader = FrameReader::new(other, Native);
    /// let mut writer = FrameWriter::new(one, Native);
    /// writer.send(b"hello")?;
    /// // A message that is not flushed is not sent.
    /// assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// writer.flush()?;
    /// assert_eq!(reader.next()?, Some(&b"hello"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&mut self) -> Result<()> {
        self.outbound.flush(&mut self.io)
    }

    /// Flushes if the oldest pending message was sent at least `limit` ago. Returns whether
    /// anything was sent.
    ///
    /// # Errors
    /// Returns an error if [`FrameWriter::flush`] does: if it would block, or if writing fails.
    pub fn flush_if_older(&mut self, limit: Duration) -> Result<bool> {
        let is_due = self.outbound.waiting_since().is_some_and(|since| since.elapsed() >= limit);
        if is_due {
            self.flush()?;
        }
        Ok(is_due)
    }

    /// Returns when the oldest pending message was sent. From this, an event loop computes how long
    /// it may sleep.
    #[doc(hidden)]
    pub fn waiting_since(&self) -> Option<Instant> {
        self.outbound.waiting_since()
    }

    /// Returns how many bytes are pending.
    ///
    /// ```
    /// use stoop::Stream;
    /// use stoop::frame::{FrameWriter, LengthDelimited};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// let mut writer = FrameWriter::new(one, LengthDelimited::BIG_ENDIAN);
    /// writer.send(b"hello")?;
    /// assert_eq!(writer.pending_bytes(), 9); // with the header
    /// writer.flush()?;
    /// assert_eq!(writer.pending_bytes(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pending_bytes(&self) -> usize {
        self.outbound.pending_bytes()
    }

    /// Returns a reference to the stream. Writing to it inserts bytes between the messages.
    pub fn get_ref(&self) -> &W {
        &self.io
    }
}

impl<W: Write + AsFd> FrameWriter<W, Native> {
    /// Sends a message with at most [`DESCRIPTORS_MAX`] file descriptors, immediately and after all
    /// pending bytes.
    ///
    /// The receiver gets its own copies together with exactly this message
    /// ([`FrameReader::next_with_descriptors`](super::FrameReader::next_with_descriptors)).
    ///
    /// Only [`Native`] supports this. Without an announcement in the header a receiver cannot
    /// determine to which message file descriptors belong, because a read may begin with older
    /// bytes ([K-FD-5]).
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message cannot be sent ([`FrameWriter::send`] lists the cases);
    /// - there are too many file descriptors ([`ErrorKind::Unsupported`]);
    /// - the receiver refuses file descriptors ([`ErrorKind::NotPermitted`]);
    /// - too many are in flight ([`ErrorKind::TooManyInFlight`]).
    ///
    /// # Examples
    /// ```
    /// use std::os::fd::AsFd;
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    /// use stoop::{Allow, ErrorKind, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let mut writer = FrameWriter::new(one, Native);
    /// let too_many = vec![pipe.as_fd(); 254];
    /// let error = writer.send_with_descriptors(b"pipes", &too_many).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported);
    /// writer.send_with_descriptors(b"a pipe", &[pipe.as_fd()])?; // not batched
    ///
    /// let mut reader = FrameReader::new(other, Native);
    /// let (message, descriptors) = reader.next_with_descriptors(Allow::descriptors(1))?.unwrap();
    /// assert_eq!((message, descriptors.len()), (&b"a pipe"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-FD-5]: crate::kernel_facts#K-FD-5
    pub fn send_with_descriptors(&mut self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        self.outbound.send_with_descriptors(&mut self.io, message, descriptors)
    }
}

impl<W: Write, C: Codec> Drop for FrameWriter<W, C> {
    fn drop(&mut self) {
        // A drop cannot report errors. Callers that need them flush first.
        let _ = self.flush();
    }
}

impl<W: Write + fmt::Debug, C: Codec + fmt::Debug> fmt::Debug for FrameWriter<W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriter")
            .field("io", &self.io)
            .field("outbound", &self.outbound)
            .finish_non_exhaustive()
    }
}
