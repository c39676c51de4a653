//! How many events a program missed.

#![expect(unsafe_code, reason = "bpf(2) has no safe binding")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::c_long;

const OBJ_GET_INFO_BY_FD: c_long = 15;
/// The place of `recursion_misses` in `struct bpf_prog_info`, in words of eight bytes.
const MISSES: usize = 26;

#[repr(C)]
struct InfoByFd {
    fd: u32,
    info_len: u32,
    info: u64,
}

/// Returns how many events a program missed because it was running on the same processor
/// (`recursion_misses`). Requires Linux 5.12; before, it is 0.
pub(crate) fn misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = [0u64; MISSES + 1];
    let mut attributes = InfoByFd {
        fd: program.as_raw_fd() as u32,
        info_len: size_of_val(&info) as u32,
        info: info.as_mut_ptr() as u64,
    };
    let size = size_of::<InfoByFd>();
    let at = std::ptr::from_mut(&mut attributes);
    // SAFETY: `attributes` has the layout of the command, which writes `info_len`. The kernel reads and
    // writes as many bytes of `info` as that says, which lives until the call returns; its fields that
    // are zero ask for nothing to be written elsewhere.
    let result = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET_INFO_BY_FD, at, size) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(info[MISSES]) }
}
