//! ttrpc: the messages of calls by their schema.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::methods::Methods;
use super::super::secrets::{MASK, Secrets};
use super::grpc::{Content, Known};
use super::protocol::Mask;
use crate::follow::Side;

const HEADER_BYTES: usize = 10;
/// The longest message that the protocol permits.
const MESSAGE_MAX: u32 = 4 << 20;
const CALLS_MAX: usize = 2_000;
/// How much of the name of a method is kept.
const NAME_MAX: usize = 512;
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const DATA: u8 = 3;

#[derive(Debug)]
pub(super) struct Ttrpc {
    methods: Option<Arc<dyn Methods>>,
    halves: [Half; 2],
    /// The methods of calls, and the end that called.
    calls: HashMap<u32, (String, Side)>,
}

#[derive(Debug, Default)]
struct Half {
    header: Vec<u8>,
    frame: Option<Frame>,
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    stream: u32,
    left: u64,
    state: State,
    /// The service and the method.
    names: [Vec<u8>; 2],
}

/// The position in the fields of a frame.
#[derive(Debug)]
enum State {
    Tag,
    /// A number, so far, and whether it is the length of a field.
    Varint(u64, u32, Option<u64>),
    /// A name or another text of the frame itself.
    Text(u64, u64, Secrets),
    Message(u64, Content),
    /// It cannot be judged.
    All,
}

impl Mask for Ttrpc {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        for byte in bytes {
            if let Some(mut frame) = self.halves[from.index()].frame.take() {
                let plain = *byte;
                if self.is_secret(from, &mut frame, plain) {
                    *byte = MASK;
                }
                frame.left -= 1;
                if frame.left > 0 {
                    self.halves[from.index()].frame = Some(frame);
                } else {
                    self.end(from, frame);
                }
                continue;
            }
            self.halves[from.index()].header.push(*byte);
            if self.halves[from.index()].header.len() == HEADER_BYTES && self.begin(from).is_none() {
                return false;
            }
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        self.halves[from.index()].frame.is_some()
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        match &mut half.frame {
            Some(frame) if frame.left > len => {
                frame.left -= len;
                frame.state = State::All;
                true
            }
            Some(frame) if frame.left == len => {
                half.frame = None;
                true
            }
            _ => false,
        }
    }
}

impl Ttrpc {
    pub(super) fn new(methods: Option<Arc<dyn Methods>>) -> Ttrpc {
        Ttrpc { methods, halves: Default::default(), calls: HashMap::new() }
    }

    /// Takes a header. Returns `None` if it is not valid.
    fn begin(&mut self, from: Side) -> Option<()> {
        let header = std::mem::take(&mut self.halves[from.index()].header);
        let [a, b, c, d, e, f, g, h, kind, _] = header[..].try_into().ok()?;
        let (len, stream) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let is_valid = len <= MESSAGE_MAX && stream % 2 == 1 && (REQUEST..=DATA).contains(&kind);
        is_valid.then_some(())?;
        let left = u64::from(len);
        let mut frame = Frame { kind, stream, left, state: State::Tag, names: Default::default() };
        if kind == DATA {
            let call = self.calls.get(&stream).cloned();
            let known = self.known(call.as_ref().map(|(method, caller)| (&method[..], *caller != from)));
            frame.state = State::Message(left, Content::new(&known, left));
        }
        self.halves[from.index()].frame = Some(frame).filter(|_| len > 0);
        Some(())
    }

    /// Returns what is known of the messages of a call, by its method and whether the server sends.
    fn known(&self, call: Option<(&str, bool)>) -> Known {
        let Some((method, is_response)) = call else { return Known::Nothing };
        Known::of(self.methods.as_deref(), method, is_response)
    }

    fn is_secret(&mut self, from: Side, frame: &mut Frame, byte: u8) -> bool {
        match &mut frame.state {
            State::All => return true,
            State::Tag => {
                frame.state = State::Varint(0, 0, None);
                return self.is_secret(from, frame, byte);
            }
            State::Varint(number, shift, tag) => {
                *number |= u64::from(byte & 0x7f).checked_shl(*shift).unwrap_or(0);
                *shift += 7;
                if byte & 0x80 == 0 {
                    let (number, tag) = (*number, *tag);
                    frame.state = self.after_number(from, frame, number, tag);
                }
            }
            State::Text(number, left, text) => {
                let is_secret = text.is_secret(byte);
                let names = &mut frame.names;
                let is_name = frame.kind == REQUEST && matches!(number, 1 | 2);
                if is_name && names[*number as usize - 1].len() < NAME_MAX {
                    names[*number as usize - 1].push(byte);
                }
                *left -= 1;
                if *left == 0 {
                    frame.state = State::Tag;
                }
                return is_secret;
            }
            State::Message(left, payload) => {
                let is_secret = payload.is_secret(byte);
                *left -= 1;
                if *left == 0 {
                    frame.state = State::Tag;
                }
                return is_secret;
            }
        }
        false
    }

    /// What follows a tag, or the length of the field with this tag.
    fn after_number(&self, from: Side, frame: &Frame, number: u64, tag: Option<u64>) -> State {
        let Some(field) = tag else {
            return match number & 7 {
                // Its number is skipped as if it were a tag of nothing.
                0 => State::Varint(0, 0, Some(0)),
                2 => State::Varint(0, 0, Some(number >> 3)),
                _ => State::All,
            };
        };
        let payload = if frame.kind == REQUEST { 3 } else { 2 };
        match (field, number) {
            (0, _) | (_, 0) => State::Tag,
            (_, len) if len >= frame.left => State::All,
            (field, len) if field == payload => {
                let method = method(&frame.names);
                let call = match frame.kind {
                    REQUEST => Some((method, from)).filter(|_| !frame.names[1].is_empty()),
                    _ => self.calls.get(&frame.stream).cloned(),
                };
                let is_response = frame.kind == RESPONSE;
                let known = self.known(call.as_ref().map(|(method, _)| (&method[..], is_response)));
                State::Message(len, Content::new(&known, len))
            }
            (field, len) => State::Text(field, len, Secrets::default()),
        }
    }

    fn end(&mut self, from: Side, frame: Frame) {
        if frame.kind == REQUEST {
            if self.calls.len() >= CALLS_MAX {
                self.calls.clear();
            }
            self.calls.insert(frame.stream, (method(&frame.names), from));
        } else if frame.kind == RESPONSE {
            self.calls.remove(&frame.stream);
        }
    }
}

fn method([service, method]: &[Vec<u8>; 2]) -> String {
    format!("/{}/{}", String::from_utf8_lossy(service), String::from_utf8_lossy(method))
}
