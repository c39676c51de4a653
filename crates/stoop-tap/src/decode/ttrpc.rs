//! ttrpc, between containerd and its shims: frames of ten bytes and a protobuf message.

use std::collections::HashMap;

use super::grpc::status_name;
use super::line::{Call, Decode, Kind, Line, Message, Protocol};
use super::protobuf::{Fields, Value};
use super::redact::redact;
use crate::follow::Side;

const HEADER_BYTES: usize = 10;
/// The longest message that the protocol permits.
const MESSAGE_MAX: u32 = 4 << 20;
const CALLS_MAX: usize = 2_000;

const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const DATA: u8 = 3;
/// The flag of a frame without a message.
const NO_DATA: u8 = 4;

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    len: u32,
    stream: u32,
    kind: u8,
    flags: u8,
}

impl Frame {
    fn parse(bytes: &[u8]) -> Option<Frame> {
        let [a, b, c, d, e, f, g, h, kind, flags] = *bytes.first_chunk::<HEADER_BYTES>()?;
        let (len, stream) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        Some(Frame { len, stream, kind, flags })
    }

    /// Clients use odd numbers.
    fn is_valid(self) -> bool {
        self.len <= MESSAGE_MAX
            && self.stream % 2 == 1
            && (REQUEST..=DATA).contains(&self.kind)
            && self.flags < 8
    }
}

/// Returns whether the bytes begin a frame: a request that names its service, or a whole answer.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(frame) = Frame::parse(bytes).filter(|frame| frame.is_valid()) else { return false };
    let payload = &bytes[HEADER_BYTES..];
    match frame.kind {
        REQUEST => matches!(payload, [0x0a, _, first, ..] if first.is_ascii_alphabetic()),
        _ => frame.len as usize == payload.len(),
    }
}

/// Returns whether these bytes may be the begin of a request, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let (header, payload) = bytes.split_at(bytes.len().min(HEADER_BYTES));
    // What is missing of a header may be that of a request.
    let request = [0, 0, 0, 2, 0, 0, 0, 1, REQUEST, 0].into_iter();
    let filled: Vec<u8> = header.iter().copied().chain(request.skip(header.len())).collect();
    let is_request = Frame::parse(&filled).is_some_and(|frame| frame.is_valid() && frame.kind == REQUEST);
    is_request && matches!(payload, [] | [0x0a] | [0x0a, _])
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Ttrpc {
    halves: [Vec<u8>; 2],
    /// The end that sent a request.
    client: Option<Side>,
    calls: HashMap<u32, Call>,
}

impl Decode for Ttrpc {
    fn protocol(&self) -> Protocol {
        Protocol::Ttrpc
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(frame) = Frame::parse(rest) {
            if !frame.is_valid() {
                return false;
            }
            let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + frame.len as usize) else { break };
            lines.extend(self.frame(from, time_ns, frame, payload));
            rest = &rest[HEADER_BYTES + payload.len()..];
        }
        self.halves[from.index()] = rest.to_vec();
        true
    }
}

impl Ttrpc {
    fn frame(&mut self, from: Side, time_ns: u64, frame: Frame, payload: &[u8]) -> Option<Line> {
        let line = |kind, text: Vec<u8>| Line::new(time_ns, from, Protocol::Ttrpc, kind, text);
        match frame.kind {
            REQUEST => {
                let request = Request::parse(payload);
                self.client = Some(from);
                if self.calls.len() >= CALLS_MAX {
                    self.calls.clear();
                }
                self.calls.insert(frame.stream, Call { time_ns, method: request.method.clone() });
                let line = line(Kind::Call, request.method.clone().into_bytes()).called(&request.method);
                Some(with_message(line, request.payload, false))
            }
            RESPONSE => {
                let (code, text, payload) = response(payload);
                let status = status_name(code);
                let words = if text.is_empty() { status.clone() } else { format!("{status} {text}") };
                let line = line(Kind::Answer { ok: code == 0 }, redact(words.as_bytes())).status(status);
                let line = line.answers(self.calls.remove(&frame.stream));
                Some(if code == 0 { with_message(line, payload, true) } else { line })
            }
            _ if frame.flags & NO_DATA != 0 => None,
            _ => {
                let method =
                    self.calls.get(&frame.stream).map(|call| call.method.clone()).unwrap_or_default();
                let is_response = self.client.is_some_and(|client| client != from);
                let line = line(Kind::Message, method.clone().into_bytes()).called(method);
                Some(with_message(line, payload, is_response))
            }
        }
    }
}

