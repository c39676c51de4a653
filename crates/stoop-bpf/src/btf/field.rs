//! Where a field lies in a structure, looked up by name, through members without one, and how long
//! it is.

use super::scan::{MEMBER_BYTES, Type, u32_at};
use super::{Btf, BtfError, Kind, TypeId};

/// A field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// From the beginning of the structure.
    pub offset_bytes: u32,
    /// The length of what is there; of an array, of all its elements.
    pub len_bytes: u32,
}

/// How many names for a type may stand behind one another, and how deep members without a name may
/// lie in one another.
const DEPTH_MAX: u32 = 32;
/// How many members are looked at for one field. The largest structures have a few hundred.
const MEMBERS_MAX: u32 = 20_000;

/// A member of a structure or union.
struct Member {
    name: u32,
    kind: TypeId,
    offset_bits: u32,
    /// Of a bit field.
    len_bits: u32,
}

impl Btf<'_> {
    /// Where `path` lies in the structure `name`, which must have been asked for: `a` or `a.b`, `b`
    /// being a field of the structure that `a` is. Members without a name are looked through.
    ///
    /// # Errors
    /// [`BtfError`], which names what is missing.
    pub fn field(&self, name: &str, path: &str) -> Result<Field, BtfError> {
        let missing = || BtfError::NoField(format!("{name}.{path}"));
        let mut within = self.type_id(Kind::STRUCT, name)?;
        let mut offset_bits = 0u32;
        let mut budget = MEMBERS_MAX;
        for part in path.split('.') {
            let member = self.member(within, part, DEPTH_MAX, &mut budget)?.ok_or_else(missing)?;
            offset_bits = sum(offset_bits, member.offset_bits)?;
            if member.len_bits != 0 || !offset_bits.is_multiple_of(8) {
                return Err(BtfError::BitField(format!("{name}.{path}")));
            }
            within = member.kind;
        }
        Ok(Field { offset_bytes: offset_bits / 8, len_bytes: self.len_bytes(within)? })
    }

    /// The member of this name, its offset being from the beginning of the outermost structure.
    fn member(
        &self,
        within: TypeId,
        name: &str,
        depth: u32,
        budget: &mut u32,
    ) -> Result<Option<Member>, BtfError> {
        let outer = self.plain(within)?;
        let deeper =
            depth.checked_sub(1).ok_or(BtfError::Malformed("members lie in one another without end"))?;
        if !matches!(outer.kind(), Kind::STRUCT | Kind::UNION) {
            return Ok(None);
        }
        for member in members(outer) {
            *budget =
                budget.checked_sub(1).ok_or(BtfError::Malformed("more members than any structure has"))?;
            if self.is_named(member.name, name) {
                return Ok(Some(member));
            }
            if member.name != 0 || member.len_bits != 0 {
                continue;
            }
            if let Some(mut inner) = self.member(member.kind, name, deeper, budget)? {
                inner.offset_bits = sum(inner.offset_bits, member.offset_bits)?;
                return Ok(Some(inner));
            }
        }
        Ok(None)
    }

    /// The type behind all its other names and qualifiers.
    fn plain(&self, mut id: TypeId) -> Result<Type<'_>, BtfError> {
        for _ in 0..DEPTH_MAX {
            let read = self.by_id(id)?;
            match read.kind() {
                Kind::TYPEDEF | Kind::VOLATILE | Kind::CONST | Kind::RESTRICT | Kind::TYPE_TAG => {
                    id = TypeId(read.size_or_type);
                }
                _ => return Ok(read),
            }
        }
        Err(BtfError::Malformed("names for types stand behind one another without end"))
    }

    fn len_bytes(&self, id: TypeId) -> Result<u32, BtfError> {
        const NO_LEN: BtfError = BtfError::Malformed("a field of a type that has no length");
        let (mut id, mut count) = (id, 1u32);
        for _ in 0..DEPTH_MAX {
            let read = self.plain(id)?;
            let one = match read.kind() {
                Kind::PTR => 8,
                Kind::INT | Kind::STRUCT | Kind::UNION | Kind::ENUM | Kind::ENUM64 | Kind::FLOAT => {
                    read.size_or_type
                }
                Kind::ARRAY => {
                    id = TypeId(u32_at(read.tail, 0).ok_or(NO_LEN)?);
                    count = count.checked_mul(u32_at(read.tail, 8).ok_or(NO_LEN)?).ok_or(NO_LEN)?;
                    continue;
                }
                _ => return Err(NO_LEN),
            };
            return one.checked_mul(count).ok_or(NO_LEN);
        }
        Err(NO_LEN)
    }
}

fn members<'b>(outer: Type<'b>) -> impl Iterator<Item = Member> + use<'b> {
    let with_sizes = outer.has_bit_sizes();
    outer.tail.chunks_exact(MEMBER_BYTES).map(move |bytes| {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (name, kind, place) = (word(0), TypeId(word(4)), word(8));
        let (offset_bits, len_bits) = if with_sizes { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
        Member { name, kind, offset_bits, len_bits }
    })
}

fn sum(a: u32, b: u32) -> Result<u32, BtfError> {
    a.checked_add(b).ok_or(BtfError::Malformed("a field lies further out than any structure is long"))
}
