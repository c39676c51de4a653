//! One end of a ring: its position, the other end's position, and how to wait for it.
//!
//! Each end has a *position*: the number of bytes it has processed, always a multiple of eight, in
//! 32 bits that wrap. The sender's position is ahead of the receiver's by the bytes in the ring. An
//! end publishes its own position in shared memory and never reads it back. The other end's
//! position is read once per poll, and is accepted only if the distance is possible. The lowest bit
//! of a published position means that its end is closed.
//!
//! Memory ordering: a position is stored with release and loaded with acquire. So the bytes before
//! the sender's position are visible, and reads of those before the receiver's have ended. An end
//! about to sleep stores its sleep flag and then loads the other's position; the other stores its
//! position and then loads the flag. A sequentially consistent fence separates store and load on
//! both sides, so at least one side sees the other's store, and no wake is lost.
//!
//! The sleep flag is not just set: it has the position that the sleeper has seen. The other end
//! claims a wake only for an earlier position than its own, by exchanging the value that it loaded.
//! Otherwise it could clear the flag of a sleep that waits for its next position, which would then
//! never be woken.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicU32, fence};
use std::time::Duration;

#[cfg(all(loom, test))]
use super::model::{AtomicU32, Mapping, Wait, fence, sleep, wake};
#[cfg(not(all(loom, test)))]
use crate::sys::Mapping;
use crate::waiting::{Step, Waiting};
#[cfg(not(all(loom, test)))]
use crate::waiting::{Wait, sleep, wake};
use crate::{Error, ErrorKind, Result};

/// The size of the header before the messages: one page.
pub(super) const HEADER_BYTES: usize = 4096;

/// The operation in errors about memory that cannot be taken.
pub(super) const OPEN: &str = "open a ring";

/// The size of the header before each message: its length, and an unused word.
const LENGTH_BYTES: u32 = 8;

/// Positions are multiples of this, which leaves the low bits for flags.
const STEP_BYTES: u32 = 8;

/// A flag in a published position: this end is closed.
const CLOSED: u32 = 1;

/// A flag in a sleep flag, which distinguishes position 0 from no sleep.
const SLEEPS: u32 = 2;

/// The offsets of the words, two cache lines apart, because processors prefetch lines in pairs.
const SENDER_AT: usize = 0;
const SENDER_SLEEPS_AT: usize = 128;
const RECEIVER_AT: usize = 256;
const RECEIVER_SLEEPS_AT: usize = 384;

/// One end of a ring.
#[derive(Debug)]
pub(super) struct End {
    memory: Mapping,
    is_sender: bool,
    capacity: u32,
    position: u32,
    /// The other end's position when it was last read.
    seen: u32,
    waiting: Waiting,
    limit: Duration,
    operation: &'static str,
}

impl End {
    pub(super) fn sending(
        memory: BorrowedFd<'_>,
        capacity: u32,
        waiting: Waiting,
        limit: Duration,
    ) -> Result<End> {
        End::new(memory, capacity, true, waiting, limit, "send to a ring")
    }

    pub(super) fn receiving(
        memory: BorrowedFd<'_>,
        capacity: u32,
        waiting: Waiting,
        limit: Duration,
    ) -> Result<End> {
        End::new(memory, capacity, false, waiting, limit, "receive from a ring")
    }

    fn new(
        memory: BorrowedFd<'_>,
        capacity: u32,
        is_sender: bool,
        waiting: Waiting,
        limit: Duration,
        operation: &'static str,
    ) -> Result<End> {
        let memory =
            Mapping::new(memory, HEADER_BYTES + capacity as usize).map_err(|error| Error::os(OPEN, error))?;
        Ok(End::over(memory, capacity, is_sender, waiting, limit, operation))
    }

    /// Takes an end of a ring in this memory, which has space for `capacity` bytes of messages.
    pub(super) fn over(
        memory: Mapping,
        capacity: u32,
        is_sender: bool,
        waiting: Waiting,
        limit: Duration,
        operation: &'static str,
    ) -> End {
        let mut end = End { memory, is_sender, capacity, position: 0, seen: 0, waiting, limit, operation };
        // An end that was taken before continues where it was left. Any multiple of eight is
        // acceptable.
        end.position = position(end.ours().load(Acquire));
        // Before the first poll, assume nothing: no space for a sender, no message for a receiver.
        end.seen = if is_sender { end.position.wrapping_sub(capacity) } else { end.position };
        end
    }

    /// Returns how many bytes a message takes in the ring, or `None` if it can never fit.
    pub(super) fn record_bytes(&self, len_bytes: usize) -> Option<u32> {
        let len = u32::try_from(len_bytes).ok()?;
        let record = len.checked_add(LENGTH_BYTES)?.checked_next_multiple_of(STEP_BYTES)?;
        (record <= self.capacity).then_some(record)
    }

    /// Waits until at least this many bytes are available (free for a sender, filled for a
    /// receiver). Returns how many are.
    pub(super) fn wait_for(&mut self, bytes: u32) -> Result<u32> {
        if self.available() < bytes {
            self.wait(bytes)?;
        }
        Ok(self.available())
    }

