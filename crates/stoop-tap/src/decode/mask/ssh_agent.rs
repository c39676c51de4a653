//! SSH agents: keys that are added, passphrases, and PINs of cards.

use super::super::secrets::MASK;
use super::super::ssh_agent::{
    ADD, ADD_CARD, ADD_CARD_CONSTRAINED, ADD_CONSTRAINED, LOCK, REMOVE_CARD, UNLOCK, word,
};
use super::protocol::Mask;
use crate::follow::Side;

/// The length of a message, its type, and the length of what is first in it.
const HEAD_BYTES: usize = 9;

/// Both directions. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct SshAgent {
    client: Option<Side>,
    request: Request,
}

/// The request that comes.
#[derive(Debug, Default)]
struct Request {
    head: Vec<u8>,
    at: u64,
}

impl Request {
    /// Judges the next byte.
    fn is_secret(&mut self, byte: u8) -> bool {
        let at = self.at;
        self.at += 1;
        if self.head.len() < HEAD_BYTES {
            self.head.push(byte);
        }
        let is_secret = self.secret_from().is_some_and(|from| at >= from);
        if self.len().is_some_and(|len| self.at >= len) {
            *self = Request::default();
        }
        is_secret
    }

    fn word(&self, at: usize) -> Option<u64> {
        word(&self.head, at).map(u64::from)
    }

    /// Returns the length, with that which is in front, once it is known.
    fn len(&self) -> Option<u64> {
        self.word(0).map(|len| 4 + len)
    }

    /// Returns from where on everything is secret, once that is known.
    fn secret_from(&self) -> Option<u64> {
        let (kind, first) = (*self.head.get(4)?, self.word(5)?);
        let start = HEAD_BYTES as u64;
        match kind {
            // Behind the type of the key.
            ADD | ADD_CONSTRAINED => Some(start + first),
            LOCK | UNLOCK => Some(start),
            // Behind the name of the card, and the length of the PIN.
            ADD_CARD | REMOVE_CARD | ADD_CARD_CONSTRAINED => Some(start + first + 4),
            _ => None,
        }
    }
}

impl Mask for SshAgent {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        if *self.client.get_or_insert(from) == from {
            for byte in bytes {
                if self.request.is_secret(*byte) {
                    *byte = MASK;
                }
            }
        }
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        if self.client != Some(from) {
            return true;
        }
        let is_known = self.request.head.len() == HEAD_BYTES;
        let end = self.request.at + len;
        match self.request.len().filter(|whole| is_known && end <= *whole) {
            Some(whole) if whole == end => self.request = Request::default(),
            Some(_) => self.request.at = end,
            None => return false,
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        self.client.is_none_or(|client| client == from) && self.request.at > 0
    }
}
