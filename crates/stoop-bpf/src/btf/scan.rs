//! The sections of a BTF blob, the single walk over its types, and finding a type by number
//! afterwards.

use super::BtfError;

const MAGIC: u16 = 0xeb9f;
const HEADER_BYTES: usize = 24;
/// The size of `struct btf_type`, which all kinds share: name, info, size or type.
const COMMON_BYTES: usize = 12;
pub(super) const MEMBER_BYTES: usize = 12;
/// The position of every type with this distance is kept.
const MARK_EVERY: usize = 64;

/// The number of a type; 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(pub u32);

/// The kind of a type, by its number in the format.
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
    /// A typedef.
    pub const TYPEDEF: Kind = Kind(8);
    /// A function.
    pub const FUNC: Kind = Kind(12);
    pub(super) const VOLATILE: Kind = Kind(9);
    pub(super) const CONST: Kind = Kind(10);
    pub(super) const RESTRICT: Kind = Kind(11);
    pub(super) const FLOAT: Kind = Kind(16);
    pub(super) const TYPE_TAG: Kind = Kind(18);
    pub(super) const ENUM64: Kind = Kind(19);

    /// Returns the kind in the second word of a type.
    fn of(info: u32) -> Kind {
        Kind((info >> 24 & 0x1f) as u8)
    }

    /// Returns the kind as a bit of a set.
    fn bit(self) -> u32 {
        1 << (self.0 & 0x1f)
    }

    /// Returns how many bytes follow `struct btf_type` for a type of this kind with `len` elements.
    fn tail_bytes(self, len: usize) -> Option<usize> {
        Some(match self.0 {
            // By kind: integers, variables and declaration tags; kinds without more data; arrays;
            // structures, unions, sections and 64-bit enumerations; enumerations and prototypes.
            1 | 14 | 17 => 4,
            2 | 7..=12 | 16 | 18 => 0,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * len,
            6 | 13 => 8 * len,
            _ => return None,
        })
    }
}

/// A type, not decoded yet.
#[derive(Clone, Copy)]
pub(super) struct Type<'b> {
    info: u32,
    /// The size in bytes, or the number of the type to which this one refers, depending on the
    /// kind.
    pub(super) size_or_type: u32,
    /// The bytes that follow `struct btf_type`.
    pub(super) tail: &'b [u8],
}

impl Type<'_> {
    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.info)
    }

    /// Returns whether member offsets include bit field widths (`kind_flag`).
    pub(super) fn has_bit_sizes(&self) -> bool {
        self.info >> 31 == 1
    }
}

/// Type information, with the positions of the requested types.
pub struct Btf<'b> {
    types: &'b [u8],
    strings: &'b [u8],
    /// The positions of types 1, 65, 129 …
    marks: Vec<usize>,
    /// One more than the highest type number.
    end: u32,
    /// In the order of the request.
    found: Vec<Option<TypeId>>,
    wanted: &'b [(Kind, &'b str)],
}

impl<'b> Btf<'b> {
    /// Walks over the types of `blob` once and keeps the positions of the `wanted` ones. If several
    /// types have the same name, the first counts.
    ///
    /// # Errors
    /// Returns an error if the bytes are not valid BTF ([`BtfError::Malformed`]). A wanted type
    /// that is missing is reported by [`type_id`](Btf::type_id) and [`field`](Btf::field).
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_bpf::{Btf, BtfError, Kind};
    ///
    /// let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else { return Ok(()) };
    /// let btf = Btf::scan(&blob, &[(Kind::STRUCT, "task_struct")])?;
    /// assert!(btf.field("task_struct", "comm")?.len_bytes >= 16);
    /// assert!(matches!(btf.field("task_struct", "other"), Err(BtfError::NoField(_))));
    /// // Only what was requested is found.
    /// assert!(matches!(btf.type_id(Kind::STRUCT, "sock"), Err(BtfError::NoType(_))));
    ///
    /// assert!(matches!(Btf::scan(b"not BTF", &[]), Err(BtfError::Malformed(_))));
    /// # Ok::<(), BtfError>(())
    /// ```
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
            let Some((name, info, next)) = glance(types, at) else { return Err(malformed(types, at)) };
            if sieve.passes(name, Kind::of(info), strings) {
                btf.note(name, Kind::of(info));
            }
            let Some(end) = btf.end.checked_add(1) else { return Err(BtfError::Malformed("too many types")) };
            (btf.end, at) = (end, next);
        }
        Ok(btf)
    }

    fn note(&mut self, name: u32, kind: Kind) {
        let name = self.strings.get(name as usize..).unwrap_or_default();
        for (found, (wanted, text)) in self.found.iter_mut().zip(self.wanted) {
            if kind == *wanted && found.is_none() && begins_with_word(name, text) {
                *found = Some(TypeId(self.end));
            }
        }
    }

    /// Returns the number of a requested type.
    ///
    /// # Errors
    /// Returns an error if the type does not exist, or if it was not requested
    /// ([`BtfError::NoType`]).
    pub fn type_id(&self, kind: Kind, name: &str) -> Result<TypeId, BtfError> {
        let asked = self.wanted.iter().position(|wanted| *wanted == (kind, name));
        asked.and_then(|at| self.found[at]).ok_or_else(|| BtfError::NoType(name.to_owned()))
    }

    /// Returns the number of types, `void` included.
    pub fn len(&self) -> u32 {
        self.end
    }

    /// Returns whether `void` is the only type.
    pub fn is_empty(&self) -> bool {
        self.end == 1
    }

    /// Returns the type with this number. `void` is an error.
    pub(super) fn by_id(&self, TypeId(id): TypeId) -> Result<Type<'b>, BtfError> {
        let index = id.checked_sub(1).filter(|_| id < self.end);
        let index = index.ok_or(BtfError::Malformed("a number that no type has"))? as usize;
        // Types have variable lengths, so there is no random access: walk from the closest mark.
        let mut at = self.marks[index / MARK_EVERY];
        for _ in 0..index % MARK_EVERY {
            let Some((.., next)) = glance(self.types, at) else { return Err(malformed(self.types, at)) };
            at = next;
        }
        type_at(self.types, at)
    }

    /// Returns whether the string at this offset equals `text`.
    pub(super) fn is_named(&self, offset: u32, text: &str) -> bool {
        begins_with_word(self.strings.get(offset as usize..).unwrap_or_default(), text)
    }
}

