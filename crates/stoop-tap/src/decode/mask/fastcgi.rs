//! FastCGI: the values of parameters that carry credentials, and the contents as text.

use super::super::secrets::{MASK, Secrets, is_secret_name};
use super::protocol::Mask;
use crate::follow::Side;

const HEADER_BYTES: usize = 8;
const BEGIN: u8 = 1;
const PARAMETERS: u8 = 4;
const TYPE_MAX: u8 = 11;
/// The longest name that is looked at.
const NAME_MAX: usize = 256;

#[derive(Debug, Default)]
pub(super) struct FastCgi {
    halves: [Half; 2],
}

#[derive(Debug, Default)]
struct Half {
    header: Vec<u8>,
    record: Option<Record>,
    pairs: Pairs,
    /// By the type of the record.
    texts: [Secrets; TYPE_MAX as usize + 1],
}

#[derive(Clone, Copy, Debug)]
struct Record {
    kind: u8,
    content: u64,
    padding: u64,
}

impl Mask for FastCgi {
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool {
        let half = &mut self.halves[from.index()];
        for byte in bytes {
            let Some(record) = &mut half.record else {
                half.header.push(*byte);
                if half.header.len() == HEADER_BYTES && half.begin().is_none() {
                    return false;
                }
                continue;
            };
            if record.content > 0 {
                record.content -= 1;
                let is_secret = match record.kind {
                    PARAMETERS => half.pairs.is_secret(*byte),
                    kind => half.texts[usize::from(kind)].is_secret(*byte),
                };
                if is_secret {
                    *byte = MASK;
                }
            } else {
                record.padding -= 1;
            }
            half.record.take_if(|record| record.content + record.padding == 0);
        }
        true
    }

    fn is_within(&self, from: Side) -> bool {
        let half = &self.halves[from.index()];
        half.pairs.left.is_some() || half.texts.iter().any(Secrets::is_within)
    }
}

impl Half {
    /// Takes a header. Returns `None` if it is of another protocol.
    fn begin(&mut self) -> Option<()> {
        let [version, kind, _, _, high, low, padding, _] = self.header[..].try_into().ok()?;
        self.header.clear();
        (version == 1 && kind <= TYPE_MAX).then_some(())?;
        if kind == BEGIN {
            (self.pairs, self.texts) = Default::default();
        }
        let (content, padding) = (u64::from(u16::from_be_bytes([high, low])), u64::from(padding));
        self.record = Some(Record { kind, content, padding }).filter(|_| content + padding > 0);
        Some(())
    }
}

/// Names and values, each pair behind their lengths.
#[derive(Debug, Default)]
struct Pairs {
    lengths: Vec<u8>,
    name: Vec<u8>,
    /// Bytes of the name and of the value that are still to come.
    left: Option<(u32, u32)>,
    is_secret: bool,
    text: Secrets,
}

impl Pairs {
    fn is_secret(&mut self, byte: u8) -> bool {
        let Some((name, value)) = &mut self.left else {
            self.lengths.push(byte);
            self.left = lengths(&self.lengths);
            if self.left.is_some() {
                self.lengths.clear();
                self.named();
            }
            return false;
        };
        if *name > 0 {
            *name -= 1;
            if self.name.len() < NAME_MAX {
                self.name.push(byte);
            }
            self.named();
            return false;
        }
        *value -= 1;
        let is_secret = self.text.is_secret(byte) || self.is_secret;
        self.left.take_if(|left| left.1 == 0);
        is_secret
    }

    /// Decides on the value, if the name is whole.
    fn named(&mut self) {
        if let Some((0, value)) = self.left {
            self.is_secret = is_secret_name(&std::mem::take(&mut self.name));
            self.text = Secrets::default();
            self.left = Some((0, value)).filter(|_| value > 0);
        }
    }
}

/// Two lengths of one byte each, or of four if the first bit is set.
fn lengths(bytes: &[u8]) -> Option<(u32, u32)> {
    let one = |bytes: &[u8]| match *bytes.first()? {
        first @ ..0x80 => Some((u32::from(first), 1)),
        _ => Some((u32::from_be_bytes(*bytes.first_chunk()?) & 0x7fff_ffff, 4)),
    };
    let (name, used) = one(bytes)?;
    let (value, _) = one(&bytes[used..])?;
    Some((name, value))
}
