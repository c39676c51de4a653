//! Writing messages to a stream.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::codec::{Codec, HEADER_ROOM_BYTES};
use super::direct_write::{DirectWrite, HEAD_BYTES, PIECE_BYTES, rest};
use super::encoder::Encoder;
use super::error::FrameError;
use super::native::Native;
use crate::control::{self, DESCRIPTORS_MAX};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::{configure, retry};
use crate::sys;

/// Messages below this length, in bytes, are copied into the batch. Longer ones are sent without
/// copying.
const COPY_BELOW_BYTES: usize = 4096;

/// Sends messages on a stream: small ones batched into few system calls, large ones without
/// copying.
///
/// A message of less than 4 KiB is appended to the batch. The batch is sent when it reaches 32 KiB,
/// when [`FrameWriter::flush`] is called, or when [`FrameWriter::flush_if_older`] finds that it has
/// waited long enough. No thread flushes in the background: **a message that is not flushed is not
/// sent**. A larger message is sent immediately, together with the batch. Dropping a writer flushes
/// it and ignores errors.
///
/// On a [`Stream`](crate::Stream), sending never raises `SIGPIPE`. `EINTR` is retried.
///
/// If the stream is nonblocking, or a write timeout expires, a call may fail with
/// [`ErrorKind::WouldBlock`]. A message is then either accepted completely (`Ok`) or not at all (an
/// error). Send it again only in the second case. If a large message was sent in part, its rest is
/// copied and kept. So at most one such rest and 32 KiB are pending.
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
    encoder: Encoder<C>,
    /// When the oldest pending message was sent.
    waiting_since: Option<Instant>,
}

impl<W: Write, C: Codec> FrameWriter<W, C> {
    /// Creates a writer. Memory is allocated with the first message.
    pub fn new(io: W, codec: C) -> FrameWriter<W, C> {
        FrameWriter { io, encoder: Encoder::new(codec), waiting_since: None }
    }

    /// Sets the maximum length of a message, in bytes. The default is
    /// [`DEFAULT_MAX_BYTES`](super::DEFAULT_MAX_BYTES).
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameWriter<W, C> {
        self.encoder.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of a batch, in bytes. The default is 32 KiB; the minimum is 4 KiB.
    pub fn batch_bytes(mut self, batch_bytes: usize) -> FrameWriter<W, C> {
        self.encoder.set_batch_bytes(batch_bytes);
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
    /// - writing fails, for example because the peer has closed ([`ErrorKind::PeerGone`]).
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
        if message.len() < COPY_BELOW_BYTES && self.push(message)? {
            return Ok(());
        }
        self.send_now(message)
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
        while !self.encoder.is_empty() {
            let (io, pending) = (&mut self.io, self.encoder.pending());
            let piece =
                if pending.len() > PIECE_BYTES + HEAD_BYTES { &pending[..PIECE_BYTES] } else { pending };
            let count = retry(|| not_zero(io.write(piece))).map_err(sending)?;
            self.consume(count);
        }
        retry(|| self.io.flush()).map_err(sending)
    }

    /// Flushes if the oldest pending message was sent at least `limit` ago. Returns whether
    /// anything was sent.
    ///
    /// # Errors
    /// Returns an error if [`FrameWriter::flush`] does: if it would block, or if writing fails.
    pub fn flush_if_older(&mut self, limit: Duration) -> Result<bool> {
        let is_due = self.waiting_since.is_some_and(|since| since.elapsed() >= limit);
        if is_due {
            self.flush()?;
        }
        Ok(is_due)
    }

    /// Returns when the oldest pending message was sent. From this, an event loop computes how long
    /// it may sleep.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
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
    /// assert_eq!(writer.waiting_since(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pending_bytes(&self) -> usize {
        self.encoder.pending().len()
    }

    /// Returns a reference to the stream. Writing to it inserts bytes between the messages.
    pub fn get_ref(&self) -> &W {
        &self.io
    }

    /// Appends a message to the batch, if there is space.
    #[inline]
    fn push(&mut self, message: &[u8]) -> Result<bool> {
        let is_first = self.encoder.is_empty();
        let taken = self.encoder.push(message).map_err(framing)?;
        if is_first && taken {
            self.waiting_since = Some(Instant::now());
        }
        Ok(taken)
    }

