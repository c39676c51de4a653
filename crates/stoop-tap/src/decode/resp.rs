//! The protocol of Redis (RESP 2 and 3).

use std::collections::VecDeque;

use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use crate::follow::Side;

const WORD_MAX: usize = 100;
const WORDS_MAX: usize = 8;
const CALLS_MAX: usize = 100_000;
/// How deep values may lie in one another.
const DEPTH_MAX: u32 = 16;

/// Returns whether the bytes begin a command: an array of strings.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"*") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=7).contains(&digits) && rest[digits..].starts_with(b"\r\n$")
}

/// Returns whether these bytes may be the begin of a command, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"*") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let behind = &rest[digits..];
    digits <= 7 && behind.len() < 3 && b"\r\n$".starts_with(behind) && (digits > 0 || behind.is_empty())
}

/// Both directions of a connection. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Resp {
    client: Option<Side>,
    bytes: [Vec<u8>; 2],
    calls: VecDeque<Call>,
}

/// A value, as far as it is shown.
#[derive(Debug, PartialEq, Eq)]
enum Value<'b> {
    /// A line: status, error, number, and others. With the letter of its type.
    Simple(u8, &'b [u8]),
    Bulk(&'b [u8]),
    Null,
    /// The first elements, and how many there are.
    Array(u8, Vec<Value<'b>>, usize),
}

impl Decode for Resp {
    fn protocol(&self) -> Protocol {
        Protocol::Redis
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let client = *self.client.get_or_insert(from);
        let mut pending = std::mem::take(&mut self.bytes[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let before = rest.len();
            match value(&mut rest, DEPTH_MAX) {
                Parsed::Value(value) => {
                    let line = match from == client {
                        true => self.call(from, time_ns, &value),
                        false => self.answer(from, time_ns, &value),
                    };
                    lines.push(line.len((before - rest.len()) as u64));
                }
                Parsed::Incomplete => {
                    rest = &pending[pending.len() - before..];
                    break;
                }
                Parsed::Invalid => return false,
            }
        }
        self.bytes[from.index()] = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }
}

impl Resp {
    fn call(&mut self, from: Side, time_ns: u64, value: &Value<'_>) -> Line {
        let words: Vec<Vec<u8>> = match value {
            Value::Array(_, values, _) => values.iter().map(shown).collect(),
            other => vec![shown(other)],
        };
        let method = String::from_utf8_lossy(words.first().map_or(&[][..], |word| word)).to_ascii_uppercase();
        let text = without_secrets(&method, words).join(&b' ');
        if self.calls.len() < CALLS_MAX {
            self.calls.push_back(Call { time_ns, method: method.clone() });
        }
        Line::new(time_ns, from, Protocol::Redis, Kind::Call, text).called(method)
    }

    fn answer(&mut self, from: Side, time_ns: u64, value: &Value<'_>) -> Line {
        // Pushed messages answer nothing.
        if let Value::Array(b'>', ..) = value {
            return Line::new(time_ns, from, Protocol::Redis, Kind::Message, shown(value));
        }
        let ok = !matches!(value, Value::Simple(b'-' | b'!', _));
        Line::new(time_ns, from, Protocol::Redis, Kind::Answer { ok }, shown(value))
            .answers(self.calls.pop_front())
    }
}

fn without_secrets(method: &str, mut words: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let from = match method {
        "AUTH" => Some(1),
        "HELLO" | "MIGRATE" => {
            words.iter().position(|word| word.eq_ignore_ascii_case(b"auth")).map(|at| at + 1)
        }
        "CONFIG" if words.get(2).is_some_and(|name| is_secret(name)) => Some(3),
        "ACL" if words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"setuser")) => Some(3),
        _ => None,
    };
    for word in words.iter_mut().skip(from.unwrap_or(usize::MAX)) {
        *word = b"[redacted]".to_vec();
    }
    words
}

fn is_secret(name: &[u8]) -> bool {
    [&b"requirepass"[..], b"masterauth", b"masteruser"].iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

fn shown(value: &Value<'_>) -> Vec<u8> {
    match value {
        Value::Simple(b'+', text) => shortened(text, WORD_MAX),
        Value::Simple(b'-', text) => shortened(text, WORD_MAX),
        Value::Simple(letter, text) => [&[*letter], &shortened(text, WORD_MAX)[..]].concat(),
        Value::Bulk(text) => shortened(text, WORD_MAX),
        Value::Null => b"(nil)".to_vec(),
        Value::Array(_, values, len) => {
            let mut words: Vec<Vec<u8>> = values.iter().map(shown).collect();
            if *len > words.len() {
                words.push(format!("… {len} elements").into_bytes());
            }
            [b"[", &words.join(&b", "[..])[..], b"]"].concat()
        }
    }
}

enum Parsed<'b> {
    Value(Value<'b>),
    Incomplete,
    Invalid,
}

/// Takes a value off the beginning.
fn value<'b>(rest: &mut &'b [u8], depth: u32) -> Parsed<'b> {
    let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else {
        return Parsed::Incomplete;
    };
    let (line, behind) = (&rest[..end], &rest[end + 2..]);
    let Some((letter, text)) = line.split_first() else { return Parsed::Invalid };
    *rest = behind;
    match letter {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Parsed::Value(Value::Simple(*letter, text)),
        b'$' | b'!' | b'=' => bulk(text, rest),
        b'*' | b'%' | b'~' | b'>' | b'|' if depth > 0 => elements(*letter, text, rest, depth - 1),
        _ => Parsed::Invalid,
    }
}

fn bulk<'b>(text: &[u8], rest: &mut &'b [u8]) -> Parsed<'b> {
    match number(text) {
        Some(-1) => Parsed::Value(Value::Null),
        Some(len @ 0..=0x2000_0000) => match rest.split_at_checked(len as usize + 2) {
            Some((bytes, behind)) => {
                *rest = behind;
                Parsed::Value(Value::Bulk(&bytes[..len as usize]))
            }
            None => Parsed::Incomplete,
        },
        _ => Parsed::Invalid,
    }
}

fn elements<'b>(letter: u8, text: &[u8], rest: &mut &'b [u8], depth: u32) -> Parsed<'b> {
    let len = match number(text) {
        Some(-1) => return Parsed::Value(Value::Null),
        Some(len @ 0..=0x10_0000) => len as usize * if matches!(letter, b'%' | b'|') { 2 } else { 1 },
        _ => return Parsed::Invalid,
    };
    let mut values = Vec::new();
    for _ in 0..len {
        match value(rest, depth) {
            Parsed::Value(value) if values.len() < WORDS_MAX => values.push(value),
            Parsed::Value(_) => {}
            other => return other,
        }
    }
    Parsed::Value(Value::Array(letter, values, len))
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
