//! A ring of messages in shared memory: one process sends, one receives.
//!
//! The memory is a file without a name (`memfd`), sealed against changing its size and, where the
//! kernel knows how (6.3), against being executed (K-MEM-1, K-MEM-2). Whoever has the descriptor
//! can take an end, so it is passed over a local socket, to whom it is meant for.
//!
//! | where | what |
//! |---|---|
//! | the first page | two words that the sender writes and two that the receiver writes, each on its own cache lines |
//! | the rest, a power of two | messages: their length in a word, a word unused, their bytes, up to a multiple of eight |
//!
//! How an end is moved, and how the other is looked at without trusting it: `end.rs`.

mod end;
mod receiver;
mod sender;

use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs,
    ftruncate, memfd_create,
};
use rustix::io::Errno;

use crate::{Error, ErrorKind, Result, Waiting};
use end::{End, HEADER_BYTES};
pub use receiver::Receiver;
pub use sender::Sender;

/// How many bytes a ring may have; the number is rounded up to a power of two.
pub const CAPACITY_BYTES: RangeInclusive<usize> = 4096..=1 << 30;

/// Without these, the other process could take memory away from under us.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// The file system that `memfd_create` makes files on: others may end a process that touches a
/// page.
const TMPFS_MAGIC: u64 = 0x0102_1994;

const MAKE: &str = "make a ring";
const OPEN: &str = "open a ring";

/// A ring, before an end of it is taken.
#[derive(Debug)]
pub struct Ring {
    memory: OwnedFd,
    capacity_bytes: u32,
}

impl Ring {
    /// Makes a ring with room for this many bytes, each message taking up to 15 more than it has.
    /// Does not block. Linux 3.17 (`memfd_create`).
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] outside of [`CAPACITY_BYTES`]; [`ErrorKind::LimitReached`] where
    /// memory or descriptors are used up: all of the memory is there from the beginning.
    pub fn new(capacity_bytes: usize) -> Result<Ring> {
        if capacity_bytes > *CAPACITY_BYTES.end() {
            return Err(Error::new(MAKE, ErrorKind::TooLarge));
        }
        let capacity = capacity_bytes.max(*CAPACITY_BYTES.start()).next_power_of_two();
        let memory =
            sealed_memory((HEADER_BYTES + capacity) as u64).map_err(|errno| Error::os(MAKE, errno))?;
        Ok(Ring { memory, capacity_bytes: capacity as u32 })
    }

    /// Takes a ring that another process has made and passed. Does not block.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] unless it is ordinary memory of a size that a ring has, and sealed so
    /// that it keeps it: then nothing that the other process does to it can do more than spoil
    /// messages. (Giving pages back and letting the machine run out of memory remains, as with
    /// all memory.)
    pub fn from_descriptor(memory: OwnedFd) -> Result<Ring> {
        let corrupt = || Error::new(OPEN, ErrorKind::Corrupt);
        // Only memory files have seals.
        let seals = fcntl_get_seals(&memory).map_err(|_| corrupt())?;
        let file_system = fstatfs(&memory).map_err(|errno| Error::os(OPEN, errno))?;
        if !seals.contains(SEALS) || file_system.f_type as u64 != TMPFS_MAGIC {
            return Err(corrupt());
        }
        let size = fstat(&memory).map_err(|errno| Error::os(OPEN, errno))?.st_size;
        let capacity = usize::try_from(size).ok().and_then(|size| size.checked_sub(HEADER_BYTES));
        let is_right = |capacity: &usize| CAPACITY_BYTES.contains(capacity) && capacity.is_power_of_two();
        let capacity = capacity.filter(is_right).ok_or_else(corrupt)?;
        Ok(Ring { memory, capacity_bytes: capacity as u32 })
    }

    /// How many bytes there is room for.
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes as usize
    }

    /// Another descriptor for the same ring.
    ///
    /// # Errors
    /// [`ErrorKind::LimitReached`] where no descriptor is free.
    pub fn try_clone(&self) -> Result<Ring> {
        let memory = self.memory.try_clone().map_err(|error| Error::os("share a ring", error))?;
        Ok(Ring { memory, ..*self })
    }

    /// Takes the sending end, with the longest time that a [`send`](Sender::send) may take.
    ///
    /// A ring has one sender at a time. With several, messages are spoilt, and nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::LimitReached`] where its memory cannot be mapped.
    pub fn into_sender(self, waiting: Waiting, limit: Duration) -> Result<Sender> {
        Ok(Sender(End::sending(self, waiting, limit)?))
    }

    /// Takes the receiving end, with the longest time that a [`recv`](Receiver::recv) may take.
    ///
    /// A ring has one receiver at a time. With several, messages are spoilt, and nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::LimitReached`] where its memory cannot be mapped.
    pub fn into_receiver(self, waiting: Waiting, limit: Duration) -> Result<Receiver> {
        Ok(Receiver(End::receiving(self, waiting, limit)?))
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl From<Ring> for OwnedFd {
    fn from(ring: Ring) -> OwnedFd {
        ring.memory
    }
}

/// A nameless file of this size, all of it there, that keeps its size.
fn sealed_memory(len_bytes: u64) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create("stoop-ring", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before 6.3: K-MEM-2.
        Err(Errno::INVAL) => memfd_create("stoop-ring", flags),
        made => made,
    }?;
    ftruncate(&memory, len_bytes)?;
    fallocate(&memory, FallocateFlags::empty(), 0, len_bytes)?;
    fcntl_add_seals(&memory, SEALS | SealFlags::SEAL)?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::MemfdFlags;

    #[test]
    fn memory_keeps_its_size_and_runs_nothing() {
        let ring = Ring::new(5000).unwrap();
        assert_eq!(ring.capacity_bytes(), 8192);
        assert_eq!(ftruncate(&ring, 4096), Err(Errno::PERM));
        assert_eq!(ftruncate(&ring, 1 << 20), Err(Errno::PERM));
        assert_eq!(fcntl_add_seals(&ring, SealFlags::WRITE), Err(Errno::PERM), "no more seals either");
        let theirs = Ring::from_descriptor(ring.try_clone().unwrap().into()).unwrap();
        assert_eq!(theirs.capacity_bytes(), 8192);
    }

    #[test]
    fn sizes_have_limits() {
        assert_eq!(Ring::new(0).unwrap().capacity_bytes(), 4096);
        assert_eq!(Ring::new((1 << 30) + 1).unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(Ring::new(usize::MAX).unwrap_err().kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let refused = |memory: OwnedFd| Ring::from_descriptor(memory).unwrap_err().kind();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(refused(file.into()), ErrorKind::Corrupt, "no memory");
        let memory = |len, seals| {
            let memory = memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
            ftruncate(&memory, len).unwrap();
            fcntl_add_seals(&memory, seals).unwrap();
            memory
        };
        assert_eq!(refused(memory(8192, SealFlags::GROW)), ErrorKind::Corrupt, "may shrink");
        assert_eq!(refused(memory(0, SEALS)), ErrorKind::Corrupt, "no room");
        assert_eq!(refused(memory(4096, SEALS)), ErrorKind::Corrupt, "no room for messages");
        assert_eq!(refused(memory(4096 + 5000, SEALS)), ErrorKind::Corrupt, "no power of two");
        assert!(Ring::from_descriptor(memory(4096 + 4096, SEALS)).is_ok());
    }
}
