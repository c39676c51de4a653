//! Frames of SPDY 3.1, as far as runtimes use them: a client opens streams, and both sides send
//! data on them. Pure; a fuzz target includes this file, so it uses nothing else of this crate.
//!
//! Headers of a frame are compressed with one zlib stream for all of them. It need not compress:
//! each block is stored as it is, followed by an empty one, which makes the other side read it at
//! once. Headers of the other side are not read.

/// The length of what precedes every frame.
const HEAD_BYTES: usize = 8;

/// Marks the last frame of a stream in one direction.
const LAST: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// What the other side sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A stream was accepted.
    Accepted {
        stream: u32,
        is_last: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        is_last: bool,
    },
    /// A stream was closed in both directions.
    Reset {
        stream: u32,
        status: u32,
    },
    /// Requires the same frame as an answer.
    Ping(u32),
    /// No more streams are accepted.
    GoAway,
}

/// Decodes frames as they arrive.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    held: Vec<u8>,
    /// How much of `held` was decoded.
    at: usize,
}

impl Decoder {
    /// Adds bytes of the other side.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.drain(..std::mem::take(&mut self.at));
        self.held.extend_from_slice(bytes);
    }

    /// Returns whether a frame has begun and is not complete.
    pub(super) fn is_within_frame(&self) -> bool {
        self.at < self.held.len()
    }

    /// Returns the next event, or `None` until more arrives. Skips frames that need no attention.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let rest = &self.held[self.at..];
            let head: [u8; HEAD_BYTES] = rest.get(..HEAD_BYTES)?.try_into().ok()?;
            let len = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            let body = rest.get(HEAD_BYTES..HEAD_BYTES + len)?;
            let event = decode(&head, body);
            self.at += HEAD_BYTES + len;
            if event.is_some() {
                return event;
            }
        }
    }
}

fn decode(head: &[u8; HEAD_BYTES], body: &[u8]) -> Option<Event> {
    let number = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?) & 0x7fff_ffff);
    let is_last = head[4] & LAST != 0;
    if head[0] & 0x80 == 0 {
        let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        return Some(Event::Data { stream, bytes: body.to_vec(), is_last });
    }
    match u16::from_be_bytes([head[2], head[3]]) {
        SYN_REPLY => Some(Event::Accepted { stream: number(0)?, is_last }),
        RST_STREAM => Some(Event::Reset { stream: number(0)?, status: number(4)? }),
        PING => Some(Event::Ping(u32::from_be_bytes(body.get(..4)?.try_into().ok()?))),
        GOAWAY => Some(Event::GoAway),
        _ => None,
    }
}

fn control(kind: u16, body: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = (body.len() as u32).to_be_bytes();
    let [kind_high, kind_low] = kind.to_be_bytes();
    let mut frame = vec![0x80, 3, kind_high, kind_low, 0, high, middle, low];
    frame.extend_from_slice(body);
    frame
}

/// Returns the frame that opens a stream. Names are lowercase. `is_first` for the first frame of a
/// connection, which begins the compressed stream.
pub(super) fn open(stream: u32, headers: &[(&str, &str)], is_first: bool) -> Vec<u8> {
    let mut block = (headers.len() as u32).to_be_bytes().to_vec();
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        block.extend((text.len() as u32).to_be_bytes());
        block.extend(text.as_bytes());
    }
    let len = u16::try_from(block.len()).expect("the headers of a stream are short");
    // The stream's number, the number of no other stream, and no priority.
    let mut body = stream.to_be_bytes().to_vec();
    body.extend([0; 6]);
    if is_first {
        body.extend([0x78, 0x01]);
    }
    body.push(0);
    body.extend(len.to_le_bytes());
    body.extend((!len).to_le_bytes());
    body.extend(block);
    body.extend([0, 0, 0, 0xff, 0xff]);
    control(SYN_STREAM, &body)
}

/// Returns a frame with data. The last one of a stream may be empty. At most 16 MiB fit.
pub(super) fn data(stream: u32, bytes: &[u8], is_last: bool) -> Vec<u8> {
    let [_, high, middle, low] = (bytes.len() as u32).to_be_bytes();
    let mut frame = stream.to_be_bytes().to_vec();
    frame.extend([if is_last { LAST } else { 0 }, high, middle, low]);
    frame.extend_from_slice(bytes);
    frame
}

/// Returns the answer to a ping.
pub(super) fn pong(id: u32) -> Vec<u8> {
    control(PING, &id.to_be_bytes())
}
