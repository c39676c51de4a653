//! HTTP/1: headers, and bodies as text. Compressed bodies are overwritten.

use std::collections::VecDeque;

use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

/// How much of a line is kept.
const LINE_MAX: usize = 8192;
/// Requests without an answer that are remembered.
const REQUESTS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Http1 {
    halves: [Half; 2],
    requests: VecDeque<Request>,
    /// What follows an upgrade.
    upgraded: Box<dyn Mask>,
}

/// What of a request decides whether its response has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Head,
    Connect,
    Other,
}

#[derive(Debug, Default)]
struct Half {
    state: State,
    text: Secrets,
    line: Vec<u8>,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    First,
    Headers,
    Body(u64),
    ChunkLen,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilEnd,
    Raw,
}

/// What a head says of its body.
#[derive(Debug, Default)]
struct Head {
    /// The status of a response; `None` for a request.
    status: Option<u16>,
    len: Option<u64>,
    is_chunked: bool,
    is_compressed: bool,
}

impl Mask for Http1 {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let mut at = 0;
        while at < bytes.len() {
            let half = &mut self.halves[from.index()];
            let rest = &mut bytes[at..];
            at += match half.state {
                State::Raw => {
                    return self.upgraded.data(from, rest);
                }
                State::UntilEnd => half.body(u64::MAX, rest),
                State::Body(left) => {
                    let used = half.body(left, rest);
                    half.state = in_body(left - used as u64);
                    used
                }
                State::Chunk(left) => {
                    let used = half.body(left, rest);
                    let left = left - used as u64;
                    half.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    used
                }
                _ => match self.line(from, rest) {
                    Some(used) => used,
                    None => return false,
                },
            };
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        let is_body = matches!(half.state, State::Body(_) | State::Chunk(_) | State::UntilEnd);
        half.text.is_within() || is_body && half.head.is_compressed || self.upgraded.is_within(from)
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        half.text.gap();
        match half.state {
            State::Body(left) if left >= len => half.state = in_body(left - len),
            State::Chunk(left) if left > len => half.state = State::Chunk(left - len),
            State::UntilEnd => {}
            State::Raw => return self.upgraded.gap(from, len),
            _ => return false,
        }
        true
    }
}

impl Half {
    /// Takes a part of a body.
    fn body(&mut self, left: u64, bytes: &mut [u8]) -> usize {
        let used = left.min(bytes.len() as u64) as usize;
        match self.head.is_compressed {
            true => bytes[..used].fill(MASK),
            false => self.text.mask(&mut bytes[..used]),
        }
        used
    }

    /// Takes a header.
    fn header(&mut self, line: &[u8]) -> Option<()> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].trim_ascii();
        match line[..colon].to_ascii_lowercase().as_slice() {
            b"content-length" => self.head.len = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
            b"transfer-encoding" => self.head.is_chunked = value.to_ascii_lowercase().ends_with(b"chunked"),
            b"content-encoding" => self.head.is_compressed = is_compressed(value),
            _ => {}
        }
        Some(())
    }
}

/// Returns whether a content coding hides what is in the content.
pub(super) fn is_compressed(coding: &[u8]) -> bool {
    !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
}

fn in_body(left: u64) -> State {
    if left == 0 { State::First } else { State::Body(left) }
}

impl Http1 {
    /// Masks with `upgraded` what follows an upgrade.
    pub(super) fn new(upgraded: Box<dyn Mask>) -> Http1 {
        Http1 { halves: Default::default(), requests: VecDeque::new(), upgraded }
    }

    /// Takes bytes up to the end of a line. Returns how many, `None` if it is not HTTP.
    fn line(&mut self, from: Side, bytes: &mut [u8]) -> Option<usize> {
        let half = &mut self.halves[from.index()];
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(bytes.len(), |end| end + 1);
        let part = &mut bytes[..used];
        half.line.extend(&part[..used.min(LINE_MAX.saturating_sub(half.line.len()))]);
        if matches!(half.state, State::First | State::Headers | State::Trailer) {
            half.text.mask(part);
        }
        if end.is_some() {
            let line = std::mem::take(&mut half.line);
            self.whole_line(from, line.trim_ascii())?;
        }
        Some(used)
    }

    fn whole_line(&mut self, from: Side, line: &[u8]) -> Option<()> {
        let half = &mut self.halves[from.index()];
        half.state = match half.state {
            State::First if line.is_empty() => State::First,
            State::First => {
                half.head = Head { status: status(line)?, ..Head::default() };
                if half.head.status.is_none() && self.requests.len() < REQUESTS_MAX {
                    self.requests.push_back(request(line));
                }
                State::Headers
            }
            State::Headers if line.is_empty() => return self.end_of_head(from),
            State::Headers => {
                half.header(line)?;
                State::Headers
            }
            State::ChunkEnd => State::ChunkLen,
            State::ChunkLen => match chunk_len(line)? {
                0 => State::Trailer,
                len => State::Chunk(len),
            },
            State::Trailer if line.is_empty() => State::First,
            state => state,
        };
        if half.state == State::First {
            half.text = Secrets::default();
        }
        Some(())
    }

    fn end_of_head(&mut self, from: Side) -> Option<()> {
        let half = &mut self.halves[from.index()];
        half.text = Secrets::default();
        let Head { status, len, is_chunked, .. } = half.head;
        let Some(code) = status else {
            half.state = if is_chunked { State::ChunkLen } else { in_body(len.unwrap_or(0)) };
            return Some(());
        };
        let is_interim = (100..200).contains(&code) && code != 101;
        let request = if is_interim { None } else { self.requests.pop_front() };
        let is_success = (200..300).contains(&code);
        let is_tunnel = code == 101 || request == Some(Request::Connect) && is_success;
        let has_body = !(request == Some(Request::Head) || code < 200 || code == 204 || code == 304);
        half.state = match len {
            _ if is_tunnel => State::Raw,
            _ if !has_body => State::First,
            _ if is_chunked => State::ChunkLen,
            Some(len) => in_body(len),
            None => State::UntilEnd,
        };
        if is_tunnel {
            self.halves[from.other().index()].state = State::Raw;
        }
        Some(())
    }
}

/// The status, if the line is that of a response; `None` if the line begins nothing.
fn status(line: &[u8]) -> Option<Option<u16>> {
    if line.starts_with(b"HTTP/1.") {
        let code = line.split(|byte| *byte == b' ').nth(1)?;
        return Some(Some(std::str::from_utf8(code).ok()?.parse().ok()?));
    }
    super::super::http1::begins(line).then_some(None)
}

fn request(line: &[u8]) -> Request {
    match line {
        _ if line.starts_with(b"HEAD ") => Request::Head,
        _ if line.starts_with(b"CONNECT ") => Request::Connect,
        _ => Request::Other,
    }
}

fn chunk_len(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?;
    u64::from_str_radix(std::str::from_utf8(digits.trim_ascii()).ok()?, 16).ok()
}
