//! HTTP/1.0 and HTTP/1.1.

use std::collections::VecDeque;

use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Message, Protocol};
use super::redact::redact;
use crate::follow::Side;

const METHODS: &[&str] =
    &["GET ", "POST ", "PUT ", "DELETE ", "HEAD ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE "];
/// Requests without an answer that are remembered.
const CALLS_MAX: usize = 10_000;

/// Returns whether the bytes begin a request or a response.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.") || METHODS.iter().any(|method| bytes.starts_with(method.as_bytes()))
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let is_part = |word: &&str| bytes.len() < word.len() && word.as_bytes().starts_with(bytes);
    METHODS.iter().chain(&["HTTP/1."]).any(is_part)
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Http1 {
    halves: [Half; 2],
    calls: VecDeque<Call>,
    /// What follows an upgrade.
    upgraded: Box<dyn Decode>,
}

#[derive(Debug, Default)]
struct Half {
    bytes: Vec<u8>,
    state: State,
    /// A body in JSON that has begun.
    body: Option<Message>,
}

/// What comes next in a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Body(u64),
    ChunkLen,
    /// The data of a chunk, and the end of its line.
    Chunk(u64),
    Trailer,
    /// A body to the end of the connection.
    UntilEnd,
    /// Another protocol, after an upgrade.
    Raw,
}

impl Decode for Http1 {
    fn protocol(&self) -> Protocol {
        Protocol::Http1
    }

    fn data(&mut self, from: Side, time_ns: u64, mut bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        while !bytes.is_empty() {
            let half = &mut self.halves[from.index()];
            match half.state {
                State::Raw => return self.upgraded.data(from, time_ns, bytes, lines),
                State::UntilEnd => return true,
                State::Body(left) | State::Chunk(left) => bytes = half.body(left, bytes),
                State::Head | State::ChunkLen | State::Trailer => {
                    half.bytes.extend(bytes);
                    let pending = std::mem::take(&mut half.bytes);
                    let Some(used) = self.head(from, time_ns, &pending, lines) else { return false };
                    // The bytes of before were not enough, so what is used ends in the new ones.
                    let before = pending.len() - bytes.len();
                    if used == 0 {
                        self.halves[from.index()].bytes = pending;
                        return self.halves[from.index()].bytes.len() < INCOMPLETE_MAX;
                    }
                    bytes = &bytes[used.saturating_sub(before).min(bytes.len())..];
                }
            }
            lines.extend(self.halves[from.index()].whole_body(from, time_ns));
        }
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        half.body = None;
        match half.state {
            State::Body(left) if left >= len => half.state = body(left - len),
            State::Chunk(left) if left >= len => half.state = State::Chunk(left - len),
            State::UntilEnd => {}
            State::Raw => return self.upgraded.gap(from, len),
            _ => return false,
        }
        true
    }

    fn is_waiting(&self) -> bool {
        self.upgraded.is_waiting()
    }

    fn release(&mut self, lines: &mut Vec<Line>) {
        self.upgraded.release(lines);
    }

    fn end(&mut self, from: Side, time_ns: u64, lines: &mut Vec<Line>) {
        self.upgraded.end(from, time_ns, lines);
    }
}

impl Half {
    /// Takes a part of a body, or of the data of a chunk.
    fn body<'b>(&mut self, left: u64, bytes: &'b [u8]) -> &'b [u8] {
        let len = left.min(bytes.len() as u64);
        if let Some(message) = &mut self.body {
            // Without the end of a chunk's line.
            let end = if matches!(self.state, State::Chunk(_)) { 2 } else { 0 };
            let part = &bytes[..len.min(left.saturating_sub(end)) as usize];
            message.len += part.len() as u64;
            if message.len <= INCOMPLETE_MAX as u64 {
                message.bytes.extend(part);
            }
        }
        self.state = match self.state {
            State::Chunk(_) if left == len => State::ChunkLen,
            State::Chunk(_) => State::Chunk(left - len),
            _ => body(left - len),
        };
        &bytes[len as usize..]
    }

    /// Begins to keep a body, if one follows that is JSON.
    fn begin_body(&mut self, head: &Head<'_>, method: &str, is_response: bool) {
        let follows = matches!(self.state, State::Body(_) | State::ChunkLen);
        self.body = (follows && head.is_json).then(|| Message::json(method, is_response));
    }

    /// Returns the body that was kept, if it is complete.
    fn whole_body(&mut self, from: Side, time_ns: u64) -> Option<Line> {
        let message = self.body.take_if(|_| self.state == State::Head)?;
        let line =
            Line::new(time_ns, from, Protocol::Http1, Kind::Message, "").called(message.method.clone());
        let len = message.len;
        Some(Line { message: Some(message), ..line.len(len) })
    }
}

fn body(left: u64) -> State {
    if left == 0 { State::Head } else { State::Body(left) }
}

impl Http1 {
    /// Creates a decoder that decodes with `upgraded` what follows an upgrade.
    pub(super) fn new(upgraded: Box<dyn Decode>) -> Http1 {
        Http1 { halves: Default::default(), calls: VecDeque::new(), upgraded }
    }

