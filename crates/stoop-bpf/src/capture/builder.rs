//! What the capture programs have in common: reading kernel memory, filling a record, writing it.
//! Pure.
//!
//! `R6` holds the context, `R7` the socket that the event is about, `R8` the message, `R9` the peer
//! of `R7` (null if unknown). The record is on the stack; below it are a value that was read, or a
//! key of the map, and whether the filter matched.

use std::os::fd::BorrowedFd;

use super::event::*;
use super::layout::CaptureLayout;
use super::sieve::{ANY_AT, LOST_AT, LOST_SLOTS};
use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::record::Slot;
use crate::stack::{UNLOADABLE, step};

const AF_UNIX: i32 = 1;
/// The offset of the record from the frame pointer.
const RECORD: i16 = -(HEADER_BYTES as i16);
/// The offset of a value that was read, or of a key of the map.
pub(super) const KEY: i16 = RECORD - 8;
/// The offset of whether the filter matched.
pub(super) const MATCH: i16 = KEY - 8;

/// What programs are generated for.
#[derive(Clone, Copy)]
pub(super) struct Setting<'m> {
    pub(super) layout: &'m CaptureLayout,
    pub(super) wanted: BorrowedFd<'m>,
    pub(super) shared: BorrowedFd<'m>,
    pub(super) buffers: BorrowedFd<'m>,
    /// Whether events of all sockets are wanted.
    pub(super) all: bool,
    /// How many bytes of a message to capture.
    pub(super) payload_max: u32,
    /// The process whose events are dropped.
    pub(super) own_pid: u32,
    /// Its thread whose events are not.
    pub(super) own_thread: Option<u32>,
}

/// A program under construction.
pub(super) struct Builder<'m> {
    pub(super) code: Assembler,
    pub(super) out: Label,
    pub(super) setting: Setting<'m>,
}

/// The slots of a cookie and an inode.
type End = (Slot, Slot);
pub(super) type Code = Result<Vec<Instruction>, BtfError>;

