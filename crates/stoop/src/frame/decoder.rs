//! Decoding bytes into messages: the caller fills a buffer, the decoder finds complete messages in
//! it.
//!
//! Pure: no I/O, no clock, no file descriptors. Memory is bounded by the limit and the size of a
//! read.

use std::fmt;
use std::ops::Range;

use super::buffer::{PAGE_BYTES, PageBuffer};
use super::codec::{Codec, Head, Step};
use super::error::FrameError;
use super::native::Native;

/// The default size of a read, in bytes.
const DEFAULT_READ_BYTES: usize = 64 << 10;

/// The minimum size of a read, in bytes.
const LEAST_READ_BYTES: usize = 64;

/// Up to this many unread bytes are moved to where reading is fastest. More are moved only if
/// space cannot be made otherwise.
const CHEAP_MOVE_BYTES: usize = 256;

/// A buffer that has grown beyond this for one long message is freed once only short ones follow.
const KEEP_BYTES: usize = 2 << 20;

/// Finds messages in a stream that arrives in pieces.
///
/// Write to [`Decoder::room`], call [`Decoder::filled`], and take messages until there are none.
/// [`FrameReader`](super::FrameReader) does this for a file descriptor; the decoder alone works
/// with any transport.
///
/// ```
/// use stoop::frame::LengthDelimited;
/// use stoop::internal::Decoder;
///
/// let mut decoder = Decoder::new(LengthDelimited::BIG_ENDIAN);
/// for piece in [&[0, 0, 0][..], &[5, b'h', b'e'], &[b'l', b'l', b'o', 0]] {
///     decoder.room()[..piece.len()].copy_from_slice(piece);
///     decoder.filled(piece.len());
/// }
/// assert_eq!(decoder.next()?, Some(&b"hello"[..]));
/// assert_eq!(decoder.next()?, None);
/// assert!(decoder.finish().is_err()); // a byte of the next header is left
/// # Ok::<(), stoop::internal::FrameError>(())
/// ```
pub struct Decoder<C = Native> {
    codec: C,
    max_bytes: usize,
    read_bytes: usize,
    buffer: PageBuffer,
    /// The unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// How many unread bytes the codec has searched without finding a frame.
    searched_bytes: usize,
    /// The length of the first unread frame, header and trailer included; 0 if not known yet.
    expected_bytes: usize,
    /// The stream position of `buffer[0]`, modulo 2⁶⁴.
    base: u64,
    failure: Option<FrameError>,
}

/// The range of a complete message in the buffer, valid until the buffer is written to again.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    message: Range<usize>,
    /// The number of file descriptors that its header announces.
    pub(crate) descriptors: u8,
    /// The stream position at which its header begins.
    pub(crate) position: u64,
}

/// The frame with which the unread bytes begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextFrame {
    header_bytes: usize,
    pub(crate) len_bytes: usize,
    pub(crate) descriptors: u8,
    /// Whether it has arrived completely.
    pub(crate) is_whole: bool,
}

