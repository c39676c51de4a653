//! Protocols of messages that begin with their length: what each message has that is secret.

use std::ops::Range;

use super::super::framed::Framed;
use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

/// Both directions.
#[derive(Debug)]
pub(in crate::decode) struct Messages<F> {
    framed: F,
    halves: [Half; 2],
    /// Whether it is known to be of that protocol.
    is_certain: bool,
}

/// The message that comes from an end.
#[derive(Debug, Default)]
struct Half {
    head: Vec<u8>,
    at: u64,
    len: Option<u64>,
    secret: Option<Range<u64>>,
    text: Secrets,
}

impl<F: Framed> Messages<F> {
    /// Masks a connection that was recognized by its first bytes.
    pub(in crate::decode) fn new(framed: F) -> Messages<F> {
        Messages { framed, halves: Default::default(), is_certain: false }
    }

    /// Masks a connection that is known to be of this protocol.
    pub(in crate::decode) fn certain(framed: F) -> Messages<F> {
        Messages { is_certain: true, ..Messages::new(framed) }
    }

    /// Takes the next byte of a message, and returns whether it is secret; `None` if no message
    /// can have it.
    fn is_secret(&mut self, from: Side, byte: u8) -> Option<bool> {
        let half = &mut self.halves[from.index()];
        let is_of_text = half.text.is_secret(byte);
        if half.at < F::HEAD_MAX {
            half.head.push(byte);
            half.len = self.framed.len(from, &half.head).ok()?;
            half.secret = half.secret.take().or_else(|| self.framed.secret(from, &half.head));
        }
        let is_secret = half.secret.as_ref().is_some_and(|secret| secret.contains(&half.at));
        half.at += 1;
        if half.len.is_some_and(|len| half.at == len.min(F::HEAD_MAX)) {
            self.framed.message(from, 0, &half.head);
            self.is_certain = true;
        }
        if half.len == Some(half.at) {
            (half.head, half.at, half.len, half.secret) = (Vec::new(), 0, None, None);
        }
        Some(is_secret || is_of_text)
    }

    fn lose(&mut self, from: Side) {
        let half = &mut self.halves[from.index()];
        half.text.gap();
        *half = Half { text: half.text.clone(), ..Half::default() };
        self.framed.lose(from);
    }
}

impl<F: Framed> Mask for Messages<F> {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        if !self.framed.is_aligned(from, bytes) {
            bytes.fill(MASK);
            return true;
        }
        for at in 0..bytes.len() {
            match self.is_secret(from, bytes[at]) {
                Some(true) => bytes[at] = MASK,
                Some(false) => {}
                None if !self.is_certain => return false,
                None => {
                    self.lose(from);
                    bytes[at..].fill(MASK);
                    break;
                }
            }
        }
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        match half.len.filter(|whole| half.at >= F::HEAD_MAX && half.at + len < *whole) {
            Some(_) => {
                half.text.gap();
                half.at += len;
            }
            None => self.lose(from),
        }
        true
    }

    fn lost(&mut self) -> bool {
        self.lose(Side::First);
        self.lose(Side::Second);
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.at > 0 || half.text.is_within()
    }
}
