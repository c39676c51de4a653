//! An assembler for the subset of eBPF instructions that the programs here use. Pure.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::btf::TypeId;

/// An instruction in the kernel's encoding.
pub(crate) type Instruction = u64;

/// A register. `R0` holds results; `R1` to `R5` hold arguments and are clobbered by a call; `R6` to
/// `R9` are preserved; `Frame` points to the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    Frame,
}

/// The size of a load or store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    One,
    Two,
    Four,
    Eight,
}

impl Width {
    pub(crate) fn of(len_bytes: u32) -> Option<Width> {
        Some(match len_bytes {
            1 => Width::One,
            2 => Width::Two,
            4 => Width::Four,
            8 => Width::Eight,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Width::One => 0x10,
            Width::Two => 0x08,
            Width::Four => 0x00,
            Width::Eight => 0x18,
        }
    }
}

/// A kernel function that programs may call, with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Helper {
    /// Returns a pointer to a value of a map; null if the key has none.
    MapLookup = 1,
    /// Sets a value of a map.
    MapUpdate = 2,
    /// Returns the monotonic clock in nanoseconds.
    Now = 5,
    /// Returns the number of this processor.
    ThisProcessor = 8,
    /// Returns the ids of this thread: of the process in the upper half, of the thread in the
    /// lower.
    ThisThread = 14,
    /// Copies the name of this thread.
    ThisCommand = 16,
    /// Writes a record to a perf buffer.
    PerfOutput = 25,
    /// Returns the cookie of a socket, and gives it one if it has none.
    SocketCookie = 46,
    /// Returns the id of this thread's cgroup.
    ThisCgroup = 80,
    /// Writes a record to a perf buffer, followed by the bytes of a message.
    SkbOutput = 111,
    /// Returns the number of clock ticks since boot.
    Tick = 118,
    /// Copies kernel memory; fails if it cannot be read.
    ReadKernel = 113,
    /// Copies text out of kernel memory, up to a zero byte; fails if it cannot be read.
    ReadKernelText = 115,
    /// Writes to the reader of the iterator.
    SeqWrite = 127,
    /// Returns the socket of an open file; null if it is not a socket.
    SockFromFile = 162,
    /// Casts a socket to a Unix socket; null if it is not one.
    SkcToUnixSock = 178,
}

const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const STORE_NUMBER: u8 = 0x62;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const ADD_NUMBER: u8 = 0x07;
const ADD: u8 = 0x0f;
const SUBTRACT: u8 = 0x1f;
/// A store that is added at once, whatever other processors do: the number is 0.
const ATOMIC: u8 = 0xc3;
const MOVE_NUMBER_32: u8 = 0xb4;
const AND_NUMBER: u8 = 0x57;
const MULTIPLY_NUMBER: u8 = 0x27;
const SHIFT_LEFT: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x77;
const SHIFT_RIGHT_SIGNED: u8 = 0xc7;
const LOAD_MAP: u8 = 0x18;
/// In place of a source register: the number is a map's file descriptor (`BPF_PSEUDO_MAP_FD`).
const MAP_FD: u8 = 1;
/// The same for a position in the value of a map that has one (`BPF_PSEUDO_MAP_VALUE`).
const MAP_VALUE: u8 = 2;
/// In place of a source register of a call: the number is the type of a kernel function
/// (`BPF_PSEUDO_KFUNC_CALL`).
const KERNEL_FUNCTION: u8 = 2;
const JUMP: u8 = 0x05;
const JUMP_IF_ABOVE: u8 = 0x25;
const JUMP_IF_SIGNED_ABOVE: u8 = 0x65;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const JUMP_IF_SAME: u8 = 0x1d;
const JUMP_IF_REGISTER_ABOVE: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A jump target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(usize);

/// A program under construction.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<Instruction>,
    /// For each label, the jumps to it.
    jumps: Vec<Vec<usize>>,
}

impl Assembler {
    pub(crate) fn load(&mut self, width: Width, to: Reg, from: Reg, offset: i16) {
        self.push(LOAD | width.bits(), to as u8, from as u8, offset, 0);
    }

    pub(crate) fn store(&mut self, width: Width, to: Reg, offset: i16, from: Reg) {
        self.push(STORE | width.bits(), to as u8, from as u8, offset, 0);
    }

    pub(crate) fn store_number(&mut self, width: Width, to: Reg, offset: i16, number: i32) {
        self.push(STORE_NUMBER | width.bits(), to as u8, 0, offset, number);
    }

    pub(crate) fn copy(&mut self, to: Reg, from: Reg) {
        self.push(MOVE, to as u8, from as u8, 0, 0);
    }

