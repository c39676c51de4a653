//! What sockets did between two times. Pure.

use std::time::Duration;

use stoop_bpf::{Latencies, SocketCounts};

use super::latency;

/// Calls in one direction, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Calls that transferred something.
    pub calls: u64,
    /// The bytes that they transferred.
    pub bytes: u64,
}

/// What a socket did, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// What it sent.
    pub sent: Traffic,
    /// What it received.
    pub received: Traffic,
    /// Calls that failed to send or to receive.
    pub errors: u64,
    /// Calls that would have had to wait for space in the receiver's queue.
    pub send_waits: u64,
    /// Clients that connected.
    pub connects: u64,
    /// How long messages waited until it received them.
    pub latencies: Latencies,
    /// Since when its oldest measured message has not been received.
    pub unread_since_ns: Option<u64>,
    /// When it last sent or received anything.
    pub active_at_ns: Option<u64>,
}

impl Traffic {
    fn add(&mut self, other: Traffic) {
        self.calls = self.calls.saturating_add(other.calls);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Activity {
    /// Returns what a socket did since it had counted `before`. Counts that are lower than before
    /// are those of a socket that is counted from zero again.
    pub fn since(now: &SocketCounts, before: &SocketCounts) -> Activity {
        let zero = SocketCounts::default();
        let is_new = now.sent_calls < before.sent_calls || now.received_calls < before.received_calls;
        let before = if is_new || now.connects < before.connects { &zero } else { before };
        let traffic = |calls: fn(&SocketCounts) -> u64, bytes: fn(&SocketCounts) -> u64| Traffic {
            calls: calls(now).saturating_sub(calls(before)),
            bytes: bytes(now).saturating_sub(bytes(before)),
        };
        let errors = |counts: &SocketCounts| counts.send_errors.saturating_add(counts.receive_errors);
        Activity {
            sent: traffic(|counts| counts.sent_calls, |counts| counts.sent_bytes),
            received: traffic(|counts| counts.received_calls, |counts| counts.received_bytes),
            errors: errors(now).saturating_sub(errors(before)),
            send_waits: now.send_waits.saturating_sub(before.send_waits),
            connects: now.connects.saturating_sub(before.connects),
            latencies: latency::since(&now.latencies, &before.latencies),
            unread_since_ns: now.unread_since_ns,
            active_at_ns: now.sent_at_ns.max(now.received_at_ns),
        }
    }

    /// Adds what another socket did.
    pub fn add(&mut self, other: &Activity) {
        self.sent.add(other.sent);
        self.received.add(other.received);
        self.errors = self.errors.saturating_add(other.errors);
        self.send_waits = self.send_waits.saturating_add(other.send_waits);
        self.connects = self.connects.saturating_add(other.connects);
        latency::add(&mut self.latencies, &other.latencies);
        let oldest = [self.unread_since_ns, other.unread_since_ns];
        self.unread_since_ns = oldest.into_iter().flatten().min();
        self.active_at_ns = self.active_at_ns.max(other.active_at_ns);
    }
}

/// Returns an amount per second.
pub fn per_second(amount: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if seconds > 0.0 { amount as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn counts(numbers: [u32; 6]) -> SocketCounts {
        let [sent, sent_bytes, received, received_bytes, errors, connects] = numbers.map(u64::from);
        let mut counts = SocketCounts::default();
        (counts.sent_calls, counts.sent_bytes) = (sent, sent_bytes);
        (counts.received_calls, counts.received_bytes) = (received, received_bytes);
        (counts.send_errors, counts.connects) = (errors, connects);
        counts
    }

    proptest! {
        #[test]
        fn the_difference_is_what_was_added(before in any::<[u32; 6]>(), added in any::<[u32; 6]>()) {
            let (before, added) = (counts(before), counts(added));
            let mut now = before.clone();
            now.sent_calls += added.sent_calls;
            now.sent_bytes += added.sent_bytes;
            now.received_calls += added.received_calls;
            now.received_bytes += added.received_bytes;
            now.send_errors += added.send_errors;
            now.connects += added.connects;
            prop_assert_eq!(Activity::since(&now, &before), Activity::since(&added, &SocketCounts::default()));
        }

        #[test]
        fn adding_is_commutative(one in any::<[u32; 6]>(), other in any::<[u32; 6]>(), times in any::<[Option<u64>; 2]>()) {
            let of = |numbers, unread| {
                let mut activity = Activity::since(&counts(numbers), &SocketCounts::default());
                activity.unread_since_ns = unread;
                activity
            };
            let (one, other) = (of(one, times[0]), of(other, times[1]));
            let (mut forth, mut back) = (one.clone(), other.clone());
            forth.add(&other);
            back.add(&one);
            prop_assert_eq!(forth, back);
        }
    }

    #[test]
    fn a_socket_that_is_counted_anew_did_what_it_has_counted() {
        let (before, now) = (counts([100, 1000, 5, 50, 1, 0]), counts([3, 30, 5, 50, 0, 0]));
        let activity = Activity::since(&now, &before);
        assert_eq!((activity.sent, activity.received.calls), (Traffic { calls: 3, bytes: 30 }, 5));
    }

    #[test]
    fn rates_of_no_time_are_zero() {
        assert_eq!(per_second(5, Duration::ZERO), 0.0);
        assert_eq!(per_second(5, Duration::from_millis(500)), 10.0);
    }
}
