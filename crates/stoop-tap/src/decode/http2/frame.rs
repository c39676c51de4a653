//! The frames of one direction, from its bytes.

/// What a client sends first.
pub(in crate::decode) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(in crate::decode) const HEADER_BYTES: usize = 9;
/// The longest frame that is kept to be decoded: headers, or padded data.
const KEPT_MAX: u64 = 1 << 20;
/// The longest frame without an agreement on longer ones.
const DEFAULT_MAX: u64 = 1 << 14;

pub(in crate::decode) const DATA: u8 = 0;
pub(in crate::decode) const HEADERS: u8 = 1;
pub(in crate::decode) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
pub(in crate::decode) const PUSH_PROMISE: u8 = 5;
pub(in crate::decode) const GOAWAY: u8 = 7;
pub(in crate::decode) const CONTINUATION: u8 = 9;
/// The last type of frames that the standard defines.
const TYPE_MAX: u8 = 0x10;

pub(in crate::decode) const END_STREAM: u8 = 1;
pub(in crate::decode) const END_HEADERS: u8 = 4;
pub(in crate::decode) const PADDED: u8 = 8;
pub(in crate::decode) const PRIORITY: u8 = 0x20;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) struct Frame {
    pub(in crate::decode) len: u64,
    pub(in crate::decode) kind: u8,
    flags: u8,
    pub(in crate::decode) stream: u32,
}

impl Frame {
    pub(in crate::decode) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        let len = u64::from(u32::from_be_bytes([0, a, b, c]));
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        (kind <= TYPE_MAX).then_some(Frame { len, kind, flags, stream })
    }

    pub(in crate::decode) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Returns whether it is one that a connection may have at any time, so that bytes of another
    /// protocol are hardly taken for it.
    fn is_plausible(self) -> bool {
        let (flags, is_stream) = match self.kind {
            DATA => (END_STREAM | PADDED, true),
            HEADERS => (END_STREAM | END_HEADERS | PADDED | PRIORITY, true),
            RST_STREAM => (0, true),
            CONTINUATION => (END_HEADERS, true),
            SETTINGS | 6 => (1, false),
            GOAWAY => (0, false),
            8 => (0, self.stream != 0),
            _ => return false,
        };
        let is_length = match self.kind {
            RST_STREAM | 8 => self.len == 4,
            SETTINGS => self.len.is_multiple_of(6),
            6 => self.len == 8,
            _ => self.len <= DEFAULT_MAX,
        };
        is_length && self.flags & !flags == 0 && is_stream == (self.stream != 0)
    }

    /// Returns whether its payload is decoded as a whole.
    fn is_kept(self) -> bool {
        match self.kind {
            DATA => self.has(PADDED),
            HEADERS | CONTINUATION | PUSH_PROMISE | RST_STREAM => true,
            _ => false,
        }
    }

    /// Returns what of a whole payload is not padding, priority or the number of a stream.
    pub(super) fn content(self, payload: &[u8]) -> Option<&[u8]> {
        let mut rest = payload;
        let is_padded = matches!(self.kind, DATA | HEADERS | PUSH_PROMISE) && self.has(PADDED);
        let padding = if is_padded { usize::from(*rest.split_off_first()?) } else { 0 };
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
        match self.kind {
            HEADERS if self.has(PRIORITY) => rest.get(5..),
            PUSH_PROMISE => rest.get(4..),
            _ => Some(rest),
        }
    }
}

/// Returns whether the bytes begin a connection, or are whole frames of one.
pub(in crate::decode) fn begins(bytes: &[u8]) -> bool {
    if bytes.starts_with(PREFACE) || bytes.len() >= 3 && PREFACE.starts_with(bytes) {
        return true;
    }
    let mut rest = bytes;
    while let Some(frame) = rest.first_chunk().map(Frame::parse) {
        let Some(frame) = frame.filter(|frame| frame.is_plausible()) else { return false };
        rest = rest.get(HEADER_BYTES + frame.len as usize..).unwrap_or_default();
    }
    bytes.len() >= HEADER_BYTES
}

/// Returns whether these bytes may be the begin of either, and are too few to tell.
pub(in crate::decode) fn may_begin(bytes: &[u8]) -> bool {
    bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes) || may_be_header(bytes)
}

/// Returns whether these are a part of the header of a plausible frame.
pub(in crate::decode) fn may_be_header(bytes: &[u8]) -> bool {
    let filled = |header: &[u8; HEADER_BYTES]| {
        let mut filled = *header;
        filled[..bytes.len()].copy_from_slice(bytes);
        Frame::parse(&filled).is_some_and(Frame::is_plausible)
    };
    // Data, and a frame of the connection.
    bytes.len() < HEADER_BYTES
        && [[0, 0, 6, 0, 0, 0, 0, 0, 1], [0, 0, 6, 4, 0, 0, 0, 0, 0]].iter().any(filled)
}

/// Finds a frame that begins within bytes of a connection: two in a row at least, one of which
/// other bytes are hardly taken for, with the end of the last one at the end of the bytes.
pub(in crate::decode) fn find(bytes: &[u8]) -> Option<usize> {
    // Frames as long as those that are looked for begin with a zero.
    (0..bytes.len()).filter(|at| bytes[*at] == 0).find(|at| is_row(&bytes[*at..]))
}

