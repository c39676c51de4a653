//! HTTP/2, and gRPC in it: frames, headers, streams.

pub(super) mod frame;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::hpack::{Decoder, Header, Text};
use super::line::{Decode, Kind, Line, Protocol};
use super::methods::Methods;
use crate::follow::Side;
use frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PUSH_PROMISE, Part, RST_STREAM,
};
pub(super) use frame::{begins, may_begin};
use stream::{At, Stream};

/// Streams that are remembered. Few servers permit more at once.
pub(super) const STREAMS_MAX: usize = 2_000;
/// How long the headers of a stream may be.
const BLOCK_MAX: usize = 1 << 20;
/// How many bytes of incomplete messages are kept.
const KEPT_MAX: usize = 8 << 20;

/// Returns whether the bytes are of a connection that began before, and end with whole frames.
pub(super) fn is_joined(bytes: &[u8]) -> bool {
    frame::find(bytes).is_some()
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Http2 {
    methods: Option<Arc<dyn Methods>>,
    /// The end that sent the preface, or a request.
    client: Option<Side>,
    halves: [Half; 2],
    streams: HashMap<u32, Stream>,
}

#[derive(Debug)]
struct Half {
    splitter: frame::Splitter,
    headers: Decoder,
    /// The headers of a stream that are not complete, with the frame that began them.
    block: Option<(Frame, Vec<u8>)>,
}

impl Default for Half {
    fn default() -> Half {
        Half { splitter: frame::Splitter::default(), headers: Decoder::new(false), block: None }
    }
}

impl Decode for Http2 {
    fn protocol(&self) -> Protocol {
        Protocol::Http2
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut splitter = std::mem::take(&mut self.halves[from.index()].splitter);
        let at = At { from, time_ns };
        let is_http2 = splitter.split(bytes, |part| self.part(at, part, lines));
        self.halves[from.index()].splitter = splitter;
        is_http2
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        let Some((frame, is_last)) = half.splitter.gap(len) else { return false };
        match (frame.kind, self.streams.get_mut(&frame.stream)) {
            (DATA, Some(stream)) => stream.gap(Some(from) == self.client, len),
            (HEADERS | CONTINUATION | PUSH_PROMISE, _) if is_last => {
                half.headers.forget();
                half.block = None;
            }
            _ => {}
        }
        true
    }
}

impl Http2 {
    pub(super) fn new(methods: Option<Arc<dyn Methods>>) -> Http2 {
        Http2 { methods, client: None, halves: Default::default(), streams: HashMap::new() }
    }

    fn part(&mut self, at: At, part: Part<'_>, lines: &mut Vec<Line>) {
        match part {
            Part::Preface => {
                self.client = Some(at.from);
                self.halves.iter_mut().for_each(|half| half.headers = Decoder::new(true));
            }
            Part::Joined(skipped) => {
                let text = format!("joined inside a frame: {skipped} bytes skipped");
                lines.push(Line::new(at.time_ns, at.from, Protocol::Http2, Kind::Message, text));
            }
            Part::Data(frame, bytes, is_last) => {
                self.data_of(at, frame.stream, bytes, is_last && frame.has(END_STREAM), lines);
            }
            Part::Whole(frame, payload) => match (frame.kind, frame.content(payload)) {
                (DATA, Some(bytes)) => self.data_of(at, frame.stream, bytes, frame.has(END_STREAM), lines),
                (HEADERS | PUSH_PROMISE | CONTINUATION, Some(bytes)) => self.block(at, frame, bytes, lines),
                (RST_STREAM, Some(bytes)) => self.reset(at, frame.stream, bytes, lines),
                _ => {}
            },
            Part::Skipped(frame) => self.skipped(at, frame, lines),
        }
    }

    fn skipped(&mut self, at: At, frame: Frame, lines: &mut Vec<Line>) {
        match frame.kind {
            GOAWAY => {
                let text = "closes the connection (GOAWAY)";
                lines.push(Line::new(at.time_ns, at.from, Protocol::Http2, Kind::Message, text));
            }
            HEADERS | CONTINUATION | PUSH_PROMISE => {
                let half = &mut self.halves[at.from.index()];
                half.headers.forget();
                half.block = None;
            }
            _ => {}
        }
    }

    /// Takes a part of a header block, and decodes the block if it is complete.
    fn block(&mut self, at: At, frame: Frame, bytes: &[u8], lines: &mut Vec<Line>) {
        let half = &mut self.halves[at.from.index()];
        let (first, mut block) = match frame.kind {
            CONTINUATION => half.block.take().unwrap_or((frame, Vec::new())),
            _ => (frame, Vec::new()),
        };
        block.extend(bytes);
        if block.len() > BLOCK_MAX || first.kind == CONTINUATION {
            // It is too long, or began before.
            return half.headers.forget();
        }
        if !frame.has(END_HEADERS) {
            half.block = Some((first, block));
            return;
        }
        let headers = half.headers.decode(&block).unwrap_or_else(|_| {
            half.headers.forget();
            Vec::new()
        });
        if first.kind == HEADERS {
            self.headers(at, first, &headers, lines);
        }
    }

    fn headers(&mut self, at: At, frame: Frame, headers: &[Header], lines: &mut Vec<Line>) {
        let client = *match role(headers) {
            Some(true) => self.client.get_or_insert(at.from),
            Some(false) => self.client.get_or_insert(at.from.other()),
            None => match &self.client {
                Some(client) => client,
                None => return,
            },
        };
        let is_end = frame.has(END_STREAM);
        let methods = self.methods.as_deref();
        if at.from == client {
            if self.streams.len() >= STREAMS_MAX {
                self.streams.clear();
            }
            let is_new = !self.streams.contains_key(&frame.stream);
            let stream =
                self.streams.entry(frame.stream).or_insert_with(|| Stream::open(at, headers, methods));
            if is_new {
                stream.opened(at, lines);
            }
            if is_end {
                stream.client_ends(at, lines);
            }
            return;
        }
        // Of a call that was made before, only the answer is seen.
        let mut unseen = Stream::unseen();
        let stream = self.streams.get_mut(&frame.stream).unwrap_or(&mut unseen);
        stream.answered(at, headers, is_end, lines);
        if is_end {
            self.streams.remove(&frame.stream);
        }
    }

    fn data_of(&mut self, at: At, number: u32, bytes: &[u8], is_end: bool, lines: &mut Vec<Line>) {
        let is_client = self.client == Some(at.from);
        let kept: usize = self.streams.values().map(Stream::kept).sum();
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if kept > KEPT_MAX {
            stream.drop_kept();
        }
        stream.data(at, is_client, bytes, lines);
        if is_end && is_client {
            stream.client_ends(at, lines);
        } else if is_end {
            stream.server_ends(at, lines);
            self.streams.remove(&number);
        }
    }

    fn reset(&mut self, at: At, number: u32, code: &[u8], lines: &mut Vec<Line>) {
        let code = code.first_chunk().map_or(0, |code| u32::from_be_bytes(*code));
        if let Some(mut stream) = self.streams.remove(&number) {
            stream.reset(at, self.client == Some(at.from), code, lines);
        }
    }
}

/// Returns whether the sender of these headers is the client, if they show it.
fn role(headers: &[Header]) -> Option<bool> {
    headers.iter().find_map(|header| match &header.name {
        Text::Known(name) if name == b":status" => Some(false),
        Text::Known(name) if name.starts_with(b":") => Some(true),
        _ => None,
    })
}
