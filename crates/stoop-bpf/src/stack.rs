//! The stack of the listing program, and how its instructions reach it and the kernel's fields.
//! Pure.

use crate::asm::{Assembler, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::record::{ADDRESS_ROOM, RECORD_BYTES, Slot};

/// The offset of the record from the frame pointer.
pub(crate) const RECORD: i16 = -(RECORD_BYTES as i16);
/// That of the address, below it.
pub(crate) const ADDRESS: i16 = RECORD - ADDRESS_ROOM as i16;
/// That of the kernel's iterator, if there is one.
pub(crate) const ITERATOR: i16 = ADDRESS - 8;

/// Points a register to a place on the stack.
pub(crate) fn point(code: &mut Assembler, register: Reg, at: i16) {
    code.copy(register, Reg::Frame);
    code.add(register, at.into());
}

/// Loads a field of the structure to which a register points.
pub(crate) fn step(code: &mut Assembler, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
    let offset = i16::try_from(field.offset_bytes).map_err(|_| TOO_FAR)?;
    code.load(Width::of(field.len_bytes).ok_or(UNLOADABLE)?, to, from, offset);
    Ok(())
}

/// Returns the offset of a part of the record from the frame pointer.
pub(crate) fn place(slot: Slot) -> i16 {
    RECORD + slot.at as i16
}

const TOO_FAR: BtfError = BtfError::Malformed("a field lies too far out for an instruction");
pub(crate) const UNLOADABLE: BtfError = BtfError::Malformed("a field is of a size that no instruction loads");
