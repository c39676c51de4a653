//! The capture programs. Pure.
//!
//! `R6` holds the context, `R7` the socket that the event is about, `R8` the message, `R9` the peer
//! of `R7` (null if unknown). The record is on the stack, a key of the map below it.

use std::os::fd::BorrowedFd;

use super::event::*;
use super::layout::CaptureLayout;
use crate::asm::{Assembler, Helper, Instruction, Label, Reg, Width};
use crate::btf::{BtfError, Field};
use crate::program::step;
use crate::record::Slot;

const AF_UNIX: i32 = 1;
const SOCK_DGRAM: i32 = 2;
const LISTENING: i32 = 10;
const PEEK: i32 = 2;
const EAGAIN: i32 = 11;
/// The offset of the record from the frame pointer.
const RECORD: i16 = -(HEADER_BYTES as i16);
/// The offset of a key of the map.
const KEY: i16 = RECORD - 8;

/// Values of the map: events of sockets with this key are wanted, or dropped whatever else matches.
pub(super) const WANT: u32 = 1;
pub(super) const EXCLUDE: u32 = 2;
/// Added to a process id, it is a key of the map. No cookie and no kernel address has this bit
/// alone.
pub(super) const PROCESS: u64 = 1 << 62;

/// What programs are generated for.
#[derive(Clone, Copy)]
pub(super) struct Setting<'m> {
    pub(super) layout: &'m CaptureLayout,
    pub(super) wanted: BorrowedFd<'m>,
    pub(super) buffers: BorrowedFd<'m>,
    /// Whether events of all sockets are wanted.
    pub(super) all: bool,
    /// How many bytes of a message to capture.
    pub(super) payload_max: u32,
    /// The process whose events are dropped.
    pub(super) own_pid: u32,
}

/// A program under construction.
struct Builder<'m> {
    code: Assembler,
    out: Label,
    setting: Setting<'m>,
}

/// The slots of a cookie and an inode.
type End = (Slot, Slot);
type Code = Result<Vec<Instruction>, BtfError>;

/// The program for `skb_copy_datagram_iovec`: a message, when its receiver copies bytes out of it.
pub(super) fn copy(setting: Setting<'_>) -> Code {
    let layout = setting.layout;
    let mut program = Builder::new(setting);
    program.code.load(Width::Eight, Reg::R8, Reg::R6, 0);
    program.step(Reg::R7, Reg::R8, layout.sk)?;
    program.code.jump_if(Reg::R7, 0, program.out);
    program.unix_only()?;
    program.begin(COPIED)?;
    program.peer();
    program.filter(true);
    program.message()?;
    program.ends((SENDER, SENDER_INODE), (RECEIVER, RECEIVER_INODE));
    program.capture();
    Ok(program.finish())
}

/// The program for `sock_recv_length`: the end of a call that receives.
pub(super) fn receive(setting: Setting<'_>) -> Code {
    let mut program = Builder::new(setting);
    program.code.load(Width::Eight, Reg::R7, Reg::R6, 0);
    program.unix_only()?;
    program.worth_reporting()?;
    program.begin(RECEIVED)?;
    program.peer();
    program.filter(false);
    program.identify();
    for (argument, slot) in [(8, RESULT), (16, FLAGS)] {
        program.code.load(Width::Eight, Reg::R1, Reg::R6, argument);
        program.code.store(Width::Four, Reg::Frame, place(slot), Reg::R1);
    }
    program.ends((RECEIVER, RECEIVER_INODE), (SENDER, SENDER_INODE));
    program.output();
    Ok(program.finish())
}

/// The program for `sock_send_length`: gives each sender a cookie while it is open, by which it is
/// recognized after it was closed, and reports its process.
pub(super) fn send(setting: Setting<'_>) -> Code {
    let mut program = Builder::new(setting);
    program.code.load(Width::Eight, Reg::R7, Reg::R6, 0);
    program.unix_only()?;
    program.step(Reg::R1, Reg::R7, setting.layout.cookie)?;
    program.code.jump_unless(Reg::R1, 0, program.out);
    program.begin(SENT)?;
    program.peer();
    program.filter(false);
    program.identify();
    program.ends((SENDER, SENDER_INODE), (RECEIVER, RECEIVER_INODE));
    program.output();
    Ok(program.finish())
}

/// The program for `sk_data_ready`: a client has connected to a listener.
pub(super) fn connect(setting: Setting<'_>) -> Code {
    let layout = setting.layout;
    let mut program = Builder::new(setting);
    program.code.load(Width::Eight, Reg::R7, Reg::R6, 0);
    program.unix_only()?;
    program.step(Reg::R1, Reg::R7, layout.state)?;
    program.code.jump_unless(Reg::R1, LISTENING, program.out);
    program.begin(CONNECTED)?;
    program.code.set(Reg::R9, 0);
    program.filter(false);
    program.identify();
    program.ends((RECEIVER, RECEIVER_INODE), (SENDER, SENDER_INODE));
    program.output();
    Ok(program.finish())
}

