//! The counting programs. Pure.
//!
//! `R6` holds the context, `R7` the socket, `R8` the value of the map that counts it, `R9` the
//! result of the call. A key of the map is on the stack, and below it the first value of a socket.

use std::os::fd::BorrowedFd;

use super::layout::CounterLayout;
use super::value::*;
use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::hook::Hook;
use crate::record::Slot;
use crate::stack::step;

const AF_UNIX: i32 = 1;
const SOCK_STREAM: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const LISTENING: i32 = 10;
const PEEK: i32 = 2;
const EAGAIN: i32 = 11;
const EINTR: i32 = 4;
/// Results below this are not seen by the process: the kernel repeats the call, or turns them into
/// `EINTR`.
const RESTART: i32 = 512;
const NO_EXIST: i32 = 1;
/// The offset of a key of the map from the frame pointer.
const KEY: i16 = -8;
/// The offset of the first value of a socket.
const FIRST: i16 = KEY - VALUE_BYTES as i16;
/// The key of no socket: its value counts the events of sockets that found no space in the map.
pub(super) const NO_SOCKET: u64 = 0;
/// In the value of [`NO_SOCKET`]: the number of these events.
pub(super) const UNCOUNTED: Slot = ARRIVED;

/// What programs are generated for.
#[derive(Clone, Copy)]
pub(super) struct Setting<'m> {
    pub(super) layout: &'m CounterLayout,
    pub(super) sockets: BorrowedFd<'m>,
}

type Code = Result<Vec<Instruction>, BtfError>;

/// The program for the end of a call that sends.
pub(super) fn send(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting, hook);
    let (failed, done) = (program.code.label(), program.code.label());
    program.start(SOCK_STREAM)?;
    program.code.jump_if_signed_above(Reg::R9, -1, done);
    program.code.jump_to(failed);
    program.code.place(done);
    program.count(SENT_CALLS, SENT_BYTES);
    program.touch(SENT_TICK, SENT_TIME);
    program.leave();
    program.code.place(failed);
    program.failure(SEND_ERRORS, Some(SEND_WAITS));
    Ok(program.finish())
}

/// The program for the end of a call that receives.
pub(super) fn receive(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting, hook);
    let (failed, done) = (program.code.label(), program.code.label());
    hook.load_flags(&mut program.code, Reg::R1);
    program.code.and(Reg::R1, PEEK);
    program.code.jump_unless(Reg::R1, 0, program.out);
    program.start(SOCK_DGRAM)?;
    program.code.jump_if_signed_above(Reg::R9, -1, done);
    program.code.jump_to(failed);
    program.code.place(done);
    program.count(RECEIVED_CALLS, RECEIVED_BYTES);
    program.measure()?;
    program.touch(RECEIVED_TICK, RECEIVED_TIME);
    program.leave();
    program.code.place(failed);
    program.failure(RECEIVE_ERRORS, None);
    Ok(program.finish())
}

/// The program for a message that has arrived, or a client that has connected.
pub(super) fn arrive(setting: Setting<'_>, hook: Hook) -> Code {
    let mut program = Builder::new(setting, hook);
    let data = program.code.label();
    program.socket()?;
    program.find()?;
    program.step(Reg::R1, Reg::R7, setting.layout.state)?;
    program.code.jump_unless(Reg::R1, LISTENING, data);
    program.add_one(CONNECTS);
    program.leave();
    program.code.place(data);
    program.arrival()?;
    Ok(program.finish())
}

/// A program under construction.
struct Builder<'m> {
    code: Assembler,
    out: Label,
    setting: Setting<'m>,
    hook: Hook,
}

