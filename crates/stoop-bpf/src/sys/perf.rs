//! A perf buffer: memory into which the kernel writes records for one processor.

#![expect(unsafe_code, reason = "perf_event_open(2) and mmap(2) have no safe bindings")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use libc::{c_int, c_ulong};

/// The beginning of `struct perf_event_attr` (`PERF_ATTR_SIZE_VER0`).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    bp_addr: u64,
}

const SOFTWARE: u32 = 1;
const BPF_OUTPUT: u64 = 10;
const SAMPLE_RAW: u64 = 1 << 10;
/// `watermark`: wake a poller after that many bytes, not after each record.
const WATERMARK: u64 = 1 << 14;
const FD_CLOEXEC: c_ulong = 1 << 3;
const ENABLE: libc::Ioctl = 0x2400;
/// The positions of two counters in the first page: of the bytes written, and of those read.
const HEAD: usize = 1024;
const TAIL: usize = 1032;

/// A perf buffer for the records that programs write on one processor.
#[derive(Debug)]
pub(crate) struct Ring {
    fd: OwnedFd,
    start: NonNull<u8>,
    page_bytes: usize,
    data_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and is valid in every thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Opens the buffer of a processor. `data_bytes` must be a power of two of at least a page.
    pub(crate) fn open(processor: u32, data_bytes: usize, page_bytes: usize) -> io::Result<Ring> {
        assert!(data_bytes.is_power_of_two() && data_bytes >= page_bytes, "a power of two of pages");
        let fd = open_event(processor, data_bytes as u32 / 4)?;
        let (len, prot) = (page_bytes + data_bytes, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: the kernel chooses the address, so no existing mapping is replaced.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ring = Ring { fd, start, page_bytes, data_bytes };
        // SAFETY: the request takes no pointer.
        if unsafe { libc::ioctl(ring.fd.as_raw_fd(), ENABLE, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(ring)
    }

    /// Appends the bytes of all records that were written since the last call, whole records only,
    /// and frees their space.
    pub(crate) fn drain(&mut self, into: &mut Vec<u8>) {
        let head = self.counter(HEAD).load(Ordering::Acquire);
        let tail = self.counter(TAIL).load(Ordering::Relaxed);
        let len = (head.wrapping_sub(tail) as usize).min(self.data_bytes);
        let at = tail as usize & (self.data_bytes - 1);
        let first = len.min(self.data_bytes - at);
        self.copy(at, first, into);
        self.copy(0, len - first, into);
        self.counter(TAIL).store(head, Ordering::Release);
    }

    fn copy(&self, at: usize, len: usize, into: &mut Vec<u8>) {
        debug_assert!(at + len <= self.data_bytes);
        into.reserve(len);
        // SAFETY: the source is inside the mapping, behind its first page. The kernel has written
        // these bytes (the caller acquired `HEAD`) and leaves them alone until `TAIL` says that they
        // were read. The target was reserved, is not part of the mapping, and has `len` valid bytes
        // afterwards.
        unsafe {
            let from = self.start.as_ptr().add(self.page_bytes + at);
            std::ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(into.len()), len);
            into.set_len(into.len() + len);
        }
    }

    fn counter(&self, at: usize) -> &AtomicU64 {
        // SAFETY: the position is inside the first page and aligned to eight bytes. The mapping lives
        // as long as `self`; kernel and process access the counter only atomically.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and no reference into it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.page_bytes + self.data_bytes) };
    }
}

/// Opens an event (`perf_event_open`) that takes what programs write on this processor.
fn open_event(processor: u32, wakeup_watermark: u32) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: BPF_OUTPUT,
        sample_period: 1,
        sample_type: SAMPLE_RAW,
        flags: WATERMARK,
        wakeup_watermark,
        ..Attributes::default()
    };
    let (every_process, no_group): (c_int, c_int) = (-1, -1);
    // SAFETY: the attributes have the layout and the length that they state, and live until the call
    // returns.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attributes),
            every_process,
            processor as c_int,
            no_group,
            FD_CLOEXEC,
        )
    };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just created this file descriptor, close-on-exec.
    unsafe { super::own(fd as i32) }
}
