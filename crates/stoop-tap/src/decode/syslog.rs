//! Log messages: a priority in angle brackets, then text.

use super::line::{Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;

/// Each message ends with its line, or with a zero byte.
#[derive(Debug, Default)]
pub(super) struct Syslog {
    /// Incomplete messages, with the time of their last byte.
    halves: [(u64, Vec<u8>); 2],
}

/// Returns whether a message begins with a priority of at most three digits.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"<") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=3).contains(&digits) && rest.get(digits) == Some(&b'>')
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"<") else { return false };
    rest.len() <= 3 && rest.iter().all(u8::is_ascii_digit)
}

impl Syslog {
    fn message(from: Side, time_ns: u64, text: &[u8]) -> Option<Line> {
        let shown = || shortened(&redact(text), TEXT_MAX);
        let line = || Line::new(time_ns, from, Protocol::Syslog, Kind::Message, shown());
        (!text.trim_ascii().is_empty()).then(|| line().len(text.len() as u64))
    }
}

impl Decode for Syslog {
    fn protocol(&self) -> Protocol {
        Protocol::Syslog
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let half = &mut self.halves[from.index()];
        half.0 = time_ns;
        half.1.extend(bytes);
        let end = half.1.iter().rposition(|byte| matches!(byte, b'\n' | b'\0')).map_or(0, |at| at + 1);
        let whole: Vec<u8> = half.1.drain(..end).collect();
        let texts = whole.split(|byte| matches!(byte, b'\n' | b'\0'));
        lines.extend(texts.filter_map(|text| Syslog::message(from, time_ns, text)));
        self.halves[from.index()].1.len() < INCOMPLETE_MAX
    }

    fn gap(&mut self, _from: Side, _len: u64) -> bool {
        true
    }

    fn is_waiting(&self) -> bool {
        self.halves.iter().any(|(_, text)| !text.is_empty())
    }

    fn release(&mut self, lines: &mut Vec<Line>) {
        for from in [Side::First, Side::Second] {
            let (time_ns, text) = std::mem::take(&mut self.halves[from.index()]);
            lines.extend(Syslog::message(from, time_ns, &text));
        }
    }

    fn end(&mut self, _from: Side, _time_ns: u64, lines: &mut Vec<Line>) {
        self.release(lines);
    }
}
