//! HTTP/2: headers, the messages of gRPC, and other contents as text.

mod block;
mod coded;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;

use super::super::hpack::{Decoder, Header, Text};
use super::super::http2::STREAMS_MAX;
use super::super::http2::frame::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADER_BYTES, HEADERS, PADDED, PREFACE,
    PRIORITY, PUSH_PROMISE, RST_STREAM,
};
use super::super::methods::Methods;
use super::super::secrets::MASK;
use super::protocol::Mask;
use crate::follow::Side;
use block::Block;
use stream::{Body, Stream};

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
    /// Whether no frame has come so far, so that a preface may come.
    is_start: bool,
    /// Whether bytes of a frame came that began before.
    is_joined: bool,
    /// A part of the preface, or of the header of a frame.
    head: Vec<u8>,
    frame: Option<Open>,
    block: Block,
    /// The frame that began the headers which are not complete.
    begun: Option<Frame>,
}

/// A frame whose payload is not complete.
#[derive(Clone, Copy, Debug)]
struct Open {
    frame: Frame,
    left: u64,
    /// How many bytes stand in front of the content.
    before: u64,
    /// How many stand behind it, once that is known.
    padding: Option<u64>,
}

impl Open {
    fn new(frame: Frame) -> Open {
        let is_padded = matches!(frame.kind, DATA | HEADERS | PUSH_PROMISE) && frame.has(PADDED);
        let before = match frame.kind {
            HEADERS if frame.has(PRIORITY) => 5,
            PUSH_PROMISE => 4,
            _ => 0,
        };
        Open { frame, left: frame.len, before, padding: (!is_padded).then_some(0) }
    }

    fn is_headers(&self) -> bool {
        matches!(self.frame.kind, HEADERS | CONTINUATION | PUSH_PROMISE)
    }

    /// Skips what is not content, and returns how long that is.
    fn skip(&mut self, bytes: &[u8]) -> usize {
        let Some(padding) = self.padding else {
            self.padding = bytes.first().map(|len| u64::from(*len));
            self.left -= 1;
            return 1;
        };
        let skipped = match self.before {
            0 if self.left <= padding => self.left,
            0 => return 0,
            before => before.min(self.left),
        };
        let skipped = skipped.min(bytes.len() as u64);
        self.before = self.before.saturating_sub(skipped);
        self.left -= skipped;
        skipped as usize
    }

    /// Takes content, and returns how much of the bytes it is.
    fn content(&mut self, len: usize) -> usize {
        let content = self.left.saturating_sub(self.padding.unwrap_or(0)).min(len as u64);
        self.left -= content;
        content as usize
    }
}

impl Default for Half {
    fn default() -> Half {
        let block = Block::new(Decoder::new(false));
        Half { is_start: true, is_joined: false, head: Vec::new(), frame: None, block, begun: None }
    }
}

impl Mask for Http2 {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let mut at = self.joined(from, bytes);
        bytes[..at].fill(MASK);
        loop {
            let half = &mut self.halves[from.index()];
            if let Some(open) = half.frame.filter(|open| open.left == 0) {
                half.frame = None;
                self.end_of_frame(from, open.frame);
                continue;
            }
            let rest = &mut bytes[at..];
            if rest.is_empty() {
                return true;
            }
            at += match &mut half.frame {
                Some(open) => match open.skip(rest) {
                    0 => {
                        let (frame, used) = (open.frame, open.content(rest.len()));
                        self.content(from, frame, &mut rest[..used]);
                        used
                    }
                    skipped => skipped,
                },
                None => match self.head(from, rest[0]) {
                    Some(()) => 1,
                    None => return false,
                },
            };
        }
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.frame.is_some() || half.begun.is_some()
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        let Some(open) = half.frame.as_mut().filter(|open| open.left >= len) else { return false };
        if open.is_headers() {
            half.block.lose();
        } else if open.frame.kind == DATA
            && let Some(stream) = self.streams.get_mut(&open.frame.stream)
        {
            stream.bodies[from.index()].gap(len);
        }
        open.left -= len;
        // It is unknown where the padding begins.
        open.padding = open.padding.or(Some(0));
        open.before = 0;
        true
    }
}

