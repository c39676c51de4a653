//! JSON-RPC 2.0: objects behind each other, or each behind a header with its length, as in the
//! language server protocol. Both ends may call.

use std::collections::HashMap;

use super::json;
use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;
const CALLS_MAX: usize = 10_000;
/// How much of an object may stand before what it says that it is.
const BEGIN_MAX: usize = 400;
const HEADER: &[u8] = b"Content-Length:";

/// Returns whether the bytes begin an object that says what it is, or its header.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER) || bytes.starts_with(b"{") && is_named(bytes)
}

/// Returns whether these bytes may be the begin of either, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let is_object = bytes.starts_with(b"{") && json::value_len(bytes).is_none();
    bytes.len() < HEADER.len() && HEADER.starts_with(bytes)
        || is_object && bytes.len() < BEGIN_MAX && !is_named(bytes)
}

fn is_named(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(BEGIN_MAX)].windows(9).any(|window| window == b"\"jsonrpc\"")
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct JsonRpc {
    halves: [Vec<u8>; 2],
    /// By the end that called, and the number as it is written.
    calls: HashMap<(Side, Vec<u8>), Call>,
}

impl Decode for JsonRpc {
    fn protocol(&self) -> Protocol {
        Protocol::JsonRpc
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        loop {
            rest = rest.trim_ascii_start();
            match object(rest) {
                Found::Object(object, used) => {
                    lines.push(self.line(from, time_ns, object).len(object.len() as u64));
                    rest = &rest[used..];
                }
                Found::Incomplete => break,
                Found::Invalid => return false,
            }
        }
        self.halves[from.index()] = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }
}

enum Found<'b> {
    /// An object, and how many bytes it takes with its header.
    Object(&'b [u8], usize),
    Incomplete,
    Invalid,
}

/// Finds the next object.
fn object(bytes: &[u8]) -> Found<'_> {
    if bytes.is_empty()
        || HEADER.starts_with(&bytes[..bytes.len().min(HEADER.len())]) && bytes.len() < HEADER.len()
    {
        return Found::Incomplete;
    }
    let start = match bytes.starts_with(HEADER) {
        true => match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(end) => end + 4,
            None => return Found::Incomplete,
        },
        false => 0,
    };
    let object = &bytes[start..];
    if !object.is_empty() && !matches!(object[0], b'{' | b'[') {
        return Found::Invalid;
    }
    match json::value_len(object) {
        Some(len) => Found::Object(&object[..len], start + len),
        None => Found::Incomplete,
    }
}

impl JsonRpc {
    fn line(&mut self, from: Side, time_ns: u64, object: &[u8]) -> Line {
        let line = |kind, text: Vec<u8>| Line::new(time_ns, from, Protocol::JsonRpc, kind, text);
        let shown = |value: &[u8]| shortened(&redact(value), TEXT_MAX);
        let id = json::member(object, "id").map(<[u8]>::to_vec);
        if let Some(method) = json::text(object, "method") {
            let parameters = shown(json::member(object, "params").unwrap_or_default());
            let text = [method.as_bytes(), b" ", &parameters].concat().trim_ascii_end().to_vec();
            let kind = if id.is_some() { Kind::Call } else { Kind::Message };
            if let Some(id) = id.filter(|_| self.calls.len() < CALLS_MAX) {
                self.calls.insert((from, id), Call { time_ns, method: method.clone() });
            }
            return line(kind, text).called(method);
        }
        let call = id.and_then(|id| self.calls.remove(&(from.other(), id)));
        if let Some(error) = json::member(object, "error") {
            let code = json::member(error, "code").map(|code| String::from_utf8_lossy(code).into_owned());
            let line = line(Kind::Answer { ok: false }, shown(error)).answers(call);
            return line.status(code.unwrap_or_else(|| "error".to_owned()));
        }
        match json::member(object, "result") {
            Some(result) => line(Kind::Answer { ok: true }, shown(result)).status("OK").answers(call),
            None => line(Kind::Message, shown(object)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn conversation(with_headers: bool) -> Vec<(Side, Vec<u8>)> {
        let framed = |text: &str| match with_headers {
            true => format!("Content-Length: {}\r\n\r\n{text}", text.len()).into_bytes(),
            false => format!("{text}\n").into_bytes(),
        };
        vec![
            (Side::First, framed(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"token":"x"}}"#)),
            (Side::Second, framed(r#"{"jsonrpc":"2.0","id":1,"method":"ask"}"#)),
            (Side::Second, framed(r#"{"jsonrpc":"2.0","id":1,"result":{"n":1}}"#)),
            (Side::First, framed(r#"{"jsonrpc":"2.0","method":"told"}"#)),
            (Side::First, framed(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#)),
        ]
    }

    proptest! {
        #[test]
        fn both_ends_call_however_it_is_cut(with_headers in any::<bool>(), cut in 1usize..50) {
            let mut decoder = JsonRpc::default();
            let mut lines = Vec::new();
            for (at, (from, bytes)) in conversation(with_headers).into_iter().enumerate() {
                for piece in bytes.chunks(cut) {
                    prop_assert!(decoder.data(from, at as u64 * 1000, piece, &mut lines));
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            let error = r#"{"code":-32601,"message":"no"}"#;
            let expected =
                [r#"initialize {"token":"[redacted]"}"#, "ask", r#"{"n":1}"#, "told", error];
            prop_assert_eq!(texts, expected);
            prop_assert_eq!((lines[2].latency_ns, lines[2].method.as_deref()), (Some(2000), Some("initialize")));
            prop_assert_eq!((lines[4].latency_ns, lines[4].status.as_deref()), (Some(3000), Some("-32601")));
        }
    }

    #[test]
    fn what_it_is_must_be_said() {
        assert!(begins(br#"{"id":1,"jsonrpc":"2.0"}"#) && begins(b"Content-Length: 20\r\n"));
        assert!(!begins(br#"{"id":1}"#) && !begins(b"x"));
        assert!(!JsonRpc::default().data(Side::First, 0, b"Content-Length: 3\r\n\r\nabc", &mut Vec::new()));
    }
}
