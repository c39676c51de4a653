//! Assuan: data, and the arguments that have a passphrase.

use super::super::assuan::{DECISIVE, is_info, secret_from, server};
use super::super::secrets::{MASK, Secrets};
use super::protocol::Mask;
use crate::follow::Side;

/// Both directions.
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
    /// Whether bytes are missing in it, of which a secret may be the rest.
    is_cut: bool,
    text: Secrets,
}

impl Assuan {
    fn is_secret(&mut self, from: Side, byte: u8) -> bool {
        let half = &mut self.halves[from.index()];
        let is_of_text = half.text.is_secret(byte);
        if byte == b'\n' {
            let begin = std::mem::take(&mut half.begin);
            half.at = 0;
            if !std::mem::take(&mut half.is_cut) {
                self.line(from, begin.strip_suffix(b"\r").unwrap_or(&begin));
            }
            return false;
        }
        let secret_from = secret_from(&half.begin, self.is_info && self.server == Some(from));
        let is_secret = half.is_cut || secret_from.is_some_and(|secret_from| half.at >= secret_from);
        half.at += 1;
        if half.begin.len() < DECISIVE {
            half.begin.push(byte);
        }
        is_secret || is_of_text
    }

    /// Learns from the begin of a line that is over.
    fn line(&mut self, from: Side, begin: &[u8]) {
        self.server = self.server.or_else(|| server(from, begin));
        if let Some(is_info) = is_info(begin).filter(|_| self.server == Some(from.other())) {
            self.is_info = is_info;
        }
    }
}

impl Mask for Assuan {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        for byte in bytes {
            if self.is_secret(from, *byte) {
                *byte = MASK;
            }
        }
        true
    }

    fn gap(&mut self, from: Side, _len: u64) -> bool {
        let half = &mut self.halves[from.index()];
        half.text.gap();
        half.is_cut = true;
        // The command that is answered may be missing.
        self.is_info = false;
        true
    }

    fn lost(&mut self) -> bool {
        self.gap(Side::First, 0) && self.gap(Side::Second, 0)
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.at > 0 || half.is_cut || half.text.is_within()
    }
}
