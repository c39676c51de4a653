//! HPACK decoder: header blocks to fields (RFC 7541, section 6).

use std::borrow::Cow;

use super::huffman;
use super::table::{self, Dynamic, ENTRY_OVERHEAD_BYTES, Entry, STATIC, StoredName};

/// The error for a malformed block, after which the connection cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'b> {
    /// An entry of the static table, name and value.
    Static(u8),
    Literal {
        name: Name<'b>,
        value: &'b [u8],
        /// Must not be indexed by any intermediary ("never indexed").
        sensitive: bool,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'b> {
    Static(u8),
    Text(&'b [u8]),
}

impl Name<'_> {
    pub(super) fn is_authority(&self) -> bool {
        match self {
            Name::Static(index) => *index == table::AUTHORITY,
            Name::Text(text) => *text == b":authority",
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Name::Static(index) => table::name_bytes(*index),
            Name::Text(text) => text.len(),
        }
    }

    fn stored(&self) -> StoredName {
        match self {
            Name::Static(index) => StoredName::Static(*index),
            Name::Text(text) => StoredName::Text((*text).into()),
        }
    }
}

impl Field<'_> {
    /// Returns the approximate size of the field in a header list. The value of a static entry is
    /// counted as empty.
    pub(super) fn list_bytes(&self) -> usize {
        ENTRY_OVERHEAD_BYTES
            + match self {
                Field::Static(index) => table::name_bytes(*index),
                Field::Literal { name, value, .. } => name.bytes() + value.len(),
            }
    }
}

/// The decoder of one connection. It must decode all of the connection's blocks in order.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pub(super) dynamic: Dynamic,
}

impl Decoder {
    /// Decodes a block, and passes each field to `give`.
    ///
    /// # Errors
    /// Returns an error if the block is malformed. The fields before the error have been passed
    /// on, and the decoder cannot be used again.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        mut give: impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let mut begun = false;
        while let Some(&first) = block.first() {
            // The leading bits of a field's first byte determine its representation (RFC 7541,
            // section 6):
            //
            // - `1`: an index into the tables, for name and value
            // - `01`: a literal that is added to the dynamic table
            // - `001`: not a field, but a new size of the dynamic table
            // - `0001`: a literal that must never be indexed
            // - `0000`: a literal that is not added
            match first {
                0x80.. => self.indexed(integer(&mut block, 7)?, &mut give)?,
                0x40.. => self.literal(&mut block, 6, Keep::Indexed, &mut give)?,
                // A size update is allowed only before the first field.
                0x20.. if begun => return Err(Malformed),
                0x20.. => {
                    let size = integer(&mut block, 5)?;
                    self.dynamic.set_max_bytes(size).ok_or(Malformed)?;
                    continue;
                }
                0x10.. => self.literal(&mut block, 4, Keep::Never, &mut give)?,
                _ => self.literal(&mut block, 4, Keep::Not, &mut give)?,
            }
            begun = true;
        }
        Ok(())
    }

    fn indexed(&self, index: usize, give: &mut impl FnMut(Field<'_>)) -> Result<(), Malformed> {
        if (1..=STATIC).contains(&index) {
            give(Field::Static(index as u8));
            return Ok(());
        }
        let entry = self.entry(index)?;
        give(Field::Literal { name: name_of(&entry.name), value: &entry.value, sensitive: false });
        Ok(())
    }

    fn entry(&self, index: usize) -> Result<&Entry, Malformed> {
        index.checked_sub(STATIC + 1).and_then(|index| self.dynamic.get(index)).ok_or(Malformed)
    }

    fn literal(
        &mut self,
        block: &mut &[u8],
        prefix_bits: u32,
        keep: Keep,
        give: &mut impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let index = integer(block, prefix_bits)?;
        let text;
        let name = match index {
            0 => {
                text = string(block)?;
                Name::Text(&text)
            }
            1..=STATIC => Name::Static(index as u8),
            _ => name_of(&self.entry(index)?.name),
        };
        let value = string(block)?;
        give(Field::Literal { name, value: &value, sensitive: keep == Keep::Never });
        if keep == Keep::Indexed {
            // The name is copied before the insertion, which may evict the entry that it refers to
            // (RFC 7541, section 4.4).
            let entry = Entry { name: name.stored(), value: value.into() };
            self.dynamic.insert(entry);
        }
        Ok(())
    }
}

/// Whether a literal is added to the dynamic table.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Indexed,
    Not,
    /// Not here and not by any intermediary.
    Never,
}

fn name_of(name: &StoredName) -> Name<'_> {
    match name {
        StoredName::Static(index) => Name::Static(*index),
        StoredName::Text(text) => Name::Text(text),
    }
}

/// Decodes an integer whose prefix is the low `prefix_bits` bits of the first byte (RFC 7541,
/// section 5.1).
///
/// If all bits of the prefix are set, the rest of the number follows in groups of seven bits,
/// least significant first, with a continuation bit in each byte. More than four such bytes are
/// rejected: no valid number here needs more than 28 bits.
pub(super) fn integer(block: &mut &[u8], prefix_bits: u32) -> Result<usize, Malformed> {
    let (&first, rest) = block.split_first().ok_or(Malformed)?;
    *block = rest;
    let prefix_max = (1usize << prefix_bits) - 1;
    let mut number = usize::from(first) & prefix_max;
    if number < prefix_max {
        return Ok(number);
    }
    for shift in [0, 7, 14, 21] {
        let (&next, rest) = block.split_first().ok_or(Malformed)?;
        *block = rest;
        number += usize::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// Decodes a string (RFC 7541, section 5.2). The first bit says whether it is Huffman-coded.
pub(super) fn string<'b>(block: &mut &'b [u8]) -> Result<Cow<'b, [u8]>, Malformed> {
    let coded = block.first().ok_or(Malformed)? & 0x80 != 0;
    let len = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(len).ok_or(Malformed)?;
    *block = rest;
    if !coded {
        return Ok(Cow::Borrowed(bytes));
    }
    // The shortest code has five bits.
    let mut text = Vec::with_capacity(len * 8 / 5);
    huffman::decode(bytes, &mut text).ok_or(Malformed)?;
    Ok(Cow::Owned(text))
}