/// A quick filter: nearly all types can be rejected by their kind and the first letter of their
/// name.
struct Sieve {
    /// The kinds of the wanted types, as a bit set.
    kinds: u32,
    /// The same for the wanted types with this first letter.
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

    fn passes(&self, name: u32, kind: Kind, strings: &[u8]) -> bool {
        let bit = kind.bit();
        // Reading the name costs another cache line, so it comes last.
        let letter = || strings.get(name as usize).copied().unwrap_or(0);
        self.kinds & bit != 0 && self.kinds_by_letter[usize::from(letter())] & bit != 0
    }
}

/// Returns whether the bytes begin with this text and a NUL.
fn begins_with_word(bytes: &[u8], text: &str) -> bool {
    bytes.strip_prefix(text.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// Returns the type section and the string section.
fn sections(blob: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    const SHORT: BtfError = BtfError::Malformed("shorter than its header says");
    let magic = blob.first_chunk().map(|bytes| u16::from_le_bytes(*bytes));
    if magic != Some(MAGIC) || blob.len() < HEADER_BYTES {
        return Err(BtfError::Malformed("it does not begin as little-endian BTF does"));
    }
    let number = |at| u32_at(blob, at).map(|number| number as usize).ok_or(SHORT);
    // `struct btf_header`: its own length at 4, then offset and length of the types at 8 and of the
    // strings at 16. The offsets count from the end of the header.
    let rest = blob.get(number(4)?..).ok_or(SHORT)?;
    let section = |offset: usize, len: usize| rest.get(offset..)?.get(..len);
    let types = section(number(8)?, number(12)?).ok_or(SHORT)?;
    let strings = section(number(16)?, number(20)?).ok_or(SHORT)?;
    Ok((types, strings))
}

/// Returns the name and the second word of the type at this position, and the position of the next
/// one; `None` if that is malformed. There are more than a hundred thousand types: this makes no
/// error values, and decodes no more.
#[inline]
fn glance(types: &[u8], at: usize) -> Option<(u32, u32, usize)> {
    let common = types.get(at..)?.first_chunk::<COMMON_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes([common[at], common[at + 1], common[at + 2], common[at + 3]]);
    let info = word(4);
    // `info`: number of elements in bits 0 to 15, kind in bits 24 to 28, `kind_flag` in bit 31.
    let next = at + COMMON_BYTES + Kind::of(info).tail_bytes((info & 0xffff) as usize)?;
    (next <= types.len()).then(|| (word(0), info, next))
}

/// Returns the type at this position.
fn type_at(types: &[u8], at: usize) -> Result<Type<'_>, BtfError> {
    let Some((_, info, next)) = glance(types, at) else { return Err(malformed(types, at)) };
    let (common, tail) = types[at..next].split_at(COMMON_BYTES);
    Ok(Type { info, size_or_type: u32_at(common, 8).unwrap_or(0), tail })
}

/// Returns why there is no type at this position.
fn malformed(types: &[u8], at: usize) -> BtfError {
    let info = types.get(at..).and_then(|rest| u32_at(rest, 4));
    match info.map(|info| Kind::of(info).tail_bytes(0)) {
        Some(None) => BtfError::Malformed("a kind of type that is not known here"),
        _ => BtfError::Malformed("a type reaches past the end"),
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
