//! uwsgi: the values of variables that carry credentials, and the contents as text.

use super::super::secrets::{MASK, Secrets, is_secret_name};
use super::super::uwsgi::{HEADER_BYTES, begins, size};
use super::protocol::Mask;
use crate::follow::Side;

/// Both directions of a connection. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Uwsgi {
    client: Option<Side>,
    variables: Variables,
    /// Whether the server has sent something since the request.
    is_answered: bool,
    texts: [Secrets; 2],
}

/// The header and the variables: names and values in turn, each behind its length.
#[derive(Debug, Default)]
struct Variables {
    at: usize,
    header: Vec<u8>,
    len: Vec<u8>,
    /// Bytes of the string that are still to come.
    left: usize,
    name: Vec<u8>,
    is_value: bool,
    is_secret: bool,
    text: Secrets,
}

impl Variables {
    fn are_over(&self) -> bool {
        size(&self.header).is_some_and(|size| self.at >= HEADER_BYTES + size)
    }

    fn is_secret(&mut self, byte: u8) -> bool {
        self.at += 1;
        if self.header.len() < HEADER_BYTES {
            self.header.push(byte);
            return false;
        }
        if self.len.len() < 2 {
            self.len.push(byte);
            if let Ok(len) = self.len[..].try_into() {
                self.left = u16::from_le_bytes(len).into();
                self.begin();
            }
            return false;
        }
        self.left -= 1;
        let is_secret = self.is_value && (self.text.is_secret(byte) || self.is_secret);
        if !self.is_value {
            self.name.push(byte);
        }
        if self.left == 0 {
            self.end();
        }
        is_secret
    }

    /// Begins a string whose length is there.
    fn begin(&mut self) {
        if self.is_value {
            self.is_secret = is_secret_name(&std::mem::take(&mut self.name));
            self.text = Secrets::default();
        }
        if self.left == 0 {
            self.end();
        }
    }

    fn end(&mut self) {
        self.len.clear();
        self.is_value = !self.is_value;
    }
}

impl Mask for Uwsgi {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        if is_client && self.is_answered && begins(bytes) {
            *self = Uwsgi { client: self.client, ..Uwsgi::default() };
        }
        self.is_answered |= !is_client;
        let mut rest = bytes;
        while is_client && !self.variables.are_over() {
            let Some(byte) = rest.split_off_first_mut() else { return true };
            if self.variables.is_secret(*byte) {
                *byte = MASK;
            }
        }
        self.texts[from.index()].mask(rest);
        true
    }

    fn gap(&mut self, from: Side, _len: u64) -> bool {
        self.texts[from.index()].gap();
        self.client != Some(from) || self.variables.are_over()
    }

    fn is_within(&self, from: Side) -> bool {
        let is_client = self.client.is_none_or(|client| client == from);
        is_client && !self.variables.are_over() || self.texts[from.index()].is_within()
    }
}
