//! bpf(2): one command, one function; and a file in memory. The only `unsafe` of this crate.
//!
//! Nothing here decides anything: no retry, no default. The descriptors that the kernel gives are
//! close-on-exec from birth.

#![expect(unsafe_code, reason = "bpf(2) and mmap(2) have no safe bindings; every block says why it is sound")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use libc::c_long;

use crate::asm::Instruction;

const PROG_LOAD: c_long = 5;
const LINK_CREATE: c_long = 28;
const ITER_CREATE: c_long = 33;
const TYPE_TRACING: u32 = 26;
const TRACE_ITER: u32 = 28;

/// The helpers that read kernel memory take a licence that the kernel knows; this changes none of
/// ours.
const LICENCE: &CStr = c"Dual MIT/GPL";
const NAME: [u8; 16] = *b"stoop_task_file\0";

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero to the kernel.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// The same for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// The same for `BPF_ITER_CREATE`.
#[repr(C)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// `BPF_PROG_LOAD` of a program for the iterator with this type, with the verifier's log if there
/// is room for one.
pub(crate) fn load(code: &[Instruction], iterator: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    let wants_log = !log.is_empty();
    let attributes = ProgLoad {
        prog_type: TYPE_TRACING,
        insn_cnt: code.len() as u32,
        insns: code.as_ptr() as u64,
        license: LICENCE.as_ptr() as u64,
        log_level: wants_log.into(),
        log_size: log.len() as u32,
        log_buf: if wants_log { log.as_mut_ptr() as u64 } else { 0 },
        prog_name: NAME,
        expected_attach_type: TRACE_ITER,
        attach_btf_id: iterator,
        ..ProgLoad::default()
    };
    // SAFETY: `attributes` has the layout of the command; what it points to is borrowed until the call
    // returns: the code with as many instructions as it says, a string with its NUL, and the log,
    // exclusively, with the room that it says.
    unsafe { bpf(PROG_LOAD, &attributes) }
}

/// `BPF_LINK_CREATE`: what an iterator is made from, as often as one likes.
pub(crate) fn link(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let prog_fd = program.as_raw_fd() as u32;
    let attributes = LinkCreate { prog_fd, target_fd: 0, attach_type: TRACE_ITER, flags: 0 };
    // SAFETY: `attributes` has the layout of the command and holds no pointer.
    unsafe { bpf(LINK_CREATE, &attributes) }
}

/// `BPF_ITER_CREATE`: a descriptor whose bytes are what the program writes, from the beginning.
pub(crate) fn iterate(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = IterCreate { link_fd: link.as_raw_fd() as u32, flags: 0 };
    // SAFETY: `attributes` has the layout of the command and holds no pointer.
    unsafe { bpf(ITER_CREATE, &attributes) }
}

/// # Safety
/// `attributes` must have the layout of `command`, which must be one that returns a new descriptor;
/// what they point to must be valid for what the command does with it until the call returns.
unsafe fn bpf<A>(command: c_long, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise; the kernel reads as many bytes of the attributes as they have.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    own(fd as i32)
}

/// A sandbox that lets the call succeed without making it usually says 0: a standard stream, which
/// is not close-on-exec, is left alone.
fn own(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    if number < 0 || number <= 2 && unsafe { libc::fcntl(number, libc::F_GETFD) } != libc::FD_CLOEXEC {
        return Err(io::Error::from_raw_os_error(libc::EPROTO));
    }
    // SAFETY: the command returned a descriptor that is new and close-on-exec, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Where the kernel shows its type information.
pub(crate) const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The kernel's type information, where it lies in the kernel's own memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps the first `len` bytes of [`TYPES`]. A length that is not the file's is an error of the
    /// kernel's, and so is a kernel that does not know how to (before Linux 6.16).
    pub(crate) fn of_types(len: usize) -> io::Result<Mapping> {
        let file = File::open(TYPES)?;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: the kernel chooses the place, so nothing that is in use is mapped over.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` on are mapped for reading until `self` is dropped. They do not
        // change: the kernel has them for as long as it runs and lets nobody write to them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and every slice of it was borrowed from `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