    fn wait(&mut self, bytes: u32) -> Result<()> {
        let mut wait = Wait::new(self.waiting, self.limit);
        loop {
            let published = self.poll_peer()?;
            if self.available() >= bytes {
                return Ok(());
            }
            if published & CLOSED != 0 {
                return Err(self.error(ErrorKind::Closed));
            }
            if let Step::Sleep(limit) = wait.step(self.operation)? {
                self.sleep(published, limit)?;
            }
        }
    }

    /// Reads the other end's position and checks that it is possible.
    fn poll_peer(&mut self) -> Result<u32> {
        let published = self.theirs().load(Acquire);
        let seen = std::mem::replace(&mut self.seen, position(published));
        if published % STEP_BYTES > CLOSED || self.ahead() > self.capacity {
            self.seen = seen;
            return Err(self.error(ErrorKind::Corrupt));
        }
        Ok(published)
    }

    fn sleep(&self, published: u32, limit: Duration) -> Result<()> {
        let flag = self.memory.word(if self.is_sender { SENDER_SLEEPS_AT } else { RECEIVER_SLEEPS_AT });
        // Announce the sleep before the last check of the position. See `publish` for the other
        // half.
        flag.store(published | SLEEPS, Relaxed);
        fence(SeqCst);
        // The kernel compares the position once more and does not sleep if it has changed
        // (K-MEM-3).
        let slept = sleep(self.theirs(), published, limit);
        flag.store(0, Relaxed);
        slept.map_err(|errno| Error::os(self.operation, errno))
    }

    /// Returns how many bytes the sender is ahead. More than the capacity is invalid.
    fn ahead(&self) -> u32 {
        match self.is_sender {
            true => self.position.wrapping_sub(self.seen),
            false => self.seen.wrapping_sub(self.position),
        }
    }

    /// Returns how many bytes are available to this end.
    fn available(&self) -> u32 {
        if self.is_sender { self.capacity - self.ahead() } else { self.ahead() }
    }

    /// Advances by this many available bytes and notifies the other end.
    pub(super) fn advance(&mut self, bytes: u32) {
        self.position = self.position.wrapping_add(bytes);
        self.publish(self.position);
    }

    fn publish(&self, word: u32) {
        self.ours().store(word, Release);
        // Pairs with the fence in `sleep`: either this load sees the flag, or the sleeper sees the
        // position.
        fence(SeqCst);
        let flag = self.memory.word(if self.is_sender { RECEIVER_SLEEPS_AT } else { SENDER_SLEEPS_AT });
        // The cheap load comes first: the exchange, which claims the wake, is only needed if the
        // other end sleeps at an earlier position.
        let sleeps = flag.load(Relaxed);
        if sleeps == 0 || sleeps == word | SLEEPS {
            return;
        }
        // If it fails, the flag is of a later sleep, which has seen this position.
        if flag.compare_exchange(sleeps, 0, Relaxed, Relaxed).is_ok() {
            wake(self.ours());
        }
    }

    /// Returns the length of the message at this end's position.
    pub(super) fn length(&self) -> &AtomicU32 {
        self.memory.word(self.place(0))
    }

    /// Copies a message into the ring, behind its length.
    pub(super) fn write(&self, message: &[u8]) {
        // A message that reaches the end of the memory continues at the beginning.
        let (first, second) = message.split_at(self.until_the_end().min(message.len()));
        self.memory.write(self.place(LENGTH_BYTES), first);
        self.memory.write(HEADER_BYTES, second);
    }

    /// Copies a message out of the ring, from behind its length.
    pub(super) fn read(&self, len_bytes: usize, into: &mut Vec<u8>) {
        let first = self.until_the_end().min(len_bytes);
        into.clear();
        self.memory.read(self.place(LENGTH_BYTES), first, into);
        self.memory.read(HEADER_BYTES, len_bytes - first, into);
    }

    /// Returns the offset in memory of the byte this far behind this end's position.
    fn place(&self, behind: u32) -> usize {
        HEADER_BYTES + (self.position.wrapping_add(behind) & (self.capacity - 1)) as usize
    }

    /// Returns how many bytes lie between the start of the message and the end of the memory, after
    /// which it continues at the beginning.
    fn until_the_end(&self) -> usize {
        HEADER_BYTES + self.capacity as usize - self.place(LENGTH_BYTES)
    }

    fn ours(&self) -> &AtomicU32 {
        self.memory.word(if self.is_sender { SENDER_AT } else { RECEIVER_AT })
    }

    fn theirs(&self) -> &AtomicU32 {
        self.memory.word(if self.is_sender { RECEIVER_AT } else { SENDER_AT })
    }

    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.operation, kind)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.publish(self.position | CLOSED);
    }
}

/// Returns a published position without its flags.
fn position(published: u32) -> u32 {
    published & !(STEP_BYTES - 1)
}
