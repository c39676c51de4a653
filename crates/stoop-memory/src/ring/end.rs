//! One end of a ring: where it is, where the other is, and how to wait for it.
//!
//! Each end has a *position*: how many bytes it has gone so far, always a multiple of eight, in 32
//! bits that overflow. The sender's is ahead of the receiver's by what is in the ring. An end
//! publishes its own position in shared memory and never reads it back; the other's is read once
//! for each look, and believed only where it is at a possible distance. The lowest bit of a
//! published position says that its end is closed.
//!
//! Pairs: a position is stored with release and read with acquire, so that the bytes before the
//! sender's are there, and those before the receiver's are no longer read. "I sleep" and the
//! position of the other are a store and a load on either side, with a sequentially consistent
//! fence between them: one of the two sees the other, so no wake is lost.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, fence};
use std::time::Duration;

use super::Ring;
use crate::sys::Mapping;
use crate::waiting::{Step, Wait, Waiting, sleep, wake};
use crate::{Error, ErrorKind, Result};

/// What lies before the messages: a page.
pub(super) const HEADER_BYTES: usize = 4096;

/// What lies before each message: its length, and a word unused.
const LENGTH_BYTES: u32 = 8;

/// Positions are multiples of this, which leaves bits for flags.
const STEP_BYTES: u32 = 8;

/// In a published position: nothing more comes from this end.
const CLOSED: u32 = 1;

/// Where the words lie, two cache lines apart: processors fetch them in pairs.
const SENDER_AT: usize = 0;
const SENDER_SLEEPS_AT: usize = 128;
const RECEIVER_AT: usize = 256;
const RECEIVER_SLEEPS_AT: usize = 384;

/// One end.
#[derive(Debug)]
pub(super) struct End {
    memory: Mapping,
    is_sender: bool,
    capacity: u32,
    position: u32,
    /// The other's position, when last looked at.
    seen: u32,
    waiting: Waiting,
    limit: Duration,
    operation: &'static str,
}

impl End {
    pub(super) fn sending(ring: Ring, waiting: Waiting, limit: Duration) -> Result<End> {
        End::new(ring, true, waiting, limit, "send to a ring")
    }

    pub(super) fn receiving(ring: Ring, waiting: Waiting, limit: Duration) -> Result<End> {
        End::new(ring, false, waiting, limit, "receive from a ring")
    }

    fn new(
        ring: Ring,
        is_sender: bool,
        waiting: Waiting,
        limit: Duration,
        operation: &'static str,
    ) -> Result<End> {
        let (capacity, len_bytes) = (ring.capacity_bytes, HEADER_BYTES + ring.capacity_bytes as usize);
        let memory =
            Mapping::new(ring.memory.as_fd(), len_bytes).map_err(|error| Error::os(super::OPEN, error))?;
        let mut end = End { memory, is_sender, capacity, position: 0, seen: 0, waiting, limit, operation };
        // An end that was taken before goes on where it was left. Any multiple of eight will do.
        end.position = position(end.ours().load(Acquire));
        // Nothing is taken for granted before the first look: no room, and no message.
        end.seen = if is_sender { end.position.wrapping_sub(capacity) } else { end.position };
        Ok(end)
    }

    /// How many bytes a message takes in the ring, where one so long fits at all.
    pub(super) fn record_bytes(&self, len_bytes: usize) -> Option<u32> {
        let len = u32::try_from(len_bytes).ok()?;
        let record = len.checked_add(LENGTH_BYTES)?.checked_next_multiple_of(STEP_BYTES)?;
        (record <= self.capacity).then_some(record)
    }

    /// Waits until at least this many bytes are ours (free for a sender, filled for a receiver),
    /// and says how many are.
    pub(super) fn wait_for(&mut self, bytes: u32) -> Result<u32> {
        if self.available() < bytes {
            self.wait(bytes)?;
        }
        Ok(self.available())
    }

    fn wait(&mut self, bytes: u32) -> Result<()> {
        let mut wait = Wait::new(self.waiting, self.limit);
        loop {
            let published = self.look()?;
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

    /// Reads the other's position, and believes it where it is possible.
    fn look(&mut self) -> Result<u32> {
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
        flag.store(1, Relaxed);
        fence(SeqCst);
        // The kernel looks once more, and does not put us to sleep where the position has changed: K-MEM-3.
        let slept = sleep(self.theirs(), published, limit);
        flag.store(0, Relaxed);
        slept.map_err(|errno| Error::os(self.operation, errno))
    }

    /// How many bytes the sender is ahead. More than the capacity is a lie.
    fn ahead(&self) -> u32 {
        match self.is_sender {
            true => self.position.wrapping_sub(self.seen),
            false => self.seen.wrapping_sub(self.position),
        }
    }

    /// How many bytes are ours.
    fn available(&self) -> u32 {
        if self.is_sender { self.capacity - self.ahead() } else { self.ahead() }
    }

    /// Goes on by so many bytes, which have to be ours, and tells the other end.
    pub(super) fn advance(&mut self, bytes: u32) {
        self.position = self.position.wrapping_add(bytes);
        self.publish(self.position);
    }

    fn publish(&self, word: u32) {
        self.ours().store(word, Release);
        fence(SeqCst);
        let flag = self.memory.word(if self.is_sender { RECEIVER_SLEEPS_AT } else { SENDER_SLEEPS_AT });
        if flag.load(Relaxed) != 0 && flag.swap(0, Relaxed) != 0 {
            wake(self.ours());
        }
    }

    /// The length of the message at our position.
    pub(super) fn length(&self) -> &AtomicU32 {
        self.memory.word(self.place(0))
    }

    /// Copies a message in, behind its length.
    pub(super) fn write(&self, message: &[u8]) {
        let (first, second) = message.split_at(self.until_the_end().min(message.len()));
        self.memory.write(self.place(LENGTH_BYTES), first);
        self.memory.write(HEADER_BYTES, second);
    }

    /// Copies a message out, from behind its length.
    pub(super) fn read(&self, len_bytes: usize, into: &mut Vec<u8>) {
        let first = self.until_the_end().min(len_bytes);
        into.clear();
        self.memory.read(self.place(LENGTH_BYTES), first, into);
        self.memory.read(HEADER_BYTES, len_bytes - first, into);
    }

    /// Where the byte this far behind our position lies.
    fn place(&self, behind: u32) -> usize {
        HEADER_BYTES + (self.position.wrapping_add(behind) & (self.capacity - 1)) as usize
    }

    /// How many bytes there are from the start of the message to the end of the memory, where it
    /// goes on at the beginning.
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

/// A published position without its flags.
fn position(published: u32) -> u32 {
    published & !(STEP_BYTES - 1)
}
