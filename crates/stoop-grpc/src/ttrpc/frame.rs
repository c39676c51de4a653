//! The frames of ttrpc: ten bytes of header, then the message. Pure: no I/O, no clock.
//!
//! ```text
//!  0       4        8      9       10
//! | length | stream | type | flags | length bytes … |      numbers are big-endian
//! ```

use std::collections::VecDeque;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 10;

/// The longest message that the protocol knows.
pub const MESSAGE_MAX_BYTES: usize = 4 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Opens a stream: which method, and the first message.
    Request,
    /// Ends a stream: how it went, and perhaps the one answer.
    Response,
    /// One message of a stream.
    Data,
    /// None of these.
    Other(u8),
}

impl FrameKind {
    fn from_byte(byte: u8) -> FrameKind {
        match byte {
            1 => FrameKind::Request,
            2 => FrameKind::Response,
            3 => FrameKind::Data,
            other => FrameKind::Other(other),
        }
    }

    fn byte(self) -> u8 {
        match self {
            FrameKind::Request => 1,
            FrameKind::Response => 2,
            FrameKind::Data => 3,
            FrameKind::Other(byte) => byte,
        }
    }
}

/// The flags of a frame. Bits that have no meaning are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Whoever sends this sends no more on the stream.
    pub const REMOTE_CLOSED: Flags = Flags(1);
    /// Whoever sends this goes on sending on the stream.
    pub const REMOTE_OPEN: Flags = Flags(2);
    /// There is no message in the frame, not even an empty one.
    pub const NO_DATA: Flags = Flags(4);

    /// Both.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The call that it belongs to. Those of clients are odd.
    pub stream: u32,
    /// What it is.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: Flags,
    /// The message.
    pub data: Vec<u8>,
}

/// A message is longer than the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The call that it belongs to.
    pub stream: u32,
    /// How long it says it is, in bytes.
    pub length_bytes: usize,
}

impl Frame {
    /// Its bytes.
    ///
    /// # Errors
    /// [`TooLong`] above [`MESSAGE_MAX_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let length_bytes = self.data.len();
        let length = u32::try_from(length_bytes).ok().filter(|_| length_bytes <= MESSAGE_MAX_BYTES);
        let length = length.ok_or(TooLong { stream: self.stream, length_bytes })?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + length_bytes);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.stream.to_be_bytes());
        bytes.extend_from_slice(&[self.kind.byte(), self.flags.0]);
        bytes.extend_from_slice(&self.data);
        Ok(bytes)
    }
}

/// Bytes in, frames out, however the bytes are cut. A frame that is too long is reported and
/// skipped; the stream stays in step.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: VecDeque<u8>,
    /// How much of a frame that is too long is still to come.
    skip_bytes: usize,
}

impl FrameDecoder {
    /// With nothing in it.
    pub fn new() -> FrameDecoder {
        FrameDecoder::default()
    }

    /// Takes bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip_bytes.min(bytes.len());
        self.skip_bytes -= skipped;
        self.buffer.extend(&bytes[skipped..]);
    }

    /// The next frame; `None` until more bytes have come. Call it until it gives none: what is not
    /// taken stays in memory.
    pub fn next_frame(&mut self) -> Option<Result<Frame, TooLong>> {
        let header: [u8; HEADER_BYTES] = self.peek()?;
        let number =
            |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (length_bytes, stream) = (number(0) as usize, number(4));
        if length_bytes > MESSAGE_MAX_BYTES {
            self.skip(HEADER_BYTES + length_bytes);
            return Some(Err(TooLong { stream, length_bytes }));
        }
        if self.buffer.len() < HEADER_BYTES + length_bytes {
            return None;
        }
        self.buffer.drain(..HEADER_BYTES);
        let data = self.buffer.drain(..length_bytes).collect();
        let (kind, flags) = (FrameKind::from_byte(header[8]), Flags(header[9]));
        Some(Ok(Frame { stream, kind, flags, data }))
    }

    /// Whether it ended between two frames.
    pub fn is_at_boundary(&self) -> bool {
        self.buffer.is_empty() && self.skip_bytes == 0
    }

    fn peek(&self) -> Option<[u8; HEADER_BYTES]> {
        let mut header = [0; HEADER_BYTES];
        for (at, byte) in header.iter_mut().enumerate() {
            *byte = *self.buffer.get(at)?;
        }
        Some(header)
    }

    fn skip(&mut self, bytes: usize) {
        let here = bytes.min(self.buffer.len());
        self.buffer.drain(..here);
        self.skip_bytes = bytes - here;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames_of(decoder: &mut FrameDecoder) -> Vec<Result<Frame, TooLong>> {
        std::iter::from_fn(|| decoder.next_frame()).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let frame = Frame {
            stream: 0x0102_0304,
            kind: FrameKind::Request,
            flags: Flags::REMOTE_OPEN,
            data: vec![0xaa],
        };
        assert_eq!(frame.encode().unwrap(), [0, 0, 0, 1, 1, 2, 3, 4, 1, 2, 0xaa]);
        assert!(Flags::REMOTE_CLOSED.and(Flags::NO_DATA).has(Flags::NO_DATA));
        assert!(!Flags::REMOTE_CLOSED.has(Flags::NO_DATA));
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped() {
        let mut decoder = FrameDecoder::new();
        let long = MESSAGE_MAX_BYTES + 5;
        decoder.push(&u32::try_from(long).unwrap().to_be_bytes());
        decoder.push(&[0, 0, 0, 7, 3, 0, 1, 2]);
        assert_eq!(frames_of(&mut decoder), [Err(TooLong { stream: 7, length_bytes: long })]);
        decoder.push(&vec![0xff; long - 2]);
        assert!(decoder.is_at_boundary());
        let next = Frame { stream: 9, kind: FrameKind::Response, flags: Flags(0), data: vec![1] };
        decoder.push(&next.encode().unwrap());
        assert_eq!(frames_of(&mut decoder), [Ok(next)]);
        let data = vec![0; long];
        let sent = Frame { stream: 1, kind: FrameKind::Data, flags: Flags(0), data };
        assert_eq!(sent.encode(), Err(TooLong { stream: 1, length_bytes: long }));
    }

    fn frames() -> impl Strategy<Value = Frame> {
        (any::<u32>(), any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(stream, kind, flags, data)| Frame {
                stream,
                kind: FrameKind::from_byte(kind),
                flags: Flags(flags),
                data,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back_however_it_is_cut(
            sent in proptest::collection::vec(frames(), 0..6),
            cut in 1usize..40,
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|frame| frame.encode().unwrap()).collect();
            let mut decoder = FrameDecoder::new();
            let mut received = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.push(piece);
                received.extend(frames_of(&mut decoder));
            }
            prop_assert!(decoder.is_at_boundary());
            let sent: Vec<_> = sent.into_iter().map(Ok).collect();
            prop_assert_eq!(received, sent);
        }
    }
}
