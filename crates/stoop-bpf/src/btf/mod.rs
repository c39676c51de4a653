//! A reader of BTF, the type information that a kernel carries about itself: which types there are,
//! and where fields lie.
//!
//! Pure, and lazy: [`Btf::scan`] walks over the types once, keeps where the ones asked for by name
//! are, and a mark at every 64th to find the others by number. Nothing is trusted: every length is
//! compared with the bytes that are there, and what refers in circles is given up. Little-endian
//! only.

mod field;
mod scan;

pub use field::Field;
pub use scan::{Btf, Kind, TypeId};

/// Why something was not found in BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BtfError {
    /// The bytes are no BTF of a kind known here, or contradict themselves; with what is wrong.
    Malformed(&'static str),
    /// There is no type of this name.
    NoType(String),
    /// The type is there and has no such field.
    NoField(String),
    /// The field is there and is not of a size that can be loaded: a bit field.
    BitField(String),
}

impl std::fmt::Display for BtfError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BtfError::Malformed(what) => write!(f, "type information is malformed: {what}"),
            BtfError::NoType(name) => write!(f, "no type '{name}'"),
            BtfError::NoField(name) => write!(f, "no field '{name}'"),
            BtfError::BitField(name) => write!(f, "'{name}' is a bit field"),
        }
    }
}

impl std::error::Error for BtfError {}
