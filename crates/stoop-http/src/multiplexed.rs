//! A decoder for Docker's multiplexed stream.
//!
//! The stream carries the standard output and standard error of a process without a terminal, as
//! `attach`, `exec` and `logs` return them. The decoder does no I/O: it takes bytes and returns
//! pieces.
//!
//! A frame is a header of eight bytes (the stream's number, three zeros, and the length of the
//! payload in big-endian order) and its payload. A payload is returned as it arrives: no announced
//! length makes the caller wait, or allocates memory.
//!
//! ```
//! use stoop_http::multiplexed::{Decoder, Stream};
//!
//! let mut decoder = Decoder::new();
//! let mut input = &b"\x02\0\0\0\0\0\0\x03no\n\x01\0\0\0\0\0\0\x06par"[..];
//! assert_eq!(decoder.next(&mut input)?, Some((Stream::Stderr, &b"no\n"[..])));
//! assert_eq!(decoder.next(&mut input)?, Some((Stream::Stdout, &b"par"[..])));
//! assert_eq!(decoder.next(&mut input)?, None);
//! assert!(!decoder.is_between_frames(), "three bytes more are announced");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

/// The content type of a multiplexed stream.
pub const CONTENT_TYPE: &str = "application/vnd.docker.multiplexed-stream";

/// The content type of a terminal's output, in one stream. Daemons before API 1.42 use it for
/// both.
pub const RAW_CONTENT_TYPE: &str = "application/vnd.docker.raw-stream";

/// The length of a frame's header.
pub const HEAD_BYTES: usize = 8;

/// The stream that a process has written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input, echoed.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// An error reported by the daemon itself.
    Daemon,
}

/// The error for bytes that are not a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFrame {
    /// The bytes found in place of a header.
    pub head: [u8; HEAD_BYTES],
}

impl fmt::Display for NotAFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid frame header:")?;
        self.head.iter().try_for_each(|byte| write!(f, " {byte:02x}"))
    }
}

impl std::error::Error for NotAFrame {}

/// Parses a header.
fn read(head: [u8; HEAD_BYTES]) -> Result<(Stream, u32), NotAFrame> {
    let [number, 0, 0, 0, length @ ..] = head else { return Err(NotAFrame { head }) };
    let stream = match number {
        0 => Stream::Stdin,
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        3 => Stream::Daemon,
        _ => return Err(NotAFrame { head }),
    };
    Ok((stream, u32::from_be_bytes(length)))
}

/// Returns whether a stream that begins with these bytes may be multiplexed.
///
/// Returns `None` if there are too few to decide: a whole header is needed. Output to a terminal
/// does not begin like one.
///
/// ```
/// use stoop_http::multiplexed::is_multiplexed;
///
/// assert_eq!(is_multiplexed(b"\x01\0\0\0\0\0\0\x05hello"), Some(true));
/// assert_eq!(is_multiplexed(b"root@host:/# "), Some(false));
/// assert_eq!(is_multiplexed(b"\x01\0\0"), None);
/// ```
pub fn is_multiplexed(first: &[u8]) -> Option<bool> {
    first.first_chunk().map(|head| read(*head).is_ok())
}

/// Demultiplexes the streams.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    head: [u8; HEAD_BYTES],
    /// The number of header bytes received.
    have_bytes: usize,
    /// The number of payload bytes still to come, once the header is complete.
    left_bytes: u32,
}

