//! Text, or else bytes: what no other decoder knows.

use super::line::{Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

/// How much of a message to show.
const TEXT_MAX: usize = 400;
const BYTES_MAX: usize = 24;

/// Each message on its own.
#[derive(Debug)]
pub(super) struct Text;

impl Decode for Text {
    fn protocol(&self) -> Protocol {
        Protocol::Text
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let (protocol, text) = match is_text(bytes) {
            true => (Protocol::Text, shortened(&redact(bytes.trim_ascii_end()), TEXT_MAX)),
            false => (Protocol::Bytes, hex(bytes)),
        };
        lines.push(Line::new(time_ns, from, protocol, Kind::Message, text).len(bytes.len() as u64));
        true
    }

    fn gap(&mut self, _from: Side, _len: u64) -> bool {
        true
    }
}

/// Text may be cut inside a character at either end, and has no control characters but those that
/// text has.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let begin = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let valid = match std::str::from_utf8(&bytes[begin..]) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[begin..][..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    valid.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\x1b'))
}

/// The first bytes as numbers, then as text.
fn hex(bytes: &[u8]) -> Vec<u8> {
    let begin = &bytes[..bytes.len().min(BYTES_MAX)];
    let numbers: Vec<String> = begin.iter().map(|byte| format!("{byte:02x}")).collect();
    let printable = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
    let text: String = begin.iter().map(printable).collect();
    let more = if bytes.len() > BYTES_MAX { " …" } else { "" };
    format!("{}{more}  {text}", numbers.join(" ")).into_bytes()
}
