//! The program of the `task_file` iterator: writes a record for each file descriptor that is a Unix
//! domain socket. Pure.
//!
//! `R6` holds the context, `R7` the socket, `R8` the pointer being followed. The record is on the
//! stack.

use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::layout::{Base, Chain, Layout, MessageFields};
use crate::record::{QUEUED, QUEUED_BYTES, RECORD_BYTES, Slot, UNCOUNTED};

const AF_UNIX: i32 = 1;
const SOCK_DGRAM: i32 = 2;
/// The number of messages whose lengths are added: the verifier follows a loop to its end.
const MESSAGES_MAX: i32 = 1024;
/// The offset of the record from the frame pointer.
const RECORD: i16 = -(RECORD_BYTES as i16);

/// Assembles the program for a kernel with this layout.
///
/// # Errors
/// Returns an error if an offset does not fit into an instruction, or if no instruction loads a
/// field of that size.
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
    if let Some(fields) = layout.messages {
        count_bytes(&mut code, fields)?;
    }
    write(&mut code, layout, out)?;
    code.place(out);
    code.set(Reg::R0, 0);
    code.exit();
    Ok(code.finish())
}

/// Loads the Unix socket into `R7`, or jumps to the end.
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

/// Follows a pointer chain and stores its value. If a pointer in it is null, the slot stays zero.
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

/// Stores the sum of the lengths of a datagram socket's messages.
///
/// The queue is not locked: it may change meanwhile. A message that was received has no next one,
/// and a changed number of messages shows the rest. Loads through typed pointers cannot fault.
///
/// `R1` counts the messages visited, for the verifier; `R2` those that are left.
fn count_bytes(code: &mut Assembler, fields: MessageFields) -> Result<(), BtfError> {
    let (stop, unknown, other) = (code.label(), code.label(), code.label());
    step(code, Reg::R1, Reg::R7, fields.kind)?;
    code.jump_unless(Reg::R1, SOCK_DGRAM, other);
    step(code, Reg::R2, Reg::R7, fields.queued)?;
    step(code, Reg::R8, Reg::R7, fields.first)?;
    code.set(Reg::R1, 0);
    code.set(Reg::R3, 0);
    let again = code.position();
    code.jump_if(Reg::R2, 0, stop);
    code.jump_if(Reg::R8, 0, unknown);
    step(code, Reg::R4, Reg::R8, fields.len)?;
    code.add_register(Reg::R3, Reg::R4);
    step(code, Reg::R8, Reg::R8, fields.next)?;
    code.add(Reg::R2, -1);
    code.add(Reg::R1, 1);
    code.jump_if(Reg::R1, MESSAGES_MAX, unknown);
    code.repeat_from(again);
    code.place(stop);
    code.store(Width::Four, Reg::Frame, place(QUEUED_BYTES), Reg::R3);
    // The number that the record has was loaded before.
    step(code, Reg::R2, Reg::R7, fields.queued)?;
    code.load(Width::Four, Reg::R1, Reg::Frame, place(QUEUED));
    code.jump_if_same(Reg::R1, Reg::R2, other);
    code.place(unknown);
    code.store_number(Width::Four, Reg::Frame, place(QUEUED_BYTES), UNCOUNTED as i32);
    code.place(other);
    Ok(())
}

/// Passes the record to the reader.
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

/// Loads a field of the structure to which a register points.
pub(crate) fn step(code: &mut Assembler, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
    let offset = i16::try_from(field.offset_bytes).map_err(|_| TOO_FAR)?;
    code.load(Width::of(field.len_bytes).ok_or(UNLOADABLE)?, to, from, offset);
    Ok(())
}

/// Returns eight bytes of a longer field, as a field.
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
