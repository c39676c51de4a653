//! HTTP/2 frame headers (RFC 9113, section 4), and extraction of a header block from its frames.

use std::borrow::Cow;

/// The length of a frame's header.
pub(super) const HEAD_BYTES: usize = 9;

/// The longest payload that every receiver must accept.
pub(super) const PAYLOAD_MAX_BYTES: usize = 16 * 1024;

pub(super) const FLAG_END_STREAM: u8 = 0x1;
pub(super) const FLAG_END_HEADERS: u8 = 0x4;
const FLAG_PADDED: u8 = 0x8;
const FLAG_PRIORITY: u8 = 0x20;

/// The length of the stream dependency and weight, which are deprecated.
const PRIORITY_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Continuation,
    Other(u8),
}

pub(super) const PING: Kind = Kind::Other(6);
pub(super) const WINDOW_UPDATE: Kind = Kind::Other(8);

impl Kind {
    fn of(code: u8) -> Kind {
        match code {
            0 => Kind::Data,
            1 => Kind::Headers,
            9 => Kind::Continuation,
            other => Kind::Other(other),
        }
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Kind::Data => 0,
            Kind::Headers => 1,
            Kind::Continuation => 9,
            Kind::Other(code) => code,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The length of the payload in bytes.
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// Parses a frame's header. Returns `None` if it is incomplete.
    pub(super) fn parse(bytes: &[u8]) -> Option<Head> {
        // Length in 24 bits, type, flags, then a reserved bit and 31 bits of stream identifier. The
        // reserved bit is masked: a receiver must ignore it.
        let &[a, b, c, kind, flags, s, t, u, v] = bytes.first_chunk()?;
        Some(Head {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s, t, u, v]) & 0x7fff_ffff,
        })
    }

    /// Appends the header. `len` must fit 24 bits.
    pub(super) fn write(&self, output: &mut Vec<u8>) {
        let [_, a, b, c] = (self.len as u32).to_be_bytes();
        output.extend_from_slice(&[a, b, c, self.kind.code(), self.flags]);
        output.extend_from_slice(&self.stream.to_be_bytes());
    }
}

/// Returns the header block in these complete frames, without frame headers, padding and priority.
/// Returns `None` if the padding is longer than its frame.
pub(super) fn block(mut frames: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut block = Cow::Borrowed(&[][..]);
    while let Some(head) = Head::parse(frames) {
        let payload = frames.get(HEAD_BYTES..HEAD_BYTES + head.len)?;
        frames = &frames[HEAD_BYTES + head.len..];
        // Only HEADERS can be padded and carry a priority. The same bits in the flags of a
        // CONTINUATION frame have no meaning.
        let fragment = if head.kind == Kind::Headers { fragment(payload, head.flags)? } else { payload };
        // Nearly every block is in one frame: it is borrowed, and copied only to append a second.
        if block.is_empty() {
            block = Cow::Borrowed(fragment);
        } else {
            block.to_mut().extend_from_slice(fragment);
        }
    }
    Some(block)
}

fn fragment(mut payload: &[u8], flags: u8) -> Option<&[u8]> {
    let mut padding = 0;
    if flags & FLAG_PADDED != 0 {
        let (&len, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(len), rest);
    }
    if flags & FLAG_PRIORITY != 0 {
        payload = payload.get(PRIORITY_BYTES..)?;
    }
    // The padding is at the end, and its length at the very start, before the priority.
    payload.get(..payload.len().checked_sub(padding)?)
}
