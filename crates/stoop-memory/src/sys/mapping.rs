//! Memory shared with another process.
//!
//! No Rust reference to its plain bytes is ever created, because they may change at any time. All
//! of it is accessed through atomics, within bounds that this process has checked. The bytes copied
//! out may have any value.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

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
        let (start, words, end) = self.atomics(at, bytes.len());
        let (first, rest) = bytes.split_at(start.len());
        let (middle, last) = rest.split_at(size_of_val(words));
        for (to, &byte) in start.iter().zip(first).chain(end.iter().zip(last)) {
            to.store(byte, Relaxed);
        }
        for (to, word) in words.iter().zip(middle.as_chunks().0) {
            to.store(u64::from_ne_bytes(*word), Relaxed);
        }
    }

    /// Copies bytes out of the mapping and appends them to `into`.
    pub(crate) fn read(&self, at: usize, len_bytes: usize, into: &mut Vec<u8>) {
        let (start, words, end) = self.atomics(at, len_bytes);
        into.reserve(len_bytes);
        let (first, rest) = into.spare_capacity_mut()[..len_bytes].split_at_mut(start.len());
        let (middle, last) = rest.split_at_mut(size_of_val(words));
        for (to, byte) in first.iter_mut().zip(start).chain(last.iter_mut().zip(end)) {
            to.write(byte.load(Relaxed));
        }
        for (to, word) in middle.as_chunks_mut().0.iter_mut().zip(words) {
            *to = word.load(Relaxed).to_ne_bytes().map(MaybeUninit::new);
        }
        let len = into.len() + len_bytes;
        // SAFETY: the three loops have just written every byte up to `len`: `middle` consists of as
        // many whole words as `words`.
        unsafe { into.set_len(len) };
    }

    /// Returns this range as atomics: whole words, and the bytes before and behind them.
    fn atomics(&self, at: usize, len_bytes: usize) -> (&[AtomicU8], &[AtomicU64], &[AtomicU8]) {
        let start = self.range(at, len_bytes).cast();
        // SAFETY: the range is within the mapping and stays mapped while `self` is borrowed.
        // Atomics may be written through shared references, by this process and by others. Any
        // bytes are valid for them.
        let bytes: &[AtomicU8] = unsafe { slice::from_raw_parts(start, len_bytes) };
        // SAFETY: an `AtomicU64` is eight bytes of any value, and `align_to` aligns it.
        unsafe { bytes.align_to() }
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

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    #[test]
    fn copies_of_every_alignment_change_their_own_bytes_only() {
        const LEN: usize = 64;
        let file = memfd_create("stoop-test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, LEN as u64).unwrap();
        let memory = Mapping::new(file.as_fd(), LEN).unwrap();
        for (at, len) in (0..17).flat_map(|at| (0..=LEN - at).map(move |len| (at, len))) {
            let mut expected = vec![0xff; LEN];
            memory.write(0, &expected);
            let bytes: Vec<u8> = (1..).take(len).collect();
            expected[at..at + len].copy_from_slice(&bytes);
            memory.write(at, &bytes);
            let (mut whole, mut part) = (Vec::new(), vec![7]);
            memory.read(0, LEN, &mut whole);
            memory.read(at, len, &mut part);
            assert_eq!((whole, &part[1..]), (expected, &bytes[..]), "{len} bytes at {at}");
        }
    }
}
