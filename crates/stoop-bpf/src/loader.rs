//! Loading a program: the requirements that all programs share, and why the kernel refuses one.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use crate::asm::{Assembler, Instruction, Reg};
use crate::support::{Missing, Unavailable, Undetermined, refusal};
use crate::sys;
use crate::target::Target;
use crate::types::Types;

/// Space for the verifier's log of a program of this size.
const LOG_BYTES: usize = 256 << 10;
/// A signal may interrupt the verifier; how often to retry.
const TRIES: usize = 5;

/// Checks the requirements of all programs and returns the kernel's type information.
pub(crate) fn prepare() -> Result<Types, Unavailable> {
    if cfg!(not(all(target_endian = "little", target_pointer_width = "64"))) {
        return Err(Missing::Machine.into());
    }
    check_permission()?;
    first_pid_namespace()?;
    Types::open().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Missing::TypeInformation.into(),
        _ => Undetermined::new("reading the kernel's type information", error).into(),
    })
}

/// Loads a program.
pub(crate) fn load(code: &[Instruction], target: Target) -> Result<OwnedFd, Unavailable> {
    try_load(code, target, &mut []).map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM) => refusal(error),
        _ => rejection(code, target),
    })
}

/// Checks the permission by loading a program that the kernel refuses to unprivileged callers
/// before it checks anything else ([K-BPF-4]).
///
/// [K-BPF-4]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-4
fn check_permission() -> Result<(), Unavailable> {
    let mut code = Assembler::default();
    code.set(Reg::R0, 0);
    code.exit();
    let nothing = Target::iterator(0);
    match try_load(&code.finish(), nothing, &mut []).map_err(|error| (error.raw_os_error(), error)) {
        Err((Some(libc::EPERM), error)) => Err(refusal(error)),
        Err((Some(libc::ENOSYS), _)) => Err(Missing::Call.into()),
        // The program names no valid iterator. Being refused for that reason is the expected
        // answer.
        _ => Ok(()),
    }
}

/// Checks the PID namespace. A program sees process ids of the initial one; in another namespace
/// they would denote other processes.
fn first_pid_namespace() -> Result<(), Unavailable> {
    use std::os::unix::fs::MetadataExt;
    /// The inode of the initial PID namespace, the same on every machine.
    const FIRST: u64 = 0xEFFF_FFFC;
    let metadata = std::fs::metadata("/proc/self/ns/pid");
    let metadata = metadata.map_err(|error| Undetermined::new("reading the pid namespace", error))?;
    if metadata.ino() == FIRST { Ok(()) } else { Err(Missing::PidNamespace.into()) }
}

/// Loads a rejected program again, to obtain the verifier's log.
fn rejection(code: &[Instruction], target: Target) -> Unavailable {
    let mut log = vec![0; LOG_BYTES];
    match try_load(code, target, &mut log) {
        Err(error) if log[0] == 0 => Undetermined::new("loading the program", error).into(),
        Err(_) => Missing::Verifier(last_lines(&log)).into(),
        Ok(_) => Undetermined::new(
            "loading the program",
            io::Error::other("rejected, and accepted when loaded again"),
        )
        .into(),
    }
}

fn try_load(code: &[Instruction], target: Target, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut result = sys::load(code, target, log);
    for _ in 1..TRIES {
        match &result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => result = sys::load(code, target, log),
            _ => break,
        }
    }
    result
}

/// Returns the end of the verifier's log, without the statistics.
fn last_lines(log: &[u8]) -> String {
    const LINES: usize = 3;
    let text = String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default());
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_the_verifier_are_kept() {
        assert_eq!(last_lines(b"a\nb\nc\nwhy\nprocessed 3 insns\n\0\0"), "b\nc\nwhy");
        assert_eq!(last_lines(b"why\0garbage"), "why");
        assert_eq!(last_lines(b""), "");
    }
}
