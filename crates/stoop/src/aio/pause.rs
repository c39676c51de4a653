//! How long to wait before trying again, where nothing can be waited for: longer each time, and not
//! in step with others.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first pause, and the longest. The kernel's own wake-up is what these stand in for: short
/// enough to be next when there is room, long enough that thousands of waiting tasks cost little.
const FIRST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(32);

/// Pauses that double, each cut by a random part of up to a half.
#[derive(Debug)]
pub(crate) struct Pause {
    next: Duration,
    longest: Duration,
}

impl Pause {
    pub(crate) fn new() -> Pause {
        Pause { next: FIRST, longest: LONGEST }
    }

    /// Pauses of no less than `first` and up to `longest`.
    pub(crate) fn between(first: Duration, longest: Duration) -> Pause {
        Pause { next: first, longest }
    }

    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        // Each `RandomState` has keys of its own: a cheap source of numbers that are hard to bring into
        // step.
        let part = (RandomState::new().hash_one(()) % 1024) as u32;
        pause - pause * part / 2048
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut pause = Pause::new();
        let pauses: Vec<_> = (0..40).map(|_| pause.next()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[20..].iter().all(|&pause| pause <= LONGEST && pause >= LONGEST / 2));
        assert!(pauses[20..].windows(2).any(|two| two[0] != two[1]));
    }
}
