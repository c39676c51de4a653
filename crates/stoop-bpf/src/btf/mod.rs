//! A reader of BTF, the type information that a kernel provides about itself: types, and the
//! offsets of their fields.
//!
//! It is pure and lazy. [`Btf::scan`] walks over the types once. It keeps the positions of those
//! requested by name, and of every 64th type, from which the others are found by number.
//!
//! No input is trusted: every length is checked against the bytes that exist, and circular
//! references are given up. Only little-endian BTF is supported.

mod field;
mod scan;

pub use field::Field;
pub use scan::{Btf, Kind, TypeId};

/// The error type of the BTF reader.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BtfError {
    /// The bytes are not BTF of a supported kind, or are inconsistent; with the reason.
    Malformed(&'static str),
    /// No type has this name.
    NoType(String),
    /// The type has no such field.
    NoField(String),
    /// The field is a bit field, which cannot be loaded.
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
