//! Two reports of the same losses, put together. Pure.
//!
//! The buffer of a processor has a record where something was lost, but only in front of the next
//! record that fits. The programs count every loss, but not where. Each loss is reported once: by
//! its record, or after a reading that has counted more than there were records.

use std::collections::HashMap;

/// What was reported of each counter: of a processor, or of several if there are many.
#[derive(Debug, Default)]
pub(super) struct Losses {
    counters: HashMap<usize, Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    total: u64,
    /// How many were reported before their record.
    ahead: u64,
}

impl Losses {
    /// Takes a record of the buffer, and returns how many of its losses are new.
    pub(super) fn recorded(&mut self, counter: usize, count: u64) -> Option<u64> {
        let reported = self.counters.entry(counter).or_default();
        let known = reported.ahead.min(count);
        reported.ahead -= known;
        reported.total += count - known;
        some(count - known)
    }

    /// Takes the number of all losses before a reading, after its records, and returns how many
    /// were not reported.
    pub(super) fn counted(&mut self, counter: usize, total: u64) -> Option<u64> {
        let reported = self.counters.entry(counter).or_default();
        let rest = total.saturating_sub(reported.total);
        reported.ahead += rest;
        reported.total += rest;
        some(rest)
    }
}

fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_reported_once() {
        let mut losses = Losses::default();
        assert_eq!(losses.counted(0, 0), None);
        // A record came first; the count says no more.
        assert_eq!((losses.recorded(0, 5), losses.counted(0, 5)), (Some(5), None));
        // The count came first; the record follows, with two more.
        assert_eq!(
            (losses.counted(0, 8), losses.recorded(0, 5), losses.counted(0, 10)),
            (Some(3), Some(2), None)
        );
        // A program was interrupted before it could count its loss.
        assert_eq!(
            (losses.recorded(0, 1), losses.counted(0, 10), losses.counted(0, 11)),
            (Some(1), None, None)
        );
        assert_eq!(losses.recorded(1, 2), Some(2), "of another processor");
    }
}
