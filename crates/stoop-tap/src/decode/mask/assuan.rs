//! Assuan: data, and the arguments that have a passphrase.

use super::super::assuan::{DECISIVE, is_info, secret_from};
use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

/// Both directions. The end that sent first is the server.
#[derive(Debug, Default)]
pub(super) struct Assuan {
    server: Option<Side>,
    halves: [Half; 2],
    /// Whether the last command asks what the server is.
    is_info: bool,
}

#[derive(Debug, Default)]
struct Half {
    /// The begin of the line that comes.
    begin: Vec<u8>,
    at: usize,
    text: Secrets,
}

impl Assuan {
    fn is_secret(&mut self, from: Side, is_server: bool, byte: u8) -> bool {
        let half = &mut self.halves[from.index()];
        let is_of_text = half.text.is_secret(byte);
        if byte == b'\n' {
            let begin = std::mem::take(&mut half.begin);
            half.at = 0;
            let line = begin.strip_suffix(b"\r").unwrap_or(&begin);
            if let Some(is_info) = is_info(line).filter(|_| !is_server) {
                self.is_info = is_info;
            }
            return false;
        }
        let from = secret_from(&half.begin, is_server && self.is_info);
        let is_secret = from.is_some_and(|from| half.at >= from);
        half.at += 1;
        if half.begin.len() < DECISIVE {
            half.begin.push(byte);
        }
        is_secret || is_of_text
    }
}

impl Mask for Assuan {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let is_server = *self.server.get_or_insert(from) == from;
        for byte in bytes {
            if self.is_secret(from, is_server, *byte) {
                *byte = MASK;
            }
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.at > 0 || half.text.is_within()
    }
}
