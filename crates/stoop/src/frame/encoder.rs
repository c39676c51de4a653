//! Encoding messages into a buffer, from which the caller sends them.
//!
//! Pure: no I/O, no clock, no file descriptors.

use std::fmt;

use super::buffer::PageBuffer;
use super::codec::{Codec, HEADER_ROOM_BYTES, Head};
use super::error::FrameError;
use super::native::Native;

/// The default of the largest batch, in bytes.
const DEFAULT_BATCH_BYTES: usize = 128 << 10;

/// The size of a batch in bytes, unless batches fill quickly.
const FIRST_BATCH_BYTES: usize = 32 << 10;

/// The minimum of the largest batch, in bytes.
const LEAST_BATCH_BYTES: usize = 4 << 10;

/// Encodes messages one after another into a buffer.
///
/// ```
/// use stoop::frame::Lines;
/// use stoop::internal::Encoder;
///
/// let mut encoder = Encoder::new(Lines);
/// assert!(encoder.push(b"one")?);
/// assert!(encoder.push(b"two")?);
/// assert_eq!(encoder.pending(), b"one\ntwo\n");
/// encoder.consume(4); // so much has been sent
/// assert_eq!(encoder.pending(), b"two\n");
/// # Ok::<(), stoop::internal::FrameError>(())
/// ```
pub struct Encoder<C = Native> {
    codec: C,
    max_bytes: usize,
    /// The largest batch, and the present one.
    batch_max_bytes: usize,
    batch_bytes: usize,
    buffer: PageBuffer,
    /// The pending bytes are `buffer[start..end]`.
    start: usize,
    end: usize,
}

