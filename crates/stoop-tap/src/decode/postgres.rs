//! The protocol of PostgreSQL, version 3.

use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 300;
/// Version 3.0, and the requests for TLS, for GSSAPI and to cancel.
const STARTS: [u32; 4] = [196_608, 80_877_103, 80_877_104, 80_877_102];

/// Returns whether the bytes begin as a client's first message.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let word = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    word(0).is_some_and(|len| (8..10_000).contains(&len))
        && word(4).is_some_and(|code| STARTS.contains(&code))
}

/// Returns whether these bytes may be the begin of such a message, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let (len, code) = bytes.split_at(bytes.len().min(4));
    let shortest: Vec<u8> = len.iter().copied().chain([0; 4]).take(4).collect();
    let is_len = shortest.first_chunk().is_some_and(|len| match u32::from_be_bytes(*len) {
        0..8 => bytes.len() < 4,
        len => len < 10_000,
    });
    is_len && code.len() < 4 && STARTS.iter().any(|start| start.to_be_bytes().starts_with(code))
}

/// Both directions of a connection. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Postgres {
    client: Option<Side>,
    started: bool,
    bytes: [Vec<u8>; 2],
    call: Option<Call>,
    /// Command tags and errors of the current call.
    results: Vec<Vec<u8>>,
    failed: bool,
}

impl Decode for Postgres {
    fn protocol(&self) -> Protocol {
        Protocol::Postgres
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let client = *self.client.get_or_insert(from);
        let mut pending = std::mem::take(&mut self.bytes[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let used = match from == client {
                true if !self.started => self.start(from, time_ns, rest, lines),
                true => message(rest).map(|found| {
                    found.map_or(0, |(kind, body, used)| {
                        self.asked(from, time_ns, kind, body, lines);
                        used
                    })
                }),
                // The answer to a request for TLS or GSSAPI is one letter.
                false if !self.started && matches!(rest, [b'N' | b'S' | b'G']) => Some(1),
                false => message(rest).map(|found| {
                    found.map_or(0, |(kind, body, used)| {
                        self.answered(from, time_ns, kind, body, lines);
                        used
                    })
                }),
            };
            match used {
                None => return false,
                Some(0) => break,
                Some(used) => rest = &rest[used..],
            }
        }
        self.bytes[from.index()] = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }
}

impl Postgres {
    fn start(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        let Some(len) = bytes.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) else {
            return Some(0);
        };
        if !begins(bytes) && bytes.len() >= 8 {
            return None;
        }
        let Some(body) = bytes.get(8..len) else { return Some(0) };
        if bytes[4..8] == STARTS[0].to_be_bytes() {
            self.started = true;
            let words: Vec<&[u8]> = body.split(|byte| *byte == 0).filter(|word| !word.is_empty()).collect();
            let pairs: Vec<Vec<u8>> = words.chunks(2).map(|pair| pair.join(&b'=')).collect();
            let text = [b"startup ", &pairs.join(&b' ')[..]].concat();
            self.ask(from, time_ns, "startup", text, lines);
        }
        Some(len)
    }

    fn ask(&mut self, from: Side, time_ns: u64, method: &str, text: Vec<u8>, lines: &mut Vec<Line>) {
        self.call.get_or_insert_with(|| Call { time_ns, method: method.to_owned() });
        lines.push(Line::new(time_ns, from, Protocol::Postgres, Kind::Call, text).called(method));
    }

    fn asked(&mut self, from: Side, time_ns: u64, kind: u8, body: &[u8], lines: &mut Vec<Line>) {
        let text = |sql: &[u8]| shortened(&redact_sql(sql), TEXT_MAX);
        let mut parts = body.split(|byte| *byte == 0);
        match kind {
            b'Q' => {
                let sql = parts.next().unwrap_or_default();
                self.ask(from, time_ns, &first_word(sql), text(sql), lines);
            }
            b'P' => {
                let sql = parts.nth(1).unwrap_or_default();
                self.ask(from, time_ns, &first_word(sql), text(sql), lines);
            }
            b'p' => {
                let line = Line::new(time_ns, from, Protocol::Postgres, Kind::Message, "password [redacted]");
                lines.push(line);
            }
            b'X' => lines.push(Line::new(time_ns, from, Protocol::Postgres, Kind::Message, "terminate")),
            // Bind, describe, execute and sync belong to the statement; a sync alone asks, too.
            b'S' | b'E' if self.call.is_none() => {
                self.call = Some(Call { time_ns, method: "execute".to_owned() });
            }
            _ => {}
        }
    }

    fn answered(&mut self, from: Side, time_ns: u64, kind: u8, body: &[u8], lines: &mut Vec<Line>) {
        match kind {
            b'C' => self.results.push(body.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
            b'E' => {
                self.failed = true;
                self.results.push(error_text(body));
            }
            b'R' if body.len() >= 4 && body[..4] != [0; 4] => {
                lines.push(Line::new(
                    time_ns,
                    from,
                    Protocol::Postgres,
                    Kind::Message,
                    "asks for a password",
                ));
            }
            _ => {}
        }
        // Ready for the next query; an error during startup ends the connection without it.
        if kind == b'Z' || kind == b'E' && self.call.as_ref().is_some_and(|call| call.method == "startup") {
            let kind = Kind::Answer { ok: !std::mem::take(&mut self.failed) };
            let mut text = std::mem::take(&mut self.results).join(&b"; "[..]);
            if text.is_empty() {
                text = b"ready".to_vec();
            }
            lines.push(Line::new(time_ns, from, Protocol::Postgres, kind, text).answers(self.call.take()));
        }
    }
}

/// Returns the letter, the body and the length of the first message; `Some(None)` if it is
/// incomplete, `None` if it is invalid.
fn message(bytes: &[u8]) -> Option<Option<(u8, &[u8], usize)>> {
    let Some((letter, rest)) = bytes.split_first() else { return Some(None) };
    if !letter.is_ascii_alphanumeric() {
        return None;
    }
    let Some(len) = rest.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) else {
        return Some(None);
    };
    if !(4..1 << 30).contains(&len) {
        return None;
    }
    Some(rest.get(4..len).map(|body| (*letter, body, len + 1)))
}

/// The severity, code and message of an error: fields with a letter each.
fn error_text(body: &[u8]) -> Vec<u8> {
    let fields: Vec<&[u8]> = body.split(|byte| *byte == 0).filter(|field| field.len() > 1).collect();
    let of = |letter: u8| fields.iter().find(|field| field[0] == letter).map(|field| &field[1..]);
    [of(b'S'), of(b'C'), of(b'M')].into_iter().flatten().collect::<Vec<_>>().join(&b' ')
}

fn first_word(sql: &[u8]) -> String {
    let word = sql.trim_ascii_start().split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    String::from_utf8_lossy(word).to_ascii_uppercase()
}

/// `PASSWORD '…'` in statements, besides the usual secrets.
fn redact_sql(sql: &[u8]) -> Vec<u8> {
    let lower = sql.to_ascii_lowercase();
    let word = b"password";
    let found = lower.windows(word.len()).position(|window| window == word);
    match found.map(|at| at + word.len()) {
        Some(at) if lower[at..].trim_ascii_start().starts_with(b"'") => [&sql[..at], b" [redacted]"].concat(),
        _ => redact(sql),
    }
}
