//! D-Bus: authentication in lines, then messages.

use std::collections::HashMap;

use super::line::{Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol};
use super::partial::Partial;
use crate::follow::Side;

const CALLS_MAX: usize = 10_000;
/// The longest message that D-Bus permits.
const MESSAGE_MAX: u64 = 128 << 20;
/// The fixed part of a header, with the length of the fields.
const FIXED: usize = 16;

/// Returns whether the bytes begin an authentication or a message.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0AUTH") || bytes.starts_with(b"AUTH ") || bytes == b"\0" || is_message(bytes)
}

/// The byte order, the type, flags and the version.
fn is_message(bytes: &[u8]) -> bool {
    matches!(bytes, [b'l' | b'B', 1..=4, 0..=7, 1, rest @ ..] if rest.len() >= FIXED - 4)
}

/// Returns whether these bytes may be the begin of either, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let is_part = |word: &[u8]| bytes.len() < word.len() && word.starts_with(bytes);
    is_part(b"\0AUTH") || is_part(b"AUTH ") || may_be_message(bytes)
}

fn may_be_message(bytes: &[u8]) -> bool {
    let begin: Vec<u8> = bytes.iter().copied().chain([b'l', 1, 0, 1].into_iter().skip(bytes.len())).collect();
    bytes.len() < FIXED && matches!(begin[..], [b'l' | b'B', 1..=4, 0..=7, 1, ..])
}

/// Returns the length of the message that begins here; 0 if that is not known yet, `None` if none
/// begins here.
pub(crate) fn message_len(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < FIXED {
        return Some(0);
    }
    if !is_message(bytes) {
        return None;
    }
    let order = if bytes[0] == b'l' { u32::from_le_bytes } else { u32::from_be_bytes };
    let word = |at: usize| u64::from(order([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
    let len = FIXED as u64 + word(12).next_multiple_of(8) + word(4);
    usize::try_from(len).ok().filter(|_| len <= MESSAGE_MAX)
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Dbus {
    halves: [Half; 2],
    calls: HashMap<(Side, u32), Call>,
}

#[derive(Debug, Default)]
struct Half {
    partial: Partial,
    /// Whether messages have begun.
    begun: bool,
}

impl Decode for Dbus {
    fn protocol(&self) -> Protocol {
        Protocol::Dbus
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let pending = self.halves[from.index()].partial.take_with(bytes);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let used = match self.halves[from.index()].begun || is_message(rest) {
                true => self.message(from, time_ns, rest, lines),
                false => self.authentication(from, rest),
            };
            match used {
                None => return false,
                Some(0) => break,
                Some(used) => rest = &rest[used.min(rest.len())..],
            }
        }
        self.halves[from.index()].partial.head = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        self.halves[from.index()].partial.gap(len)
    }
}

impl Dbus {
    /// A line of the authentication. It is not shown: it has credentials.
    fn authentication(&mut self, from: Side, bytes: &[u8]) -> Option<usize> {
        if let Some(0) = bytes.first() {
            return Some(1);
        }
        if may_be_message(bytes) {
            return Some(0);
        }
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Some(0) };
        let line = bytes[..end].trim_ascii();
        if !line.first()?.is_ascii_uppercase() {
            return None;
        }
        if line == b"BEGIN" {
            self.halves[from.index()].begun = true;
        }
        Some(end + 1)
    }

    fn message(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> Option<usize> {
        let len = message_len(bytes)?;
        if len == 0 {
            return Some(0);
        }
        let order = if bytes[0] == b'l' { u32::from_le_bytes } else { u32::from_be_bytes };
        let word = |at: usize| order([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (serial, fields) = (word(8), word(12));
        let Some(head_bytes) = bytes.get(FIXED..FIXED + fields as usize) else { return Some(0) };
        let fields = Fields::parse(head_bytes, order);
        lines.push(self.line(from, time_ns, bytes[1], serial, &fields).len(len as u64));
        self.halves[from.index()].begun = true;
        self.halves[from.index()].partial.skip = len.saturating_sub(bytes.len()) as u64;
        Some(len.min(bytes.len()))
    }

    fn line(&mut self, from: Side, time_ns: u64, kind: u8, serial: u32, fields: &Fields<'_>) -> Line {
        let text = |kind: Kind, text: String| Line::new(time_ns, from, Protocol::Dbus, kind, text);
        match kind {
            1 => {
                let method = fields.method();
                if self.calls.len() < CALLS_MAX {
                    self.calls.insert((from, serial), Call { time_ns, method: method.clone() });
                }
                text(Kind::Call, format!("{method} {} {}", fields.destination, fields.path)).called(method)
            }
            2 | 3 => {
                let call = self.calls.remove(&(from.other(), fields.reply_serial));
                let ok = kind == 2;
                let words = if ok { "reply".to_owned() } else { fields.error.to_owned() };
                text(Kind::Answer { ok }, words).answers(call)
            }
            _ => {
                let method = fields.method();
                text(Kind::Message, format!("signal {method} {}", fields.path)).called(method)
            }
        }
    }
}

/// The fields of a header that are shown.
#[derive(Debug, Default)]
struct Fields<'b> {
    path: &'b str,
    interface: &'b str,
    member: &'b str,
    error: &'b str,
    destination: &'b str,
    reply_serial: u32,
}

impl<'b> Fields<'b> {
    /// Reads as many as are valid. Each is a structure, aligned to eight bytes: a code, the
    /// signature of the value, the value.
    fn parse(bytes: &'b [u8], order: fn([u8; 4]) -> u32) -> Fields<'b> {
        let mut fields = Fields::default();
        let mut at = 0;
        while let Some(next) = fields.field(bytes, at, order) {
            at = next;
        }
        fields
    }

    fn field(&mut self, bytes: &'b [u8], at: usize, order: fn([u8; 4]) -> u32) -> Option<usize> {
        let at = at.next_multiple_of(8);
        let [code, 1, letter, 0] = *bytes.get(at..)?.first_chunk()? else { return None };
        let word = order(*bytes.get(at + 4..)?.first_chunk()?);
        let text =
            |len: usize, from: usize| std::str::from_utf8(bytes.get(from..from.checked_add(len)?)?).ok();
        match letter {
            b's' | b'o' => {
                let text = text(word as usize, at + 8)?;
                match code {
                    1 => self.path = text,
                    2 => self.interface = text,
                    3 => self.member = text,
                    4 => self.error = text,
                    6 => self.destination = text,
                    _ => {}
                }
                Some(at + 8 + word as usize + 1)
            }
            b'u' => {
                if code == 5 {
                    self.reply_serial = word;
                }
                Some(at + 8)
            }
            b'g' => Some(at + 4 + 1 + usize::from(*bytes.get(at + 4)?) + 1),
            _ => None,
        }
    }

    fn method(&self) -> String {
        match self.interface {
            "" => self.member.to_owned(),
            interface => format!("{interface}.{}", self.member),
        }
    }
}