impl<C: Codec> Encoder<C> {
    /// Creates an empty encoder. Memory is allocated with the first message.
    pub fn new(codec: C) -> Encoder<C> {
        const { assert!(C::HEADER_MAX_BYTES <= HEADER_ROOM_BYTES) };
        Encoder {
            codec,
            max_bytes: super::DEFAULT_MAX_BYTES,
            batch_max_bytes: DEFAULT_BATCH_BYTES,
            batch_bytes: FIRST_BATCH_BYTES,
            buffer: PageBuffer::default(),
            start: 0,
            end: 0,
        }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> Encoder<C> {
        self.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of the largest batch, in bytes. The default is 128 KiB; the minimum is 4 KiB.
    pub fn batch_bytes(mut self, batch_bytes: usize) -> Encoder<C> {
        self.set_batch_bytes(batch_bytes);
        self
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(isize::MAX as usize / 4);
    }

    pub(crate) fn set_batch_bytes(&mut self, batch_bytes: usize) {
        self.batch_max_bytes = batch_bytes.clamp(LEAST_BATCH_BYTES, isize::MAX as usize / 4);
        self.batch_bytes = self.batch_max_bytes.min(FIRST_BATCH_BYTES);
    }

    /// Adapts the size of the next batch to how quickly this one has filled.
    pub(crate) fn adapt(&mut self, filled_quickly: bool) {
        let next_bytes = if filled_quickly { self.batch_bytes * 2 } else { FIRST_BATCH_BYTES };
        self.batch_bytes = next_bytes.min(self.batch_max_bytes);
    }

    /// Appends a message if it fits behind the pending bytes. Returns whether it did.
    ///
    /// An empty encoder accepts any message that the codec can frame.
    ///
    /// # Errors
    /// Returns an error if the message exceeds the limit ([`FrameError::TooLong`]) or contains the
    /// delimiter ([`FrameError::ContainsDelimiter`]). Nothing has been appended then.
    ///
    /// # Examples
    /// ```
    /// use stoop::frame::Native;
    /// use stoop::internal::{Encoder, FrameError};
    ///
    /// let mut encoder = Encoder::new(Native).batch_bytes(4096).max_bytes(3000);
    /// assert!(encoder.push(&[1; 3000])?);
    /// assert!(!encoder.push(&[2; 3000])?); // the batch is full: send it first
    /// encoder.consume(encoder.pending().len());
    /// assert!(encoder.push(&[2; 3000])?);
    /// assert!(matches!(encoder.push(&[3; 3001]), Err(FrameError::TooLong { .. })));
    /// # Ok::<(), FrameError>(())
    /// ```
    #[inline]
    pub fn push(&mut self, message: &[u8]) -> Result<bool, FrameError> {
        self.check(message)?;
        let most_bytes = message.len() + HEADER_ROOM_BYTES + C::TRAILER.len();
        if self.buffer.len() - self.end < most_bytes && !self.make_room(most_bytes) {
            return Ok(false);
        }
        let head = Head { len_bytes: message.len() as u64, descriptors: 0 };
        let room = &mut self.buffer[self.end..];
        // The header is written in place. Its length is known only afterwards, so there is space for
        // the longest one, and the message goes directly behind what was used.
        let header = room.first_chunk_mut().expect("room was made for the longest header");
        let header_bytes = self.codec.encode(head, header)?;
        let (body, rest) = room[header_bytes..].split_at_mut(message.len());
        body.copy_from_slice(message);
        rest[..C::TRAILER.len()].copy_from_slice(C::TRAILER);
        self.end += header_bytes + message.len() + C::TRAILER.len();
        Ok(true)
    }

    /// Returns the bytes that have been appended and not consumed.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Returns whether nothing is pending.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Removes the first `len_bytes` pending bytes, after they have been sent.
    ///
    /// # Panics
    /// Panics if fewer are pending.
    pub fn consume(&mut self, len_bytes: usize) {
        assert!(len_bytes <= self.end - self.start, "consumed more than was pending");
        self.start += len_bytes;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            // Larger after a long message, or either after the batch was adapted.
            if self.buffer.len() != self.normal_bytes() {
                self.buffer = PageBuffer::default();
            }
        }
    }

    /// Returns the header for a message that is sent without copying.
    pub(crate) fn header(
        &self,
        message: &[u8],
        descriptors: u8,
        room: &mut [u8; HEADER_ROOM_BYTES],
    ) -> Result<usize, FrameError> {
        self.check(message)?;
        self.codec.encode(Head { len_bytes: message.len() as u64, descriptors }, room)
    }

    /// Appends the rest of a partially sent frame. Nothing else may be pending.
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
        self.batch_bytes + HEADER_ROOM_BYTES + C::TRAILER.len()
    }

    /// Makes space for this many bytes behind the pending ones, if the limit permits.
    #[cold]
    fn make_room(&mut self, most_bytes: usize) -> bool {
        if self.is_empty() {
            if self.buffer.len() < most_bytes {
                self.buffer = PageBuffer::new(most_bytes.max(self.normal_bytes()));
            }
            return true;
        }
        // Sent bytes at the front may have left enough space.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a batch and sends it. Returns its length.
    fn send_full(encoder: &mut Encoder, filled_quickly: bool) -> usize {
        while encoder.push(&[0; 1000]).unwrap() {}
        encoder.adapt(filled_quickly);
        let sent_bytes = encoder.pending().len();
        encoder.consume(sent_bytes);
        sent_bytes
    }

    #[test]
    fn batches_grow_while_they_fill_quickly() {
        let mut encoder = Encoder::new(Native);
        let quickly: Vec<usize> = (0..4).map(|_| send_full(&mut encoder, true) >> 10).collect();
        assert_eq!(quickly, [31, 63, 127, 127]);
        let slowly: Vec<usize> = (0..3).map(|_| send_full(&mut encoder, false) >> 10).collect();
        assert_eq!(slowly, [127, 31, 31], "a message waits no longer than for the usual batch");
    }

    #[test]
    fn a_batch_is_never_larger_than_its_maximum() {
        let mut encoder = Encoder::new(Native).batch_bytes(5000);
        assert!((0..3).all(|_| send_full(&mut encoder, true) <= 5000 + HEADER_ROOM_BYTES));
    }
}
