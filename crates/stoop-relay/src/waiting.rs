//! The datagrams of a client on their way: recorded, delayed by faults, and held back to the pace
//! that is allowed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::carry::{Hooks, Message};
use crate::counters::Counters;
use crate::fault::Gate;
use crate::pace::Pace;

/// How many messages, and how many bytes, of a client wait at most in one direction. More are lost.
const WAITING: usize = 4096;
const WAITING_BYTES: usize = 4 << 20;

/// What is due later than that is not due in the life of this process.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// The messages of one direction.
#[derive(Debug)]
pub(crate) struct Waiting {
    hooks: Hooks,
    /// How fast they may go, and the start of its time.
    pace: Option<(Pace, Instant)>,
    queue: VecDeque<(Instant, Message)>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn new(hooks: Hooks, bytes_per_second: Option<u64>) -> Waiting {
        let pace = bytes_per_second.map(|rate| (Pace::new(rate), Instant::now()));
        Waiting { hooks, pace, queue: VecDeque::new(), bytes: 0 }
    }

    /// A message has come. Returns it if it goes on at once.
    pub(crate) fn arrived(&mut self, message: Message, counters: &Counters) -> Option<Message> {
        if let Some(watch) = &mut self.hooks.watch {
            watch.data(&message.0, &message.1);
        }
        let Some(injector) = &mut self.hooks.injector else { return self.paced(message, counters) };
        if matches!(injector.gate(), Gate::Stall) {
            return None;
        }
        let (mut bytes, mut fds) = message;
        let pass = injector.pass(bytes.len());
        let due = injector.instant(pass.due);
        if let Some((place, change)) = pass.corrupt {
            bytes[place] ^= change;
        }
        for _ in 0..pass.copies {
            // A second copy has no file descriptors.
            self.push(due, (bytes.clone(), std::mem::take(&mut fds)), counters);
        }
        None
    }

    /// Returns a message that may go on at once. Another waits.
    fn paced(&mut self, message: Message, counters: &Counters) -> Option<Message> {
        let now = Instant::now();
        let is_next = self.queue.is_empty();
        match &mut self.pace {
            Some((pace, start)) if is_next && pace.allows(now - *start) => {
                pace.moved(now - *start, message.0.len());
            }
            Some(_) => {
                self.push(now, message, counters);
                return None;
            }
            None => {}
        }
        Some(message)
    }

    /// Adds a message that is due at this time, or as soon after it as the pace allows.
    fn push(&mut self, due: Instant, message: Message, counters: &Counters) {
        let len = message.0.len();
        let has_room = self.queue.is_empty() || self.bytes.saturating_add(len) <= WAITING_BYTES;
        if self.queue.len() >= WAITING || !has_room {
            return counters.lost_message();
        }
        let due = match &mut self.pace {
            Some((pace, start)) => *start + pace.plan(due.saturating_duration_since(*start), len).min(NEVER),
            None => due,
        };
        self.bytes += len;
        self.queue.push_back((due, message));
    }

    /// Takes the next message that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Message> {
        self.queue.front().filter(|(due, _)| *due <= now)?;
        let (_, message) = self.queue.pop_front()?;
        self.bytes -= message.0.len();
        Some(message)
    }

    /// Returns when the next message is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// Returns whether the sender should wait: what it sends goes faster than it may.
    pub(crate) fn holds_back(&self) -> bool {
        self.pace.is_some() && !self.queue.is_empty()
    }

    /// Returns how many messages wait.
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// A message could not be received.
    pub(crate) fn lost(&self) {
        if let Some(watch) = &self.hooks.watch {
            watch.lost();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_fast_waits_in_order_and_more_than_that_is_lost() {
        let counters = Counters::default();
        let mut waiting = Waiting::new(Hooks::default(), Some(100_000));
        let message = |number: u8| (vec![number; 100_000], Vec::new());
        assert!(waiting.arrived(message(0), &counters).is_some());
        for number in 1..=50 {
            assert!(waiting.arrived(message(number), &counters).is_none());
        }
        assert!(waiting.holds_back());
        let fit = WAITING_BYTES / 100_000;
        assert_eq!(counters.counts().lost_messages, 50 - fit as u64);
        let start = Instant::now();
        assert!(waiting.take_due(start - Duration::from_millis(1)).is_none());
        for number in 1..=fit {
            let (bytes, _) = waiting.take_due(start + Duration::from_secs(number as u64)).unwrap();
            assert_eq!(usize::from(bytes[0]), number);
        }
        assert!(!waiting.holds_back() && waiting.bytes == 0);
    }
}
