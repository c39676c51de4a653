//! The program of the `task_file` iterator: writes a record for each file descriptor that is a Unix
//! domain socket. Pure.
//!
//! `R6` holds the context, `R7` the socket, `R8` the pointer being followed. The record is on the
//! stack, the address below it.

use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::layout::{AddressFields, Base, Chain, Layout, Step};
use crate::queue;
use crate::record::{ADDRESS_BYTES, ADDRESS_ROOM, COOKIE, DETAILED, RECORD_BYTES, Slot};
use crate::stack::{ADDRESS, RECORD, UNLOADABLE, place, point, step};

const AF_UNIX: i32 = 1;
/// The length of the longest address.
const ADDRESS_MAX: i32 = 110;

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
    // The address too, even if it is not passed on ([K-BPF-14]).
    //
    // [K-BPF-14]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-14
    let start = if layout.details.is_some() { ADDRESS } else { RECORD };
    for at in (start..0).step_by(8) {
        code.store_number(Width::Eight, Reg::Frame, at, 0);
    }
    for chain in layout.chains.iter().chain(layout.details.iter().flat_map(|details| &details.chains)) {
        follow(&mut code, chain, out)?;
    }
    if let Some(fields) = layout.messages {
        queue::count_bytes(&mut code, fields, layout.numbers)?;
    }
    if let Some(details) = &layout.details {
        identify(&mut code);
        copy_address(&mut code, details.address)?;
        code.store_number(Width::Four, Reg::Frame, place(DETAILED), 1);
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
    if layout.casts {
        code.copy(Reg::R1, Reg::R7);
        code.call(Helper::SkcToUnixSock);
        code.jump_if(Reg::R0, 0, out);
        code.copy(Reg::R7, Reg::R0);
    }
    Ok(())
}

/// Follows a chain and stores its values. Slots behind a null pointer stay zero; a null pointer in
/// the context ends the visit.
///
/// The verifier tries both ways of each jump, and joins them again only if what they stored is of
/// the same kind: pointers are kept before any jump over them.
fn follow(code: &mut Assembler, chain: &Chain, out: Label) -> Result<(), BtfError> {
    let nothing = code.label();
    let (base, mut on_null) = match chain.base {
        Base::Context => (Reg::R6, out),
        Base::Socket => (Reg::R7, nothing),
    };
    code.copy(Reg::R8, base);
    for one in &chain.steps {
        match *one {
            Step::Keep(slot, field) => keep(code, slot, field)?,
            Step::Follow(pointer) => {
                step(code, Reg::R8, Reg::R8, pointer)?;
                code.jump_if(Reg::R8, 0, on_null);
                on_null = nothing;
            }
        }
    }
    code.place(nothing);
    Ok(())
}

/// Stores a field of the structure in `R8`.
fn keep(code: &mut Assembler, slot: Slot, field: Field) -> Result<(), BtfError> {
    let Slot { at: _, len_bytes } = slot;
    for part in (0..len_bytes).step_by(8) {
        let field = if len_bytes > 8 { part_of(field, part)? } else { field };
        step(code, Reg::R1, Reg::R8, field)?;
        let width = Width::of(len_bytes.min(8) as u32).ok_or(UNLOADABLE)?;
        code.store(width, Reg::Frame, place(slot) + part as i16, Reg::R1);
    }
    Ok(())
}

/// Stores the socket's cookie, and gives it one if it has none.
fn identify(code: &mut Assembler) {
    code.copy(Reg::R1, Reg::R7);
    code.call(Helper::SocketCookie);
    code.store(Width::Eight, Reg::Frame, place(COOKIE), Reg::R0);
}

/// Copies the socket's address, whose length the record has, or clears that length.
fn copy_address(code: &mut Assembler, fields: AddressFields) -> Result<(), BtfError> {
    let (none, copied) = (code.label(), code.label());
    code.load(Width::Four, Reg::R2, Reg::Frame, place(ADDRESS_BYTES));
    code.jump_if_above(Reg::R2, ADDRESS_MAX, none);
    step(code, Reg::R3, Reg::R7, fields.pointer)?;
    code.add(Reg::R3, fields.bytes.offset_bytes as i32);
    point(code, Reg::R1, ADDRESS);
    code.call(Helper::ReadKernel);
    code.jump_if(Reg::R0, 0, copied);
    code.place(none);
    code.store_number(Width::Four, Reg::Frame, place(ADDRESS_BYTES), 0);
    code.place(copied);
    Ok(())
}

/// Passes the record to the reader, and the address if there is one.
fn write(code: &mut Assembler, layout: &Layout, out: Label) -> Result<(), BtfError> {
    step(code, Reg::R1, Reg::R6, layout.meta)?;
    code.jump_if(Reg::R1, 0, out);
    step(code, Reg::R8, Reg::R1, layout.seq)?;
    code.jump_if(Reg::R8, 0, out);
    write_bytes(code, RECORD, RECORD_BYTES);
    if layout.details.is_some() {
        code.load(Width::Four, Reg::R1, Reg::Frame, place(ADDRESS_BYTES));
        code.jump_if(Reg::R1, 0, out);
        write_bytes(code, ADDRESS, ADDRESS_ROOM);
    }
    Ok(())
}

/// Passes bytes of the stack to the reader in `R8`. The kernel repeats a visit whose bytes did not
/// all fit.
fn write_bytes(code: &mut Assembler, at: i16, len_bytes: usize) {
    code.copy(Reg::R1, Reg::R8);
    point(code, Reg::R2, at);
    code.set(Reg::R3, len_bytes as i32);
    code.call(Helper::SeqWrite);
}

/// Returns eight bytes of a longer field, as a field.
fn part_of(field: Field, part: usize) -> Result<Field, BtfError> {
    let end = part as u32 + 8;
    let offset_bytes = field.offset_bytes.checked_add(part as u32).filter(|_| field.len_bytes >= end);
    Ok(Field { offset_bytes: offset_bytes.ok_or(UNLOADABLE)?, len_bytes: 8 })
}
