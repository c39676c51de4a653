//! The sections of a BTF blob, the one walk over its types, and finding a type by its number
//! afterwards.

use super::BtfError;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// The part of a type that all kinds have: name, info, size or type.
const COMMON_BYTES: usize = 12;
pub(super) const MEMBER_BYTES: usize = 12;
/// Of every so many types the place is kept.
const MARK_EVERY: usize = 64;

/// The number of a type; 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(pub u32);

/// What a type is, by its number in the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8);

impl Kind {
    /// An integer.
    pub const INT: Kind = Kind(1);
    /// A pointer.
    pub const PTR: Kind = Kind(2);
    /// An array.
    pub const ARRAY: Kind = Kind(3);
    /// A structure.
    pub const STRUCT: Kind = Kind(4);
    /// A union.
    pub const UNION: Kind = Kind(5);
    /// An enumeration.
    pub const ENUM: Kind = Kind(6);
    /// A name for another type.
    pub const TYPEDEF: Kind = Kind(8);
    /// A function.
    pub const FUNC: Kind = Kind(12);
    pub(super) const VOLATILE: Kind = Kind(9);
    pub(super) const CONST: Kind = Kind(10);
    pub(super) const RESTRICT: Kind = Kind(11);
    pub(super) const FLOAT: Kind = Kind(16);
    pub(super) const TYPE_TAG: Kind = Kind(18);
    pub(super) const ENUM64: Kind = Kind(19);

    /// The kind as one bit of a set.
    fn bit(self) -> u32 {
        1 << (self.0 & 0x1f)
    }

    /// How many bytes follow the common part of a type of this kind.
    fn tail_bytes(self, len: usize) -> Option<usize> {
        Some(match self.0 {
            1 | 14 | 17 => 4,
            2 | 7..=12 | 16 | 18 => 0,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * len,
            6 | 13 => 8 * len,
            _ => return None,
        })
    }
}

/// One type, still in its bytes.
#[derive(Clone, Copy)]
pub(super) struct Type<'b> {
    name: u32,
    info: u32,
    /// The size in bytes, or the number of the type that this one is made of: that depends on the
    /// kind.
    pub(super) size_or_type: u32,
    /// What follows the common part.
    pub(super) tail: &'b [u8],
}

impl Type<'_> {
    pub(super) fn kind(&self) -> Kind {
        Kind((self.info >> 24 & 0x1f) as u8)
    }

    /// Whether a member's offset has its size in bits above it.
    pub(super) fn has_bit_sizes(&self) -> bool {
        self.info >> 31 == 1
    }
}

/// Type information, and where in it the types are that were asked for.
pub struct Btf<'b> {
    types: &'b [u8],
    strings: &'b [u8],
    /// Where the types number 1, 65, 129 … begin.
    marks: Vec<usize>,
    /// One more than the highest number of a type.
    end: u32,
    /// In the order in which they were asked for.
    found: Vec<Option<TypeId>>,
    wanted: &'b [(Kind, &'b str)],
}

