//! varlink: JSON objects, each with a zero byte behind it. Answers come in the order of the calls.

use std::collections::VecDeque;

use super::json;
use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;
const CALLS_MAX: usize = 10_000;
/// How the objects of clients and of servers begin.
const BEGINS: [&[u8]; 4] = [b"{\"method\":\"", b"{\"parameters\":", b"{\"error\":\"", b"{\"continues\":"];

/// Returns whether the bytes begin an object, and whole objects end as they must.
pub(super) fn begins(bytes: &[u8]) -> bool {
    BEGINS.iter().any(|begin| bytes.starts_with(begin)) && bytes.contains(&0)
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let is_part = |begin: &&[u8]| bytes.len() < begin.len() && begin.starts_with(bytes);
    let is_begun = BEGINS.iter().any(|begin| bytes.starts_with(begin)) && !bytes.contains(&0);
    BEGINS.iter().any(is_part) || is_begun && json::value_len(bytes).is_none_or(|len| len == bytes.len())
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Varlink {
    halves: [Vec<u8>; 2],
    calls: VecDeque<Call>,
}

impl Decode for Varlink {
    fn protocol(&self) -> Protocol {
        Protocol::Varlink
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let Some(line) = self.object(from, time_ns, &rest[..end]) else { return false };
            lines.push(line.len(end as u64 + 1));
            rest = &rest[end + 1..];
        }
        self.halves[from.index()] = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }
}

impl Varlink {
    fn object(&mut self, from: Side, time_ns: u64, object: &[u8]) -> Option<Line> {
        json::value_len(object)?;
        let line = |kind, text: Vec<u8>| Line::new(time_ns, from, Protocol::Varlink, kind, text);
        let parameters = json::member(object, "parameters").unwrap_or_default();
        let parameters = shortened(&redact(parameters), TEXT_MAX);
        if let Some(method) = json::text(object, "method") {
            // Several answers may follow.
            let more = if json::member(object, "more") == Some(b"true") { &b" more"[..] } else { b"" };
            let text = [method.as_bytes(), b" ", &parameters].concat().trim_ascii_end().to_vec();
            let text = [&text, more].concat();
            let is_oneway = json::member(object, "oneway") == Some(b"true");
            if !is_oneway && self.calls.len() < CALLS_MAX {
                self.calls.push_back(Call { time_ns, method: method.clone() });
            }
            let kind = if is_oneway { Kind::Message } else { Kind::Call };
            return Some(line(kind, text).called(method));
        }
        if json::member(object, "continues") == Some(b"true") {
            let method = self.calls.front().map(|call| call.method.clone()).unwrap_or_default();
            return Some(line(Kind::Message, parameters).called(method));
        }
        let call = self.calls.pop_front();
        match json::text(object, "error") {
            Some(error) => {
                let text = [error.as_bytes(), b" ", &parameters].concat();
                let line = line(Kind::Answer { ok: false }, text.trim_ascii_end().to_vec());
                Some(line.status(error).answers(call))
            }
            None => Some(line(Kind::Answer { ok: true }, parameters).status("OK").answers(call)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_calls() {
        let mut decoder = Varlink::default();
        let mut lines = Vec::new();
        let calls = b"{\"method\":\"a.b.Get\",\"parameters\":{\"password\":\"x\"}}\0{\"method\":\"a.b.Watch\",\"more\":true}\0";
        assert!(begins(calls));
        let answers =
            b"{\"error\":\"a.b.No\"}\0{\"parameters\":{\"n\":1},\"continues\":true}\0{\"parameters\":{}}\0";
        decoder.data(Side::First, 0, &calls[..60], &mut lines);
        decoder.data(Side::First, 1000, &calls[60..], &mut lines);
        assert!(decoder.data(Side::Second, 3000, answers, &mut lines));
        let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
        let expected =
            ["a.b.Get {\"password\":\"[redacted]\"}", "a.b.Watch more", "a.b.No", "{\"n\":1}", "{}"];
        assert_eq!(texts, expected);
        assert_eq!((lines[2].kind, lines[2].latency_ns), (Kind::Answer { ok: false }, Some(3000)));
        assert_eq!((lines[3].kind, lines[3].method.as_deref()), (Kind::Message, Some("a.b.Watch")));
        assert_eq!((lines[4].kind, lines[4].latency_ns), (Kind::Answer { ok: true }, Some(2000)));
    }
}