    #[cold]
    fn send_now(&mut self, message: &[u8]) -> Result<()> {
        if message.len() >= COPY_BELOW_BYTES {
            return self.send_direct(message);
        }
        match self.flush() {
            Err(error) if !error.is_would_block() => Err(error),
            // Even a partial flush may have made enough space.
            flushed => {
                if self.push(message)? {
                    Ok(())
                } else {
                    flushed
                }
            }
        }
    }

    /// Sends the batch and then a large message, the latter without copying.
    fn send_direct(&mut self, message: &[u8]) -> Result<()> {
        let mut room = [0; HEADER_ROOM_BYTES];
        let header_bytes = self.encoder.header(message, 0, &mut room).map_err(framing)?;
        let header = &room[..header_bytes];
        if self.encoder.pending().len() + header_bytes > HEAD_BYTES {
            self.flush()?;
        }
        let mut direct = DirectWrite::new(self.encoder.pending(), [header, message, C::TRAILER]);
        let result = loop {
            let Some(piece) = direct.piece() else { break Ok(()) };
            match retry(|| not_zero(self.io.write_vectored(&piece))) {
                Ok(count) => direct.advance(count),
                Err(cause) => break Err(sending(cause)),
            }
        };
        let (of_pending, of_frame) = direct.sent();
        self.consume(of_pending);
        if of_frame == 0 {
            return result;
        }
        self.keep(rest([header, message, C::TRAILER], of_frame));
        or_later(result)
    }

    /// Keeps the unsent rest of a frame. Nothing else may be pending.
    fn keep(&mut self, rest: [&[u8]; 3]) {
        self.encoder.push_rest(&rest);
        if !self.encoder.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    fn consume(&mut self, len_bytes: usize) {
        self.encoder.consume(len_bytes);
        if self.encoder.is_empty() {
            self.waiting_since = None;
        }
    }
}

impl<W: Write + AsFd, C: Codec> FrameWriter<W, C> {
    /// Sets the size of the send buffer (`SO_SNDBUF`), which the kernel caps at
    /// `net.core.wmem_max`.
    ///
    /// With a larger buffer, large messages take fewer turns, often at twice the speed. A slow
    /// receiver can make this process hold that much memory.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid or is not a socket.
    pub fn send_buffer_bytes(self, bytes: usize) -> Result<FrameWriter<W, C>> {
        sys::set_send_buffer_bytes(self.io.as_fd(), bytes).map_err(configure)?;
        Ok(self)
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
    /// bytes (K-FD-5).
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
    pub fn send_with_descriptors(&mut self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let Some(count) = u8::try_from(descriptors.len()).ok().filter(|&n| usize::from(n) <= DESCRIPTORS_MAX)
        else {
            let detail =
                format!("{} descriptors in one message; at most {DESCRIPTORS_MAX} fit", descriptors.len());
            return Err(Error::new(Operation::Send, ErrorKind::Unsupported, detail));
        };
        let mut room = [0; HEADER_ROOM_BYTES];
        let header_bytes = self.encoder.header(message, count, &mut room).map_err(framing)?;
        let header = &room[..header_bytes];
        // The kernel attaches file descriptors to the first byte of a `sendmsg`, which must be this
        // frame's.
        self.flush()?;
        let control = encode(descriptors)?;
        let (io, buffers) = (&self.io, [IoSlice::new(header), IoSlice::new(message)]);
        let count = retry(|| sys::send_message(io.as_fd(), &buffers, None, &control)).map_err(sending)?;
        self.keep(rest([header, message, &[]], count));
        or_later(self.flush())
    }
}

/// If the socket is full, the bytes stay pending, which is not an error.
fn or_later(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_would_block() => Ok(()),
        result => result,
    }
}

fn encode(descriptors: &[BorrowedFd<'_>]) -> Result<Vec<u8>> {
    let mut room = vec![0; control::space(descriptors.len() * 4)];
    let mut encoder = control::Encoder::new(&mut room);
    encoder
        .descriptors(descriptors.iter().map(|fd| fd.as_raw_fd()))
        .map_err(|error| Error::new(Operation::Send, ErrorKind::Other, error.to_string()))?;
    let used_bytes = encoder.finish().len();
    room.truncate(used_bytes);
    Ok(room)
}

/// Writing zero bytes is an error: such a stream never makes progress.
fn not_zero(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

fn sending(cause: io::Error) -> Error {
    Error::system(Operation::Send, cause)
}

fn framing(error: FrameError) -> Error {
    error.during(Operation::Send)
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
            .field("encoder", &self.encoder)
            .finish_non_exhaustive()
    }
}
