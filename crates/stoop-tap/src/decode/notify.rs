//! Assignments in lines: `READY=1` of `sd_notify`, `MESSAGE=…` of journald.

use super::line::{Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;

/// Each message on its own.
#[derive(Debug)]
pub(super) struct Notify;

/// Returns whether a message begins with a name in upper case and an equals sign.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    let len = bytes.iter().take_while(|byte| is_name(byte)).count();
    (2..=64).contains(&len) && bytes.get(len) == Some(&b'=')
}

impl Decode for Notify {
    fn protocol(&self) -> Protocol {
        Protocol::Notify
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let assignments = bytes.split(|byte| *byte == b'\n').filter(|one| !one.is_empty());
        let text = assignments.collect::<Vec<_>>().join(&b' ');
        let line =
            Line::new(time_ns, from, Protocol::Notify, Kind::Message, shortened(&redact(&text), TEXT_MAX));
        lines.push(line.len(bytes.len() as u64));
        true
    }
}
