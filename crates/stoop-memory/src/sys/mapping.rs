//! Memory shared with another process.
//!
//! No Rust reference to its bytes is ever created, because they may change at any time. Words are
//! accessed as atomics. Everything else is copied in or out by raw pointer, within bounds that this
//! process has checked. The bytes copied out may have any value.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A whole file, mapped for reading and writing. Dropping it unmaps the memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and memory is not tied to the thread that mapped
// it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `len_bytes` of a file.
    ///
    /// If the file is shortened later, an access beyond its end kills the process (`SIGBUS`). The
    /// caller must check that the file is sealed against that.
    pub(crate) fn new(file: BorrowedFd<'_>, len_bytes: usize) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose the address, so that no existing mapping is
        // replaced.
        let start = unsafe { mmap(ptr::null_mut(), len_bytes, protection, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Unsupported)?;
        Ok(Mapping { start, len_bytes })
    }

    /// Returns the word at this offset.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()), "a word lies across words");
        let word = self.range(at, size_of::<AtomicU32>()).cast();
        // SAFETY: the word is within the mapping, which starts on a page boundary, so it is
        // aligned. It stays mapped while `self` is borrowed. Any bytes are a valid `AtomicU32`, and
        // concurrent writes by other processes are what atomics are for.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Copies bytes into the mapping.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        let to = self.range(at, bytes.len());
        // SAFETY: the target is within the mapping. No reference to it exists, and it cannot
        // overlap memory that a reference points to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }

    /// Copies bytes out of the mapping and appends them to `into`.
    pub(crate) fn read(&self, at: usize, len_bytes: usize, into: &mut Vec<u8>) {
        let from = self.range(at, len_bytes);
        into.reserve(len_bytes);
        let len = into.len();
        // SAFETY: the source is within the mapping, `reserve` has allocated the space behind `len`,
        // and the two cannot overlap. After that the space is initialized. Its values do not matter
        // here, so a concurrent writer does no harm.
        unsafe {
            ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(len), len_bytes);
            into.set_len(len + len_bytes);
        }
    }

    /// Returns a pointer to this range, after a bounds check.
    fn range(&self, at: usize, len_bytes: usize) -> *mut u8 {
        let fits = at.checked_add(len_bytes).is_some_and(|end| end <= self.len_bytes);
        assert!(fits, "bytes outside of the mapping");
        // SAFETY: `at` is not beyond the end of the mapping.
        unsafe { self.start.as_ptr().add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped is unmapped, once; every reference into it borrowed
        // `self`. The call cannot fail for a mapping.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len_bytes) };
    }
}
