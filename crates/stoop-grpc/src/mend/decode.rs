//! Header blocks to fields (RFC 7541, section 6).

use std::borrow::Cow;

use super::huffman;
use super::table::{self, Dynamic, ENTRY_OVERHEAD_BYTES, Entry, STATIC, StoredName};

/// A block that is none: the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// One field of a block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field<'b> {
    /// Name and value stand in the static table.
    Static(u8),
    Literal {
        name: Name<'b>,
        value: &'b [u8],
        /// Never to be indexed by anybody.
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
    /// What it counts for in the length of a list, about: a static value is taken as empty.
    pub(super) fn list_bytes(&self) -> usize {
        ENTRY_OVERHEAD_BYTES
            + match self {
                Field::Static(index) => table::name_bytes(*index),
                Field::Literal { name, value, .. } => name.bytes() + value.len(),
            }
    }
}

/// What one connection's blocks are decoded with, each of them in turn.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pub(super) dynamic: Dynamic,
}

impl Decoder {
    /// Gives each field of a block in turn.
    ///
    /// # Errors
    /// Where it is malformed; the fields before that have been given, and the decoder is of no more
    /// use.
    pub(super) fn decode(
        &mut self,
        mut block: &[u8],
        mut give: impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let mut begun = false;
        while let Some(&first) = block.first() {
            match first {
                0x80.. => self.indexed(integer(&mut block, 7)?, &mut give)?,
                0x40.. => self.literal(&mut block, 6, Keep::Indexed, &mut give)?,
                // The table's size changes before the first field or not at all.
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
            let entry = Entry { name: name.stored(), value: value.into() };
            self.dynamic.insert(entry);
        }
        Ok(())
    }
}

/// Whether a literal goes into the dynamic table.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Indexed,
    Not,
    /// Nor into anybody else's.
    Never,
}

fn name_of(name: &StoredName) -> Name<'_> {
    match name {
        StoredName::Static(index) => Name::Static(*index),
        StoredName::Text(text) => Name::Text(text),
    }
}

/// A number whose beginning are the last bits of the first byte. None that is of use here needs
/// more than 28 bits beyond.
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

/// A text, decoded where it is coded.
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
