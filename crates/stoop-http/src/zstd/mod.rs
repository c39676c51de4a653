//! Zstandard (RFC 8878), decoded piece by piece with bounded memory.
//!
//! `ruzstd` decodes blocks. What is here makes a stream of them: frames that follow each other,
//! frames to be skipped, bytes that arrive in any pieces, and the bounds that keep a small input
//! from becoming a large output.

mod error;
mod header;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;
use std::io::Read;

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

pub use error::{DamagedZstd, MAX_WINDOW_BYTES, ZstdError};
use header::{FrameHeader, Header};

/// Compresses these bytes as one frame, fast rather than small.
#[must_use]
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Decompresses bytes that are all here.
///
/// # Errors
/// Returns an error if they are not valid, or if they become more than this many bytes.
pub fn decompress(bytes: &[u8], max_bytes: usize) -> Result<Vec<u8>, ZstdError> {
    let mut decoder = ZstdDecoder::new(max_bytes);
    decoder.push(bytes);
    let mut output = Vec::new();
    while let Some(piece) = decoder.next_piece()? {
        output.extend_from_slice(&piece);
    }
    decoder.finish()?;
    Ok(output)
}

/// Decompresses a sequence of frames that arrives in pieces.
pub struct ZstdDecoder {
    blocks: FrameDecoder,
    /// What has arrived, from the part on that comes next.
    input: Vec<u8>,
    /// How much of it has been decoded.
    at: usize,
    state: State,
    /// How many more bytes of output are accepted.
    left: usize,
}

/// What comes next.
#[derive(Clone, Copy)]
enum State {
    Header,
    Skip(u32),
    /// A block of this frame, of which this much has been decoded.
    Block(FrameHeader, u64),
}

impl fmt::Debug for ZstdDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZstdDecoder").field("left", &self.left).finish_non_exhaustive()
    }
}

impl ZstdDecoder {
    /// Creates a decoder that returns at most this many bytes in all.
    #[must_use]
    pub fn new(max_bytes: usize) -> ZstdDecoder {
        ZstdDecoder {
            blocks: FrameDecoder::new(),
            input: Vec::new(),
            at: 0,
            state: State::Header,
            left: max_bytes,
        }
    }

    /// Adds input.
    pub fn push(&mut self, piece: &[u8]) {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.extend_from_slice(piece);
    }

    /// Returns output of the input so far, no more than a window's at once. `None` if there is none
    /// before more input arrives: a frame's last window is returned when the frame is complete.
    ///
    /// # Errors
    /// Returns an error if the input is invalid, or if the output exceeds the limit.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ZstdError> {
        let mut output = Vec::new();
        while let Some(used) = self.step(&mut output)? {
            self.at += used;
            if !output.is_empty() {
                return Ok(Some(output));
            }
        }
        Ok(None)
    }

    /// Ends the input.
    ///
    /// # Errors
    /// Returns an error if a frame is incomplete.
    pub fn finish(&self) -> Result<(), ZstdError> {
        match self.state {
            State::Header if self.input.len() == self.at => Ok(()),
            _ => Err(DamagedZstd::Truncated.into()),
        }
    }

    /// Decodes the next part, and returns how many bytes of input it has. `None` if it is
    /// incomplete.
    fn step(&mut self, output: &mut Vec<u8>) -> Result<Option<usize>, ZstdError> {
        let input = &self.input[self.at..];
        match self.state {
            _ if input.is_empty() => Ok(None),
            State::Header => Header::parse(input)?.map(|header| self.begin(header)).transpose(),
            State::Skip(len) => {
                let skipped = (len as usize).min(input.len());
                self.state = match len - skipped as u32 {
                    0 => State::Header,
                    rest => State::Skip(rest),
                };
                Ok(Some(skipped))
            }
            State::Block(header, decoded) => match block_len(input, header) {
                Some(len) if len <= input.len() => self.block(len, (header, decoded), output).map(Some),
                _ => Ok(None),
            },
        }
    }

    /// Begins a frame, and returns the length of its header.
    fn begin(&mut self, header: Header) -> Result<usize, ZstdError> {
        let header = match header {
            Header::Skippable(len) => {
                self.state = if len == 0 { State::Header } else { State::Skip(len) };
                return Ok(8);
            }
            Header::Frame(header) => header,
        };
        if let Some(id) = header.dictionary {
            return Err(DamagedZstd::Dictionary(id).into());
        }
        // What says itself that it is too large is not begun.
        if header.content_bytes.is_some_and(|bytes| bytes > self.left as u64) {
            return Err(ZstdError::TooLarge);
        }
        if header.window_bytes > MAX_WINDOW_BYTES {
            return Err(DamagedZstd::Window(header.window_bytes).into());
        }
        self.blocks.set_max_window_size(MAX_WINDOW_BYTES);
        self.blocks.reset(&self.input[self.at..self.at + header.len]).map_err(corrupt)?;
        self.state = State::Block(header, 0);
        Ok(header.len)
    }

    /// Decodes a block that is complete, and returns its length.
    fn block(
        &mut self,
        len: usize,
        (header, decoded): (FrameHeader, u64),
        output: &mut Vec<u8>,
    ) -> Result<usize, ZstdError> {
        let block = &self.input[self.at..self.at + len];
        self.blocks.decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1)).map_err(corrupt)?;
        let ready = self.blocks.can_collect();
        self.left = self.left.checked_sub(ready).ok_or(ZstdError::TooLarge)?;
        let start = output.len();
        output.resize(start + ready, 0);
        self.blocks
            .read_exact(&mut output[start..])
            .map_err(|error| DamagedZstd::Corrupt(error.to_string()))?;
        let decoded = decoded + ready as u64;
        self.state = State::Block(header, decoded);
        if self.blocks.is_finished() {
            self.check(header, decoded)?;
            self.state = State::Header;
        }
        Ok(len)
    }

    /// Compares a frame's content to what the frame says of it.
    fn check(&self, header: FrameHeader, decoded: u64) -> Result<(), ZstdError> {
        if header.content_bytes.is_some_and(|stated| stated != decoded) {
            return Err(DamagedZstd::Size.into());
        }
        let stated = self.blocks.get_checksum_from_data();
        if stated.is_some() && stated != self.blocks.get_calculated_checksum() {
            return Err(DamagedZstd::Checksum.into());
        }
        Ok(())
    }
}

/// Returns the length of the block that begins here, with the frame's checksum if it is the last.
/// `None` if its header is incomplete.
fn block_len(input: &[u8], frame: FrameHeader) -> Option<usize> {
    let header = input.get(..3)?;
    let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let is_last = header & 1 != 0;
    // A block of one repeated byte has that byte only.
    let content = if header >> 1 & 3 == 1 { 1 } else { (header >> 3) as usize };
    Some(3 + content + if is_last && frame.has_checksum { 4 } else { 0 })
}

fn corrupt(error: FrameDecoderError) -> ZstdError {
    let mut cause: &dyn Error = &error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    DamagedZstd::Corrupt(cause.to_string()).into()
}
