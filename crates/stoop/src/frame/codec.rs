//! The trait that defines a framing: how headers and trailers are written and found again.
//!
//! Pure: bytes and numbers only.

use super::error::FrameError;

pub(super) mod sealed {
    pub trait Sealed {}
}

/// The maximum length of any codec's header, in bytes.
pub const HEADER_ROOM_BYTES: usize = 32;

/// A format that delimits messages on a byte stream: [`Native`](super::Native),
/// [`LengthDelimited`](super::LengthDelimited), [`Varint`](super::Varint) or
/// [`Lines`](super::Lines).
///
/// The trait is sealed: only the formats of this module implement it.
///
/// ```
/// use stoop::Stream;
/// use stoop::frame::{Codec, FrameReader, FrameWriter, Lines, Varint};
///
/// fn round_trip(codec: impl Codec + Copy) -> stoop::Result<Vec<u8>> {
///     let (one, other) = Stream::pair()?;
///     let mut writer = FrameWriter::new(one, codec);
///     writer.send(b"hello")?;
///     writer.flush()?;
///     Ok(FrameReader::new(other, codec).next()?.unwrap_or_default().to_vec())
/// }
///
/// assert_eq!(round_trip(Lines)?, b"hello");
/// assert_eq!(round_trip(Varint)?, b"hello");
/// # Ok::<(), stoop::Error>(())
/// ```
// An implementation describes the bytes and nothing else. `Decoder` and `Encoder` own the buffers
// and compare lengths with the limit. An implementation must not panic, whatever the bytes, and a
// frame must have at least one byte.
pub trait Codec: sealed::Sealed {
    /// The maximum length of a header in bytes; at most [`HEADER_ROOM_BYTES`].
    #[doc(hidden)]
    const HEADER_MAX_BYTES: usize;

    /// The bytes that follow each message.
    #[doc(hidden)]
    const TRAILER: &'static [u8] = &[];

    /// Decodes the header at the start of `bytes`, the unread part of the stream.
    ///
    /// If an earlier call returned [`Step::More`], `searched_bytes` is how many bytes it has seen.
    ///
    /// # Errors
    /// Returns an error if no message can begin like this.
    #[doc(hidden)]
    fn decode(&self, bytes: &[u8], searched_bytes: usize) -> Result<Step, FrameError>;

    /// Writes the header of a message into `room` and returns its length in bytes.
    ///
    /// # Errors
    /// Returns an error if this framing cannot express such a message.
    #[doc(hidden)]
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError>;

    /// Checks whether this framing can carry these bytes as a message. The default implementation
    /// accepts all.
    ///
    /// # Errors
    /// Returns an error if it cannot.
    #[doc(hidden)]
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
