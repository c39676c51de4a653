//! The messages in a body, each with its flag and length, translated as they arrive. Pure.

use stoop_http::internal::{ZstdError, compress, decompress};

/// A flag, and a length of four bytes.
const HEADER_BYTES: usize = 5;

/// The flag of a message that is not compressed, and of one that is.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// What is done to the messages.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Compress,
    /// Messages become at most this long.
    Decompress {
        max_bytes: usize,
    },
}

/// Translates the messages of a body.
#[derive(Debug)]
pub(crate) struct Messages {
    direction: Direction,
    /// What has arrived of a message that is translated as a whole.
    input: Vec<u8>,
    /// How many bytes are passed on as they are.
    passed: usize,
}

impl Messages {
    /// Compresses messages.
    pub(crate) fn compressed() -> Messages {
        Messages { direction: Direction::Compress, input: Vec::new(), passed: 0 }
    }

    /// Decompresses messages. One that is larger than this, compressed or not, is not read.
    pub(crate) fn decompressed(max_bytes: usize) -> Messages {
        Messages { direction: Direction::Decompress { max_bytes }, input: Vec::new(), passed: 0 }
    }

    /// Adds bytes, and returns what they gave.
    ///
    /// # Errors
    /// Returns an error if a message cannot be decompressed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, ZstdError> {
        self.input.extend_from_slice(bytes);
        let mut output = Vec::new();
        let mut at = 0;
        while let Some(used) = self.step(at, &mut output)? {
            at += used;
        }
        self.input.drain(..at);
        Ok(output)
    }

    /// Ends the body, and returns the rest of a message that is incomplete. Its reader sees that.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.input);
        if let Some(flag) = rest.first_mut() {
            *flag = PLAIN;
        }
        rest
    }

    /// Translates the next message, or passes on some of it. `None` if it has not arrived.
    fn step(&mut self, at: usize, output: &mut Vec<u8>) -> Result<Option<usize>, ZstdError> {
        let input = &self.input[at..];
        if self.passed > 0 && !input.is_empty() {
            let len = self.passed.min(input.len());
            output.extend_from_slice(&input[..len]);
            self.passed -= len;
            return Ok(Some(len));
        }
        let Some((&[flag, a, b, c, d], rest)) = input.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        match self.direction {
            Direction::Compress if flag == PLAIN => {
                let Some(message) = rest.get(..len) else { return Ok(None) };
                frame(COMPRESSED, &compress(message), output);
            }
            // A message over the limit is left to the reader, who rejects it by its length.
            Direction::Decompress { max_bytes } if flag == COMPRESSED && len <= max_bytes => {
                let Some(message) = rest.get(..len) else { return Ok(None) };
                frame(PLAIN, &decompress(message, max_bytes)?, output);
            }
            _ => {
                let flag = if flag == COMPRESSED { PLAIN } else { flag };
                output.extend_from_slice(&[flag, a, b, c, d]);
                self.passed = len;
                return Ok(Some(HEADER_BYTES));
            }
        }
        Ok(Some(HEADER_BYTES + len))
    }
}

/// Writes a message with its flag and its length, which its reader and its writer both limit to
/// less than 4 GiB.
fn frame(flag: u8, message: &[u8], output: &mut Vec<u8>) {
    output.push(flag);
    output.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    output.extend_from_slice(message);
}

/// Checks that the pieces in which a body arrives change nothing, and that no message exceeds the
/// limit.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(data: &[u8]) {
    const MAX_BYTES: usize = 1 << 16;
    let Some((&cut, data)) = data.split_first() else { return };
    let read = |piece_bytes: usize| {
        let mut messages = Messages::decompressed(MAX_BYTES);
        let mut output = Vec::new();
        for piece in data.chunks(piece_bytes) {
            match messages.push(piece) {
                Ok(more) => output.extend(more),
                Err(error) => return Err(error),
            }
        }
        output.extend(messages.finish());
        Ok(output)
    };
    let whole = read(data.len().max(1));
    assert_eq!(read(usize::from(cut) + 1), whole);
    let mut messages = Messages::compressed();
    let mut compressed = messages.push(data).expect("compressing cannot fail");
    compressed.extend(messages.finish());
    if let Ok(output) = whole {
        // Each compressed message of at least six bytes becomes at most the limit.
        assert!(output.len() <= data.len() + data.len() / 6 * MAX_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(mut messages: Messages, bytes: &[u8], piece_bytes: usize) -> Result<Vec<u8>, ZstdError> {
        let mut output = Vec::new();
        for piece in bytes.chunks(piece_bytes) {
            output.extend(messages.push(piece)?);
        }
        output.extend(messages.finish());
        Ok(output)
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame(flag, message, &mut bytes);
        bytes
    }

    #[test]
    fn only_compressed_messages_are_decompressed() {
        let stream =
            [framed(0, b"plain"), framed(1, &compress(b"packed")), framed(0, b""), framed(1, b"")].concat();
        let expected = [framed(0, b"plain"), framed(0, b"packed"), framed(0, b""), framed(0, b"")].concat();
        for piece_bytes in 1..stream.len() {
            assert_eq!(run(Messages::decompressed(100), &stream, piece_bytes).unwrap(), expected);
        }
        // What has no meaning is left to the reader: a wrong flag, and a length over the limit.
        assert_eq!(run(Messages::decompressed(100), &framed(7, b"abc"), 3).unwrap(), framed(7, b"abc"));
        let large = framed(1, &[0; 101]);
        assert_eq!(run(Messages::decompressed(100), &large, 3).unwrap(), framed(0, &[0; 101]));
        assert_eq!(
            run(Messages::decompressed(100), &framed(1, &compress(&[0; 101])), 3),
            Err(ZstdError::TooLarge)
        );
        // An incomplete message stays one.
        let cut = &framed(1, &compress(b"packed"))[..9];
        assert_eq!(run(Messages::decompressed(100), cut, 2).unwrap(), [&[0][..], &cut[1..]].concat());
    }

    proptest! {
        #[test]
        fn a_body_survives_both_ways(bodies: Vec<Vec<u8>>, sent in 1_usize..60, read in 1_usize..60) {
            let plain: Vec<u8> = bodies.iter().flat_map(|body| framed(0, body)).collect();
            let compressed = run(Messages::compressed(), &plain, sent).unwrap();
            let is_one = |bytes: &[u8]| bytes.first().is_none_or(|&flag| flag == 1);
            prop_assert!(is_one(&compressed));
            prop_assert_eq!(run(Messages::decompressed(4096), &compressed, read).unwrap(), plain);
        }
    }
}