fn with_message(mut line: Line, payload: &[u8], is_response: bool) -> Line {
    let mut message = Message::new(payload.len() as u64, false);
    message.method = line.method.clone().unwrap_or_default();
    message.is_response = is_response;
    message.bytes = payload.to_vec();
    line.len = Some(message.len);
    line.message = Some(message);
    line
}

/// The service and the method, and the message.
struct Request<'b> {
    method: String,
    payload: &'b [u8],
}

impl Request<'_> {
    fn parse(bytes: &[u8]) -> Request<'_> {
        let (mut service, mut method, mut payload) = (&[][..], &[][..], &[][..]);
        for (number, value) in Fields(bytes) {
            match (number, value) {
                (1, Value::Bytes(bytes)) => service = bytes,
                (2, Value::Bytes(bytes)) => method = bytes,
                (3, Value::Bytes(bytes)) => payload = bytes,
                _ => {}
            }
        }
        let text = String::from_utf8_lossy;
        Request { method: format!("/{}/{}", text(service), text(method)), payload }
    }
}

/// Returns the code and the message of the status, and the message of the answer.
fn response(bytes: &[u8]) -> (u32, String, &[u8]) {
    let (mut code, mut text, mut payload) = (0, String::new(), &[][..]);
    for (number, value) in Fields(bytes) {
        match (number, value) {
            (1, Value::Bytes(status)) => {
                for (number, value) in Fields(status) {
                    match (number, value) {
                        (1, Value::Number(number)) => code = u32::try_from(number).unwrap_or(u32::MAX),
                        (2, Value::Bytes(bytes)) => text = String::from_utf8_lossy(bytes).into_owned(),
                        _ => {}
                    }
                }
            }
            (2, Value::Bytes(bytes)) => payload = bytes,
            _ => {}
        }
    }
    (code, text, payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
    }

    fn frame(stream: u8, kind: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, payload.len() as u8, 0, 0, 0, stream, kind, 0][..], payload].concat()
    }

    fn conversation() -> [(Side, Vec<u8>); 3] {
        let call =
            [field(1, b"containerd.task.v2.Task"), field(2, b"State"), field(3, b"\x0a\x03web")].concat();
        let failure = field(1, &[&[8, 5][..], &field(2, b"not found")].concat());
        [
            (Side::First, [frame(1, REQUEST, &call), frame(3, REQUEST, &call)].concat()),
            (Side::Second, frame(3, RESPONSE, &failure)),
            (Side::Second, frame(1, RESPONSE, &field(2, b"\x0a\x02ok"))),
        ]
    }

    #[test]
    fn calls_are_paired_by_their_stream() {
        let mut decoder = Ttrpc::default();
        let mut lines = Vec::new();
        for (at, (from, bytes)) in conversation().iter().enumerate() {
            assert!(begins(bytes));
            assert!(decoder.data(*from, at as u64 * 1000, bytes, &mut lines));
        }
        let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
        let method = "/containerd.task.v2.Task/State";
        assert_eq!(texts, [method, method, "NOT_FOUND not found", "OK"]);
        assert_eq!((lines[2].kind, lines[2].latency_ns), (Kind::Answer { ok: false }, Some(1000)));
        assert_eq!((lines[3].kind, lines[3].latency_ns), (Kind::Answer { ok: true }, Some(2000)));
        let message = lines[0].message.as_ref().unwrap();
        assert_eq!((&message.bytes[..], message.is_response), (&b"\x0a\x03web"[..], false));
        let message = lines[3].message.as_ref().unwrap();
        assert_eq!((&message.method[..], message.is_response), (method, true));
    }

    proptest! {
        #[test]
        fn frames_may_be_cut_anywhere(cut in 1usize..40) {
            let mut decoder = Ttrpc::default();
            let mut lines = Vec::new();
            for (from, bytes) in conversation() {
                for piece in bytes.chunks(cut) {
                    prop_assert!(decoder.data(from, 0, piece, &mut lines));
                }
            }
            prop_assert_eq!(lines.len(), 4);
        }

        #[test]
        fn anything_is_decoded(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..10)) {
            let mut decoder = Ttrpc::default();
            for piece in pieces {
                let bytes = frame(1, 1 + piece.len() as u8 % 3, &piece);
                decoder.data(Side::First, 0, &bytes, &mut Vec::new());
            }
        }
    }
}
