//! A ring of messages in shared memory, with one sending and one receiving process.
//!
//! The memory is an anonymous file (`memfd`). It is sealed against resizing and, if the kernel
//! supports it (6.3), against execution ([K-MEM-1], [K-MEM-2]). A process that has the file
//! descriptor can take either end, so pass it over a Unix domain socket to the intended peer only.
//!
//! | location | contents |
//! |---|---|
//! | the first page | two words per end, each on its own cache lines |
//! | the rest, a power of two | messages: length word, unused word, bytes, padding to eight bytes |
//!
//! `end.rs` describes how an end advances, and how it reads the other without trusting it.
//! `model_tests.rs` checks that with loom, in every order that the memory model permits
//! (`cargo xtask models`).
//!
//! [K-MEM-1]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-MEM-1
//! [K-MEM-2]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-MEM-2

mod end;
#[cfg(all(loom, test))]
mod model;
#[cfg(all(loom, test))]
mod model_tests;
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
use end::{End, HEADER_BYTES, OPEN};
pub use receiver::Receiver;
pub use sender::Sender;

/// The permitted capacity of a ring, in bytes. A capacity is rounded up to a power of two.
pub const CAPACITY_BYTES: RangeInclusive<usize> = 4096..=1 << 30;

/// Without these seals, the other process could shrink the file under the mapping.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// The magic number of the file system of `memfd_create`. On other file systems, accessing a page
/// may kill the process.
const TMPFS_MAGIC: u64 = 0x0102_1994;

const CREATE: &str = "create a ring";

/// A ring of which no end has been taken yet.
#[doc(alias("memfd_create", "shm_open", "mmap"))]
#[derive(Debug)]
pub struct Ring {
    memory: OwnedFd,
    capacity_bytes: u32,
}

impl Ring {
    /// Creates a ring with space for this many bytes. Each message takes up to 15 bytes more than
    /// its length.
    ///
    /// Does not block. Requires Linux 3.17 (`memfd_create`).
    ///
    /// # Errors
    /// Returns an error if the capacity is outside [`CAPACITY_BYTES`] ([`ErrorKind::TooLarge`]), or
    /// if memory or file descriptors are exhausted ([`ErrorKind::LimitReached`]). All memory is
    /// allocated at creation.
    ///
    /// # Examples
    /// ```
    /// use stoop_memory::{CAPACITY_BYTES, ErrorKind, Ring};
    ///
    /// assert_eq!(Ring::new(5000)?.capacity_bytes(), 8192); // the next power of two
    /// let error = Ring::new(CAPACITY_BYTES.end() + 1).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TooLarge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(capacity_bytes: usize) -> Result<Ring> {
        if capacity_bytes > *CAPACITY_BYTES.end() {
            return Err(Error::new(CREATE, ErrorKind::TooLarge));
        }
        let capacity = capacity_bytes.max(*CAPACITY_BYTES.start()).next_power_of_two();
        let memory =
            sealed_memory((HEADER_BYTES + capacity) as u64).map_err(|errno| Error::os(CREATE, errno))?;
        Ok(Ring { memory, capacity_bytes: capacity as u32 })
    }

    /// Opens a ring that another process has created and passed. Does not block.
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a memory file of a valid size that is sealed
    /// against resizing ([`ErrorKind::Corrupt`]).
    ///
    /// With that check, nothing that the other process does to the memory can do more than corrupt
    /// messages. (It can still punch holes into the file and exhaust the machine's memory, as with
    /// all memory.)
    ///
    /// # Examples
    /// ```
    /// use std::os::fd::OwnedFd;
    /// use stoop_memory::{ErrorKind, Ring};
    ///
    /// let ring = Ring::new(1 << 16)?;
    /// let passed = OwnedFd::from(ring.try_clone()?); // in practice, over a Unix domain socket
    /// assert_eq!(Ring::from_descriptor(passed)?.capacity_bytes(), 1 << 16);
    ///
    /// let file = OwnedFd::from(std::fs::File::open("/dev/null")?);
    /// assert_eq!(Ring::from_descriptor(file).unwrap_err().kind(), ErrorKind::Corrupt);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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

    /// Returns the capacity in bytes.
    pub fn capacity_bytes(&self) -> usize {
        self.capacity_bytes as usize
    }

    /// Creates a new handle to the same ring, with its own file descriptor.
    ///
    /// # Errors
    /// Returns an error if the process has no file descriptors left ([`ErrorKind::LimitReached`]).
    pub fn try_clone(&self) -> Result<Ring> {
        let memory = self.memory.try_clone().map_err(|error| Error::os("share a ring", error))?;
        Ok(Ring { memory, ..*self })
    }

    /// Takes the sending end. `limit` applies to each [`send`](Sender::send).
    ///
    /// A ring has one sender at a time. Several senders corrupt messages, and nothing else.
    ///
    /// # Errors
    /// Returns an error if the memory cannot be mapped ([`ErrorKind::LimitReached`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Ring, Waiting};
    ///
    /// let ring = Ring::new(4096)?;
    /// let limit = Duration::from_millis(1);
    /// let mut receiver = ring.try_clone()?.into_receiver(Waiting::Futex, limit)?;
    /// let mut sender = ring.into_sender(Waiting::Futex, limit)?;
    /// sender.send(b"hello")?;
    /// drop(sender); // closes this end
    ///
    /// let mut message = Vec::new();
    /// receiver.recv(&mut message)?; // sent before it closed
    /// assert_eq!(message, b"hello");
    /// assert_eq!(receiver.recv(&mut message).unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_sender(self, waiting: Waiting, limit: Duration) -> Result<Sender> {
        Ok(Sender(End::sending(self.memory.as_fd(), self.capacity_bytes, waiting, limit)?))
    }

    /// Takes the receiving end. `limit` applies to each [`recv`](Receiver::recv).
    ///
    /// A ring has one receiver at a time. Several receivers corrupt messages, and nothing else.
    ///
    /// # Errors
    /// Returns an error if the memory cannot be mapped ([`ErrorKind::LimitReached`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Ring, Waiting};
    ///
    /// let limit = Duration::from_millis(1);
    /// let mut receiver = Ring::new(4096)?.into_receiver(Waiting::Spin, limit)?;
    /// let error = receiver.recv(&mut Vec::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TimedOut); // no message arrived within the limit
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_receiver(self, waiting: Waiting, limit: Duration) -> Result<Receiver> {
        Ok(Receiver(End::receiving(self.memory.as_fd(), self.capacity_bytes, waiting, limit)?))
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

/// Creates an anonymous file of this size, fully allocated and sealed against resizing.
fn sealed_memory(len_bytes: u64) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match memfd_create("stoop-ring", flags | MemfdFlags::NOEXEC_SEAL) {
        // The kernel is older than 6.3 (K-MEM-2).
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
