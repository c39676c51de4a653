//! Memory that programs and this process share: a map of one value, mapped.

#![expect(unsafe_code, reason = "bpf(2) and mmap(2) have no safe bindings")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64};

use super::map::{MapKind, create};

/// `BPF_F_MMAPABLE`: since Linux 5.5.
const MAPPABLE: u32 = 1 << 10;

/// Zeroed memory of a fixed size.
#[derive(Debug)]
pub(crate) struct Shared {
    fd: OwnedFd,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone, is valid in every thread, and is accessed only
// through atomics.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn create(len: usize) -> io::Result<Shared> {
        let fd = create(MapKind::Array, size_of::<u32>(), len, 1, MAPPABLE)?;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so no existing mapping is replaced.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Shared { fd, start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, len })
    }

    /// Returns the byte at a position.
    pub(crate) fn byte(&self, at: usize) -> &AtomicU8 {
        assert!(at < self.len, "inside the value");
        // SAFETY: the byte is inside the mapping, which lives as long as `self`; programs and
        // processes access it only as a whole.
        unsafe { AtomicU8::from_ptr(self.start.as_ptr().add(at)) }
    }

    /// Returns the word of eight bytes at a position that is a multiple of eight.
    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.len, "aligned, and inside the value");
        // SAFETY: as for a byte; a mapping begins at a page, so the word is aligned.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().add(at).cast()) }
    }
}

impl AsFd for Shared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value alone, and no reference into it is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
