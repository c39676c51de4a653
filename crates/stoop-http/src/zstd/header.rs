//! The header of a frame (RFC 8878, section 3.1.1.1).

use super::error::{DamagedZstd, ZstdError};

/// The first bytes of a frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of a skippable frame; the low half of the first is arbitrary.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// What the next frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Compressed content.
    Frame(FrameHeader),
    /// Bytes to be ignored: this many after the header's eight.
    Skippable(u32),
}

/// The header of a frame with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The number of bytes of the header.
    pub(super) len: usize,
    /// The number of bytes that decoding requires in memory.
    pub(super) window_bytes: u64,
    /// The number of bytes of the content, if it is stated.
    pub(super) content_bytes: Option<u64>,
    /// Whether a checksum follows the last block.
    pub(super) has_checksum: bool,
    /// The dictionary that decoding requires, if it requires one.
    pub(super) dictionary: Option<u32>,
}

impl Header {
    /// Parses the header at the beginning of these bytes. `None` if it is incomplete.
    ///
    /// # Errors
    /// Returns an error if this is not a frame.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, ZstdError> {
        let start = &bytes[..bytes.len().min(4)];
        let is_frame = MAGIC.starts_with(start);
        let is_skippable = start.iter().zip(SKIPPABLE).enumerate().all(|(index, (&byte, expected))| {
            if index == 0 { byte & 0xf0 == expected } else { byte == expected }
        });
        match (is_frame, is_skippable) {
            (false, false) => Err(DamagedZstd::NotAFrame.into()),
            _ if start.len() < 4 => Ok(None),
            (true, _) => Ok(FrameHeader::parse(bytes)?.map(Header::Frame)),
            _ => Ok(little_endian(bytes, 4, 4).map(|len| Header::Skippable(len as u32))),
        }
    }
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Result<Option<FrameHeader>, ZstdError> {
        let Some(&descriptor) = bytes.get(4) else { return Ok(None) };
        if descriptor & 0x08 != 0 {
            return Err(DamagedZstd::Corrupt("a reserved bit of the header is set".into()).into());
        }
        let is_single_segment = descriptor & 0x20 != 0;
        let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_len = match descriptor >> 6 {
            0 => usize::from(is_single_segment),
            flag => 1 << flag,
        };
        let dictionary_at = if is_single_segment { 5 } else { 6 };
        let content_at = dictionary_at + dictionary_len;
        let len = content_at + content_len;
        if bytes.len() < len {
            return Ok(None);
        }
        let content = little_endian(bytes, content_at, content_len).unwrap_or_default();
        // With two bytes, the size is stored less what one byte could hold.
        let content = if content_len == 2 { content + 256 } else { content };
        Ok(Some(FrameHeader {
            len,
            window_bytes: if is_single_segment { content } else { window(bytes[5]) },
            content_bytes: (content_len > 0).then_some(content),
            has_checksum: descriptor & 0x04 != 0,
            // 0 is "none, or one that is not named".
            dictionary: little_endian(bytes, dictionary_at, dictionary_len)
                .map(|id| id as u32)
                .filter(|&id| id != 0),
        }))
    }
}

/// Returns the window size that a window descriptor stands for.
fn window(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Reads an integer of up to eight bytes. `None` if some of them are missing.
fn little_endian(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + len)?;
    Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}
