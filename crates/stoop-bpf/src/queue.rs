//! The part of the listing program that adds up the messages of a receive queue. Pure.
//!
//! The queue is not locked: it may change meanwhile. A message that was received has no next one,
//! and a changed number of messages shows the rest. Loads through typed pointers cannot fault.
//!
//! The verifier follows a plain loop through every repetition, at some eight microseconds each,
//! whenever the program is loaded. A loop over the kernel's own iterator is verified once
//! ([K-BPF-12]).
//!
//! [K-BPF-12]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-12

use crate::asm::{Assembler, Label, Reg, Width};
use crate::btf::BtfError;
use crate::layout::{MessageFields, Numbers};
use crate::record::{FIRST_BYTES, QUEUED, QUEUED_BYTES, UNCOUNTED};
use crate::stack::{ITERATOR, place, point, step};

const SOCK_DGRAM: i32 = 2;
/// How many messages are added up with the kernel's iterator.
const MESSAGES_MAX: i32 = 1 << 16;
/// How many without: each one is verified.
const VERIFIED_MAX: i32 = 128;

/// Stores the sum of the lengths of the messages, and the length of the first one. Of a socket that
/// is not a datagram socket, what was read of a message does not count.
///
/// `R8` is the message, `R9` the sum.
pub(crate) fn count_bytes(
    code: &mut Assembler,
    fields: MessageFields,
    numbers: Option<Numbers>,
) -> Result<(), BtfError> {
    let none = code.label();
    code.load(Width::Four, Reg::R1, Reg::Frame, place(QUEUED));
    code.jump_if(Reg::R1, 0, none);
    step(code, Reg::R8, Reg::R7, fields.first)?;
    code.jump_if(Reg::R8, 0, none);
    step(code, Reg::R1, Reg::R8, fields.len)?;
    code.store(Width::Four, Reg::Frame, place(FIRST_BYTES), Reg::R1);
    code.set(Reg::R9, 0);
    match numbers {
        Some(numbers) => iterate(code, fields, numbers)?,
        None => repeat(code, fields)?,
    }
    code.place(none);
    Ok(())
}

/// Adds up the messages with the kernel's iterator, which counts them.
fn iterate(code: &mut Assembler, fields: MessageFields, numbers: Numbers) -> Result<(), BtfError> {
    let (counted, unknown) = (code.label(), code.label());
    point(code, Reg::R1, ITERATOR);
    code.set(Reg::R2, 0);
    code.set(Reg::R3, MESSAGES_MAX);
    code.call_kernel(numbers.new);
    let again = code.position();
    point(code, Reg::R1, ITERATOR);
    code.call_kernel(numbers.next);
    code.jump_if(Reg::R0, 0, unknown);
    code.load(Width::Four, Reg::R1, Reg::R0, 0);
    code.load(Width::Four, Reg::R2, Reg::Frame, place(QUEUED));
    code.jump_if_same(Reg::R1, Reg::R2, counted);
    add_message(code, fields, unknown)?;
    code.repeat_from(again);
    code.place(counted);
    store(code, fields, unknown)?;
    point(code, Reg::R1, ITERATOR);
    code.call_kernel(numbers.destroy);
    Ok(())
}

/// Adds up the messages with a plain loop. `R1` counts those visited, for the verifier; `R2` those
/// that are left.
fn repeat(code: &mut Assembler, fields: MessageFields) -> Result<(), BtfError> {
    let (counted, unknown) = (code.label(), code.label());
    code.load(Width::Four, Reg::R2, Reg::Frame, place(QUEUED));
    code.set(Reg::R1, 0);
    let again = code.position();
    code.jump_if(Reg::R2, 0, counted);
    add_message(code, fields, unknown)?;
    code.add(Reg::R2, -1);
    code.add(Reg::R1, 1);
    code.jump_if(Reg::R1, VERIFIED_MAX, unknown);
    code.repeat_from(again);
    code.place(counted);
    store(code, fields, unknown)
}

/// Adds the length of a message, and goes on to the next one.
fn add_message(code: &mut Assembler, fields: MessageFields, unknown: Label) -> Result<(), BtfError> {
    let whole = code.label();
    code.jump_if(Reg::R8, 0, unknown);
    step(code, Reg::R3, Reg::R8, fields.len)?;
    code.add_register(Reg::R9, Reg::R3);
    if let Some(consumed) = fields.consumed {
        step(code, Reg::R3, Reg::R7, fields.kind)?;
        code.jump_if(Reg::R3, SOCK_DGRAM, whole);
        step(code, Reg::R3, Reg::R8, consumed)?;
        code.subtract_register(Reg::R9, Reg::R3);
    }
    code.place(whole);
    step(code, Reg::R8, Reg::R8, fields.next)
}

/// Stores the sum, if there are as many messages as before.
fn store(code: &mut Assembler, fields: MessageFields, unknown: Label) -> Result<(), BtfError> {
    let stored = code.label();
    code.store(Width::Four, Reg::Frame, place(QUEUED_BYTES), Reg::R9);
    step(code, Reg::R2, Reg::R7, fields.queued)?;
    code.load(Width::Four, Reg::R1, Reg::Frame, place(QUEUED));
    code.jump_if_same(Reg::R1, Reg::R2, stored);
    code.place(unknown);
    code.store_number(Width::Four, Reg::Frame, place(QUEUED_BYTES), UNCOUNTED as i32);
    code.place(stored);
    Ok(())
}
