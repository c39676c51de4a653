//! Limits the share of a server's time that connections to its control address can take.
//!
//! A process that may connect there may do so repeatedly, and each refusal costs the server some
//! system calls. Clients must not pay for that. After a few connections, no more are accepted for a
//! multiple of the time that those took. This module is pure, except for the clock that its callers
//! read.

use std::time::{Duration, Instant};

/// How many connections are accepted before a pause. A server with a few successors never gets
/// there.
const BURST: u32 = 8;

/// The ratio of other work to time spent on the control address.
const PAUSE_FACTOR: u32 = 9;

/// The shortest and longest pause. With these, a queue of four thousand unwanted connections is
/// processed in about half a second.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// Decides when the next connection may be accepted.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    accepted: u32,
    spent: Duration,
    until: Option<Instant>,
}

impl Throttle {
    /// Records one connection that was accepted or refused between `began` and `now`.
    pub(crate) fn record(&mut self, began: Instant, now: Instant) {
        self.accepted += 1;
        self.spent += now.saturating_duration_since(began);
        if self.accepted >= BURST {
            let pause = (self.spent * PAUSE_FACTOR).clamp(SHORTEST, LONGEST);
            *self = Throttle { until: now.checked_add(pause), ..Throttle::default() };
        }
    }

    /// Starts the longest pause, after a failed accept.
    pub(crate) fn back_off(&mut self, now: Instant) {
        *self = Throttle { until: now.checked_add(LONGEST), ..Throttle::default() };
    }

    /// Returns the end of the pause, or `None` if a connection may be accepted now.
    pub(crate) fn pause(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_a_tenth_of_the_time_at_most() {
        let each = Duration::from_millis(2);
        let (mut throttle, begun) = (Throttle::default(), Instant::now());
        let (mut now, mut spent) = (begun, Duration::ZERO);
        for _ in 0..10 * BURST {
            now = throttle.pause(now).unwrap_or(now);
            let began = now;
            now += each;
            spent += each;
            throttle.record(began, now);
        }
        now = throttle.pause(now).unwrap();
        assert!(spent * 3 < now - begun, "{spent:?} of {:?}", now - begun);
        let (mut quick, now) = (Throttle::default(), Instant::now());
        for _ in 1..BURST {
            quick.record(now, now);
            assert_eq!(quick.pause(now), None);
        }
        quick.record(now, now);
        assert_eq!(quick.pause(now), Some(now + SHORTEST));
        assert_eq!(quick.pause(now + SHORTEST), None);
    }
}