impl<'b> Btf<'b> {
    /// Walks over the types of `blob` once and keeps where the `wanted` ones are (of several of one
    /// name: the first).
    ///
    /// # Errors
    /// [`BtfError::Malformed`]. That a wanted type is missing is said by [`type_id`](Btf::type_id)
    /// and [`field`](Btf::field).
    pub fn scan(blob: &'b [u8], wanted: &'b [(Kind, &'b str)]) -> Result<Btf<'b>, BtfError> {
        let (types, strings) = sections(blob)?;
        let mut btf =
            Btf { types, strings, marks: Vec::new(), end: 1, found: vec![None; wanted.len()], wanted };
        let sieve = Sieve::of(wanted);
        let mut at = 0;
        while at < types.len() {
            if (btf.end as usize - 1).is_multiple_of(MARK_EVERY) {
                btf.marks.push(at);
            }
            let (read, next) = type_at(types, at)?;
            if sieve.passes(read, strings) {
                btf.note(read);
            }
            btf.end = btf.end.checked_add(1).ok_or(BtfError::Malformed("too many types"))?;
            at = next;
        }
        Ok(btf)
    }

    fn note(&mut self, read: Type<'_>) {
        let name = self.strings.get(read.name as usize..).unwrap_or_default();
        for (found, (wanted, text)) in self.found.iter_mut().zip(self.wanted) {
            if read.kind() == *wanted && found.is_none() && begins_with_word(name, text) {
                *found = Some(TypeId(self.end));
            }
        }
    }

    /// The number of a type that was asked for.
    ///
    /// # Errors
    /// [`BtfError::NoType`] where there is none, or where it was not asked for.
    pub fn type_id(&self, kind: Kind, name: &str) -> Result<TypeId, BtfError> {
        let asked = self.wanted.iter().position(|wanted| *wanted == (kind, name));
        asked.and_then(|at| self.found[at]).ok_or_else(|| BtfError::NoType(name.to_owned()))
    }

    /// How many types there are, `void` among them.
    pub fn len(&self) -> u32 {
        self.end
    }

    /// Whether there is no type but `void`.
    pub fn is_empty(&self) -> bool {
        self.end == 1
    }

    /// The type of this number; `void` is none.
    pub(super) fn by_id(&self, TypeId(id): TypeId) -> Result<Type<'b>, BtfError> {
        let index = id.checked_sub(1).filter(|_| id < self.end);
        let index = index.ok_or(BtfError::Malformed("a number that no type has"))? as usize;
        let mut at = self.marks[index / MARK_EVERY];
        for _ in 0..index % MARK_EVERY {
            at = type_at(self.types, at)?.1;
        }
        Ok(type_at(self.types, at)?.0)
    }

    /// Whether the string at this offset is `text`.
    pub(super) fn is_named(&self, offset: u32, text: &str) -> bool {
        begins_with_word(self.strings.get(offset as usize..).unwrap_or_default(), text)
    }
}

/// Nearly all types are none of the wanted ones, which their kind and the first letter of their
/// name tell.
struct Sieve {
    /// A bit for each kind.
    kinds: u32,
    /// The same, of the wanted ones with this first letter.
    kinds_by_letter: [u32; 256],
}

impl Sieve {
    fn of(wanted: &[(Kind, &str)]) -> Sieve {
        let mut sieve = Sieve { kinds: 0, kinds_by_letter: [0; 256] };
        for (kind, text) in wanted {
            let letter = text.bytes().next().unwrap_or(0);
            sieve.kinds |= kind.bit();
            sieve.kinds_by_letter[usize::from(letter)] |= kind.bit();
        }
        sieve
    }

    fn passes(&self, read: Type<'_>, strings: &[u8]) -> bool {
        let bit = read.kind().bit();
        // The name is another line of memory: it is looked at last.
        let letter = || strings.get(read.name as usize).copied().unwrap_or(0);
        self.kinds & bit != 0 && self.kinds_by_letter[usize::from(letter())] & bit != 0
    }
}

/// Whether the bytes begin with this text and a NUL.
fn begins_with_word(bytes: &[u8], text: &str) -> bool {
    bytes.strip_prefix(text.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// The sections with the types and with the strings.
fn sections(blob: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    const SHORT: BtfError = BtfError::Malformed("shorter than its header says");
    let magic = blob.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    if magic != Some(MAGIC) || blob.len() < HEADER_BYTES {
        return Err(BtfError::Malformed("it does not begin as little-endian BTF does"));
    }
    let number = |at| u32_at(blob, at).map(|number| number as usize).ok_or(SHORT);
    let rest = blob.get(number(4)?..).ok_or(SHORT)?;
    let section = |offset: usize, len: usize| rest.get(offset..)?.get(..len);
    let types = section(number(8)?, number(12)?).ok_or(SHORT)?;
    let strings = section(number(16)?, number(20)?).ok_or(SHORT)?;
    Ok((types, strings))
}

/// The type that begins there, and where the next one does.
fn type_at(types: &[u8], at: usize) -> Result<(Type<'_>, usize), BtfError> {
    const SHORT: BtfError = BtfError::Malformed("a type reaches past the end");
    let (common, rest) =
        types.get(at..).and_then(|rest| rest.split_first_chunk::<COMMON_BYTES>()).ok_or(SHORT)?;
    let word = |at: usize| u32::from_le_bytes([common[at], common[at + 1], common[at + 2], common[at + 3]]);
    let mut read = Type { name: word(0), info: word(4), size_or_type: word(8), tail: &[] };
    let len = (read.info & 0xffff) as usize;
    let tail_bytes =
        read.kind().tail_bytes(len).ok_or(BtfError::Malformed("a kind of type that is not known here"))?;
    read.tail = rest.get(..tail_bytes).ok_or(SHORT)?;
    Ok((read, at + COMMON_BYTES + tail_bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
