//! stoop's own framing. Pure.

use super::codec::{Codec, HEADER_ROOM_BYTES, Head, Step};
use super::error::FrameError;

/// stoop's own framing, version 1: four bytes in front of a short message, 32 in front of a long
/// one.
///
/// The 32 keep a long message's place in the kernel's pages and in the reader's buffer such that
/// copying it stays fast: with a four-byte header some processors copy it at half the speed, or far
/// less.
///
/// All numbers are little-endian. A message of less than 2,048 bytes:
///
/// | byte | holds |
/// |---:|---|
/// | 0 | `0x10`; with descriptors `0x11` |
/// | 1 | how many descriptors come with the message, 0 to 253: 0 exactly where byte 0 is `0x10` |
/// | 2–3 | the message's length in bytes, below 2,048 |
/// | 4… | the message |
///
/// Any longer message:
///
/// | byte | holds |
/// |---:|---|
/// | 0 | `0x12`; with descriptors `0x13` |
/// | 1 | how many descriptors, as above |
/// | 2–3 | 0 |
/// | 4–11 | the message's length in bytes, at least 2,048 |
/// | 12–31 | 0 |
/// | 32… | the message |
///
/// So byte 0 is the version in its upper half, and in its lower half bit 0 for "descriptors" and
/// bit 1 for "long". Anything else is refused, a length in the wrong form and a byte that is not 0
/// too: each message has one encoding, and what a later version adds is never misread by this one.
/// Descriptors travel with the first byte of their frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Native;

/// From this length in bytes on a message gets the long header.
const LONG_BYTES: u64 = 2048;

const SHORT_HEADER_BYTES: usize = 4;
const LONG_HEADER_BYTES: usize = 32;

/// The version, in the upper half of byte 0.
const VERSION: u8 = 0x10;
const DESCRIPTORS: u8 = 1;
const LONG: u8 = 2;

impl Codec for Native {
    const HEADER_MAX_BYTES: usize = LONG_HEADER_BYTES;

    #[inline]
    fn decode(&self, bytes: &[u8], _looked_bytes: usize) -> Result<Step, FrameError> {
        let Some(&word) = bytes.first_chunk() else { return decode_start(bytes) };
        let word = u32::from_le_bytes(word);
        let len_bytes = u64::from(word >> 16);
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

/// Less than the shortest header: wait for more, unless the first byte is none of ours already.
fn decode_start(bytes: &[u8]) -> Result<Step, FrameError> {
    match bytes.first() {
        Some(&first) if first & !(DESCRIPTORS | LONG) != VERSION => Err(FrameError::BadHeader { first }),
        _ => Ok(Step::More),
    }
}

/// Every header but the commonest.
fn decode_rest(bytes: &[u8]) -> Result<Step, FrameError> {
    decode_start(bytes)?;
    let &[first, descriptors, low, high] = bytes.first_chunk().expect("the caller has seen four bytes");
    let bad = Err(FrameError::BadHeader { first });
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
