//! X11: what authorizes a client. What follows is searched as text.

use super::super::secrets::{MASK, Secrets};
use super::super::x11::{Setup, setup};
use super::protocol::Mask;
use crate::follow::Side;

/// Both directions. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct X11 {
    client: Option<Side>,
    /// The begin of the set-up, until it shows where what is secret is.
    head: Vec<u8>,
    setup: Option<Setup>,
    /// How many bytes of the set-up came.
    at: u64,
    texts: [Secrets; 2],
}

impl X11 {
    fn is_set_up(&self) -> bool {
        self.setup.is_some_and(|setup| self.at >= setup.len)
    }

    /// Judges a byte of the set-up.
    fn is_secret(&mut self, byte: u8) -> bool {
        let at = self.at;
        self.at += 1;
        if self.setup.is_none() {
            self.head.push(byte);
            self.setup = setup(&self.head);
        }
        self.setup.is_some_and(|setup| (setup.secret.0..setup.secret.1).contains(&at))
    }
}

impl Mask for X11 {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        let mut rest = bytes;
        while is_client && !self.is_set_up() {
            let Some(byte) = rest.split_off_first_mut() else { return true };
            if self.is_secret(*byte) {
                *byte = MASK;
            }
        }
        self.texts[from.index()].mask(rest);
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        self.texts[from.index()].gap();
        if self.client == Some(from) && !self.is_set_up() {
            // Nothing is secret of a set-up that was passed over.
            match self.setup {
                Some(_) => self.at += len,
                None => return false,
            }
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let is_client = self.client.is_none_or(|client| client == from);
        is_client && !self.is_set_up() || self.texts[from.index()].is_within()
    }
}
