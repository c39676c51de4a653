//! The program of the `task_file` iterator: for each descriptor of each process, a record where it
//! is a local socket. Pure.
//!
//! It keeps the context in `R6`, the socket in `R7`, a pointer it follows in `R8`, and the record
//! on the stack.

use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::layout::{Base, Chain, Layout};
use crate::record::{RECORD_BYTES, Slot};

const AF_UNIX: i32 = 1;
/// Where the record lies on the stack, from its end.
const RECORD: i16 = -(RECORD_BYTES as i16);

/// The instructions for a kernel of this layout.
///
/// # Errors
/// [`BtfError`] when a field lies too far out for an instruction, or is of a size that none loads.
pub(crate) fn program(layout: &Layout) -> Result<Vec<Instruction>, BtfError> {
    let mut code = Assembler::default();
    let out = code.label();
    code.copy(Reg::R6, Reg::R1);
    socket_of_the_file(&mut code, layout, out)?;
    for at in (RECORD..0).step_by(8) {
        code.store_number(Width::Eight, Reg::Frame, at, 0);
    }
    for chain in &layout.chains {
        follow(&mut code, chain)?;
    }
    write(&mut code, layout, out)?;
    code.place(out);
    code.set(Reg::R0, 0);
    code.exit();
    Ok(code.finish())
}

/// Leaves the local socket in `R7`, or the program.
fn socket_of_the_file(code: &mut Assembler, layout: &Layout, out: Label) -> Result<(), BtfError> {
    step(code, Reg::R1, Reg::R6, layout.file)?;
    code.jump_if(Reg::R1, 0, out);
    code.call(Helper::SockFromFile);
    code.jump_if(Reg::R0, 0, out);
    step(code, Reg::R7, Reg::R0, layout.sk)?;
    code.jump_if(Reg::R7, 0, out);
    step(code, Reg::R1, Reg::R7, layout.family)?;
    code.jump_unless(Reg::R1, AF_UNIX, out);
    Ok(())
}

/// Stores one value, or leaves zeros where the way to it ends before.
fn follow(code: &mut Assembler, chain: &Chain) -> Result<(), BtfError> {
    let nothing = code.label();
    let base = match chain.base {
        Base::Context => Reg::R6,
        Base::Socket => Reg::R7,
        Base::Local => {
            code.copy(Reg::R1, Reg::R7);
            code.call(Helper::SkcToUnixSock);
            code.jump_if(Reg::R0, 0, nothing);
            Reg::R0
        }
    };
    code.copy(Reg::R8, base);
    let Some((last, pointers)) = chain.steps.split_last() else { return Ok(()) };
    for pointer in pointers {
        step(code, Reg::R8, Reg::R8, *pointer)?;
        code.jump_if(Reg::R8, 0, nothing);
    }
    let Slot { at: _, len_bytes } = chain.slot;
    for part in (0..len_bytes).step_by(8) {
        let field = if len_bytes > 8 { part_of(*last, part)? } else { *last };
        step(code, Reg::R1, Reg::R8, field)?;
        let width = Width::of(len_bytes.min(8) as u32).ok_or(UNLOADABLE)?;
        code.store(width, Reg::Frame, place(chain.slot) + part as i16, Reg::R1);
    }
    code.place(nothing);
    Ok(())
}

/// Hands the record to the reader.
fn write(code: &mut Assembler, layout: &Layout, out: Label) -> Result<(), BtfError> {
    step(code, Reg::R1, Reg::R6, layout.meta)?;
    code.jump_if(Reg::R1, 0, out);
    step(code, Reg::R1, Reg::R1, layout.seq)?;
    code.jump_if(Reg::R1, 0, out);
    code.copy(Reg::R2, Reg::Frame);
    code.add(Reg::R2, RECORD.into());
    code.set(Reg::R3, RECORD_BYTES as i32);
    code.call(Helper::SeqWrite);
    Ok(())
}

/// Loads a field of what a register points to.
fn step(code: &mut Assembler, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
    let offset = i16::try_from(field.offset_bytes).map_err(|_| TOO_FAR)?;
    code.load(Width::of(field.len_bytes).ok_or(UNLOADABLE)?, to, from, offset);
    Ok(())
}

/// Eight bytes of a longer field.
fn part_of(field: Field, part: usize) -> Result<Field, BtfError> {
    let end = part as u32 + 8;
    let offset_bytes = field.offset_bytes.checked_add(part as u32).filter(|_| field.len_bytes >= end);
    Ok(Field { offset_bytes: offset_bytes.ok_or(UNLOADABLE)?, len_bytes: 8 })
}

fn place(slot: Slot) -> i16 {
    RECORD + slot.at as i16
}

const TOO_FAR: BtfError = BtfError::Malformed("a field lies too far out for an instruction");
const UNLOADABLE: BtfError = BtfError::Malformed("a field is of a size that no instruction loads");
