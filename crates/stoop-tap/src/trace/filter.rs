//! The filter of system calls: only those that move data stop the process. Pure.

use std::mem::offset_of;

/// An instruction of classic BPF, with the layout of `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const TRACE: u32 = 0x7ff0_0000;

/// How the kernel names this processor's calls. Those of another word size have other numbers.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Builds the filter for these calls.
pub(crate) fn filter(calls: &[libc::c_long]) -> Vec<Instruction> {
    let load = |offset: usize| Instruction { code: LOAD_WORD, if_true: 0, if_false: 0, value: offset as u32 };
    let end = |value| Instruction { code: RETURN, if_true: 0, if_false: 0, value };
    let mut program = vec![
        load(offset_of!(libc::seccomp_data, arch)),
        Instruction { code: JUMP_IF_EQUAL, if_true: 1, if_false: 0, value: ARCHITECTURE },
        end(ALLOW),
        load(offset_of!(libc::seccomp_data, nr)),
    ];
    for (at, call) in calls.iter().enumerate() {
        // To the last instruction, over the calls that follow and the return behind them.
        let if_true = (calls.len() - at) as u8;
        program.push(Instruction { code: JUMP_IF_EQUAL, if_true, if_false: 0, value: *call as u32 });
    }
    program.extend([end(ALLOW), end(TRACE)]);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel does.
    fn run(program: &[Instruction], architecture: u32, number: u32) -> u32 {
        let (mut at, mut word) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, value } = program[at];
            at += 1;
            match code {
                LOAD_WORD => word = if value == 0 { number } else { architecture },
                JUMP_IF_EQUAL => at += usize::from(if word == value { if_true } else { if_false }),
                _ => return value,
            }
        }
    }

    #[test]
    fn only_the_calls_of_this_processor_are_traced() {
        let program = filter(&[3, 44, 45]);
        for (number, action) in [(3, TRACE), (44, TRACE), (45, TRACE), (0, ALLOW), (46, ALLOW)] {
            assert_eq!(run(&program, ARCHITECTURE, number), action, "{number}");
            assert_eq!(run(&program, 0x4000_0003, number), ALLOW);
        }
    }
}