impl Decoder {
    /// Creates a decoder for the start of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes the next piece of a payload from `input`.
    ///
    /// Returns `None` when the input is used up. A frame may be returned in several pieces. A
    /// frame without payload is not returned at all.
    ///
    /// ```
    /// use stoop_http::multiplexed::{Decoder, NotAFrame};
    ///
    /// let mut input = &b"root@host:/# ls"[..];
    /// let error = Decoder::new().next(&mut input).unwrap_err();
    /// assert_eq!(error, NotAFrame { head: *b"root@hos" });
    /// ```
    ///
    /// # Errors
    /// Returns an error ([`NotAFrame`]) if the stream is not multiplexed or out of step. Every
    /// later call with input then fails, too.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<(Stream, &'i [u8])>, NotAFrame> {
        while !input.is_empty() {
            if self.have_bytes < HEAD_BYTES {
                self.gather(input);
            }
            if self.have_bytes < HEAD_BYTES {
                return Ok(None);
            }
            let (stream, length) = read(self.head)?;
            if length == 0 {
                self.have_bytes = 0;
            } else if !input.is_empty() {
                return Ok(Some((stream, self.payload(input))));
            }
        }
        Ok(None)
    }

    /// Returns whether the stream may end here: every payload that was announced is complete.
    pub fn is_between_frames(&self) -> bool {
        self.have_bytes == 0
    }

    fn gather(&mut self, input: &mut &[u8]) {
        let taken = input.len().min(HEAD_BYTES - self.have_bytes);
        self.head[self.have_bytes..][..taken].copy_from_slice(&input[..taken]);
        *input = &input[taken..];
        self.have_bytes += taken;
        if self.have_bytes == HEAD_BYTES {
            self.left_bytes = read(self.head).map_or(0, |(_, length)| length);
        }
    }

    fn payload<'i>(&mut self, input: &mut &'i [u8]) -> &'i [u8] {
        let most = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        let (piece, rest) = input.split_at(input.len().min(most));
        *input = rest;
        self.left_bytes -= u32::try_from(piece.len()).unwrap_or(self.left_bytes);
        if self.left_bytes == 0 {
            self.have_bytes = 0;
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[number, 0, 0, 0][..], &length, payload].concat()
    }

    /// Returns what was written to each of the four streams, however the input is split.
    fn decode(pieces: &[&[u8]]) -> Result<([Vec<u8>; 4], bool), NotAFrame> {
        let (mut decoder, mut written) = (Decoder::new(), <[Vec<u8>; 4]>::default());
        for piece in pieces {
            let mut input = *piece;
            while let Some((stream, bytes)) = decoder.next(&mut input)? {
                assert!(!bytes.is_empty());
                written[stream as usize].extend_from_slice(bytes);
            }
            assert!(input.is_empty());
        }
        Ok((written, decoder.is_between_frames()))
    }

    #[test]
    fn invalid_headers_are_rejected_permanently() {
        for head in [*b"GET / HT", [4, 0, 0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 0, 1], *b"\0\0\0\x01\0\0\0\0"]
        {
            let mut decoder = Decoder::new();
            for _ in 0..2 {
                assert_eq!(decoder.next(&mut &[&head[..], b"more"].concat()[..]), Err(NotAFrame { head }));
            }
            assert_eq!(is_multiplexed(&head), Some(false));
        }
        assert_eq!(
            (is_multiplexed(b"\x01\0\0"), is_multiplexed(b"\x01\0\0\0\xff\xff\xff\xff")),
            (None, Some(true))
        );
    }

    #[test]
    fn empty_frames_are_not_returned() {
        let stream = [frame(1, b""), frame(2, b""), frame(1, b"x"), frame(0, b"")].concat();
        let (written, whole) = decode(&[&stream]).unwrap();
        assert!(whole && written == [vec![], b"x".to_vec(), vec![], vec![]]);
    }

    proptest! {
        #[test]
        fn payloads_are_demultiplexed(
            frames in prop::collection::vec((0..4u8, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(number, payload)| frame(*number, payload)).collect();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
            let (written, whole) = decode(&pieces).unwrap();
            prop_assert!(whole);
            for number in 0..4u8 {
                let expected: Vec<u8> =
                    frames.iter().filter(|(n, _)| *n == number).flat_map(|(_, payload)| payload.clone()).collect();
                prop_assert_eq!(&written[usize::from(number)], &expected);
            }
        }

        #[test]
        fn a_truncated_stream_is_detected(payload in prop::collection::vec(any::<u8>(), 1..40), cut in any::<prop::sample::Index>()) {
            let stream = frame(1, &payload);
            let cut = 1 + cut.index(stream.len() - 1);
            let (_, whole) = decode(&[&stream[..cut]]).unwrap();
            prop_assert!(!whole);
        }

        #[test]
        fn arbitrary_input_does_not_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..10)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = decode(&pieces);
        }
    }
}
