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
    /// Takes the message that is received, and returns how many bytes of it were reported, if any
    /// were.
    pub(crate) fn reported(&mut self, message: &Message, bytes: &[u8], losses: u64) -> Option<u32> {
        let current = Current::of(message, losses);
        let last = self.current.replace(current);
        let goes_on = || last.filter(|last| message.consumed > 0 && last.is_continued_by(&current));
        self.take(message, bytes).or_else(|| Some(goes_on()?.len))
    }

    /// Remembers a message that a call has left in the queue.
    pub(crate) fn keep(&mut self, contents: Contents) {
        if self.peeked.len() >= PEEKED_MAX {
            self.peeked.pop_front();
        }
        self.peeked.push_back(contents);
    }

    /// Forgets a message that was kept, and returns how long it was.
    fn take(&mut self, message: &Message, bytes: &[u8]) -> Option<u32> {
        let at = self.peeked.iter().position(|kept| kept.is_of(message, bytes))?;
        self.peeked.remove(at).map(|kept| kept.len)
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

    /// Returns whether `next` is about the same message, which may have grown ([K-TAP-13]). The
    /// kernel reuses buffers: if events were lost in between, or it has grown, only if it continues
    /// at the end of this one, or repeats it.
    ///
    /// [K-TAP-13]: stoop::kernel_facts#K-TAP-13
    fn is_continued_by(&self, next: &Current) -> bool {
        let continues = [self.consumed, self.consumed.wrapping_add(self.copied)].contains(&next.consumed);
        let is_certain = continues || (self.losses, self.len) == (next.losses, next.len);
        self.buffer == next.buffer && self.len <= next.len && is_certain
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
    is_stream: bool,
}

impl Contents {
    pub(crate) fn of(message: &Message, bytes: &[u8], is_stream: bool) -> Contents {
        let (captured, digest) = (bytes.len(), digest(bytes));
        Contents { buffer: message.buffer, len: message.len, captured, digest, is_stream }
    }

    /// Returns whether it may be what was reported of this message. More may have been captured of
    /// one, and one of a stream may have grown.
    fn is_of(&self, message: &Message, bytes: &[u8]) -> bool {
        if self.buffer != message.buffer {
            return false;
        }
        if self.len == message.len {
            return self.captured != bytes.len() || self.digest == digest(bytes);
        }
        let is_whole = self.captured == self.len as usize;
        let begins = |len| bytes.get(..len).is_some_and(|begin| self.digest == digest(begin));
        self.is_stream && is_whole && begins(self.captured)
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
