//! Protocols of messages that begin with their length, and their decoder. Pure.

use std::fmt;
use std::ops::Range;

use super::line::{Decode, Line, Protocol};
use super::partial::Partial;
use crate::follow::Side;

/// No message can begin like this.
#[derive(Debug)]
pub(super) struct Invalid;

/// A protocol of messages, and what was learned from those of a connection.
pub(super) trait Framed: fmt::Debug + Send {
    const PROTOCOL: Protocol;
    /// How much of a message is needed to decode it.
    const HEAD_MAX: u64;

    /// Returns whether it is known how the next bytes of an end are cut into messages. If it was
    /// unknown, they decide.
    fn is_aligned(&mut self, from: Side, bytes: &[u8]) -> bool;

    /// Returns the length of the message that begins like this, if that is known.
    fn len(&self, from: Side, head: &[u8]) -> Result<Option<u64>, Invalid>;

    /// Returns which of its bytes are secret. `None` if the begin is too short to tell; then its
    /// last byte is not.
    fn secret(&self, from: Side, head: &[u8]) -> Option<Range<u64>>;

    /// Decodes a message by its begin, and learns from it.
    fn message(&mut self, from: Side, time_ns: u64, head: &[u8]) -> Line;

    /// From here on it is unknown how the bytes of an end are cut into messages.
    fn lose(&mut self, from: Side);
}

/// The decoder of such a protocol.
#[derive(Debug)]
pub(super) struct Messages<F> {
    framed: F,
    halves: [Partial; 2],
    /// Whether it is known to be of that protocol. Then bytes that no message can begin with are
    /// in the middle of one.
    is_certain: bool,
}

impl<F: Framed> Messages<F> {
    /// Decodes a connection that was recognized by its first bytes.
    pub(super) fn new(framed: F) -> Messages<F> {
        Messages { framed, halves: Default::default(), is_certain: false }
    }

    /// Decodes a connection that is known to be of this protocol.
    pub(super) fn certain(framed: F) -> Messages<F> {
        Messages { is_certain: true, ..Messages::new(framed) }
    }
}

impl<F: Framed> Decode for Messages<F> {
    fn protocol(&self) -> Protocol {
        F::PROTOCOL
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        if !self.framed.is_aligned(from, bytes) {
            lines.push(unseen(from, time_ns, bytes));
            return true;
        }
        let pending = self.halves[from.index()].take_with(bytes);
        let mut rest = &pending[..];
        while !rest.is_empty() {
            let Ok(len) = self.framed.len(from, rest) else {
                if self.is_certain {
                    self.framed.lose(from);
                    lines.push(unseen(from, time_ns, rest));
                }
                return self.is_certain;
            };
            let Some(len) = len.filter(|len| (*len).min(F::HEAD_MAX) <= rest.len() as u64) else { break };
            lines.push(self.framed.message(from, time_ns, rest).len(len));
            self.is_certain = true;
            let used = len.min(rest.len() as u64);
            self.halves[from.index()].skip = len - used;
            rest = &rest[used as usize..];
        }
        self.halves[from.index()].head = rest.to_vec();
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        if !self.halves[from.index()].gap(len) {
            self.halves[from.index()] = Partial::default();
            self.framed.lose(from);
        }
        true
    }

    fn lost(&mut self) -> bool {
        self.halves = Default::default();
        self.framed.lose(Side::First);
        self.framed.lose(Side::Second);
        true
    }
}

/// Bytes of which it is unknown where their messages begin.
pub(super) fn unseen(from: Side, time_ns: u64, bytes: &[u8]) -> Line {
    let text = "joined in the middle: not shown";
    Line::message(time_ns, from, Protocol::Bytes, text).len(bytes.len() as u64)
}
