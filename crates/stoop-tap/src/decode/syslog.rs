//! Log messages: a priority in angle brackets, then text.

use super::line::{Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;

/// Each message on its own.
#[derive(Debug)]
pub(super) struct Syslog;

/// Returns whether a message begins with a priority of at most three digits.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"<") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=3).contains(&digits) && rest.get(digits) == Some(&b'>')
}

impl Decode for Syslog {
    fn protocol(&self) -> Protocol {
        Protocol::Syslog
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let end = |byte: &u8| matches!(byte, b'\n' | b'\0');
        for text in bytes.split(end).filter(|text| !text.trim_ascii().is_empty()) {
            let line =
                Line::new(time_ns, from, Protocol::Syslog, Kind::Message, shortened(&redact(text), TEXT_MAX));
            lines.push(line.len(text.len() as u64));
        }
        true
    }

    fn gap(&mut self, _from: Side, _len: u64) -> bool {
        true
    }
}
