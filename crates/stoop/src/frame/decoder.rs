//! From bytes to messages: a buffer that is filled from outside and gives out what is whole.
//!
//! Pure: no I/O, no clock, no descriptor. What it holds is bounded by the limit and the size of a
//! read.

use std::fmt;
use std::ops::Range;

use super::buffer::{PAGE_BYTES, PageBuffer};
use super::codec::{Codec, Head, Step};
use super::error::FrameError;
use super::native::Native;

/// How much a reader asks for at once, in bytes, unless told otherwise.
const DEFAULT_READ_BYTES: usize = 64 << 10;

/// The least that it can be told.
const LEAST_READ_BYTES: usize = 64;

/// So few unread bytes are moved to where reading is fastest; more only when there is no other way
/// to make room.
const CHEAP_MOVE_BYTES: usize = 256;

/// A buffer that has grown beyond this for one long message is given back once only short ones
/// follow.
const KEEP_BYTES: usize = 2 << 20;

/// Finds the messages in a stream that comes in pieces.
///
/// Fill [`Decoder::room`] from wherever the bytes are, say [`Decoder::filled`], and take messages
/// until there is none. A reader from a descriptor does just that; this is the part that can be
/// used anywhere.
///
/// ```
/// use stoop::frame::{Decoder, LengthDelimited};
///
/// let mut decoder = Decoder::new(LengthDelimited::BIG_ENDIAN);
/// for piece in [&[0, 0, 0][..], &[5, b'h', b'e'], &[b'l', b'l', b'o', 0]] {
///     decoder.room()[..piece.len()].copy_from_slice(piece);
///     decoder.filled(piece.len());
/// }
/// assert_eq!(decoder.next()?, Some(&b"hello"[..]));
/// assert_eq!(decoder.next()?, None);
/// assert!(decoder.finish().is_err()); // a byte of the next header is left
/// # Ok::<(), stoop::frame::FrameError>(())
/// ```
pub struct Decoder<C = Native> {
    codec: C,
    max_bytes: usize,
    read_bytes: usize,
    buffer: PageBuffer,
    /// Unread bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
    /// So many of them have been searched in vain.
    looked_bytes: usize,
    /// The length of the frame they begin, from header to trailer; 0 where that is not known yet.
    expected_bytes: usize,
    /// The stream's position of `buffer[0]`, modulo 2⁶⁴.
    base: u64,
    failure: Option<FrameError>,
}

/// Where in the buffer a whole message lies, until the buffer is written to again.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    message: Range<usize>,
    /// How many descriptors its header announces.
    pub(crate) descriptors: u8,
    /// Where in the stream its header begins.
    pub(crate) position: u64,
}

/// The frame that the unread bytes begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    header_bytes: usize,
    pub(crate) len_bytes: usize,
    pub(crate) descriptors: u8,
    /// Whether all of it is there.
    pub(crate) is_whole: bool,
}

impl<C: Codec> Decoder<C> {
    /// An empty decoder; memory is allocated when it is first asked for room.
    pub fn new(codec: C) -> Decoder<C> {
        const { assert!(C::HEADER_MAX_BYTES <= super::HEADER_ROOM_BYTES) };
        Decoder {
            codec,
            max_bytes: super::DEFAULT_MAX_BYTES,
            read_bytes: DEFAULT_READ_BYTES,
            buffer: PageBuffer::default(),
            start: 0,
            end: 0,
            looked_bytes: 0,
            expected_bytes: 0,
            base: 0,
            failure: None,
        }
    }

    /// The longest message to take, in bytes.
    pub fn max_bytes(mut self, max_bytes: usize) -> Decoder<C> {
        self.max_bytes = max_bytes.min(isize::MAX as usize / 4);
        self
    }

    /// How much to ask for at once, in bytes; 64 KiB unless told otherwise, 64 at least.
    pub fn read_bytes(mut self, read_bytes: usize) -> Decoder<C> {
        self.read_bytes = read_bytes.clamp(LEAST_READ_BYTES, isize::MAX as usize / 4);
        self
    }