impl<'m> Builder<'m> {
    fn new(setting: Setting<'m>) -> Builder<'m> {
        let mut code = Assembler::default();
        let out = code.label();
        code.copy(Reg::R6, Reg::R1);
        Builder { code, out, setting }
    }

    fn step(&mut self, to: Reg, from: Reg, field: Field) -> Result<(), BtfError> {
        step(&mut self.code, to, from, field)
    }

    fn unix_only(&mut self) -> Result<(), BtfError> {
        self.step(Reg::R1, Reg::R7, self.setting.layout.family)?;
        self.code.jump_unless(Reg::R1, AF_UNIX, self.out);
        Ok(())
    }

    /// Leaves unless a call peeked, returned nothing or an error, or unless the message did not
    /// name its receiver: of datagrams, and if the peer was closed.
    fn worth_reporting(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        let (report, positive) = (self.code.label(), self.code.label());
        self.code.load(Width::Eight, Reg::R1, Reg::R6, 8);
        self.code.sign_extend(Reg::R1);
        self.code.jump_if(Reg::R1, -EAGAIN, self.out);
        self.code.jump_if_signed_above(Reg::R1, 0, positive);
        self.code.jump_to(report);
        self.code.place(positive);
        self.code.load(Width::Eight, Reg::R1, Reg::R6, 16);
        self.code.and(Reg::R1, PEEK);
        self.code.jump_unless(Reg::R1, 0, report);
        self.step(Reg::R1, Reg::R7, layout.kind)?;
        self.code.jump_if(Reg::R1, SOCK_DGRAM, report);
        self.step(Reg::R1, Reg::R7, layout.shutdown)?;
        self.code.jump_if(Reg::R1, 0, self.out);
        self.code.place(report);
        Ok(())
    }

    /// Clears the record and stores what all kinds have. Leaves if it is this process.
    fn begin(&mut self, what: i32) -> Result<(), BtfError> {
        for at in (RECORD..0).step_by(8) {
            self.code.store_number(Width::Eight, Reg::Frame, at, 0);
        }
        self.code.store_number(Width::Two, Reg::Frame, place(WHAT), what);
        self.code.call(Helper::ThisThread);
        self.code.store(Width::Eight, Reg::Frame, place(THREAD), Reg::R0);
        self.code.shift_right(Reg::R0, 32);
        self.code.jump_if(Reg::R0, self.setting.own_pid as i32, self.out);
        self.step(Reg::R1, Reg::R7, self.setting.layout.kind)?;
        self.code.store(Width::Two, Reg::Frame, place(KIND), Reg::R1);
        Ok(())
    }

    /// Gives the socket in `R7` a cookie if it has none. It must be in use: its peer may be closed
    /// at any moment and is only read.
    fn identify(&mut self) {
        self.code.copy(Reg::R1, Reg::R7);
        self.code.call(Helper::SocketCookie);
    }

    /// Loads the peer into `R9`.
    ///
    /// It is a number to the verifier, and so are all fields behind it: they are copied with a
    /// helper that fails if the memory is not mapped. Newer verifiers refuse to cast the socket
    /// that a message points to, so a typed load of a field of `unix_sock` is not possible.
    fn peer(&mut self) {
        self.fetch(Reg::R7, self.setting.layout.peer, KEY);
        self.code.load(Width::Eight, Reg::R9, Reg::Frame, KEY);
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

    /// Leaves unless an end is wanted, or could be: the receiver of a message may be unknown.
    fn filter(&mut self, may_be_unknown: bool) {
        if self.setting.all {
            self.code.store_number(Width::Two, Reg::Frame, place(MATCHED), 1);
        }
        self.match_socket(Reg::R7);
        if !self.setting.all {
            self.match_process();
        }
        let (decide, done) = (self.code.label(), self.code.label());
        self.code.jump_if(Reg::R9, 0, if may_be_unknown { done } else { decide });
        self.match_socket(Reg::R9);
        self.code.place(decide);
        self.code.load(Width::Two, Reg::R1, Reg::Frame, place(MATCHED));
        self.code.jump_if(Reg::R1, 0, self.out);
        self.code.place(done);
    }

    /// Looks up both keys of a socket: its cookie, and its name, which accepted sockets share with
    /// their listener.
    fn match_socket(&mut self, socket: Reg) {
        let layout = self.setting.layout;
        for field in [layout.cookie, layout.name] {
            let absent = self.code.label();
            self.fetch(socket, field, KEY);
            self.code.load(Width::Eight, Reg::R1, Reg::Frame, KEY);
            self.code.jump_if(Reg::R1, 0, absent);
            self.look_up(absent);
            self.code.place(absent);
        }
    }

    fn match_process(&mut self) {
        let other = self.code.label();
        self.code.load(Width::Four, Reg::R1, Reg::Frame, place(PID));
        // The bit of `PROCESS`, by shifts: an instruction has only 32 bits for a number.
        self.code.set(Reg::R2, 1);
        self.code.shift_left(Reg::R2, PROCESS.trailing_zeros() as i32);
        self.code.add_register(Reg::R1, Reg::R2);
        self.code.store(Width::Eight, Reg::Frame, KEY, Reg::R1);
        self.look_up(other);
        self.code.place(other);
    }

    /// Marks the record if the map wants the key on the stack; leaves if it excludes it.
    fn look_up(&mut self, absent: Label) {
        self.code.load_map(Reg::R1, self.setting.wanted);
        self.code.copy(Reg::R2, Reg::Frame);
        self.code.add(Reg::R2, KEY.into());
        self.code.call(Helper::MapLookup);
        self.code.jump_if(Reg::R0, 0, absent);
        self.code.load(Width::Four, Reg::R1, Reg::R0, 0);
        self.code.jump_if(Reg::R1, EXCLUDE as i32, self.out);
        self.code.store_number(Width::Two, Reg::Frame, place(MATCHED), 1);
    }

    /// Stores what the message says of itself.
    fn message(&mut self) -> Result<(), BtfError> {
        let layout = self.setting.layout;
        self.code.store(Width::Eight, Reg::Frame, place(BUFFER), Reg::R8);
        for (field, slot) in [(layout.len, LEN), (layout.consumed, CONSUMED)] {
            self.step(Reg::R1, Reg::R8, field)?;
            self.code.store(Width::Four, Reg::Frame, place(slot), Reg::R1);
        }
        self.code.load(Width::Eight, Reg::R1, Reg::R6, 8);
        self.code.store(Width::Four, Reg::Frame, place(RESULT), Reg::R1);
        let none = self.code.label();
        self.step(Reg::R1, Reg::R8, layout.fp)?;
        self.code.jump_if(Reg::R1, 0, none);
        self.fetch(Reg::R1, layout.fp_count, place(FDS));
        self.code.place(none);
        Ok(())
    }

    /// Stores both ends, the time and the name of the thread.
    fn ends(&mut self, own: End, peer: End) {
        let alone = self.code.label();
        self.end(Reg::R7, own);
        self.code.jump_if(Reg::R9, 0, alone);
        self.end(Reg::R9, peer);
        self.code.place(alone);
        self.code.call(Helper::Now);
        self.code.store(Width::Eight, Reg::Frame, place(TIME), Reg::R0);
        self.code.copy(Reg::R1, Reg::Frame);
        self.code.add(Reg::R1, place(COMMAND).into());
        self.code.set(Reg::R2, COMMAND.len_bytes as i32);
        self.code.call(Helper::ThisCommand);
    }

    /// Stores the cookie and the inode of a socket.
    fn end(&mut self, socket: Reg, (cookie, inode): End) {
        let layout = self.setting.layout;
        let none = self.code.label();
        self.fetch(socket, layout.cookie, place(cookie));
        self.code.copy(Reg::R1, socket);
        for field in &layout.inode {
            self.fetch(Reg::R1, *field, KEY);
            self.code.load(width(*field), Reg::R1, Reg::Frame, KEY);
            self.code.jump_if(Reg::R1, 0, none);
        }
        self.code.store(Width::Four, Reg::Frame, place(inode), Reg::R1);
        self.code.place(none);
    }

    /// Writes the record with the beginning of the message: of all of it when its first byte is
    /// received, of nothing afterwards.
    fn capture(&mut self) {
        let (known, too_long) = (self.code.label(), self.code.label());
        let max = self.setting.payload_max as i32;
        self.code.set(Reg::R3, 0);
        self.code.load(Width::Four, Reg::R1, Reg::Frame, place(CONSUMED));
        self.code.jump_unless(Reg::R1, 0, known);
        self.code.load(Width::Four, Reg::R3, Reg::Frame, place(LEN));
        self.code.jump_if_above(Reg::R3, max, too_long);
        self.code.jump_to(known);
        self.code.place(too_long);
        self.code.set(Reg::R3, max);
        self.code.place(known);
        self.code.store(Width::Four, Reg::Frame, place(CAPTURED), Reg::R3);
        // The upper half of the flags is the number of bytes, the lower one the current processor.
        self.code.shift_left(Reg::R3, 32);
        self.code.set_32(Reg::R4, -1);
        self.code.add_register(Reg::R3, Reg::R4);
        self.code.copy(Reg::R1, Reg::R8);
        self.write(Helper::SkbOutput);
    }

    /// Writes the record alone.
    fn output(&mut self) {
        self.code.copy(Reg::R1, Reg::R6);
        self.code.set_32(Reg::R3, -1);
        self.write(Helper::PerfOutput);
    }

    fn write(&mut self, helper: Helper) {
        self.code.load_map(Reg::R2, self.setting.buffers);
        self.code.copy(Reg::R4, Reg::Frame);
        self.code.add(Reg::R4, RECORD.into());
        self.code.set(Reg::R5, HEADER_BYTES as i32);
        self.code.call(helper);
    }

    fn finish(mut self) -> Vec<Instruction> {
        self.code.place(self.out);
        self.code.set(Reg::R0, 0);
        self.code.exit();
        self.code.finish()
    }
}

/// The width of a number that was copied to the stack.
fn width(field: Field) -> Width {
    if field.len_bytes == 8 { Width::Eight } else { Width::Four }
}

fn place(slot: Slot) -> i16 {
    RECORD + slot.at as i16
}
