//! stoop's own framing. Pure.

use super::codec::sealed::Sealed;
use super::codec::{Codec, HEADER_ROOM_BYTES, Head, Step};
use super::error::FrameError;

/// stoop's own framing, version 1: a header of four bytes for a short message, of 32 for a long
/// one.
///
/// The 32 bytes keep a long message aligned alike in the kernel's pages and in the reader's buffer,
/// so that copying it stays fast. With a four-byte header some processors copy it at half the
/// speed, or far less.
///
/// All numbers are little-endian. A message of less than 2,048 bytes:
///
/// | byte | holds |
/// |---:|---|
/// | 0 | `0x10`; with file descriptors `0x11` |
/// | 1 | the number of file descriptors, 0 to 253; 0 if and only if byte 0 is `0x10` |
/// | 2–3 | the length of the message in bytes, below 2,048 |
/// | 4… | the message |
///
/// Any longer message:
///
/// | byte | holds |
/// |---:|---|
/// | 0 | `0x12`; with file descriptors `0x13` |
/// | 1 | the number of file descriptors, as above |
/// | 2–3 | 0 |
/// | 4–11 | the length of the message in bytes, at least 2,048 |
/// | 12–31 | 0 |
/// | 32… | the message |
///
/// The upper half of byte 0 is the version. In its lower half, bit 0 means "file descriptors" and
/// bit 1 means "long". Everything else is rejected, including a length in the wrong form and
/// padding that is not 0. Each message therefore has exactly one encoding, and this version never
/// misreads what a later one adds.
///
/// File descriptors are attached to the first byte of their frame's header.
///
/// ```
/// use stoop::frame::Native;
/// use stoop::internal::Encoder;
///
/// let mut encoder = Encoder::new(Native);
/// encoder.push(b"hi")?;
/// assert_eq!(encoder.pending(), b"\x10\0\x02\0hi");
/// # Ok::<(), stoop::internal::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Native;

/// Messages of at least this length in bytes have the long header.
const LONG_BYTES: u64 = 2048;

const SHORT_HEADER_BYTES: usize = 4;
const LONG_HEADER_BYTES: usize = 32;

/// The version, in the upper half of byte 0.
const VERSION: u8 = 0x10;
const DESCRIPTORS: u8 = 1;
const LONG: u8 = 2;

impl Sealed for Native {}

impl Codec for Native {
    const HEADER_MAX_BYTES: usize = LONG_HEADER_BYTES;

    #[inline]
    fn decode(&self, bytes: &[u8], _looked_bytes: usize) -> Result<Step, FrameError> {
        let Some(&word) = bytes.first_chunk() else { return decode_start(bytes) };
        let word = u32::from_le_bytes(word);
        // Little-endian: the low byte of the word is byte 0, and its upper half is the length.
        let len_bytes = u64::from(word >> 16);
        // One comparison checks both byte 0 (version, no flags) and byte 1 (no file descriptors).
        if word as u16 == u16::from(VERSION) && len_bytes < LONG_BYTES {
            return Ok(frame(SHORT_HEADER_BYTES, len_bytes, 0));
        }
        decode_rest(bytes)
    }

    #[inline]
    fn encode(&self, head: Head, room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError> {
        let flag = if head.descriptors == 0 { 0 } else { DESCRIPTORS };
        if head.len_bytes < LONG_BYTES {
            let len = (head.len_bytes as u16).to_le_bytes();
            room[..SHORT_HEADER_BYTES].copy_from_slice(&[VERSION | flag, head.descriptors, len[0], len[1]]);
            return Ok(SHORT_HEADER_BYTES);
        }
        *room = [0; HEADER_ROOM_BYTES];
        room[0] = VERSION | LONG | flag;
        room[1] = head.descriptors;
        room[4..12].copy_from_slice(&head.len_bytes.to_le_bytes());
        Ok(LONG_HEADER_BYTES)
    }
}

fn frame(header_bytes: usize, len_bytes: u64, descriptors: u8) -> Step {
    Step::Frame { header_bytes, head: Head { len_bytes, descriptors } }
}

/// Handles fewer bytes than the shortest header: more are needed, unless the first byte is invalid
/// already.
fn decode_start(bytes: &[u8]) -> Result<Step, FrameError> {
    match bytes.first() {
        Some(&first) if first & !(DESCRIPTORS | LONG) != VERSION => Err(FrameError::BadHeader { first }),
        _ => Ok(Step::More),
    }
}

/// Decodes every header except the most frequent one: short and without file descriptors.
fn decode_rest(bytes: &[u8]) -> Result<Step, FrameError> {
    decode_start(bytes)?;
    let &[first, descriptors, low, high] = bytes.first_chunk().expect("the caller has seen four bytes");
    let bad = Err(FrameError::BadHeader { first });
    // The flag and the count say the same, so that a message has exactly one encoding.
    let count_fits = (first & DESCRIPTORS != 0) == (descriptors != 0);
    if !count_fits || usize::from(descriptors) > crate::control::DESCRIPTORS_MAX {
        return bad;
    }
    if first & LONG == 0 {
        let len_bytes = u64::from(u16::from_le_bytes([low, high]));
        return if len_bytes < LONG_BYTES {
            Ok(frame(SHORT_HEADER_BYTES, len_bytes, descriptors))
        } else {
            bad
        };
    }
    let Some(header) = bytes.first_chunk::<LONG_HEADER_BYTES>() else { return Ok(Step::More) };
    let (len, padding) = header[4..].split_first_chunk().expect("a header is longer");
    let len_bytes = u64::from_le_bytes(*len);
    if [low, high] != [0, 0] || padding.iter().any(|&byte| byte != 0) || len_bytes < LONG_BYTES {
        return bad;
    }
    Ok(frame(LONG_HEADER_BYTES, len_bytes, descriptors))
}
