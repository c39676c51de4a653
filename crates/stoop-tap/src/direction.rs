//! What is remembered of one direction of a connection. Pure.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use stoop_bpf::{BufferKey, Message};

/// How many messages are remembered that were reported and not received.
const PEEKED_MAX: usize = 4_096;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Direction {
    /// The message that was received last, whole or in part.
    current: Option<Current>,
    /// Messages that were reported, and are still in the queue unless they were dropped.
    peeked: VecDeque<Contents>,
}

impl Direction {
    /// Takes the message that is received, and returns whether it goes on with the last one.
    pub(crate) fn goes_on(&mut self, message: &Message, losses: u64) -> bool {
        let current = Current::of(message, losses);
        self.current.replace(current).is_some_and(|last| last.is_continued_by(&current))
    }

    /// Remembers a message that a call has left in the queue.
    pub(crate) fn keep(&mut self, contents: Contents) {
        if self.peeked.len() >= PEEKED_MAX {
            self.peeked.pop_front();
        }
        self.peeked.push_back(contents);
    }

    /// Returns whether a message was kept, and forgets it.
    pub(crate) fn take(&mut self, contents: &Contents) -> bool {
        let at = self.peeked.iter().position(|kept| kept.is_same(contents));
        at.is_some_and(|at| self.peeked.remove(at).is_some())
    }
}

/// A message that was received, whole or in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Current {
    buffer: BufferKey,
    len: u32,
    consumed: u32,
    copied: u32,
    /// The number of losses before it.
    losses: u64,
}

impl Current {
    fn of(message: &Message, losses: u64) -> Current {
        let Message { buffer, len, consumed, copied, .. } = *message;
        Current { buffer, len, consumed, copied, losses }
    }

    /// Returns whether `next` is about the same message. The kernel reuses buffers: if events were
    /// lost in between, only if it continues where this one ended, or repeats it.
    fn is_continued_by(&self, next: &Current) -> bool {
        let is_same = (self.buffer, self.len) == (next.buffer, next.len);
        let continues = [self.consumed, self.consumed.wrapping_add(self.copied)].contains(&next.consumed);
        is_same && (self.losses == next.losses || continues)
    }
}

/// What distinguishes a message from another one in the same buffer. The kernel reuses the buffers
/// of messages, also of those that were dropped unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    buffer: BufferKey,
    len: u32,
    captured: usize,
    digest: u64,
}

impl Contents {
    pub(crate) fn of(message: &Message, bytes: &[u8]) -> Contents {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let (captured, digest) = (bytes.len(), hasher.finish());
        Contents { buffer: message.buffer, len: message.len, captured, digest }
    }

    /// Returns whether both may be the same message. More may have been captured of one.
    fn is_same(&self, other: &Contents) -> bool {
        (self.buffer, self.len) == (other.buffer, other.len)
            && (self.captured != other.captured || self.digest == other.digest)
    }
}
