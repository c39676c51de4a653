//! From header blocks to headers (RFC 7541, section 6).

use std::collections::VecDeque;

use super::huffman;
use super::table::{self, ENTRY_OVERHEAD_BYTES, STATIC, TABLE_MAX_BYTES};

/// How much of a table is kept, whatever size the peers have agreed on.
const KEPT_MAX_BYTES: usize = 1 << 16;
/// How many bytes of headers a block may have. A few bytes can refer to long headers many times.
const LIST_MAX_BYTES: usize = 1 << 18;

/// The error for a malformed block, after which nothing of the connection can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::decode) struct Malformed;

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::decode) struct Header {
    pub(in crate::decode) name: Text,
    pub(in crate::decode) value: Text,
}

/// A name or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::decode) enum Text {
    Known(Vec<u8>),
    /// It was sent before. The number stays the same for the same entry.
    Before(usize),
}

impl Text {
    fn bytes(&self) -> usize {
        match self {
            Text::Known(text) => text.len(),
            Text::Before(_) => 0,
        }
    }
}

impl Header {
    fn bytes(&self) -> usize {
        self.name.bytes() + self.value.bytes() + ENTRY_OVERHEAD_BYTES
    }
}

/// The decoder of one direction. It must decode all of its blocks in order.
#[derive(Debug)]
pub(in crate::decode) struct Decoder {
    /// The newest first.
    entries: VecDeque<Header>,
    bytes: usize,
    max_bytes: usize,
    /// Whether there are no entries but those that are known.
    is_complete: bool,
    /// How many entries were added.
    added: usize,
}

impl Decoder {
    /// Creates the decoder of a connection that was seen from its first byte, or that was not.
    pub(in crate::decode) fn new(is_complete: bool) -> Decoder {
        Decoder { entries: VecDeque::new(), bytes: 0, max_bytes: TABLE_MAX_BYTES, is_complete, added: 0 }
    }

    /// A block was missed: which entries there are is unknown from here on.
    pub(in crate::decode) fn forget(&mut self) {
        *self = Decoder { max_bytes: self.max_bytes, ..Decoder::new(false) };
    }

    /// Decodes a block.
    ///
    /// # Errors
    /// Returns an error if the block is malformed.
    pub(in crate::decode) fn decode(&mut self, mut block: &[u8]) -> Result<Vec<Header>, Malformed> {
        let mut headers = Vec::new();
        let mut bytes = 0;
        while let Some(&first) = block.first() {
            let header = match first {
                0x80.. => self.entry(integer(&mut block, 7)?)?,
                0x40.. => {
                    let header = self.literal(&mut block, 6)?;
                    self.insert(header.clone());
                    header
                }
                0x20.. => {
                    self.resize(integer(&mut block, 5)?);
                    continue;
                }
                _ => self.literal(&mut block, 4)?,
            };
            bytes += header.bytes();
            if bytes <= LIST_MAX_BYTES {
                headers.push(header);
            }
        }
        Ok(headers)
    }

    /// Returns the entry of an index into both tables.
    fn entry(&self, index: usize) -> Result<Header, Malformed> {
        let Some(nth) = index.checked_sub(STATIC + 1) else {
            let index = u8::try_from(index).ok().filter(|index| *index > 0).ok_or(Malformed)?;
            let known = |text: &str| Text::Known(text.into());
            return Ok(Header { name: known(table::name(index)), value: known(table::value(index)) });
        };
        match self.entries.get(nth) {
            Some(entry) => Ok(entry.clone()),
            None if self.is_complete => Err(Malformed),
            None => {
                let before = nth.saturating_sub(self.added);
                Ok(Header { name: Text::Before(before), value: Text::Before(before) })
            }
        }
    }

    /// Returns the name of an index into both tables; `None` if it is not known.
    pub(in crate::decode) fn name(&self, index: usize) -> Option<Vec<u8>> {
        match self.entry(index).ok()?.name {
            Text::Known(name) => Some(name),
            Text::Before(_) => None,
        }
    }

    fn literal(&self, block: &mut &[u8], prefix_bits: u32) -> Result<Header, Malformed> {
        let name = match integer(block, prefix_bits)? {
            0 => Text::Known(string(block)?),
            index => self.entry(index)?.name,
        };
        Ok(Header { name, value: Text::Known(string(block)?) })
    }

    fn insert(&mut self, entry: Header) {
        self.added += 1;
        let bytes = entry.bytes();
        if bytes > self.max_bytes {
            // Such an entry empties the table.
            return self.empty();
        }
        self.bytes += bytes;
        self.entries.push_front(entry);
        self.shrink();
    }

    fn resize(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        if max_bytes < ENTRY_OVERHEAD_BYTES {
            self.empty();
        }
        self.shrink();
    }

    fn empty(&mut self) {
        *self = Decoder { max_bytes: self.max_bytes, ..Decoder::new(true) };
    }

    fn shrink(&mut self) {
        while self.bytes > self.max_bytes.min(KEPT_MAX_BYTES) {
            let Some(oldest) = self.entries.pop_back() else { return };
            // What is dropped although its peer has it is not malformed when it is referred to.
            self.is_complete &= self.bytes > self.max_bytes;
            self.bytes -= oldest.bytes();
        }
    }
}

/// Decodes an integer (RFC 7541, section 5.1). No valid number here needs more than 28 bits.
pub(in crate::decode) fn integer(block: &mut &[u8], prefix_bits: u32) -> Result<usize, Malformed> {
    let prefix_max = (1usize << prefix_bits) - 1;
    let mut number = usize::from(*block.split_off_first().ok_or(Malformed)?) & prefix_max;
    if number < prefix_max {
        return Ok(number);
    }
    for shift in [0, 7, 14, 21] {
        let next = *block.split_off_first().ok_or(Malformed)?;
        number += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// Decodes a string (RFC 7541, section 5.2).
fn string(block: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let is_coded = block.first().ok_or(Malformed)? & 0x80 != 0;
    let len = integer(block, 7)?;
    let bytes = block.split_off(..len).ok_or(Malformed)?;
    if !is_coded {
        return Ok(bytes.to_vec());
    }
    let mut text = Vec::new();
    huffman::decode(bytes, &mut text).ok_or(Malformed)?;
    Ok(text)
}
