//! Events of several processors in the order of their time. Pure.

use stoop_bpf::{Captured, Event};

/// What was captured, with the bytes of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Event(Event, Vec<u8>),
    /// That many events were lost here.
    Lost(u64),
}

/// Puts events in order. Each processor reports its own in order; an event is released when none
/// that is earlier can follow.
#[derive(Clone, Debug, Default)]
pub struct Reorder {
    waiting: Vec<(u64, Entry)>,
    /// Losses that wait for the time of the next event of their processor.
    lost: Vec<(u32, u64)>,
    last_ns: u64,
}

impl Reorder {
    /// Adds what a processor has reported, in its order.
    pub fn push(&mut self, processor: u32, captured: Captured<'_>) {
        match captured {
            Captured::Event(event, bytes) => {
                self.place_lost(processor, event.time_ns);
                self.last_ns = self.last_ns.max(event.time_ns);
                self.waiting.push((event.time_ns, Entry::Event(event, bytes.to_vec())));
            }
            Captured::Lost(count) => self.lost.push((processor, count)),
        }
    }

    /// Returns what happened until this time, in order, and keeps the rest.
    pub fn release(&mut self, until_ns: u64) -> Vec<Entry> {
        // No event of that processor followed: the loss is the last that is known of it.
        for (_, count) in std::mem::take(&mut self.lost) {
            self.waiting.push((self.last_ns, Entry::Lost(count)));
        }
        self.waiting.sort_by_key(|(time_ns, _)| *time_ns);
        let len = self.waiting.partition_point(|(time_ns, _)| *time_ns <= until_ns);
        self.waiting.drain(..len).map(|(_, entry)| entry).collect()
    }

    fn place_lost(&mut self, processor: u32, time_ns: u64) {
        let (here, elsewhere) =
            std::mem::take(&mut self.lost).into_iter().partition(|(at, _)| *at == processor);
        self.lost = elsewhere;
        let here: Vec<(u32, u64)> = here;
        self.waiting.extend(here.into_iter().map(|(_, count)| (time_ns, Entry::Lost(count))));
    }
}
