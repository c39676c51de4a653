//! HTTP/2: its streams. Headers are compressed with a state that begins with the connection, and
//! are not decoded: Wireshark does that with a capture file.

use std::collections::HashMap;

use super::line::{Decode, Kind, Line, Protocol};
use crate::follow::Side;

/// What a client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER: usize = 9;
/// The longest frame that a peer may permit.
const FRAME_MAX: u64 = (1 << 24) - 1;
const STREAMS_MAX: usize = 10_000;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
/// The last type of frames that the standard defines.
const TYPE_MAX: u8 = 0x10;
const END_STREAM: u8 = 1;

/// Returns whether the bytes begin a connection.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.len() >= 3 && (bytes.starts_with(PREFACE) || PREFACE.starts_with(bytes))
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Http2 {
    client: Option<Side>,
    halves: [Half; 2],
    /// When the client opened a stream, and how many bytes it was answered with.
    streams: HashMap<u32, Stream>,
}

#[derive(Debug, Default)]
struct Half {
    /// An incomplete preface or header of a frame.
    begun: Vec<u8>,
    has_begun: bool,
    /// What is left of a frame's payload.
    skip: u64,
}

#[derive(Debug)]
struct Stream {
    opened_ns: u64,
    is_answered: bool,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    len: u64,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn parse(bytes: &[u8; FRAME_HEADER]) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes;
        let len = u64::from(u32::from_be_bytes([0, a, b, c]));
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        (kind <= TYPE_MAX && len <= FRAME_MAX).then_some(Frame { len, kind, flags, stream })
    }
}

impl Decode for Http2 {
    fn protocol(&self) -> Protocol {
        Protocol::Http2
    }

    fn data(&mut self, from: Side, time_ns: u64, mut bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let client = *self.client.get_or_insert(from);
        loop {
            let half = &mut self.halves[from.index()];
            let skipped = half.skip.min(bytes.len() as u64);
            half.skip -= skipped;
            bytes = &bytes[skipped as usize..];
            let needed = if from == client && !half.has_begun { PREFACE.len() } else { FRAME_HEADER };
            let taken = (needed - half.begun.len()).min(bytes.len());
            half.begun.extend(&bytes[..taken]);
            bytes = &bytes[taken..];
            if half.begun.len() < needed {
                return true;
            }
            let begun = std::mem::take(&mut half.begun);
            if begun == PREFACE {
                half.has_begun = true;
                continue;
            }
            let Some(frame) = begun.first_chunk().and_then(Frame::parse) else { return false };
            if needed == PREFACE.len() {
                return false;
            }
            half.skip = frame.len;
            lines.extend(self.frame(from, from == client, time_ns, frame));
        }
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        let fits = half.skip >= len;
        half.skip -= if fits { len } else { 0 };
        fits
    }
}

impl Http2 {
    fn frame(&mut self, from: Side, is_client: bool, time_ns: u64, frame: Frame) -> Option<Line> {
        let number = frame.stream;
        let line = |text: String| Line::new(time_ns, from, Protocol::Http2, Kind::Message, text);
        let since = |stream: &Stream| Some(time_ns.saturating_sub(stream.opened_ns));
        match frame.kind {
            HEADERS if is_client && !self.streams.contains_key(&number) => {
                if self.streams.len() >= STREAMS_MAX {
                    self.streams.clear();
                }
                self.streams.insert(number, Stream { opened_ns: time_ns, is_answered: false });
                Some(line(format!("stream {number}: request")))
            }
            HEADERS if !is_client => {
                let stream = self.streams.get_mut(&number)?;
                let is_end = frame.flags & END_STREAM != 0;
                let word = match (stream.is_answered, is_end) {
                    (false, _) => "response",
                    (true, true) => "trailers",
                    (true, false) => return None,
                };
                stream.is_answered = true;
                let latency_ns = since(stream);
                if is_end {
                    self.streams.remove(&number);
                }
                Some(Line { latency_ns, ..line(format!("stream {number}: {word}")) })
            }
            RST_STREAM => {
                let latency_ns = self.streams.remove(&number).as_ref().and_then(since);
                Some(Line { latency_ns, ..line(format!("stream {number}: reset")) })
            }
            GOAWAY => Some(line("closes the connection (GOAWAY)".to_owned())),
            _ => None,
        }
    }
}
