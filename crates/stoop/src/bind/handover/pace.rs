//! How much of its time a server spends on those who connect to its control address.
//!
//! Whoever may connect there may do so again and again, and each time costs the server some system
//! calls to refuse him. Clients must not pay for that: after a few connections the address is left
//! alone for a multiple of the time they took. Pure, but for the clock that its callers read.

use std::time::{Duration, Instant};

/// How many are accepted before there is a pause. A server with a few successors never comes to it.
const TURN: u32 = 8;

/// For each instant spent on them, this many for others.
const FOR_OTHERS: u32 = 9;

/// The shortest pause and the longest: a queue of four thousand strangers is gone through in about
/// half a second.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// When the next may be accepted.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    accepted: u32,
    spent: Duration,
    until: Option<Instant>,
}

impl Pace {
    /// Counts one that was accepted or refused, which took from `began` to `now`.
    pub(crate) fn note(&mut self, began: Instant, now: Instant) {
        self.accepted += 1;
        self.spent += now.saturating_duration_since(began);
        if self.accepted >= TURN {
            let pause = (self.spent * FOR_OTHERS).clamp(SHORTEST, LONGEST);
            *self = Pace { until: now.checked_add(pause), ..Pace::default() };
        }
    }

    /// Makes the longest pause: nobody could be accepted.
    pub(crate) fn give_way(&mut self, now: Instant) {
        *self = Pace { until: now.checked_add(LONGEST), ..Pace::default() };
    }

    /// Until when nobody is to be accepted; `None` if somebody may be.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_a_tenth_of_the_time_at_most() {
        let each = Duration::from_millis(2);
        let (mut pace, begun) = (Pace::default(), Instant::now());
        let (mut now, mut spent) = (begun, Duration::ZERO);
        for _ in 0..10 * TURN {
            now = pace.pause(now).unwrap_or(now);
            let began = now;
            now += each;
            spent += each;
            pace.note(began, now);
        }
        now = pace.pause(now).unwrap();
        assert!(spent * 3 < now - begun, "{spent:?} of {:?}", now - begun);
        let (mut quick, now) = (Pace::default(), Instant::now());
        for _ in 1..TURN {
            quick.note(now, now);
            assert_eq!(quick.pause(now), None);
        }
        quick.note(now, now);
        assert_eq!(quick.pause(now), Some(now + SHORTEST));
        assert_eq!(quick.pause(now + SHORTEST), None);
    }
}
