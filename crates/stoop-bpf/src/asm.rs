//! An assembler for eBPF instructions: as much of the set as the programs here use. Pure.

/// One instruction as the kernel takes it.
pub(crate) type Instruction = u64;

/// A register. `R0` holds results, `R1` to `R5` arguments, which a call destroys; `R6` to `R9` survive one; `FRAME` points to
/// the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R6 = 6,
    R8 = 8,
    R9,
    Frame,
}

/// How many bytes a load or store moves.
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

/// A function of the kernel that programs may call, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Helper {
    /// Copies kernel memory that may not be there; what is not is zeros.
    ProbeReadKernel = 113,
    /// Writes to what reads the iterator.
    SeqWrite = 127,
    /// The socket of an open file; null where it is none.
    SockFromFile = 162,
}

const LOAD: u8 = 0x61;
const STORE: u8 = 0x63;
const STORE_NUMBER: u8 = 0x62;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const ADD_NUMBER: u8 = 0x07;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

/// A place further on in the program, to be jumped to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(usize);

/// A program that is being written.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<Instruction>,
    /// By label: the jumps to it.
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

    /// A label that is not placed yet.
    pub(crate) fn label(&mut self) -> Label {
        self.jumps.push(Vec::new());
        Label(self.jumps.len() - 1)
    }

    /// Lets all jumps to this label lead to the next instruction. Jumps to it may not follow.
    pub(crate) fn place(&mut self, Label(label): Label) {
        for at in std::mem::take(&mut self.jumps[label]) {
            let distance = (self.code.len() - at - 1) as u16;
            self.code[at] |= u64::from(distance) << 16;
        }
    }

    /// The program.
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
