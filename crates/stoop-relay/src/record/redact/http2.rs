//! Credentials in one direction of HTTP/2: in its headers, and in the data of each stream.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::calls::{Calls, Messages};
use super::hpack::{Block, Hpack, MASK};
use super::secrets::Secrets;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Streams whose data is followed. Few servers permit more at once.
const STREAMS_MAX: usize = 4_000;

/// Finds whether the bytes at a place begin a direction of HTTP/2.
#[derive(Debug)]
pub(super) struct Detector {
    /// The bytes since that place, if they may be its beginning.
    start: Option<Vec<u8>>,
    /// The last four bytes: HTTP/1 changes to HTTP/2 after an empty line.
    last: u32,
}

impl Detector {
    pub(super) fn new() -> Detector {
        Detector { start: Some(Vec::new()), last: 0 }
    }

    /// Takes the next byte. Returns the direction if it has begun with the byte.
    pub(super) fn next(&mut self, byte: u8, calls: &Calls) -> Option<Http2> {
        self.last = self.last << 8 | u32::from(byte);
        if let Some(start) = &mut self.start {
            start.push(byte);
            match &start[..] {
                PREFACE => return Some(Http2::new(true, calls)),
                // Settings, with which a server begins. Each of them has six bytes.
                [0, 0, len, 4, 0, 0, 0, 0, 0] if len.is_multiple_of(6) => {
                    let mut http2 = Http2::new(false, calls);
                    start.iter().for_each(|byte| _ = http2.mask(*byte));
                    return Some(http2);
                }
                start if PREFACE.starts_with(start) => {}
                [0] | [0, 0] | [0, 0, _] | [0, 0, _, 4, ..] if start.len() < HEAD_BYTES => {}
                _ => self.start = None,
            }
        }
        if self.last.to_be_bytes() == *b"\r\n\r\n" && self.start.is_none() {
            self.start = Some(Vec::new());
        }
        None
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn is_headers(self) -> bool {
        matches!(self.kind, HEADERS | PUSH_PROMISE | CONTINUATION)
    }

    fn is_padded(self) -> bool {
        matches!(self.kind, DATA | HEADERS | PUSH_PROMISE) && self.has(PADDED)
    }

    /// The bytes between the length of the padding and the content: a priority, a promised stream.
    fn fields(self) -> u32 {
        match self.kind {
            HEADERS if self.has(PRIORITY) => 5,
            PUSH_PROMISE => 4,
            _ => 0,
        }
    }
}

/// What the next byte is. `left` is what is left of a part, with the byte.
#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    /// The length of the padding, before so many bytes of the payload.
    PaddingLength {
        frame: Frame,
        rest: u32,
    },
    /// What is before the content.
    Fields {
        frame: Frame,
        left: u32,
        content: u32,
        padding: u32,
    },
    Content {
        frame: Frame,
        left: u32,
        padding: u32,
    },
    Padding {
        left: u32,
    },
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Http2 {
    is_client: bool,
    state: State,
    head: Vec<u8>,
    hpack: Hpack,
    /// The frame that began the headers, which CONTINUATION goes on with.
    begun: Option<Frame>,
    streams: BTreeMap<u32, Stream>,
    calls: Calls,
}

/// The data of a stream.
#[derive(Debug)]
struct Stream {
    text: Secrets,
    /// The messages of gRPC.
    messages: Option<Messages>,
}

impl Http2 {
    fn new(is_client: bool, calls: &Calls) -> Http2 {
        Http2 {
            is_client,
            state: State::Head,
            head: Vec::new(),
            hpack: Hpack::new(),
            begun: None,
            streams: BTreeMap::new(),
            calls: calls.clone(),
        }
    }