    /// Reads a head, or a line between chunks. Returns how many bytes it has, 0 if it is
    /// incomplete, `None` if it is not HTTP.
    fn head(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        let half = &mut self.halves[from.index()];
        if half.state != State::Head {
            let Some(end) = find(bytes, b"\n") else { return Some(0) };
            let line = bytes[..end].trim_ascii();
            half.state = match half.state {
                State::Trailer if line.is_empty() => State::Head,
                State::Trailer => State::Trailer,
                _ => match chunk_len(line)? {
                    0 => State::Trailer,
                    // With the end of the line behind the data.
                    len => State::Chunk(len.checked_add(2)?),
                },
            };
            return Some(end + 1);
        }
        // Empty lines before a request are allowed.
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let rest = &bytes[blank..];
        let known = METHODS.iter().chain(&["HTTP/1."]);
        let could_be = |word: &&str| rest.starts_with(word.as_bytes()) || word.as_bytes().starts_with(rest);
        if !known.into_iter().any(could_be) {
            return None;
        }
        let Some(end) = find(rest, b"\r\n\r\n") else { return Some(0) };
        let head = Head::parse(&rest[..end])?;
        if rest.starts_with(b"HTTP/") {
            self.answer(from, time_ns, &head, lines)?;
        } else {
            self.call(from, time_ns, &head, lines);
        }
        Some(blank + end + 4)
    }

    fn call(&mut self, from: Side, time_ns: u64, head: &Head<'_>, lines: &mut Vec<Line>) {
        let mut words = head.first.splitn(3, |byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let method = String::from_utf8_lossy(method).into_owned();
        let name = format!("{method} {}", String::from_utf8_lossy(path));
        let text = [method.as_bytes(), b" ", &redact(target)].concat();
        let mut line = Line::new(time_ns, from, Protocol::Http1, Kind::Call, text).called(name.clone());
        line.len = head.len;
        lines.push(line);
        let half = &mut self.halves[from.index()];
        half.state = match head.len {
            _ if head.is_chunked => State::ChunkLen,
            len => body(len.unwrap_or(0)),
        };
        half.begin_body(head, &name, false);
        if self.calls.len() < CALLS_MAX {
            self.calls.push_back(Call { time_ns, method: name });
        }
    }

    fn answer(&mut self, from: Side, time_ns: u64, head: &Head<'_>, lines: &mut Vec<Line>) -> Option<()> {
        let status = head.first.splitn(2, |byte| *byte == b' ').nth(1)?;
        let code: u16 = std::str::from_utf8(status.get(..3)?).ok()?.parse().ok()?;
        let is_interim = (100..200).contains(&code) && code != 101;
        let call = if is_interim { None } else { self.calls.pop_front() };
        let method = call.as_ref().map_or("", |call| call.method.as_str());
        let has_body = !(method.starts_with("HEAD ") || code < 200 || code == 204 || code == 304);
        let name = method.to_owned();
        let is_tunnel = code == 101 || method.starts_with("CONNECT ") && (200..300).contains(&code);
        let kind = Kind::Answer { ok: code < 400 };
        let line = Line::new(time_ns, from, Protocol::Http1, kind, status).answers(call);
        let mut line = line.status(code.to_string());
        line.len = head.len.filter(|_| has_body);
        lines.push(line);
        self.halves[from.index()].state = match head.len {
            _ if is_tunnel => State::Raw,
            _ if !has_body => State::Head,
            _ if head.is_chunked => State::ChunkLen,
            Some(len) => body(len),
            None => State::UntilEnd,
        };
        self.halves[from.index()].begin_body(head, &name, true);
        if is_tunnel {
            self.halves[from.other().index()].state = State::Raw;
        }
        Some(())
    }
}

/// What of a head decides how its body ends.
struct Head<'b> {
    first: &'b [u8],
    len: Option<u64>,
    is_chunked: bool,
    is_json: bool,
}

impl<'b> Head<'b> {
    fn parse(bytes: &'b [u8]) -> Option<Head<'b>> {
        let mut rows = bytes.split(|byte| *byte == b'\n').map(|row| row.trim_ascii());
        let mut head = Head { first: rows.next()?, len: None, is_chunked: false, is_json: false };
        for row in rows {
            let colon = row.iter().position(|byte| *byte == b':')?;
            let (name, value) = (row[..colon].to_ascii_lowercase(), row[colon + 1..].trim_ascii());
            match &name[..] {
                b"content-length" => head.len = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                b"transfer-encoding" => {
                    head.is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
                }
                b"content-type" => head.is_json = find(&value.to_ascii_lowercase(), b"json").is_some(),
                _ => {}
            }
        }
        Some(head)
    }
}

/// The length of a chunk, before its extensions.
fn chunk_len(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    u64::from_str_radix(std::str::from_utf8(digits.trim_ascii()).ok()?, 16).ok()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
