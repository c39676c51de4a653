//! What a framing is: how a message's start and end are written, and how they are found again.
//!
//! Pure: bytes and numbers only.

use super::FrameError;

/// The most bytes that any codec puts in front of a message.
pub const HEADER_ROOM_BYTES: usize = 32;

/// How messages are told apart on a stream of bytes.
///
/// An implementation describes the bytes and nothing else: [`Decoder`](super::Decoder) and
/// [`Encoder`](super::Encoder) hold the buffers and compare lengths with the limit. It must not
/// panic, whatever the bytes, and a frame has at least one byte.
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
///         Ok(Step::Frame { header_bytes: 1, head: Head { len_bytes: len.into(), descriptors: 0 } })
///     }
///
///     fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError> {
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
    /// The most bytes in front of a message; at most [`HEADER_ROOM_BYTES`].
    const HEADER_MAX_BYTES: usize;

    /// What follows each message.
    const TRAILER: &'static [u8] = &[];

    /// Says what `bytes`, the unread part of the stream, begins with. An earlier call with the
    /// first `looked_bytes` of them has answered [`Step::More`].
    ///
    /// # Errors
    /// A [`FrameError`] where no message can begin like this.
    fn decode(&self, bytes: &[u8], looked_bytes: usize) -> Result<Step, FrameError>;

    /// Writes what goes in front of a message into `room`, and returns how many bytes that took.
    ///
    /// # Errors
    /// A [`FrameError`] where this framing cannot express such a message.
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError>;

    /// Whether this framing can carry these bytes as a message.
    ///
    /// # Errors
    /// A [`FrameError`] where it cannot.
    fn check(&self, _message: &[u8]) -> Result<(), FrameError> {
        Ok(())
    }
}

/// What a header says about its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The message's length in bytes, without header and trailer.
    pub len_bytes: u64,
    /// How many descriptors travel with it.
    pub descriptors: u8,
}

/// What the unread bytes of a stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Too few bytes to say.
    More,
    /// A message, which need not have come in whole.
    Frame {
        /// Bytes in front of the message.
        header_bytes: usize,
        /// What they say.
        head: Head,
    },
}