    /// Judges the next byte. Returns what it becomes if it is part of a secret.
    pub(super) fn mask(&mut self, byte: u8) -> Option<u8> {
        let mut mask = None;
        self.state = match self.state {
            State::Head => {
                self.head.push(byte);
                match <[u8; HEAD_BYTES]>::try_from(&self.head[..]) {
                    Ok(head) => self.begin(head),
                    Err(_) => State::Head,
                }
            }
            State::PaddingLength { frame, rest } => self.payload(frame, rest, u32::from(byte)),
            State::Fields { frame, left, content, padding } => self.fields(frame, left - 1, content, padding),
            State::Content { frame, left, padding } => {
                mask = self.judge(frame, byte);
                self.content(frame, left - 1, padding)
            }
            State::Padding { left } => padding(left - 1),
        };
        mask
    }

    fn begin(&mut self, head: [u8; HEAD_BYTES]) -> State {
        self.head.clear();
        let [l0, l1, l2, kind, flags, stream @ ..] = head;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        let frame = Frame { kind, flags, stream };
        if frame.is_headers() && kind != CONTINUATION {
            self.begun = Some(frame);
        }
        match u32::from_be_bytes([0, l0, l1, l2]) {
            0 => self.payload(frame, 0, 0),
            len if frame.is_padded() => State::PaddingLength { frame, rest: len - 1 },
            len => self.payload(frame, len, 0),
        }
    }

    fn payload(&mut self, frame: Frame, len: u32, padding: u32) -> State {
        let padding = padding.min(len);
        let fields = frame.fields().min(len - padding);
        self.fields(frame, fields, len - padding - fields, padding)
    }

    fn fields(&mut self, frame: Frame, left: u32, content: u32, padding: u32) -> State {
        match left {
            0 => self.content(frame, content, padding),
            left => State::Fields { frame, left, content, padding },
        }
    }

    fn content(&mut self, frame: Frame, left: u32, its_padding: u32) -> State {
        if left > 0 {
            return State::Content { frame, left, padding: its_padding };
        }
        match frame.kind {
            HEADERS | PUSH_PROMISE | CONTINUATION if frame.has(END_HEADERS) => self.end_headers(),
            DATA if frame.has(END_STREAM) => self.end_stream(frame.stream),
            RST_STREAM => self.end_stream(frame.stream),
            _ => {}
        }
        padding(its_padding)
    }

    /// Judges a byte of the content of a frame.
    fn judge(&mut self, frame: Frame, byte: u8) -> Option<u8> {
        if frame.is_headers() {
            return self.hpack.mask(byte);
        }
        if frame.kind != DATA {
            return None;
        }
        let stream = self.streams.entry(frame.stream).or_insert_with(|| Stream::new(None));
        stream.is_secret(byte).then_some(MASK)
    }

    fn end_headers(&mut self) {
        let Block { path, is_grpc } = self.hpack.end_block();
        let Some(begun) = self.begun.take().filter(|begun| begun.kind == HEADERS) else { return };
        if let Some(path) = path.filter(|_| self.is_client) {
            self.calls.begin(begun.stream, &path);
        }
        if begun.has(END_STREAM) {
            return self.end_stream(begun.stream);
        }
        let messages = is_grpc.then(|| self.calls.messages(begun.stream, self.is_client));
        while self.streams.len() >= STREAMS_MAX {
            self.streams.pop_first();
        }
        self.streams.entry(begun.stream).or_insert_with(|| Stream::new(messages));
    }

    fn end_stream(&mut self, stream: u32) {
        self.streams.remove(&stream);
        if !self.is_client {
            self.calls.end(stream);
        }
    }
}

impl Stream {
    fn new(messages: Option<Messages>) -> Stream {
        Stream { text: Secrets::default(), messages }
    }

    fn is_secret(&mut self, byte: u8) -> bool {
        let Some(messages) = &mut self.messages else { return self.text.is_secret(byte) };
        if messages.is_at_head() {
            // What one message leaves open ends with it.
            self.text = Secrets::default();
            return messages.is_secret(byte);
        }
        let is_text_secret = self.text.is_secret(byte);
        messages.is_secret(byte) || is_text_secret
    }
}

fn padding(left: u32) -> State {
    match left {
        0 => State::Head,
        left => State::Padding { left },
    }
}