impl<'m> Builder<'m> {
    fn new(setting: Setting<'m>, hook: Hook) -> Builder<'m> {
        let mut code = Assembler::default();
        let out = code.label();
        code.copy(Reg::R6, Reg::R1);
        Builder { code, out, setting, hook }
    }

    fn step(&mut self, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
        step(&mut self.code, to, from, field)
    }

    /// Loads the socket, and leaves unless it is a Unix socket.
    fn socket(&mut self) -> Result<(), BtfError> {
        self.hook.load_socket(&mut self.code, Reg::R7, self.out)?;
        self.step(Reg::R1, Reg::R7, self.setting.layout.family)?;
        self.code.jump_unless(Reg::R1, AF_UNIX, self.out);
        Ok(())
    }

    /// Loads the socket, the result and the value. Leaves if the result is 0 and that is not an
    /// empty message: `kind` divides the types. A call that sends nothing over a stream does
    /// nothing, and nothing is received only as a datagram.
    fn start(&mut self, kind: i32) -> Result<(), BtfError> {
        let counted = self.code.label();
        self.socket()?;
        self.hook.load_result(&mut self.code, Reg::R9);
        self.code.jump_unless(Reg::R9, 0, counted);
        self.step(Reg::R1, Reg::R7, self.setting.layout.kind)?;
        match kind {
            SOCK_STREAM => self.code.jump_if(Reg::R1, SOCK_STREAM, self.out),
            kind => self.code.jump_unless(Reg::R1, kind, self.out),
        }
        self.code.place(counted);
        self.find()
    }

    /// Loads the value of the socket into `R8`, and creates it if there is none.
    fn find(&mut self) -> Result<(), BtfError> {
        let (known, found) = (self.code.label(), self.code.label());
        self.step(Reg::R0, Reg::R7, self.setting.layout.cookie)?;
        self.code.jump_unless(Reg::R0, 0, known);
        self.code.copy(Reg::R1, Reg::R7);
        self.code.call(Helper::SocketCookie);
        self.code.place(known);
        self.code.store(Width::Eight, Reg::Frame, KEY, Reg::R0);
        self.look_up();
        self.code.jump_unless(Reg::R0, 0, found);
        self.create()?;
        self.look_up();
        self.code.jump_unless(Reg::R0, 0, found);
        self.code.store_number(Width::Eight, Reg::Frame, KEY, NO_SOCKET as i32);
        self.look_up();
        self.code.jump_if(Reg::R0, 0, self.out);
        self.code.copy(Reg::R8, Reg::R0);
        self.add_one(UNCOUNTED);
        self.leave();
        self.code.place(found);
        self.code.copy(Reg::R8, Reg::R0);
        Ok(())
    }

    fn look_up(&mut self) {
        self.code.load_map(Reg::R1, self.setting.sockets);
        self.code.copy(Reg::R2, Reg::Frame);
        self.code.add(Reg::R2, KEY.into());
        self.code.call(Helper::MapLookup);
    }

    /// Inserts a first value, with what identifies the socket and its peer.
    fn create(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        for at in (FIRST..KEY).step_by(8) {
            self.code.store_number(Width::Eight, Reg::Frame, at, 0);
        }
        self.step(Reg::R1, Reg::R7, layout.kind)?;
        self.code.store(Width::Two, Reg::Frame, first(KIND), Reg::R1);
        self.identify(Reg::R7, INODE, NAME);
        let alone = self.code.label();
        // The place is free: a thread is stored there by calls, later.
        self.fetch(Reg::R7, layout.peer, first(THREAD));
        self.code.load(Width::Eight, Reg::R8, Reg::Frame, first(THREAD));
        self.code.store_number(Width::Eight, Reg::Frame, first(THREAD), 0);
        self.code.jump_if(Reg::R8, 0, alone);
        self.identify(Reg::R8, PEER_INODE, PEER_NAME);
        self.code.place(alone);
        self.code.load_map(Reg::R1, self.setting.sockets);
        for (register, at) in [(Reg::R2, KEY), (Reg::R3, FIRST)] {
            self.code.copy(register, Reg::Frame);
            self.code.add(register, at.into());
        }
        self.code.set(Reg::R4, NO_EXIST);
        // If another thread was faster, its value is found.
        self.code.call(Helper::MapUpdate);
        Ok(())
    }

    /// Stores the inode and the name of a socket, which may be a mere number to the verifier.
    fn identify(&mut self, socket: Reg, inode: Slot, name: Slot) {
        let none = self.code.label();
        self.fetch(socket, self.setting.layout.name, first(name));
        self.code.copy(Reg::R1, socket);
        for field in &self.setting.layout.inode {
            self.fetch(Reg::R1, *field, first(LATENCY_SUM));
            let width = if field.len_bytes == 8 { Width::Eight } else { Width::Four };
            self.code.load(width, Reg::R1, Reg::Frame, first(LATENCY_SUM));
            self.code.store_number(Width::Eight, Reg::Frame, first(LATENCY_SUM), 0);
            self.code.jump_if(Reg::R1, 0, none);
        }
        self.code.store(Width::Four, Reg::Frame, first(inode), Reg::R1);
        self.code.place(none);
    }

    /// Copies a field to the stack; zeroes if that fails.
    fn fetch(&mut self, from: Reg, field: Field, to: i16) {
        self.code.copy(Reg::R3, from);
        self.code.add(Reg::R3, field.offset_bytes as i32);
        self.code.copy(Reg::R1, Reg::Frame);
        self.code.add(Reg::R1, to.into());
        self.code.set(Reg::R2, field.len_bytes as i32);
        self.code.call(Helper::ReadKernel);
    }

    fn add_one(&mut self, slot: Slot) {
        self.code.set(Reg::R1, 1);
        self.code.atomic_add(Width::Eight, Reg::R8, slot.at as i16, Reg::R1);
    }

    /// Counts a call and its bytes.
    fn count(&mut self, calls: Slot, bytes: Slot) {
        self.add_one(calls);
        self.code.atomic_add(Width::Eight, Reg::R8, bytes.at as i16, Reg::R9);
    }

    /// Counts a failed call, unless it was interrupted, or would have waited.
    fn failure(&mut self, errors: Slot, waits: Option<Slot>) {
        let (waited, is_error) = (self.code.label(), self.code.label());
        self.code.jump_if(Reg::R9, -EAGAIN, waited);
        self.code.jump_if(Reg::R9, -EINTR, self.out);
        self.code.jump_if_signed_above(Reg::R9, -RESTART, is_error);
        self.leave();
        self.code.place(is_error);
        self.add_one(errors);
        self.leave();
        self.code.place(waited);
        if let Some(waits) = waits {
            self.add_one(waits);
        }
    }

    /// Stores the time and the process, once in a clock tick: the tick costs next to nothing.
    fn touch(&mut self, tick: Slot, time: Slot) {
        self.code.call(Helper::Tick);
        self.code.load(Width::Eight, Reg::R1, Reg::R8, tick.at as i16);
        self.code.jump_if_same(Reg::R0, Reg::R1, self.out);
        self.code.store(Width::Eight, Reg::R8, tick.at as i16, Reg::R0);
        self.code.call(Helper::Now);
        self.code.store(Width::Eight, Reg::R8, time.at as i16, Reg::R0);
        self.code.call(Helper::ThisThread);
        self.code.store(Width::Eight, Reg::R8, THREAD.at as i16, Reg::R0);
        self.code.copy(Reg::R1, Reg::R8);
        self.code.add(Reg::R1, COMMAND.at as i32);
        self.code.set(Reg::R2, COMMAND.len_bytes as i32);
        self.code.call(Helper::ThisCommand);
    }

    /// Counts an arrival, and chooses the message to be measured: at most one in a clock tick, and
    /// one at a time.
    fn arrival(&mut self) -> Result<(), BtfError> {
        let (first, counted, later) = (self.code.label(), self.code.label(), self.code.label());
        self.code.load(Width::Eight, Reg::R9, Reg::R8, ARRIVED.at as i16);
        self.code.jump_if(Reg::R9, 0, first);
        self.code.load(Width::Eight, Reg::R1, Reg::R8, MARK_TIME.at as i16);
        self.code.jump_unless(Reg::R1, 0, later);
        self.code.call(Helper::Tick);
        self.code.load(Width::Eight, Reg::R1, Reg::R8, MARK_TICK.at as i16);
        self.code.jump_if_same(Reg::R0, Reg::R1, later);
        self.code.store(Width::Eight, Reg::R8, MARK_TICK.at as i16, Reg::R0);
        self.code.add(Reg::R9, 1);
        self.mark();
        // Atomic, and so a barrier: the receiver sees the mark, or we that it was faster.
        self.add_one(ARRIVED);
        self.code.jump_to(counted);
        self.code.place(later);
        self.add_one(ARRIVED);
        self.leave();
        // Messages that arrived before count as arrived, too.
        self.code.place(first);
        self.step(Reg::R9, Reg::R7, self.setting.layout.queued)?;
        self.mark();
        self.code.atomic_add(Width::Eight, Reg::R8, ARRIVED.at as i16, Reg::R9);
        self.code.place(counted);
        self.step(Reg::R1, Reg::R7, self.setting.layout.queued)?;
        self.code.jump_unless(Reg::R1, 0, self.out);
        // It was received already, and when is not known.
        self.code.store_number(Width::Eight, Reg::R8, MARK_TIME.at as i16, 0);
        Ok(())
    }

    /// Measures the message with this number, in `R9`.
    fn mark(&mut self) {
        self.code.store(Width::Eight, Reg::R8, MARK_SEQUENCE.at as i16, Reg::R9);
        self.code.call(Helper::Now);
        self.code.store(Width::Eight, Reg::R8, MARK_TIME.at as i16, Reg::R0);
    }

    /// Counts the latency of the measured message, if it has left the queue.
    fn measure(&mut self) -> Result<(), BtfError> {
        let (received, waits) = (self.code.label(), self.code.label());
        self.code.load(Width::Eight, Reg::R9, Reg::R8, MARK_TIME.at as i16);
        self.code.jump_if(Reg::R9, 0, waits);
        self.step(Reg::R1, Reg::R7, self.setting.layout.queued)?;
        self.code.jump_if(Reg::R1, 0, received);
        // Of those that arrived, these have left the queue.
        self.code.load(Width::Eight, Reg::R2, Reg::R8, ARRIVED.at as i16);
        self.code.subtract_register(Reg::R2, Reg::R1);
        self.code.load(Width::Eight, Reg::R1, Reg::R8, MARK_SEQUENCE.at as i16);
        self.code.jump_if_register_above(Reg::R1, Reg::R2, waits);
        self.code.place(received);
        self.code.store_number(Width::Eight, Reg::R8, MARK_TIME.at as i16, 0);
        self.code.call(Helper::Now);
        self.code.subtract_register(Reg::R0, Reg::R9);
        self.code.atomic_add(Width::Eight, Reg::R8, LATENCY_SUM.at as i16, Reg::R0);
        self.range();
        self.code.copy(Reg::R2, Reg::R8);
        self.code.add_register(Reg::R2, Reg::R1);
        self.code.set(Reg::R1, 1);
        self.code.atomic_add(Width::Four, Reg::R2, LATENCIES.at as i16, Reg::R1);
        self.code.place(waits);
        Ok(())
    }

    /// Turns a latency in `R0` into the offset of its range, in `R1`.
    fn range(&mut self) {
        let done = self.code.label();
        self.code.shift_right(Reg::R0, 8);
        self.code.set(Reg::R1, (RANGES as i32 - 1) * 4);
        self.code.jump_if_above(Reg::R0, i32::MAX, done);
        self.code.set(Reg::R1, 0);
        for bits in [16, 8, 4, 2, 1] {
            let shorter = self.code.label();
            let is_longer = self.code.label();
            self.code.jump_if_above(Reg::R0, (1 << bits) - 1, is_longer);
            self.code.jump_to(shorter);
            self.code.place(is_longer);
            self.code.shift_right(Reg::R0, bits);
            self.code.add(Reg::R1, bits * 4);
            self.code.place(shorter);
        }
        self.code.place(done);
    }

    fn leave(&mut self) {
        self.code.jump_to(self.out);
    }

    fn finish(mut self) -> Vec<Instruction> {
        self.code.place(self.out);
        self.code.set(Reg::R0, 0);
        self.code.exit();
        self.code.finish()
    }
}

/// The offset of a slot in the first value.
fn first(slot: Slot) -> i16 {
    FIRST + slot.at as i16
}
