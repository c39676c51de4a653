//! The frames of ttrpc: ten bytes of header, then the message. Does no I/O and uses no clock.
//!
//! ```text
//!  0       4        8      9       10
//! | length | stream | type | flags | length bytes … |      numbers are big-endian
//! ```

use std::collections::VecDeque;

/// The length of a header.
pub const HEADER_BYTES: usize = 10;

/// The longest message that the protocol allows: 4 MiB.
pub const MESSAGE_MAX_BYTES: usize = 4 << 20;

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Opens a stream: the method, and the first message.
    Request,
    /// Ends a stream: the status, and the single response if the call has one.
    Response,
    /// One message of a stream.
    Data,
    /// Any other type.
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

/// The flags of a frame. Unknown bits are preserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// The sender sends no more on the stream.
    pub const REMOTE_CLOSED: Flags = Flags(1);
    /// The sender will send more on the stream.
    pub const REMOTE_OPEN: Flags = Flags(2);
    /// The frame contains no message, not even an empty one.
    pub const NO_DATA: Flags = Flags(4);

    /// Returns the union of both sets of flags.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Returns whether all flags of `other` are set.
    ///
    /// ```
    /// use stoop_dynamic::ttrpc::frame::Flags;
    ///
    /// let last = Flags::REMOTE_CLOSED.and(Flags::NO_DATA);
    /// assert!(last.has(Flags::REMOTE_CLOSED) && !last.has(Flags::REMOTE_OPEN));
    /// assert!(!Flags::REMOTE_CLOSED.has(last));
    /// ```
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The stream id of its call. Clients use odd ids.
    pub stream: u32,
    /// Its type.
    pub kind: FrameKind,
    /// Its flags.
    pub flags: Flags,
    /// The message.
    pub data: Vec<u8>,
}

/// The error for a message that is longer than the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The stream id of its call.
    pub stream: u32,
    /// Its length in bytes, as announced.
    pub length_bytes: usize,
}

impl Frame {
    /// Encodes the frame.
    ///
    /// ```
    /// use stoop_dynamic::ttrpc::frame::{Flags, Frame, FrameKind, MESSAGE_MAX_BYTES, TooLong};
    ///
    /// let kind = FrameKind::Data;
    /// let frame = Frame { stream: 1, kind, flags: Flags(0), data: b"hi".to_vec() };
    /// assert_eq!(frame.encode().unwrap(), b"\0\0\0\x02\0\0\0\x01\x03\0hi");
    /// let long = Frame { data: vec![0; MESSAGE_MAX_BYTES + 1], ..frame };
    /// assert!(matches!(long.encode(), Err(TooLong { stream: 1, .. })));
    /// ```
    ///
    /// # Errors
    /// Returns an error ([`TooLong`]) if the message is longer than [`MESSAGE_MAX_BYTES`].
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

/// Decodes frames from bytes, however the bytes are split. A frame that is too long is reported
/// and skipped, and decoding continues with the next one.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: VecDeque<u8>,
    /// How many bytes of a frame that is too long are still to be skipped.
    skip_bytes: usize,
}

impl FrameDecoder {
    /// Creates an empty decoder.
    pub fn new() -> FrameDecoder {
        FrameDecoder::default()
    }

    /// Appends bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = self.skip_bytes.min(bytes.len());
        self.skip_bytes -= skipped;
        self.buffer.extend(&bytes[skipped..]);
    }

    /// Returns the next frame, or `None` until more bytes are pushed.
    ///
    /// Call it until it returns `None`: bytes that are not consumed stay in memory.
    ///
    /// ```
    /// use stoop_dynamic::ttrpc::frame::FrameDecoder;
    ///
    /// let mut decoder = FrameDecoder::new();
    /// decoder.push(b"\0\0\0\x02\0\0\0\x01\x03\0h");
    /// assert_eq!(decoder.next_frame(), None);
    /// assert!(!decoder.is_at_boundary());
    /// decoder.push(b"i");
    /// assert_eq!(decoder.next_frame().unwrap().unwrap().data, b"hi");
    /// assert!(decoder.is_at_boundary());
    /// ```
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

    /// Returns whether the input ends between two frames.
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
    fn frames_are_encoded_as_specified() {
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
    fn an_oversized_frame_is_skipped() {
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
        fn frames_round_trip_at_any_chunking(
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