    pub(crate) fn set(&mut self, to: Reg, number: i32) {
        self.push(MOVE_NUMBER, to as u8, 0, 0, number);
    }

    pub(crate) fn add(&mut self, to: Reg, number: i32) {
        self.push(ADD_NUMBER, to as u8, 0, 0, number);
    }

    /// Adds the value of another register.
    pub(crate) fn add_register(&mut self, to: Reg, from: Reg) {
        self.push(ADD, to as u8, from as u8, 0, 0);
    }

    /// Subtracts the value of another register.
    pub(crate) fn subtract_register(&mut self, to: Reg, from: Reg) {
        self.push(SUBTRACT, to as u8, from as u8, 0, 0);
    }

    /// Adds to memory, atomically: four or eight bytes. A full barrier on most machines.
    pub(crate) fn atomic_add(&mut self, width: Width, to: Reg, offset: i16, from: Reg) {
        self.push(ATOMIC | width.bits(), to as u8, from as u8, offset, 0);
    }

    /// Sets the lower half and clears the upper one.
    pub(crate) fn set_32(&mut self, to: Reg, number: i32) {
        self.push(MOVE_NUMBER_32, to as u8, 0, 0, number);
    }

    pub(crate) fn and(&mut self, to: Reg, number: i32) {
        self.push(AND_NUMBER, to as u8, 0, 0, number);
    }

    pub(crate) fn multiply(&mut self, to: Reg, number: i32) {
        self.push(MULTIPLY_NUMBER, to as u8, 0, 0, number);
    }

    pub(crate) fn shift_left(&mut self, to: Reg, bits: i32) {
        self.push(SHIFT_LEFT, to as u8, 0, 0, bits);
    }

    pub(crate) fn shift_right(&mut self, to: Reg, bits: i32) {
        self.push(SHIFT_RIGHT, to as u8, 0, 0, bits);
    }

    /// Extends the sign of the lower half to the upper one.
    pub(crate) fn sign_extend(&mut self, to: Reg) {
        self.shift_left(to, 32);
        self.push(SHIFT_RIGHT_SIGNED, to as u8, 0, 0, 32);
    }

    /// Loads a map by its file descriptor.
    pub(crate) fn load_map(&mut self, to: Reg, map: BorrowedFd<'_>) {
        self.push(LOAD_MAP, to as u8, MAP_FD, 0, map.as_raw_fd());
        // The instruction has twice the usual length.
        self.push(0, 0, 0, 0, 0);
    }

    /// Loads a pointer into the value of a map that has one, by the map's file descriptor.
    pub(crate) fn load_map_value(&mut self, to: Reg, map: BorrowedFd<'_>, at: usize) {
        self.push(LOAD_MAP, to as u8, MAP_VALUE, 0, map.as_raw_fd());
        self.push(0, 0, 0, 0, at as i32);
    }

    /// Calls a function of the kernel that has no number of its own (a kfunc), by its type.
    pub(crate) fn call_kernel(&mut self, TypeId(function): TypeId) {
        self.push(CALL, 0, KERNEL_FUNCTION, 0, function as i32);
    }

    pub(crate) fn call(&mut self, helper: Helper) {
        self.push(CALL, 0, 0, 0, helper as i32);
    }

    pub(crate) fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    pub(crate) fn jump_if(&mut self, register: Reg, number: i32, to: Label) {
        self.jump(JUMP_IF_EQUAL, register, number, to);
    }

    pub(crate) fn jump_unless(&mut self, register: Reg, number: i32, to: Label) {
        self.jump(JUMP_UNLESS_EQUAL, register, number, to);
    }

    /// Jumps if the unsigned value is above this.
    pub(crate) fn jump_if_above(&mut self, register: Reg, number: i32, to: Label) {
        self.jump(JUMP_IF_ABOVE, register, number, to);
    }

    /// Jumps if the signed value is above this.
    pub(crate) fn jump_if_signed_above(&mut self, register: Reg, number: i32, to: Label) {
        self.jump(JUMP_IF_SIGNED_ABOVE, register, number, to);
    }

    /// Jumps.
    pub(crate) fn jump_to(&mut self, to: Label) {
        self.jump(JUMP, Reg::R0, 0, to);
    }

    /// Jumps if the unsigned value of a register is above that of another.
    pub(crate) fn jump_if_register_above(&mut self, one: Reg, other: Reg, Label(label): Label) {
        self.jumps[label].push(self.code.len());
        self.push(JUMP_IF_REGISTER_ABOVE, one as u8, other as u8, 0, 0);
    }