impl Http2 {
    pub(super) fn new(methods: Option<Arc<dyn Methods>>) -> Http2 {
        Http2 { methods, client: None, halves: Default::default(), streams: HashMap::new() }
    }

    /// Returns how many bytes are of a frame that began before, so that what they are is unknown.
    fn joined(&mut self, from: Side, bytes: &[u8]) -> usize {
        let half = &mut self.halves[from.index()];
        if !half.is_start || !half.head.is_empty() {
            return 0;
        }
        let is_at_frame = if half.is_joined { frame::begins(bytes) } else { frame::is_at_frame(bytes) };
        half.is_joined |= !is_at_frame;
        if is_at_frame { 0 } else { frame::find(bytes).unwrap_or(bytes.len()) }
    }

    /// Takes a byte of the preface or of the header of a frame. Returns `None` if it is neither.
    fn head(&mut self, from: Side, byte: u8) -> Option<()> {
        let half = &mut self.halves[from.index()];
        half.head.push(byte);
        if half.is_start && PREFACE.starts_with(&half.head) {
            if half.head.len() == PREFACE.len() {
                (half.is_start, half.head) = (false, Vec::new());
                self.client = Some(from);
                self.halves.iter_mut().for_each(|half| half.block = Block::new(Decoder::new(true)));
            }
        } else if half.head.len() >= HEADER_BYTES {
            let frame = Frame::parse(half.head[..].try_into().ok()?)?;
            (half.is_start, half.head) = (false, Vec::new());
            half.frame = Some(Open::new(frame));
            if frame.kind == CONTINUATION && half.begun.is_none() {
                half.block.lose();
            }
            if frame.kind == HEADERS || frame.kind == PUSH_PROMISE {
                half.begun = Some(frame);
            }
        }
        Some(())
    }

    fn content(&mut self, from: Side, frame: Frame, bytes: &mut [u8]) {
        match frame.kind {
            DATA => match self.streams.get_mut(&frame.stream) {
                Some(stream) => stream.bodies[from.index()].mask(bytes),
                // Its headers were not seen.
                None => bytes.fill(MASK),
            },
            HEADERS | CONTINUATION | PUSH_PROMISE => self.halves[from.index()].block.mask(bytes),
            _ => {}
        }
    }

    fn end_of_frame(&mut self, from: Side, frame: Frame) {
        match frame.kind {
            HEADERS | CONTINUATION | PUSH_PROMISE if frame.has(END_HEADERS) => {
                let half = &mut self.halves[from.index()];
                let headers = half.block.end();
                if let Some(first) = half.begun.take().filter(|first| first.kind == HEADERS) {
                    self.headers(from, first, &headers);
                }
            }
            DATA if frame.has(END_STREAM) => self.ended(from, frame.stream),
            RST_STREAM => {
                self.streams.remove(&frame.stream);
            }
            _ => {}
        }
    }

    fn headers(&mut self, from: Side, frame: Frame, headers: &[Header]) {
        let client = match role(headers) {
            Some(true) => Some(*self.client.get_or_insert(from)),
            Some(false) => Some(*self.client.get_or_insert(from.other())),
            None => self.client,
        };
        if self.streams.len() >= STREAMS_MAX {
            self.streams.clear();
        }
        let stream = self.streams.entry(frame.stream).or_default();
        match client {
            None => {}
            Some(client) if client == from => stream.requested(from, headers, self.methods.as_deref()),
            Some(_) => stream.answered(from, headers, self.methods.as_deref()),
        }
        if frame.has(END_STREAM) {
            self.ended(from, frame.stream);
        }
    }

    /// An end has sent everything of a stream.
    fn ended(&mut self, from: Side, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.bodies[from.index()] = Body::All;
        // Servers may answer before the client has sent everything, but not after.
        if self.client.is_some_and(|client| client != from) {
            self.streams.remove(&number);
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