impl<C: Codec> Decoder<C> {
    /// Creates an empty decoder. Memory is allocated when [`Decoder::room`] is first called.
    pub fn new(codec: C) -> Decoder<C> {
        const { assert!(C::HEADER_MAX_BYTES <= super::codec::HEADER_ROOM_BYTES) };
        Decoder {
            codec,
            max_bytes: super::DEFAULT_MAX_BYTES,
            read_bytes: DEFAULT_READ_BYTES,
            buffer: PageBuffer::default(),
            start: 0,
            end: 0,
            searched_bytes: 0,
            expected_bytes: 0,
            base: 0,
            failure: None,
        }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    ///
    /// ```
    /// use stoop::frame::Lines;
    /// use stoop::internal::{Decoder, FrameError};
    ///
    /// let mut decoder = Decoder::new(Lines).max_bytes(4);
    /// decoder.room()[..6].copy_from_slice(b"abcdef");
    /// decoder.filled(6);
    /// // The line is too long, although its end has not arrived.
    /// let error = FrameError::TooLong { len_bytes: 6, max_bytes: 4 };
    /// assert_eq!(decoder.next(), Err(error));
    /// assert_eq!(decoder.failure(), Some(error)); // permanent
    /// ```
    pub fn max_bytes(mut self, max_bytes: usize) -> Decoder<C> {
        self.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of a read, in bytes. The default is 64 KiB; the minimum is 64 bytes.
    pub fn read_bytes(mut self, read_bytes: usize) -> Decoder<C> {
        self.set_read_bytes(read_bytes);
        self
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(isize::MAX as usize / 4);
    }

    pub(crate) fn set_read_bytes(&mut self, read_bytes: usize) {
        self.read_bytes = read_bytes.clamp(LEAST_READ_BYTES, isize::MAX as usize / 4);
    }

    /// Returns the next message if it has arrived completely. It stays valid until
    /// [`Decoder::room`] is called.
    ///
    /// # Errors
    /// Returns an error if the stream cannot be decoded any further. The buffered bytes are
    /// dropped, and every later call returns the same error.
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let span = self.advance()?;
        Ok(span.map(|span| self.message(&span)))
    }

    /// Returns the space for the next bytes, which is never empty.
    ///
    /// Call it after [`Decoder::next`] has returned `None`. The buffer then grows to at most the
    /// limit plus one read and three pages. If a long message is expected, the space ends soon
    /// after it, so that the next message can be placed where reading is fastest.
    pub fn room(&mut self) -> &mut [u8] {
        let unread_bytes = self.end - self.start;
        let is_long = self.expected_bytes >= self.read_bytes / 4 && self.expected_bytes > unread_bytes;
        // A long message gets space for its rest and for one more header, and no more: the next message
        // is then read separately, to the start of a page.
        let (wanted_bytes, least_bytes) = if is_long {
            let wanted_bytes = self.expected_bytes - unread_bytes + C::HEADER_MAX_BYTES;
            (wanted_bytes, wanted_bytes)
        } else {
            (self.read_bytes, self.read_bytes / 2)
        };
        if unread_bytes <= CHEAP_MOVE_BYTES || self.buffer.len() - self.end < least_bytes {
            self.relocate(wanted_bytes);
        }
        let end = self.buffer.len().min(self.end + wanted_bytes);
        &mut self.buffer[self.end..end]
    }

    /// Records that the first `len_bytes` of the space have been filled.
    ///
    /// # Panics
    /// Panics if the space is smaller.
    pub fn filled(&mut self, len_bytes: usize) {
        assert!(len_bytes <= self.buffer.len() - self.end, "filled more than the room");
        if self.failure.is_none() {
            self.end += len_bytes;
        }
    }

    /// Records that the stream has ended.
    ///
    /// # Errors
    /// Returns an error if the stream ended inside a frame ([`FrameError::UnexpectedEnd`]), or if
    /// it was undecodable before.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        match self.end - self.start {
            0 => self.failure.map_or(Ok(()), Err),
            received_bytes => self.fail(FrameError::UnexpectedEnd { received_bytes }),
        }
    }

    /// Returns the error that made the stream undecodable, if any.
    pub fn failure(&self) -> Option<FrameError> {
        self.failure
    }

    /// Returns how many bytes are buffered that are not part of a delivered message.
    pub fn unread_bytes(&self) -> usize {
        self.end - self.start
    }

    /// Returns the current size of the buffer, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Moves the unread bytes so that the next read goes to the start of a page, with space for
    /// that read.
    ///
    /// The kernel's buffers begin where a write began. If the destination begins on a page boundary
    /// too, both sides of the copy are aligned alike, for this message and for each long one that
    /// follows.
    fn relocate(&mut self, wanted_bytes: usize) {
        let unread_bytes = self.end - self.start;
        let read_at = unread_bytes.next_multiple_of(PAGE_BYTES);
        let origin = read_at - unread_bytes;
        // Double the space for a long line, whose end is unknown: otherwise every read would copy
        // it.
        let needed_bytes = (read_at + wanted_bytes).max(2 * unread_bytes.min(self.max_bytes / 2));
        let is_spent = self.buffer.len() > KEEP_BYTES && needed_bytes <= KEEP_BYTES;
        if self.buffer.len() < needed_bytes || is_spent {
            let mut buffer = PageBuffer::new(needed_bytes.next_multiple_of(PAGE_BYTES));
            buffer[origin..read_at].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = buffer;
        } else {
            self.buffer.copy_within(self.start..self.end, origin);
        }
        // The unread bytes keep their stream position while they move within the buffer.
        self.base = self.position().wrapping_sub(origin as u64);
        (self.start, self.end) = (origin, read_at);
    }

    /// Does the same as [`Decoder::next`], but returns the range of the message instead of lending
    /// it.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<Span>, FrameError> {
        let unread = &self.buffer[self.start..self.end];
        let step = self.codec.decode(unread, self.searched_bytes);
        if let Ok(Step::Frame { header_bytes, head }) = step
            && head.len_bytes <= self.max_bytes as u64
        {
            // The fast path: the frame is complete. Anything else is evaluated in `incomplete`.
            let (len_bytes, position) = (head.len_bytes as usize, self.position());
            let frame_bytes = header_bytes + len_bytes + C::TRAILER.len();
            if frame_bytes <= unread.len() {
                let message = self.start + header_bytes..self.start + header_bytes + len_bytes;
                self.start += frame_bytes;
                self.forget_first();
                return Ok(Some(Span { message, descriptors: head.descriptors, position }));
            }
        }
        self.incomplete(step).map(|_| None)
    }

    /// Returns the bytes of a message that [`Decoder::advance`] has found.
    #[inline]
    pub(crate) fn message(&self, span: &Span) -> &[u8] {
        &self.buffer[span.message.clone()]
    }

    /// Returns the next frame without consuming it, or `None` if its length is not known yet.
    pub(crate) fn peek_frame(&mut self) -> Result<Option<NextFrame>, FrameError> {
        let step = self.codec.decode(&self.buffer[self.start..self.end], self.searched_bytes);
        self.incomplete(step)
    }

    /// Evaluates the header of the first, incomplete frame, and records what that means for the
    /// next read.
    fn incomplete(&mut self, step: Result<Step, FrameError>) -> Result<Option<NextFrame>, FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let (unread_bytes, max_bytes) = (self.unread_bytes(), self.max_bytes as u64);
        match step {
            Err(error) => self.fail(error),
            Ok(Step::More) if unread_bytes < self.max_bytes + C::HEADER_MAX_BYTES + C::TRAILER.len() => {
                self.searched_bytes = unread_bytes;
                Ok(None)
            }
            // No end within the limit: with `Lines`, no header announces the length.
            Ok(Step::More) => self.fail(FrameError::TooLong { len_bytes: unread_bytes as u64, max_bytes }),
            Ok(Step::Frame { head: Head { len_bytes, .. }, .. }) if len_bytes > max_bytes => {
                self.fail(FrameError::TooLong { len_bytes, max_bytes })
            }
            Ok(Step::Frame { header_bytes, head }) => {
                let len_bytes = head.len_bytes as usize;
                self.expected_bytes = header_bytes + len_bytes + C::TRAILER.len();
                let is_whole = self.expected_bytes <= unread_bytes;
                Ok(Some(NextFrame { header_bytes, len_bytes, descriptors: head.descriptors, is_whole }))
            }
        }
    }

    /// Makes an error permanent.
    pub(crate) fn fail<T>(&mut self, error: FrameError) -> Result<T, FrameError> {
        let failure = *self.failure.get_or_insert(error);
        self.start = self.end;
        self.forget_first();
        Err(failure)
    }

    fn forget_first(&mut self) {
        self.searched_bytes = 0;
        self.expected_bytes = 0;
    }

    /// Returns the stream position at which the unread bytes begin.
    fn position(&self) -> u64 {
        self.base.wrapping_add(self.start as u64)
    }

    /// Returns the stream position at which the received bytes end.
    pub(crate) fn filled_position(&self) -> u64 {
        self.base.wrapping_add(self.end as u64)
    }

    /// Begins reading a frame directly into the caller's `message`: copies the bytes that have
    /// arrived and returns how many. The header stays unread until [`Decoder::completed`] or
    /// [`Decoder::given_back`].
    pub(crate) fn lend_message(&mut self, next: NextFrame, message: &mut [u8]) -> usize {
        let from = self.start + next.header_bytes;
        let came = &self.buffer[from..self.end];
        message[..came.len()].copy_from_slice(came);
        let len_bytes = came.len();
        // Only the header stays: the message's bytes now have one owner, the caller's buffer.
        self.end = from;
        len_bytes
    }

    /// Returns space for the next frame's header, which may arrive in the same read, while a
    /// message is read directly.
    pub(crate) fn header_room(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.end < C::HEADER_MAX_BYTES {
            self.relocate(C::HEADER_MAX_BYTES);
        }
        &mut self.buffer[self.end..self.end + C::HEADER_MAX_BYTES]
    }

    /// Records that the directly read message is complete, and that `extra_bytes` after it are in
    /// the header space.
    pub(crate) fn completed(&mut self, next: NextFrame, extra_bytes: usize) {
        self.start += next.header_bytes;
        self.end = self.start + extra_bytes;
        // Its bytes were never in the buffer.
        self.base = self.base.wrapping_add(next.len_bytes as u64);
        self.forget_first();
    }

    /// Takes back what has arrived of an incomplete, directly read message.
    pub(crate) fn given_back(&mut self, message: &[u8]) {
        let mut left = message;
        while !left.is_empty() {
            let room = self.room();
            let count = room.len().min(left.len());
            room[..count].copy_from_slice(&left[..count]);
            self.filled(count);
            left = &left[count..];
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Decoder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("codec", &self.codec)
            .field("unread_bytes", &(self.end - self.start))
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
