//! From messages to bytes: a buffer that gathers frames until somebody takes them away.
//!
//! Pure: no I/O, no clock, no descriptor.

use std::fmt;

use super::buffer::PageBuffer;
use super::codec::{Codec, HEADER_ROOM_BYTES, Head};
use super::error::FrameError;
use super::native::Native;

/// How many bytes are gathered before they have to go, unless told otherwise.
const DEFAULT_GATHER_BYTES: usize = 32 << 10;

/// The least that it can be told.
const LEAST_GATHER_BYTES: usize = 4 << 10;

/// Writes messages one behind another into a buffer.
///
/// ```
/// use stoop::frame::{Encoder, Lines};
///
/// let mut encoder = Encoder::new(Lines);
/// assert!(encoder.push(b"one")?);
/// assert!(encoder.push(b"two")?);
/// assert_eq!(encoder.pending(), b"one\ntwo\n");
/// encoder.consume(4); // so much has been sent
/// assert_eq!(encoder.pending(), b"two\n");
/// # Ok::<(), stoop::frame::FrameError>(())
/// ```
pub struct Encoder<C = Native> {
    codec: C,
    max_bytes: usize,
    gather_bytes: usize,
    buffer: PageBuffer,
    /// Bytes on their way are `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<C: Codec> Encoder<C> {
    /// An empty encoder; memory is allocated with the first message.
    pub fn new(codec: C) -> Encoder<C> {
        const { assert!(C::HEADER_MAX_BYTES <= HEADER_ROOM_BYTES) };
        Encoder {
            codec,
            max_bytes: super::DEFAULT_MAX_BYTES,
            gather_bytes: DEFAULT_GATHER_BYTES,
            buffer: PageBuffer::default(),
            start: 0,
            end: 0,
        }
    }

    /// The longest message to take, in bytes.
    pub fn max_bytes(mut self, max_bytes: usize) -> Encoder<C> {
        self.set_max_bytes(max_bytes);
        self
    }

    /// How many bytes are gathered at most; 32 KiB unless told otherwise, 4 KiB at least.
    pub fn gather_bytes(mut self, gather_bytes: usize) -> Encoder<C> {
        self.set_gather_bytes(gather_bytes);
        self
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(isize::MAX as usize / 4);
    }

    pub(crate) fn set_gather_bytes(&mut self, gather_bytes: usize) {
        self.gather_bytes = gather_bytes.clamp(LEAST_GATHER_BYTES, isize::MAX as usize / 4);
    }

    /// Adds a message, if there is room for it behind what is pending; returns whether there was.
    /// An empty encoder has room for any message that it can frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`], [`FrameError::ContainsDelimiter`]; nothing has been added.
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> Result<bool, FrameError> {
        self.check(message)?;
        let most_bytes = message.len() + HEADER_ROOM_BYTES + C::TRAILER.len();
        if self.buffer.len() - self.end < most_bytes && !self.make_room(most_bytes) {
            return Ok(false);
        }
        let head = Head { len_bytes: message.len() as u64, descriptors: 0 };
        let room = &mut self.buffer[self.end..];
        let header = room.first_chunk_mut().expect("room was made for the longest header");
        let header_bytes = self.codec.encode(head, header)?;
        let (body, rest) = room[header_bytes..].split_at_mut(message.len());
        body.copy_from_slice(message);
        rest[..C::TRAILER.len()].copy_from_slice(C::TRAILER);
        self.end += header_bytes + message.len() + C::TRAILER.len();
        Ok(true)
    }

    /// What has been added and not consumed.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Says that the first `len_bytes` of what is pending have gone.
    ///
    /// # Panics
    /// When fewer are pending.
    pub fn consume(&mut self, len_bytes: usize) {
        assert!(len_bytes <= self.end - self.start, "consumed more than was pending");
        self.start += len_bytes;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > self.normal_bytes() {
                self.buffer = PageBuffer::default();
            }
        }
    }

    /// The header for a message that goes out from where it lies.
    pub(crate) fn header(
        &self,
        message: &[u8],
        descriptors: u8,
        room: &mut [u8; HEADER_ROOM_BYTES],
    ) -> Result<usize, FrameError> {
        self.check(message)?;
        self.codec.encode(Head { len_bytes: message.len() as u64, descriptors }, room)
    }

    /// Adds the rest of a frame of which a part has gone. Nothing else may be pending.
    pub(crate) fn push_rest(&mut self, parts: &[&[u8]]) {
        let len_bytes = parts.iter().map(|part| part.len()).sum();
        if self.buffer.len() < len_bytes {
            self.buffer = PageBuffer::new(len_bytes);
        }
        for part in parts {
            self.buffer[self.end..self.end + part.len()].copy_from_slice(part);
            self.end += part.len();
        }
    }

    #[inline]
    fn check(&self, message: &[u8]) -> Result<(), FrameError> {
        if message.len() > self.max_bytes {
            let (len_bytes, max_bytes) = (message.len() as u64, self.max_bytes as u64);
            return Err(FrameError::TooLong { len_bytes, max_bytes });
        }
        self.codec.check(message)
    }

    fn normal_bytes(&self) -> usize {
        self.gather_bytes + HEADER_ROOM_BYTES + C::TRAILER.len()
    }

    /// Sees to it that so many bytes fit behind what is pending, if they may.
    #[cold]
    fn make_room(&mut self, most_bytes: usize) -> bool {
        if self.is_empty() {
            if self.buffer.len() < most_bytes {
                self.buffer = PageBuffer::new(most_bytes.max(self.normal_bytes()));
            }
            return true;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.buffer.len() - self.end >= most_bytes
    }
}

impl<C: fmt::Debug> fmt::Debug for Encoder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("codec", &self.codec)
            .field("pending_bytes", &(self.end - self.start))
            .finish_non_exhaustive()
    }
}
