//! The trait that defines a framing: how headers and trailers are written and found again.
//!
//! Pure: bytes and numbers only.

use super::FrameError;

/// The maximum length of any codec's header, in bytes.
pub const HEADER_ROOM_BYTES: usize = 32;

/// Defines how messages are delimited on a byte stream.
///
/// An implementation describes the bytes and nothing else. [`Decoder`](super::Decoder) and
/// [`Encoder`](super::Encoder) own the buffers and compare lengths with the limit. An
/// implementation must not panic, whatever the bytes, and a frame must have at least one byte.
///
/// ```
/// use stoop::frame::{Codec, Decoder, FrameError, HEADER_ROOM_BYTES, Head, Step};
///
/// /// One byte of length, then the message.
/// struct Short;
///
/// impl Codec for Short {
///     const HEADER_MAX_BYTES: usize = 1;
///
///     fn decode(&self, bytes: &[u8], _looked_bytes: usize) -> Result<Step, FrameError> {
///         let Some(&len) = bytes.first() else { return Ok(Step::More) };
///         let head = Head { len_bytes: len.into(), descriptors: 0 };
///         Ok(Step::Frame { header_bytes: 1, head })
///     }
///
///     fn encode(
///         &self,
///         head: Head,
///         room: &mut [u8; HEADER_ROOM_BYTES],
///     ) -> Result<usize, FrameError> {
///         let too_long = FrameError::TooLong { len_bytes: head.len_bytes, max_bytes: 255 };
///         room[0] = u8::try_from(head.len_bytes).map_err(|_| too_long)?;
///         Ok(1)
///     }
/// }
///
/// let mut decoder = Decoder::new(Short);
/// decoder.room()[..3].copy_from_slice(b"\x02ok");
/// decoder.filled(3);
/// assert_eq!(decoder.next()?, Some(&b"ok"[..]));
/// # Ok::<(), FrameError>(())
/// ```
pub trait Codec {
    /// The maximum length of a header in bytes; at most [`HEADER_ROOM_BYTES`].
    const HEADER_MAX_BYTES: usize;

    /// The bytes that follow each message.
    const TRAILER: &'static [u8] = &[];

    /// Decodes the header at the start of `bytes`, the unread part of the stream.
    ///
    /// If an earlier call returned [`Step::More`], `searched_bytes` is how many bytes it has seen.
    ///
    /// # Errors
    /// Returns an error if no message can begin like this.
    fn decode(&self, bytes: &[u8], searched_bytes: usize) -> Result<Step, FrameError>;

    /// Writes the header of a message into `room` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns an error if this framing cannot express such a message.
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError>;

    /// Checks whether this framing can carry these bytes as a message. The default implementation
    /// accepts all.
    ///
    /// # Errors
    /// Returns an error if it cannot.
    fn check(&self, _message: &[u8]) -> Result<(), FrameError> {
        Ok(())
    }
}

/// The contents of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The length of the message in bytes, without header and trailer.
    pub len_bytes: u64,
    /// The number of file descriptors attached to the message.
    pub descriptors: u8,
}

/// What the unread bytes of a stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An incomplete header: more bytes are needed.
    More,
    /// A message, which may not have arrived completely.
    Frame {
        /// The length of its header in bytes.
        header_bytes: usize,
        /// The contents of its header.
        head: Head,
    },
}
