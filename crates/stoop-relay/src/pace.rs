//! How fast one direction may go: a token bucket, whose tokens are bytes. Pure: it is given the
//! time.

use std::time::Duration;

/// How much time a direction that has waited may make up for.
const SLACK: Duration = Duration::from_millis(100);

/// The pace of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When everything that has been moved would have been moved at exactly this pace.
    due: Duration,
}

impl Pace {
    /// Creates a pace, which must not be 0.
    pub(crate) fn new(bytes_per_second: u64) -> Pace {
        Pace { bytes_per_second: bytes_per_second.max(1), due: Duration::ZERO }
    }

    /// Returns whether more may be moved at this time.
    pub(crate) fn allows(&self, now: Duration) -> bool {
        self.due <= now
    }

    /// Plans to move so much as soon as it may be. Returns when that is.
    pub(crate) fn plan(&mut self, now: Duration, bytes: usize) -> Duration {
        let at = self.due.max(now);
        self.moved(at, bytes);
        at
    }

    /// Notes that so much was moved at this time.
    pub(crate) fn moved(&mut self, now: Duration, bytes: usize) {
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.bytes_per_second));
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(now.saturating_sub(SLACK)).saturating_add(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Over any time, no more is moved than the pace, one piece and the slack allow; and a
        /// direction that always has something to move is not held back below its pace.
        #[test]
        fn the_pace_is_kept(
            rate in 1u64..100_000_000,
            pieces in proptest::collection::vec((1usize..300_000, 0u64..20_000), 1..100),
        ) {
            let mut pace = Pace::new(rate);
            let (mut now, mut moved, mut largest) = (SLACK, 0u128, 0);
            for (piece, lateness) in pieces {
                now = now.max(pace.due + Duration::from_micros(lateness));
                prop_assert!(pace.allows(now));
                pace.moved(now, piece);
                (moved, largest) = (moved + piece as u128, largest.max(piece));
                let allowed = now.as_nanos() * u128::from(rate) / 1_000_000_000;
                prop_assert!(moved <= allowed + largest as u128 + 1);
            }
            // It was never later than the slack, so it has made up for that.
            let exact = moved * 1_000_000_000 / u128::from(rate);
            let late = pace.due.as_nanos().saturating_sub(exact);
            prop_assert!(late <= SLACK.as_nanos() + 20_000_000 + 100);
        }
    }

    #[test]
    fn what_is_planned_comes_one_after_the_other() {
        let mut pace = Pace::new(1000);
        let now = Duration::from_secs(5);
        let plans: Vec<u128> = (0..4).map(|_| pace.plan(now, 500).as_millis()).collect();
        // The time that it may make up for comes first.
        assert_eq!(plans, [5000, 5400, 5900, 6400]);
    }

    #[test]
    fn a_huge_piece_does_not_overflow() {
        let mut pace = Pace::new(0);
        pace.moved(Duration::MAX, usize::MAX);
        assert!(!pace.allows(Duration::from_secs(1)));
    }
}
