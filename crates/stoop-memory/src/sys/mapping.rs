//! Memory that another process has as well.
//!
//! No reference to its bytes is ever made, because they may change at any time: words are atomic,
//! and everything else is copied in or out by raw pointer, within bounds that this process has
//! checked. What is copied out may be anything.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A whole file, mapped for reading and writing; unmapped when dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len_bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and memory is not tied to the thread that mapped
// it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the first `len_bytes` of a file. If the file becomes shorter later, touching what is
    /// gone ends the process (SIGBUS): the caller sees to it that it is sealed against that.
    pub(crate) fn new(file: BorrowedFd<'_>, len_bytes: usize) -> io::Result<Mapping> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose the place, so that nothing that exists is mapped over.
        let start = unsafe { mmap(ptr::null_mut(), len_bytes, protection, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::Unsupported)?;
        Ok(Mapping { start, len_bytes })
    }

    /// The word at this offset.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()), "a word lies across words");
        let word = self.range(at, size_of::<AtomicU32>()).cast();
        // SAFETY: within the mapping, which starts on a page, so aligned; mapped as long as `self` is
        // borrowed. Any bytes are an `AtomicU32`, and other processes' writes are what atomics are
        // for.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) {
        let to = self.range(at, bytes.len());
        // SAFETY: the target is within the mapping, no reference to it exists, and it cannot overlap what a
        // reference is to.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
    }

    /// Copies bytes out, to the end of `into`.
    pub(crate) fn read(&self, at: usize, len_bytes: usize, into: &mut Vec<u8>) {
        let from = self.range(at, len_bytes);
        into.reserve(len_bytes);
        let len = into.len();
        // SAFETY: the source is within the mapping, `reserve` has made the room behind `len`, and they
        // cannot overlap. Then the room holds bytes; which ones does not matter here, so a writer
        // at the same time does no harm.
        unsafe {
            ptr::copy_nonoverlapping(from, into.as_mut_ptr().add(len), len_bytes);
            into.set_len(len + len_bytes);
        }
    }

    /// Where these bytes start.
    fn range(&self, at: usize, len_bytes: usize) -> *mut u8 {
        let fits = at.checked_add(len_bytes).is_some_and(|end| end <= self.len_bytes);
        assert!(fits, "bytes outside of the mapping");
        // SAFETY: `at` is not behind the end of the mapping.
        unsafe { self.start.as_ptr().add(at) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, once; every reference into it borrowed `self`. It cannot fail
        // for a mapping.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len_bytes) };
    }
}