    /// Jumps if two registers have the same value.
    pub(crate) fn jump_if_same(&mut self, one: Reg, other: Reg, Label(label): Label) {
        self.jumps[label].push(self.code.len());
        self.push(JUMP_IF_SAME, one as u8, other as u8, 0, 0);
    }

    /// Returns the position of the next instruction, for [`Assembler::repeat_from`].
    pub(crate) fn position(&self) -> usize {
        self.code.len()
    }

    /// Jumps back to a position.
    pub(crate) fn repeat_from(&mut self, position: usize) {
        let distance = position as i64 - self.code.len() as i64 - 1;
        self.push(JUMP, 0, 0, distance as i16, 0);
    }

    /// Creates a label that is not placed yet.
    pub(crate) fn label(&mut self) -> Label {
        self.jumps.push(Vec::new());
        Label(self.jumps.len() - 1)
    }

    /// Places a label at the next instruction and resolves the jumps to it. No later jump may use
    /// it.
    pub(crate) fn place(&mut self, Label(label): Label) {
        for at in std::mem::take(&mut self.jumps[label]) {
            let distance = (self.code.len() - at - 1) as u16;
            self.code[at] |= u64::from(distance) << 16;
        }
    }

    /// Returns the instructions.
    pub(crate) fn finish(self) -> Vec<Instruction> {
        debug_assert!(self.jumps.iter().all(Vec::is_empty), "every label is placed");
        self.code
    }

    fn jump(&mut self, code: u8, register: Reg, number: i32, Label(label): Label) {
        self.jumps[label].push(self.code.len());
        self.push(code, register as u8, 0, 0, number);
    }

    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, number: i32) {
        let [low, high] = offset.to_le_bytes();
        let [a, b, c, d] = number.to_le_bytes();
        self.code.push(u64::from_le_bytes([code, from << 4 | to, low, high, a, b, c, d]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_what_the_kernel_calls_them() {
        let mut code = Assembler::default();
        code.load(Width::Two, Reg::R1, Reg::R8, 16);
        code.store(Width::Eight, Reg::Frame, -8, Reg::R6);
        code.store_number(Width::Four, Reg::Frame, -4, 7);
        code.copy(Reg::R6, Reg::R1);
        code.set(Reg::R0, -1);
        code.add(Reg::R2, -104);
        code.call(Helper::SeqWrite);
        code.call_kernel(TypeId(64256));
        code.exit();
        // Opcode, registers (source and destination), offset, immediate: the bytes in memory order.
        let expected: [[u8; 8]; 9] = [
            [0x69, 0x81, 16, 0, 0, 0, 0, 0],
            [0x7b, 0x6a, 0xf8, 0xff, 0, 0, 0, 0],
            [0x62, 0x0a, 0xfc, 0xff, 7, 0, 0, 0],
            [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
            [0xb7, 0x00, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0x07, 0x02, 0, 0, 0x98, 0xff, 0xff, 0xff],
            [0x85, 0x00, 0, 0, 127, 0, 0, 0],
            [0x85, 0x20, 0, 0, 0x00, 0xfb, 0, 0],
            [0x95, 0x00, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(code.finish(), expected.map(u64::from_le_bytes));
    }

    #[test]
    fn a_loop_leads_back() {
        let mut code = Assembler::default();
        let (again, done) = (code.position(), code.label());
        code.jump_if_same(Reg::R1, Reg::R2, done);
        code.add_register(Reg::R3, Reg::R4);
        code.repeat_from(again);
        code.place(done);
        let code: Vec<[u8; 8]> = code.finish().iter().map(|one| one.to_le_bytes()).collect();
        let back = [0x05, 0, 0xfd, 0xff, 0, 0, 0, 0];
        assert_eq!(code, [[0x1d, 0x21, 2, 0, 0, 0, 0, 0], [0x0f, 0x43, 0, 0, 0, 0, 0, 0], back]);
    }

    #[test]
    fn jumps_lead_to_where_their_label_is_placed() {
        let mut code = Assembler::default();
        let (near, far) = (code.label(), code.label());
        code.jump_if(Reg::R1, 0, far);
        code.jump_unless(Reg::R1, 1, near);
        code.place(near);
        code.exit();
        code.place(far);
        code.exit();
        let jumps: Vec<[u8; 8]> = code.finish().iter().take(2).map(|jump| jump.to_le_bytes()).collect();
        assert_eq!(jumps, [[0x15, 1, 2, 0, 0, 0, 0, 0], [0x55, 1, 0, 0, 1, 0, 0, 0]]);
    }
}
