//! `bpf(2)`, one function per command, and a file mapping. The only `unsafe` code of this crate.
//!
//! Nothing here sets policy: no retries, no defaults. File descriptors that the kernel returns are
//! close-on-exec from creation.

#![expect(unsafe_code, reason = "bpf(2) and mmap(2) have no safe bindings; every block says why it is sound")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use libc::c_long;

use crate::asm::Instruction;
use crate::target::Target;

mod map;
mod misses;
mod perf;
mod shared;
mod table;

pub(crate) use map::{Map, MapKind};
pub(crate) use misses::misses;
pub(crate) use perf::Ring;
pub(crate) use shared::Shared;
pub(crate) use table::Table;

const PROG_LOAD: c_long = 5;
const RAW_TRACEPOINT_OPEN: c_long = 17;
const LINK_CREATE: c_long = 28;
const ITER_CREATE: c_long = 33;
const TYPE_TRACING: u32 = 26;

/// Helpers that read kernel memory require a GPL-compatible licence string. It does not affect the
/// licence of this crate.
const LICENCE: &CStr = c"Dual MIT/GPL";
const NAME: [u8; 16] = *b"stoop\0\0\0\0\0\0\0\0\0\0\0";

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`. The kernel takes the rest as zero.
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

/// The same for `BPF_RAW_TRACEPOINT_OPEN`.
#[repr(C)]
struct RawTracepoint {
    name: u64,
    prog_fd: u32,
    padding: u32,
}

/// Loads a program for this target (`BPF_PROG_LOAD`). If `log` is not empty, the verifier writes
/// its log there.
pub(crate) fn load(code: &[Instruction], target: Target, log: &mut [u8]) -> io::Result<OwnedFd> {
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
        expected_attach_type: target.attach_type,
        attach_btf_id: target.type_id,
        ..ProgLoad::default()
    };
    // SAFETY: `attributes` has the layout of the command. What it points to is borrowed until the
    // call returns: the code with as many instructions as it says, a string with its NUL, and the
    // log, exclusively, with the size that it says.
    unsafe { bpf(PROG_LOAD, &attributes) }
}

/// Creates a link, from which iterators can be created repeatedly (`BPF_LINK_CREATE`).
pub(crate) fn link(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let prog_fd = program.as_raw_fd() as u32;
    let attributes = LinkCreate { prog_fd, target_fd: 0, attach_type: Target::ITERATOR, flags: 0 };
    // SAFETY: `attributes` has the layout of the command and contains no pointer.
    unsafe { bpf(LINK_CREATE, &attributes) }
}

/// Creates an iterator (`BPF_ITER_CREATE`): a file descriptor from which the program's output is
/// read.
pub(crate) fn iterate(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = IterCreate { link_fd: link.as_raw_fd() as u32, flags: 0 };
    // SAFETY: `attributes` has the layout of the command and contains no pointer.
    unsafe { bpf(ITER_CREATE, &attributes) }
}

/// Attaches a program to its tracepoint or function (`BPF_RAW_TRACEPOINT_OPEN`), until the returned
/// file descriptor is closed.
pub(crate) fn attach(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = RawTracepoint { name: 0, prog_fd: program.as_raw_fd() as u32, padding: 0 };
    // SAFETY: `attributes` has the layout of the command; the name is null, as for programs that were
    // loaded for one tracepoint or function.
    unsafe { bpf(RAW_TRACEPOINT_OPEN, &attributes) }
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
    // SAFETY: the caller's promise: the command has just created this file descriptor, which the
    // kernel makes close-on-exec.
    unsafe { own(fd as i32) }
}

/// Takes ownership of a returned file descriptor.
///
/// A sandbox that lets the call succeed without making it usually returns 0. That is a standard
/// stream, which is not close-on-exec, and is left alone.
///
/// # Safety
/// A successful system call has just created `number` for this process, close-on-exec, and nothing
/// else owns it.
unsafe fn own(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    if number < 0 || number <= 2 && unsafe { libc::fcntl(number, libc::F_GETFD) } != libc::FD_CLOEXEC {
        return Err(io::Error::from_raw_os_error(libc::EPROTO));
    }
    // SAFETY: the caller's promise: the file descriptor is new, and this is its first owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The file in which the kernel provides its type information.
pub(crate) const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The type information in the kernel's own memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps the first `len` bytes of [`TYPES`]. The kernel returns an error if `len` is not the
    /// file's length, and before Linux 6.16.
    pub(crate) fn of_types(len: usize) -> io::Result<Mapping> {
        let file = File::open(TYPES)?;
        let (prot, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        // SAFETY: the kernel chooses the address, so no existing mapping is replaced.
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
        // SAFETY: `len` bytes from `start` on are mapped for reading until `self` is dropped. They
        // do not change: the kernel keeps them while it runs and lets no process write to them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and every slice of it was borrowed from
        // `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
