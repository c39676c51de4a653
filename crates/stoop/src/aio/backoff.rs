//! Randomized exponential back-off, for conditions that no event signals.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first pause and the longest one.
///
/// They stand in for a wake-up by the kernel: short enough to be next in line when there is room,
/// long enough that thousands of waiting tasks cost little.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(32);

/// Back-off whose pauses double, each shortened by a random part of up to half.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff { next: FIRST, longest: LONGEST }
    }

    /// Creates a back-off with pauses from `first` up to `longest`.
    pub(crate) fn between(first: Duration, longest: Duration) -> Backoff {
        Backoff { next: first, longest }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        // Each `RandomState` has its own random keys: a cheap source of numbers that are not
        // correlated between tasks.
        let part = (RandomState::new().hash_one(()) % 1024) as u32;
        pause - pause * part / 2048
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[20..].iter().all(|&pause| pause <= LONGEST && pause >= LONGEST / 2));
        assert!(pauses[20..].windows(2).any(|two| two[0] != two[1]));
    }
}
