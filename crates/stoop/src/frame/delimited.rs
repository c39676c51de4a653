//! Length-delimited framings, as many protocols use them. Pure.

use super::codec::sealed::Sealed;
use super::codec::{Codec, HEADER_ROOM_BYTES, Head, Step};
use super::error::FrameError;

/// A length of four bytes, which counts the message alone, followed by the message.
///
/// [`LengthDelimited::BIG_ENDIAN`] is the default format of tokio-util's `LengthDelimitedCodec`.
///
/// ```
/// use stoop::frame::LengthDelimited;
/// use stoop::internal::Encoder;
///
/// let mut encoder = Encoder::new(LengthDelimited::BIG_ENDIAN);
/// encoder.push(b"hi")?;
/// assert_eq!(encoder.pending(), b"\0\0\0\x02hi");
/// # Ok::<(), stoop::internal::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthDelimited {
    big_endian: bool,
}

impl LengthDelimited {
    /// Most significant byte first.
    pub const BIG_ENDIAN: LengthDelimited = LengthDelimited { big_endian: true };

    /// Least significant byte first.
    pub const LITTLE_ENDIAN: LengthDelimited = LengthDelimited { big_endian: false };
}

impl Sealed for LengthDelimited {}

impl Codec for LengthDelimited {
    const HEADER_MAX_BYTES: usize = 4;

    #[inline]
    fn decode(&self, bytes: &[u8], _looked_bytes: usize) -> Result<Step, FrameError> {
        let Some(&len) = bytes.first_chunk() else { return Ok(Step::More) };
        let len = if self.big_endian { u32::from_be_bytes(len) } else { u32::from_le_bytes(len) };
        Ok(frame(4, len.into()))
    }

    #[inline]
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError> {
        let Ok(len) = u32::try_from(head.len_bytes) else {
            return Err(FrameError::TooLong { len_bytes: head.len_bytes, max_bytes: u32::MAX.into() });
        };
        room[..4].copy_from_slice(&if self.big_endian { len.to_be_bytes() } else { len.to_le_bytes() });
        Ok(4)
    }
}

/// A varint length of one to ten bytes, followed by the message ("delimited" in protocol buffers).
///
/// Each byte holds seven bits, the least significant first. The top bit is set in all bytes but the
/// last.
///
/// ```
/// use stoop::frame::Varint;
/// use stoop::internal::Encoder;
///
/// let mut encoder = Encoder::new(Varint);
/// encoder.push(&[b'x'; 300])?;
/// assert_eq!(encoder.pending()[..3], [0xac, 0x02, b'x']); // 0x2c + 2 × 128 = 300
/// # Ok::<(), stoop::internal::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Varint;

impl Sealed for Varint {}

impl Codec for Varint {
    const HEADER_MAX_BYTES: usize = 10;

    #[inline]
    fn decode(&self, bytes: &[u8], _looked_bytes: usize) -> Result<Step, FrameError> {
        let mut len = 0u64;
        for (index, &byte) in bytes.iter().take(Self::HEADER_MAX_BYTES).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // Nine bytes hold 63 bits, so only one bit is left for the tenth.
            if index == 9 && byte > 1 {
                return Err(FrameError::BadHeader { first: bytes[0] });
            }
            len |= bits << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(frame(index + 1, len));
            }
        }
        Ok(Step::More)
    }

    #[inline]
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError> {
        let (mut len, mut used) = (head.len_bytes, 0);
        while len >= 0x80 {
            room[used] = len as u8 | 0x80;
            len >>= 7;
            used += 1;
        }
        room[used] = len as u8;
        Ok(used + 1)
    }
}

fn frame(header_bytes: usize, len_bytes: u64) -> Step {
    Step::Frame { header_bytes, head: Head { len_bytes, descriptors: 0 } }
}