impl<'m> Builder<'m> {
    /// Begins with leaving as long as nothing is wanted.
    pub(super) fn new(setting: Setting<'m>) -> Builder<'m> {
        let mut code = Assembler::default();
        let out = code.label();
        code.copy(Reg::R6, Reg::R1);
        if !setting.all {
            code.load_map_value(Reg::R1, setting.shared, ANY_AT);
            code.load(Width::One, Reg::R1, Reg::R1, 0);
            code.jump_if(Reg::R1, 0, out);
        }
        Builder { code, out, setting }
    }

    /// Loads a field through a pointer whose type the verifier knows.
    pub(super) fn step(&mut self, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
        step(&mut self.code, to, from, field)
    }

    /// Reads a field at an address, as a number; 0 if the memory is not mapped.
    ///
    /// Newer verifiers refuse to cast the socket that a message points to, so a typed load of a
    /// field of `unix_sock` is not possible. Since Linux 6.2 memory can be declared to be of
    /// another type, so that a load reads it; before, a helper copies it, which takes longer.
    pub(super) fn read(&mut self, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
        let offset = field.offset_bytes as i32;
        let Some((cast, number)) = self.setting.layout.cast else {
            self.code.copy(Reg::R3, from);
            self.code.add(Reg::R3, offset);
            self.code.copy(Reg::R1, Reg::Frame);
            self.code.add(Reg::R1, KEY.into());
            self.code.set(Reg::R2, field.len_bytes as i32);
            self.code.call(Helper::ReadKernel);
            self.code.load(Width::of(field.len_bytes).ok_or(UNLOADABLE)?, to, Reg::Frame, KEY);
            return Ok(());
        };
        self.code.copy(Reg::R1, from);
        self.code.add(Reg::R1, offset);
        self.code.set(Reg::R2, number.0 as i32);
        self.code.call_kernel(cast);
        step(&mut self.code, to, Reg::R0, Field { offset_bytes: 0, ..field })
    }

    pub(super) fn unix_only(&mut self) -> Result<(), BtfError> {
        self.step(Reg::R1, Reg::R7, self.setting.layout.family)?;
        self.code.jump_unless(Reg::R1, AF_UNIX, self.out);
        Ok(())
    }

    /// Loads the peer into `R9`.
    pub(super) fn peer(&mut self) -> Result<(), BtfError> {
        self.read(Reg::R9, Reg::R7, self.setting.layout.peer)
    }

    /// Clears the record and stores what all kinds have. Leaves if it is this process.
    pub(super) fn begin(&mut self, what: i32) -> Result<(), BtfError> {
        self.code.call(Helper::ThisThread);
        self.leave_if_own();
        for at in (RECORD..0).step_by(8) {
            self.code.store_number(Width::Eight, Reg::Frame, at, 0);
        }
        self.store(THREAD, Reg::R0);
        self.code.store_number(Width::Two, Reg::Frame, place(WHAT), what);
        self.code.load(Width::Eight, Reg::R1, Reg::Frame, MATCH);
        self.store(MATCHED, Reg::R1);
        self.step(Reg::R1, Reg::R7, self.setting.layout.kind)?;
        self.store(KIND, Reg::R1);
        Ok(())
    }

    /// Leaves if `R0` has the ids of a thread of this process, except for the one that is captured.
    fn leave_if_own(&mut self) {
        let go_on = self.code.label();
        self.code.copy(Reg::R1, Reg::R0);
        self.code.shift_right(Reg::R1, 32);
        match self.setting.own_thread {
            None => self.code.jump_if(Reg::R1, self.setting.own_pid as i32, self.out),
            Some(thread) => {
                self.code.jump_unless(Reg::R1, self.setting.own_pid as i32, go_on);
                self.code.copy(Reg::R1, Reg::R0);
                self.code.shift_left(Reg::R1, 32);
                self.code.shift_right(Reg::R1, 32);
                self.code.jump_unless(Reg::R1, thread as i32, self.out);
            }
        }
        self.code.place(go_on);
    }

    /// Stores a register in the record.
    pub(super) fn store(&mut self, slot: Slot, from: Reg) {
        let width = Width::of(slot.len_bytes as u32).unwrap_or(Width::Eight);
        self.code.store(width, Reg::Frame, place(slot), from);
    }

    /// Gives the socket in `R7` a cookie if it has none. It must be in use: its peer may be closed
    /// at any moment and is only read.
    pub(super) fn identify(&mut self) {
        self.code.copy(Reg::R1, Reg::R7);
        self.code.call(Helper::SocketCookie);
    }

    /// Stores what the message says of itself.
    pub(super) fn message(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        self.store(BUFFER, Reg::R8);
        for (field, slot) in [(layout.len, LEN), (layout.consumed, CONSUMED)] {
            self.step(Reg::R1, Reg::R8, field)?;
            self.store(slot, Reg::R1);
        }
        self.code.load(Width::Eight, Reg::R1, Reg::R6, 8);
        self.store(RESULT, Reg::R1);
        let none = self.code.label();
        self.step(Reg::R1, Reg::R8, layout.fp)?;
        self.code.jump_if(Reg::R1, 0, none);
        self.read(Reg::R1, Reg::R1, layout.fp_count)?;
        self.store(FDS, Reg::R1);
        self.code.place(none);
        Ok(())
    }

    /// Stores both ends, the time and the name of the thread.
    pub(super) fn ends(&mut self, own: End, peer: End) -> Result<(), BtfError> {
        let alone = self.code.label();
        self.end(Reg::R7, own)?;
        self.code.jump_if(Reg::R9, 0, alone);
        self.end(Reg::R9, peer)?;
        self.code.place(alone);
        self.code.call(Helper::Now);
        self.store(TIME, Reg::R0);
        self.code.copy(Reg::R1, Reg::Frame);
        self.code.add(Reg::R1, place(COMMAND).into());
        self.code.set(Reg::R2, COMMAND.len_bytes as i32);
        self.code.call(Helper::ThisCommand);
        Ok(())
    }

    /// Stores the cookie and the inode of a socket.
    fn end(&mut self, socket: Reg, (cookie, inode): End) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        let none = self.code.label();
        self.read(Reg::R1, socket, layout.cookie)?;
        self.store(cookie, Reg::R1);
        self.code.copy(Reg::R1, socket);
        for field in &layout.inode {
            self.read(Reg::R1, Reg::R1, *field)?;
            self.code.jump_if(Reg::R1, 0, none);
        }
        self.store(inode, Reg::R1);
        self.code.place(none);
        Ok(())
    }