fn is_row(mut rest: &[u8]) -> bool {
    let (mut count, mut is_certain) = (0, false);
    while !rest.is_empty() {
        let Some(frame) = rest.first_chunk().and_then(Frame::parse).filter(|frame| frame.is_plausible())
        else {
            return false;
        };
        let Some(behind) = rest.get(HEADER_BYTES + frame.len as usize..) else { return false };
        (count, rest) = (count + 1, behind);
        is_certain |= frame.kind != DATA;
    }
    count >= 2 && is_certain
}

/// Returns whether a direction that begins like this is at the begin of a frame or of the preface.
pub(in crate::decode) fn is_at_frame(bytes: &[u8]) -> bool {
    let is_preface = PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]);
    is_preface || begins_frame(bytes) || may_be_header(bytes)
}

fn begins_frame(bytes: &[u8]) -> bool {
    bytes.first_chunk().and_then(Frame::parse).is_some_and(Frame::is_plausible)
}

/// What the bytes of a direction contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'b> {
    Preface,
    /// The first frame follows; the direction had begun before, and so many bytes were skipped.
    Joined(u64),
    /// A frame whose payload is not needed, or is too long.
    Skipped(Frame),
    /// A whole frame.
    Whole(Frame, &'b [u8]),
    /// A part of the data of a stream, and whether its frame ends with it.
    Data(Frame, &'b [u8], bool),
}

/// Splits the bytes of one direction.
#[derive(Debug)]
pub(super) struct Splitter {
    /// Whether no frame has come so far, so that a preface may come.
    is_start: bool,
    /// How many bytes were skipped because no frame begins with them.
    skipped: u64,
    /// An incomplete preface or header of a frame; or the payload of a frame that is kept.
    kept: Vec<u8>,
    frame: Option<Frame>,
    /// How much of the frame's payload is still to come.
    left: u64,
    /// Whether bytes of a kept payload are missing.
    is_broken: bool,
}

impl Default for Splitter {
    fn default() -> Splitter {
        Splitter { is_start: true, skipped: 0, kept: Vec::new(), frame: None, left: 0, is_broken: false }
    }
}

impl Splitter {
    /// Passes the next parts to `give`. Returns `false` if the bytes are not HTTP/2.
    pub(super) fn split(&mut self, mut bytes: &[u8], mut give: impl FnMut(Part<'_>)) -> bool {
        loop {
            let frame = self.frame;
            match frame {
                Some(frame) => self.payload(frame, &mut bytes, &mut give),
                None if bytes.is_empty() => return true,
                None if self.is_start && self.kept.is_empty() && !self.is_synchronized(&mut bytes) => {
                    return true;
                }
                None if self.skipped > 0 => give(Part::Joined(std::mem::take(&mut self.skipped))),
                None => match self.header(&mut bytes) {
                    Some(Some(part)) => give(part),
                    Some(None) => {}
                    None => return false,
                },
            }
            if bytes.is_empty() && (self.frame.is_none() || self.left > 0) {
                return true;
            }
        }
    }

    /// Skips the rest of a frame that began before. Returns whether a frame begins after that.
    fn is_synchronized(&mut self, bytes: &mut &[u8]) -> bool {
        let is_at_frame = if self.skipped == 0 { is_at_frame(bytes) } else { begins(bytes) };
        let skipped = if is_at_frame { 0 } else { find(bytes).unwrap_or(bytes.len()) };
        self.skipped += skipped as u64;
        *bytes = &bytes[skipped..];
        !bytes.is_empty()
    }

    /// Takes bytes of a preface or a header. Returns `None` if it is neither.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<Option<Part<'static>>> {
        while let Some(byte) = bytes.split_off_first() {
            self.kept.push(*byte);
            let is_preface = self.is_start && PREFACE.starts_with(&self.kept);
            if is_preface && self.kept.len() == PREFACE.len() {
                (self.is_start, self.kept) = (false, Vec::new());
                return Some(Some(Part::Preface));
            }
            if !is_preface && self.kept.len() >= HEADER_BYTES {
                let header = std::mem::take(&mut self.kept);
                let frame = Frame::parse(header[..].try_into().ok()?);
                let Some(frame) = frame.filter(|frame| !self.is_start || frame.is_plausible()) else {
                    self.skipped += HEADER_BYTES as u64;
                    return self.is_start.then_some(None);
                };
                (self.is_start, self.frame, self.left) = (false, Some(frame), frame.len);
                self.is_broken = frame.len > KEPT_MAX;
                return Some(None);
            }
        }
        Some(None)
    }

    fn payload(&mut self, frame: Frame, bytes: &mut &[u8], give: &mut impl FnMut(Part<'_>)) {
        let len = self.left.min(bytes.len() as u64);
        let now = bytes.split_off(..len as usize).unwrap_or_default();
        self.left -= len;
        let is_last = self.left == 0;
        if is_last {
            self.frame = None;
        }
        if frame.is_kept() && !self.is_broken {
            self.kept.extend(now);
            if is_last {
                give(Part::Whole(frame, &std::mem::take(&mut self.kept)));
            }
        } else if frame.kind == DATA && !frame.is_kept() {
            give(Part::Data(frame, now, is_last));
        } else if is_last {
            self.kept.clear();
            give(Part::Skipped(frame));
        }
    }

    /// Skips bytes of a payload. Returns the frame that they belong to, and whether it ends with
    /// them; `None` if they are not within one.
    pub(super) fn gap(&mut self, len: u64) -> Option<(Frame, bool)> {
        let frame = self.frame.filter(|_| len <= self.left)?;
        self.left -= len;
        self.is_broken = true;
        self.kept.clear();
        let is_last = self.left == 0;
        if is_last {
            self.frame = None;
        }
        Some((frame, is_last))
    }
}
