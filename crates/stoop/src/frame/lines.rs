//! Framing by line feeds. Pure.

use std::io::BufRead;

use super::codec::sealed::Sealed;
use super::codec::{Codec, HEADER_ROOM_BYTES, Head, Step};
use super::error::FrameError;

/// Messages that end with a line feed, which is not part of the message and cannot occur in it.
///
/// A carriage return before the line feed stays part of the message. A last line without a line
/// feed is an error ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)), because it may be
/// incomplete.
///
/// ```
/// use stoop::frame::Lines;
/// use stoop::internal::{Encoder, FrameError};
///
/// let mut encoder = Encoder::new(Lines);
/// encoder.push(b"a line\r")?;
/// assert_eq!(encoder.pending(), b"a line\r\n");
/// assert_eq!(encoder.push(b"two\nlines"), Err(FrameError::ContainsDelimiter));
/// # Ok::<(), FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines;

impl Sealed for Lines {}

impl Codec for Lines {
    const HEADER_MAX_BYTES: usize = 0;
    const TRAILER: &'static [u8] = b"\n";

    #[inline]
    fn decode(&self, bytes: &[u8], searched_bytes: usize) -> Result<Step, FrameError> {
        let new = bytes.get(searched_bytes..).unwrap_or(&[]);
        // `skip_until` is the standard library's stable access to `memchr`. Reading a slice cannot
        // fail.
        let skipped = (&mut &*new).skip_until(b'\n').unwrap_or(0);
        match new[..skipped].last() {
            Some(b'\n') => {
                let len_bytes = (searched_bytes + skipped - 1) as u64;
                Ok(Step::Frame { header_bytes: 0, head: Head { len_bytes, descriptors: 0 } })
            }
            _ => Ok(Step::More),
        }
    }

    fn encode(&self, _head: Head, _room: &mut [u8; HEADER_ROOM_BYTES]) -> Result<usize, FrameError> {
        Ok(0)
    }

    fn check(&self, message: &[u8]) -> Result<(), FrameError> {
        if message.contains(&b'\n') { Err(FrameError::ContainsDelimiter) } else { Ok(()) }
    }
}
