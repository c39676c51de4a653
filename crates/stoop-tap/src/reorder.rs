//! Events of several processors in the order of their time. Pure.

use std::collections::HashMap;

use stoop_bpf::{Captured, Event};

/// What was captured, with the bytes of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Event(Event, Vec<u8>),
    /// Events were lost here.
    Lost(Loss),
}

/// Events that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// How many.
    pub count: u64,
    /// Why.
    pub cause: Cause,
}

impl Loss {
    /// Creates a value.
    pub fn new(count: u64, cause: Cause) -> Loss {
        Loss { count, cause }
    }
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The buffer of a processor was full. The count is exact.
    BufferFull,
    /// The kernel did not run a program on a processor where it was running already, interrupted.
    /// The count is the most that can be missing: the program may have had nothing to report.
    ProgramSkipped,
}

/// Puts events in order. Each processor reports its own in order; an event is released when none
/// that is earlier can follow.
///
/// A loss stands where it can have begun: behind the last event of its processor that is known, and
/// in front of everything that may have followed it.
#[derive(Clone, Debug, Default)]
pub struct Reorder {
    waiting: Vec<(u64, Entry)>,
    /// The time of the last event of each processor.
    last_ns: HashMap<u32, u64>,
}

impl Reorder {
    /// Adds what a processor has reported, in its order.
    pub fn push(&mut self, processor: u32, captured: Captured<'_>) {
        let entry = match captured {
            Captured::Event(event, bytes) => {
                self.last_ns.insert(processor, event.time_ns);
                (event.time_ns, Entry::Event(event, bytes.to_vec()))
            }
            Captured::Lost(count) => {
                let loss = Loss::new(count, Cause::BufferFull);
                (self.last_ns.get(&processor).copied().unwrap_or(0), Entry::Lost(loss))
            }
            Captured::Skipped(skipped) => {
                let loss = Loss::new(skipped.count, Cause::ProgramSkipped);
                (skipped.since_ns, Entry::Lost(loss))
            }
        };
        self.waiting.push(entry);
    }

    /// Returns what happened until this time, in order, and keeps the rest.
    pub fn release(&mut self, until_ns: u64) -> Vec<Entry> {
        self.waiting.sort_by_key(|(time_ns, _)| *time_ns);
        let len = self.waiting.partition_point(|(time_ns, _)| *time_ns <= until_ns);
        self.waiting.drain(..len).map(|(_, entry)| entry).collect()
    }
}