    /// Writes the record with the beginning of the message: of all of it when its first byte is
    /// received, or if it has grown since, of nothing otherwise.
    pub(super) fn capture(&mut self) -> Result<(), BtfError> {
        let (begins, nothing) = (self.code.label(), self.code.label());
        let (known, too_long) = (self.code.label(), self.code.label());
        let max = self.setting.payload_max as i32;
        let grows = self.setting.layout.grows;
        if let Some(memory) = grows {
            self.last_length(memory)?;
        }
        self.code.load(Width::Four, Reg::R3, Reg::Frame, place(LEN));
        self.code.load(Width::Four, Reg::R1, Reg::Frame, place(CONSUMED));
        self.code.jump_if(Reg::R1, 0, begins);
        if grows.is_some() {
            self.code.jump_if_same(Reg::R2, Reg::R3, nothing);
            self.code.jump_to(begins);
        }
        self.code.place(nothing);
        self.code.set(Reg::R3, 0);
        self.code.jump_to(known);
        self.code.place(begins);
        self.code.jump_if_above(Reg::R3, max, too_long);
        self.code.jump_to(known);
        self.code.place(too_long);
        self.code.set(Reg::R3, max);
        self.code.place(known);
        self.store(CAPTURED, Reg::R3);
        // The upper half of the flags is the number of bytes, the lower one the current processor.
        self.code.shift_left(Reg::R3, 32);
        self.code.set_32(Reg::R4, -1);
        self.code.add_register(Reg::R3, Reg::R4);
        self.code.copy(Reg::R1, Reg::R8);
        self.write(Helper::SkbOutput, self.out);
        Ok(())
    }

    /// Writes the record alone.
    pub(super) fn output(&mut self) {
        self.output_and_go(self.out);
    }

    pub(super) fn output_and_go(&mut self, done: Label) {
        self.code.copy(Reg::R1, Reg::R6);
        self.code.set_32(Reg::R3, -1);
        self.write(Helper::PerfOutput, done);
    }

    /// Writes the record and goes to `done`, or counts it for this processor if that fails.
    fn write(&mut self, helper: Helper, done: Label) {
        self.code.load_map(Reg::R2, self.setting.buffers);
        self.code.copy(Reg::R4, Reg::Frame);
        self.code.add(Reg::R4, RECORD.into());
        self.code.set(Reg::R5, HEADER_BYTES as i32);
        self.code.call(helper);
        self.code.jump_if(Reg::R0, 0, done);
        self.code.call(Helper::ThisProcessor);
        self.code.and(Reg::R0, LOST_SLOTS as i32 - 1);
        self.code.shift_left(Reg::R0, 3);
        self.code.load_map_value(Reg::R1, self.setting.shared, LOST_AT);
        self.code.add_register(Reg::R1, Reg::R0);
        self.code.set(Reg::R2, 1);
        self.code.atomic_add(Width::Eight, Reg::R1, 0, Reg::R2);
    }

    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.code.place(self.out);
        self.code.set(Reg::R0, 0);
        self.code.exit();
        self.code.finish()
    }
}

pub(super) fn place(slot: Slot) -> i16 {
    RECORD + slot.at as i16
}
