//! Overwrites the values of secret headers in a block.

use super::super::super::hpack::{Decoder, Header, decoded, integer};
use super::super::super::secrets::{MASK, Secrets};
use super::coded;

/// The code of `*`: eight bits.
const CODED_MASK: u8 = 0xf9;

/// The longest header.
const HEADER_MAX: usize = 1 << 18;

/// The header blocks of one direction.
#[derive(Debug)]
pub(super) struct Block {
    decoder: Decoder,
    headers: Vec<Header>,
    /// The begin of a header that is not complete, as it was sent.
    begun: Vec<u8>,
    /// From which bit on its value is overwritten to its end.
    filled_from: Option<usize>,
    /// Whether the rest of the block cannot be judged.
    is_lost: bool,
}

impl Block {
    pub(super) fn new(decoder: Decoder) -> Block {
        Block { decoder, headers: Vec::new(), begun: Vec::new(), filled_from: None, is_lost: false }
    }

    /// Ends the block, and returns its headers.
    pub(super) fn end(&mut self) -> Vec<Header> {
        if !self.begun.is_empty() {
            self.lose();
        }
        self.is_lost = false;
        std::mem::take(&mut self.headers)
    }

    /// Some of it was not seen, or is malformed.
    pub(super) fn lose(&mut self) {
        self.decoder.forget();
        (self.begun, self.filled_from, self.is_lost) = (Vec::new(), None, true);
    }

    /// Overwrites the secrets in the next bytes.
    pub(super) fn mask(&mut self, bytes: &mut [u8]) {
        let before = self.begun.len();
        let mut sent = std::mem::take(&mut self.begun);
        sent.extend_from_slice(bytes);
        let mut masked = sent.clone();
        let mut at = 0;
        while at < sent.len() && !self.is_lost {
            match Parsed::of(&sent[at..]) {
                Parsed::Malformed => self.lose(),
                Parsed::Incomplete(value) => {
                    self.value(value.as_ref(), &sent[at..], &mut masked[at..]);
                    self.begun = sent.split_off(at);
                    if self.begun.len() > HEADER_MAX {
                        self.lose();
                    }
                    break;
                }
                Parsed::Whole(len, value) => {
                    self.value(value.as_ref(), &sent[at..at + len], &mut masked[at..at + len]);
                    self.filled_from = None;
                    match self.decoder.decode(&sent[at..at + len]) {
                        Ok(headers) => self.headers.extend(headers),
                        Err(_) => self.lose(),
                    }
                    at += len;
                }
            }
        }
        if self.is_lost {
            masked[at.max(before)..].fill(MASK);
        }
        bytes.copy_from_slice(&masked[before..]);
    }

    /// Overwrites what is secret of a value, or of its begin.
    fn value(&mut self, value: Option<&Value>, sent: &[u8], masked: &mut [u8]) {
        let Some(value) = value else { return };
        let end = (value.at + value.len).min(sent.len());
        let masked = &mut masked[value.at..end];
        let name = match &value.name {
            Name::Text(name) => Some(name.clone()),
            Name::Index(index) => self.decoder.name(*index),
        };
        if value.is_sensitive && !name.as_deref().is_some_and(is_protocol) {
            // It is in no table, which more letters would fill.
            return masked.fill(if value.is_coded { CODED_MASK } else { MASK });
        }
        let mut secrets = Secrets::default();
        for byte in name.iter().flatten().chain(b": ") {
            secrets.is_secret(*byte);
        }
        // One whose name is not known may be a secret.
        let secrets = name.is_some().then_some(secrets);
        match (value.is_coded, secrets) {
            (true, secrets) => coded::mask(masked, value.len, secrets, &mut self.filled_from),
            (false, Some(mut secrets)) => secrets.mask(masked),
            (false, None) => masked.fill(MASK),
        }
    }
}

/// Returns whether a header of this name says how the contents are read, which no secret does.
fn is_protocol(name: &[u8]) -> bool {
    [&b":"[..], b"content-", b"grpc-"].iter().any(|begin| name.starts_with(begin))
}

/// A header, or the begin of one.
enum Parsed {
    /// Its length, and its value unless it refers to one.
    Whole(usize, Option<Value>),
    /// With the value, as far as it is there.
    Incomplete(Option<Value>),
    Malformed,
}

/// The place of a value.
struct Value {
    name: Name,
    at: usize,
    len: usize,
    is_coded: bool,
    /// Whether its sender permits no table to have it.
    is_sensitive: bool,
}

enum Name {
    Index(usize),
    Text(Vec<u8>),
}

/// Why a header cannot be read.
enum Unread {
    Incomplete,
    Malformed,
}

impl Parsed {
    fn of(bytes: &[u8]) -> Parsed {
        let mut rest = bytes;
        match literal(bytes[0], &mut rest) {
            Ok(None) => Parsed::Whole(bytes.len() - rest.len(), None),
            Ok(Some((name, len, is_coded))) => {
                let is_sensitive = bytes[0] & 0xf0 == 0x10;
                let value = Value { name, at: bytes.len() - rest.len(), len, is_coded, is_sensitive };
                match value.at + len {
                    end if end <= bytes.len() => Parsed::Whole(end, Some(value)),
                    _ => Parsed::Incomplete(Some(value)),
                }
            }
            Err(Unread::Incomplete) => Parsed::Incomplete(None),
            Err(Unread::Malformed) => Parsed::Malformed,
        }
    }
}

/// Reads up to the value, and returns the name, and the length of the value and whether it is
/// coded. `None` if the header has no value of its own.
fn literal(first: u8, rest: &mut &[u8]) -> Result<Option<(Name, usize, bool)>, Unread> {
    let prefix_bits = match first {
        0x80.. => {
            number(rest, 7)?;
            return Ok(None);
        }
        0x40.. => 6,
        0x20.. => {
            number(rest, 5)?;
            return Ok(None);
        }
        _ => 4,
    };
    let name = match number(rest, prefix_bits)? {
        0 => {
            let is_coded = rest.first().ok_or(Unread::Incomplete)? & 0x80 != 0;
            let len = number(rest, 7)?;
            let name = rest.split_off(..len).ok_or(Unread::Incomplete)?;
            Name::Text(if is_coded { decoded(name).ok_or(Unread::Malformed)? } else { name.to_vec() })
        }
        index => Name::Index(index),
    };
    let is_coded = rest.first().ok_or(Unread::Incomplete)? & 0x80 != 0;
    Ok(Some((name, number(rest, 7)?, is_coded)))
}

/// Reads a number. None has more than five bytes.
fn number(rest: &mut &[u8], prefix_bits: u32) -> Result<usize, Unread> {
    let is_cut = rest.len() < 5;
    integer(rest, prefix_bits).map_err(|_| if is_cut { Unread::Incomplete } else { Unread::Malformed })
}
