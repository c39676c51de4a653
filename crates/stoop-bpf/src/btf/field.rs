//! Looking up a field of a structure by name: its offset and length, also inside anonymous members.

use super::scan::{MEMBER_BYTES, Type, u32_at};
use super::{Btf, BtfError, Kind, TypeId};

/// A field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The offset from the beginning of the structure.
    pub offset_bytes: u32,
    /// The length of the field. For an array, of all elements.
    pub len_bytes: u32,
}

/// The maximum length of a chain of typedefs and qualifiers, and the maximum nesting of anonymous
/// members.
const DEPTH_MAX: u32 = 32;
/// How many members to examine for one field. The largest structures have a few hundred.
const MEMBERS_MAX: u32 = 20_000;

/// A member of a structure or union.
struct Member {
    name: u32,
    kind: TypeId,
    offset_bits: u32,
    /// The width of a bit field, otherwise 0.
    len_bits: u32,
}

impl Btf<'_> {
    /// Looks up `path` in the structure `name`: `a` or `a.b`, where `b` is a field of the structure
    /// `a`.
    ///
    /// The structure must be among those passed to [`Btf::scan`]. Anonymous members are searched
    /// too.
    ///
    /// # Errors
    /// Returns an error that names what is missing.
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

    /// Finds fields of structures, each of which leads to the next one.
    pub(crate) fn chain(&self, fields: &[(&str, &str)]) -> Result<Vec<Field>, BtfError> {
        fields.iter().map(|(within, name)| self.field(within, name)).collect()
    }

    /// Finds what leads from a socket to its inode number: one field where the kernel has it, else
    /// through the file.
    pub(crate) fn inode_of_socket(&self) -> Result<Vec<Field>, BtfError> {
        self.chain(&[("sock", "sk_ino")]).or_else(|_| {
            self.chain(&[("sock", "sk_socket"), ("socket", "file"), ("file", "f_inode"), ("inode", "i_ino")])
        })
    }

    /// Returns the member with this name, with its offset from the beginning of the outermost
    /// structure.
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
            // An anonymous structure or union: its members are addressed as if they were the outer
            // one's.
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

    /// Resolves typedefs, qualifiers and tags to the type behind them.
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
                // `struct btf_array`: element type at 0, index type at 4, number of elements at 8.
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
        // If the structure has the `kind_flag`, the offset has 24 bits and the upper eight are the
        // width of a bit field, or 0.
        let (offset_bits, len_bits) = if with_sizes { (place & 0xff_ffff, place >> 24) } else { (place, 0) };
        Member { name, kind, offset_bits, len_bits }
    })
}

fn sum(a: u32, b: u32) -> Result<u32, BtfError> {
    a.checked_add(b).ok_or(BtfError::Malformed("a field lies further out than any structure is long"))
}