    /// The next message, if it is whole. It stays where it is until [`Decoder::room`] is called.
    ///
    /// # Errors
    /// A [`FrameError`]: what is buffered is dropped, and the same error comes ever after.
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let span = self.advance()?;
        Ok(span.map(|span| self.message(&span)))
    }

    /// Where to put the bytes that come next; never empty. Call it when [`Decoder::next`] has found
    /// nothing: then the buffer grows to the limit, one read and three pages at most.
    ///
    /// Where a long message is known to come the room ends soon after it, so that the next one can
    /// be put in its best place.
    pub fn room(&mut self) -> &mut [u8] {
        let unread_bytes = self.end - self.start;
        let is_long = self.expected_bytes >= self.read_bytes / 4 && self.expected_bytes > unread_bytes;
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

    /// Says that the first `len_bytes` of the room have been filled.
    ///
    /// # Panics
    /// When the room is smaller.
    pub fn filled(&mut self, len_bytes: usize) {
        assert!(len_bytes <= self.buffer.len() - self.end, "filled more than the room");
        if self.failure.is_none() {
            self.end += len_bytes;
        }
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`FrameError::CutShort`] where it ended inside a frame, or the error that has come up
    /// before.
    pub fn finish(&mut self) -> Result<(), FrameError> {
        match self.end - self.start {
            0 => self.failure.map_or(Ok(()), Err),
            came_bytes => self.fail(FrameError::CutShort { came_bytes }),
        }
    }

    /// What made the stream unreadable, if anything has.
    pub fn failure(&self) -> Option<FrameError> {
        self.failure
    }

    /// How many bytes are buffered and not part of a message given out.
    pub fn unread_bytes(&self) -> usize {
        self.end - self.start
    }

    /// How large the buffer is now, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Puts the unread bytes where the next read goes to the start of a page, in a buffer with room
    /// for that read.
    ///
    /// The kernel's pages begin where a write began, so a copy between the two starts at like
    /// places, and so does each long message that follows one.
    fn relocate(&mut self, wanted_bytes: usize) {
        let unread_bytes = self.end - self.start;
        let read_at = unread_bytes.next_multiple_of(PAGE_BYTES);
        let origin = read_at - unread_bytes;
        // Twice what there is, for a long line whose end nobody knows: it is not to be copied at every
        // read.
        let needed_bytes = (read_at + wanted_bytes).max(2 * unread_bytes.min(self.max_bytes / 2));
        let is_spent = self.buffer.len() > KEEP_BYTES && needed_bytes <= KEEP_BYTES;
        if self.buffer.len() < needed_bytes || is_spent {
            let mut buffer = PageBuffer::new(needed_bytes.next_multiple_of(PAGE_BYTES));
            buffer[origin..read_at].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = buffer;
        } else {
            self.buffer.copy_within(self.start..self.end, origin);
        }
        self.base = self.position().wrapping_sub(origin as u64);
        (self.start, self.end) = (origin, read_at);
    }

    /// The same as [`Decoder::next`], saying where the message lies instead of lending it.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<Option<Span>, FrameError> {
        let unread = &self.buffer[self.start..self.end];
        let step = self.codec.decode(unread, self.looked_bytes);
        if let Ok(Step::Frame { header_bytes, head }) = step
            && head.len_bytes <= self.max_bytes as u64
        {
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

    /// The bytes of a message that [`Decoder::advance`] has found.
    #[inline]
    pub(crate) fn message(&self, span: &Span) -> &[u8] {
        &self.buffer[span.message.clone()]
    }

    /// Looks at the next frame without taking it: `None` where its length is not known yet.
    pub(crate) fn look(&mut self) -> Result<Option<Begun>, FrameError> {
        let step = self.codec.decode(&self.buffer[self.start..self.end], self.looked_bytes);
        self.incomplete(step)
    }

    /// What is known of the first frame; notes what that means for the next read.
    fn incomplete(&mut self, step: Result<Step, FrameError>) -> Result<Option<Begun>, FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let (unread_bytes, max_bytes) = (self.unread_bytes(), self.max_bytes as u64);
        match step {
            Err(error) => self.fail(error),
            Ok(Step::More) if unread_bytes < self.max_bytes + C::HEADER_MAX_BYTES + C::TRAILER.len() => {
                self.looked_bytes = unread_bytes;
                Ok(None)
            }
            Ok(Step::More) => self.fail(FrameError::TooLong { len_bytes: unread_bytes as u64, max_bytes }),
            Ok(Step::Frame { head: Head { len_bytes, .. }, .. }) if len_bytes > max_bytes => {
                self.fail(FrameError::TooLong { len_bytes, max_bytes })
            }
            Ok(Step::Frame { header_bytes, head }) => {
                let len_bytes = head.len_bytes as usize;
                self.expected_bytes = header_bytes + len_bytes + C::TRAILER.len();
                let is_whole = self.expected_bytes <= unread_bytes;
                Ok(Some(Begun { header_bytes, len_bytes, descriptors: head.descriptors, is_whole }))
            }
        }
    }

    /// Makes an error last.
    pub(crate) fn fail<T>(&mut self, error: FrameError) -> Result<T, FrameError> {
        let failure = *self.failure.get_or_insert(error);
        self.start = self.end;
        self.forget_first();
        Err(failure)
    }

    fn forget_first(&mut self) {
        self.looked_bytes = 0;
        self.expected_bytes = 0;
    }

    /// Where in the stream the unread bytes begin.
    fn position(&self) -> u64 {
        self.base.wrapping_add(self.start as u64)
    }

    /// Where in the stream the bytes end that have come so far.
    pub(crate) fn filled_position(&self) -> u64 {
        self.base.wrapping_add(self.end as u64)
    }

    /// Lends out the message of a frame that has begun: copies what has come of it to `message`,
    /// and returns how much that is. Its header stays unread until [`Decoder::completed`] or
    /// [`Decoder::given_back`].
    pub(crate) fn lend_message(&mut self, begun: Begun, message: &mut [u8]) -> usize {
        let from = self.start + begun.header_bytes;
        let came = &self.buffer[from..self.end];
        message[..came.len()].copy_from_slice(came);
        let len_bytes = came.len();
        self.end = from;
        len_bytes
    }

    /// While a message is lent out: room for the next frame's header, which may come in the same
    /// read.
    pub(crate) fn header_room(&mut self) -> &mut [u8] {
        if self.buffer.len() - self.end < C::HEADER_MAX_BYTES {
            self.relocate(C::HEADER_MAX_BYTES);
        }
        &mut self.buffer[self.end..self.end + C::HEADER_MAX_BYTES]
    }

    /// The message lent out has come whole, and `extra_bytes` after it are in the header room.
    pub(crate) fn completed(&mut self, begun: Begun, extra_bytes: usize) {
        self.start += begun.header_bytes;
        self.end = self.start + extra_bytes;
        // Its bytes have passed by the buffer.
        self.base = self.base.wrapping_add(begun.len_bytes as u64);
        self.forget_first();
    }

    /// No more of the message came for now: takes back what has come of it.
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
