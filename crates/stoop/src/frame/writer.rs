//! Messages to a descriptor.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::codec::{Codec, HEADER_ROOM_BYTES};
use super::encoder::Encoder;
use super::error::FrameError;
use super::native::Native;
use super::straight::{HEAD_BYTES, PIECE_BYTES, Straight, rest};
use crate::control::{self, DESCRIPTORS_MAX};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::{configure, retry};
use crate::sys;

/// Messages below this length in bytes are copied together; longer ones go out from where they lie.
const COPY_BELOW_BYTES: usize = 4096;

/// Sends messages on a stream: small ones gathered into few system calls, large ones without a
/// copy.
///
/// A message of less than 4 KiB is copied behind those that wait already; they go when 32 KiB have
/// come together, when [`FrameWriter::flush`] is called, or with [`FrameWriter::flush_if_older`]
/// when they have waited long enough. There is no thread that would flush by itself: **what was
/// sent and not flushed stays here**. A larger message takes along all that waits and goes at once.
/// Dropping a writer flushes it, and cannot say whether that worked.
///
/// On a [`Stream`](crate::Stream) nothing raises `SIGPIPE`. `EINTR` is retried.
///
/// On a non-blocking stream, and when a write timeout runs out, a call may fail with
/// [`ErrorKind::WouldBlock`]. A message is then either taken whole (`Ok`) or not at all (an error):
/// send it again in the second case only. Of a large message whose first bytes have gone the rest
/// is copied and kept, so that at most one such and 32 KiB wait.
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
///     // A loop that also does other things comes by here often: nothing waits longer than a millisecond.
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
    /// When the oldest message that waits was sent.
    waiting_since: Option<Instant>,
}

impl<W: Write, C: Codec> FrameWriter<W, C> {
    /// Sends messages on `io`. Allocates nothing before the first of them.
    pub fn new(io: W, codec: C) -> FrameWriter<W, C> {
        FrameWriter { io, encoder: Encoder::new(codec), waiting_since: None }
    }

    /// The longest message to take, in bytes; [`DEFAULT_MAX_BYTES`](super::DEFAULT_MAX_BYTES)
    /// unless told otherwise.
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameWriter<W, C> {
        self.encoder.set_max_bytes(max_bytes);
        self
    }

    /// How many bytes come together at most before they go; 32 KiB unless told otherwise, 4 KiB at
    /// least.
    pub fn gather_bytes(mut self, gather_bytes: usize) -> FrameWriter<W, C> {
        self.encoder.set_gather_bytes(gather_bytes);
        self
    }

    /// Sends a message: copies it to those that wait, or has it go at once where it is large.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTooLarge`] beyond the limit, [`ErrorKind::Unsupported`] for what this
    /// framing cannot carry, [`ErrorKind::WouldBlock`]: in these the message was not taken, and the
    /// stream is as it was. Whatever writing fails with, such as [`ErrorKind::PeerGone`]: the
    /// stream is then of no more use.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        if message.len() < COPY_BELOW_BYTES && self.push(message)? {
            return Ok(());
        }
        self.send_now(message)
    }

    /// Sends all that waits. On a blocking stream it waits for room.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`]: a part may have gone, the rest still waits. Whatever writing fails with.
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

    /// Flushes if the oldest message that waits was sent at least `limit` ago. Returns whether
    /// anything went.
    ///
    /// # Errors
    /// As [`FrameWriter::flush`].
    pub fn flush_if_older(&mut self, limit: Duration) -> Result<bool> {
        let is_due = self.waiting_since.is_some_and(|since| since.elapsed() >= limit);
        if is_due {
            self.flush()?;
        }
        Ok(is_due)
    }

    /// When the oldest message that waits was sent: from this a loop knows how long it may sleep.
    pub fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    /// How many bytes wait.
    pub fn pending_bytes(&self) -> usize {
        self.encoder.pending().len()
    }

    /// The stream. Writing to it puts bytes between the messages.
    pub fn get_ref(&self) -> &W {
        &self.io
    }

    /// Copies a message behind those that wait, if there is room.
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
            return self.send_straight(message);
        }
        match self.flush() {
            Err(error) if !error.is_would_block() => Err(error),
            // A part that has gone may be room enough.
            flushed => {
                if self.push(message)? {
                    Ok(())
                } else {
                    flushed
                }
            }
        }
    }

    /// Sends what waits and then a large message, the latter from where it lies.
    fn send_straight(&mut self, message: &[u8]) -> Result<()> {
        let mut room = [0; HEADER_ROOM_BYTES];
        let header_bytes = self.encoder.header(message, 0, &mut room).map_err(framing)?;
        let header = &room[..header_bytes];
        if self.encoder.pending().len() + header_bytes > HEAD_BYTES {
            self.flush()?;
        }
        let mut straight = Straight::new(self.encoder.pending(), [header, message, C::TRAILER]);
        let result = loop {
            let Some(piece) = straight.piece() else { break Ok(()) };
            match retry(|| not_zero(self.io.write_vectored(&piece))) {
                Ok(count) => straight.advance(count),
                Err(cause) => break Err(sending(cause)),
            }
        };
        let (of_pending, of_frame) = straight.sent();
        self.consume(of_pending);
        if of_frame == 0 {
            return result;
        }
        self.keep(rest([header, message, C::TRAILER], of_frame));
        or_later(result)
    }

    /// Keeps what has not gone of a frame. Nothing else may be waiting.
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
    /// Asks for a larger send buffer, of which the kernel grants up to `net.core.wmem_max`: large
    /// messages then go in fewer turns, often twice as fast. It is memory that a slow receiver
    /// can make this process hold.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor, or one that is no socket.
    pub fn send_buffer_bytes(self, bytes: usize) -> Result<FrameWriter<W, C>> {
        sys::set_send_buffer_bytes(self.io.as_fd(), bytes).map_err(configure)?;
        Ok(self)
    }
}

impl<W: Write + AsFd> FrameWriter<W, Native> {
    /// Sends a message with descriptors, at most [`DESCRIPTORS_MAX`], at once and behind all that
    /// waits. The receiver gets its own copies with exactly this message
    /// ([`FrameReader::next_with_descriptors`](super::FrameReader::next_with_descriptors)).
    ///
    /// Only [`Native`] does this: without an announcement in the header nobody can tell which
    /// message descriptors belong to, since a read may begin with older bytes (K-FD-5).
    ///
    /// # Errors
    /// As [`FrameWriter::send`]; [`ErrorKind::NotPermitted`] where the receiver refuses
    /// descriptors, [`ErrorKind::TooManyInFlight`].
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
        // Descriptors come with the first byte of their call, and that has to be this frame's.
        self.flush()?;
        let control = encode(descriptors)?;
        let (io, buffers) = (&self.io, [IoSlice::new(header), IoSlice::new(message)]);
        let count = retry(|| sys::send_message(io.as_fd(), &buffers, None, &control)).map_err(sending)?;
        self.keep(rest([header, message, &[]], count));
        or_later(self.flush())
    }
}

/// What a full socket has not taken waits; that is no failure.
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

/// A stream that takes nothing never will.
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
        // Nobody is left to tell; who wants to know flushes before.
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
