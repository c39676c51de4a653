//! Recording the datagrams of a client, and injecting faults into them: what came, and what waits
//! until it is due.

use std::collections::VecDeque;
use std::time::Instant;

use crate::carry::{Message, Tap};
use crate::counters::Counters;
use crate::fault::Gate;

/// How many messages of a client wait at most in one direction. More are lost.
const WAITING: usize = 4096;

/// The messages of one direction.
#[derive(Debug)]
pub(crate) struct Waiting {
    tap: Tap,
    queue: VecDeque<(Instant, Message)>,
}

impl Waiting {
    pub(crate) fn new(tap: Tap) -> Waiting {
        Waiting { tap, queue: VecDeque::new() }
    }

    /// A message has come. Returns it if it goes on at once.
    pub(crate) fn arrived(&mut self, message: Message, counters: &Counters) -> Option<Message> {
        if let Some(watch) = &mut self.tap.watch {
            watch.data(&message.0, &message.1);
        }
        let Some(injector) = &mut self.tap.injector else { return Some(message) };
        if matches!(injector.gate(), Gate::Stall) {
            return None;
        }
        let (mut bytes, mut fds) = message;
        let pass = injector.pass(bytes.len());
        if let Some((place, change)) = pass.corrupt {
            bytes[place] ^= change;
        }
        for _ in 0..pass.copies {
            if self.queue.len() >= WAITING {
                counters.lost_message();
                break;
            }
            // A second copy has no file descriptors.
            self.queue.push_back((injector.instant(pass.due), (bytes.clone(), std::mem::take(&mut fds))));
        }
        None
    }

    /// Takes the next message that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Message> {
        self.queue
            .front()
            .is_some_and(|(due, _)| *due <= now)
            .then(|| self.queue.pop_front())?
            .map(|(_, message)| message)
    }

    /// Returns when the next message is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(due, _)| *due)
    }

    /// A message could not be received.
    pub(crate) fn lost(&self) {
        if let Some(watch) = &self.tap.watch {
            watch.lost();
        }
    }
}
