//! What was counted before, to compare with. Pure.

use std::collections::HashMap;

use stoop_bpf::SocketCounts;

use super::activity::Activity;

/// Remembers what was counted of each socket.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    sockets: HashMap<u64, SocketCounts>,
}

impl Ledger {
    /// Takes what has been counted of every socket so far, and returns what each did since the last
    /// time, by its cookie. A socket that is missing is forgotten.
    pub fn update(&mut self, counts: Vec<SocketCounts>) -> HashMap<u64, Activity> {
        let before = std::mem::take(&mut self.sockets);
        let zero = SocketCounts::default();
        let mut activities = HashMap::with_capacity(counts.len());
        self.sockets.reserve(counts.len());
        for now in counts {
            let before = before.get(&now.cookie).unwrap_or(&zero);
            activities.insert(now.cookie, Activity::since(&now, before));
            self.sockets.insert(now.cookie, now);
        }
        activities
    }

    /// Returns what was counted of a socket the last time.
    pub fn get(&self, cookie: u64) -> Option<&SocketCounts> {
        self.sockets.get(&cookie)
    }

    /// Forgets a socket that was closed.
    pub fn forget(&mut self, cookie: u64) {
        self.sockets.remove(&cookie);
    }

    /// Returns what was counted of every socket the last time.
    pub fn iter(&self) -> impl Iterator<Item = &SocketCounts> {
        self.sockets.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counts(cookie: u64, calls: u64) -> SocketCounts {
        let mut counts = SocketCounts::default();
        (counts.cookie, counts.sent_calls, counts.sent_bytes) = (cookie, calls, 10 * calls);
        counts
    }

    proptest! {
        /// Sockets come and go; what is reported adds up to what was counted.
        #[test]
        fn nothing_is_lost_or_counted_twice(steps in proptest::collection::vec((0u64..5, 0u64..100), 0..100)) {
            let (mut ledger, mut totals, mut reported) = (Ledger::default(), [0u64; 5], [0u64; 5]);
            for (cookie, calls) in steps {
                totals[cookie as usize] += calls;
                let all = (0..5).map(|cookie| counts(cookie, totals[cookie as usize])).collect();
                for (cookie, activity) in ledger.update(all) {
                    prop_assert_eq!(activity.sent.bytes, 10 * activity.sent.calls);
                    reported[cookie as usize] += activity.sent.calls;
                }
                prop_assert_eq!(reported, totals);
            }
        }
    }

    #[test]
    fn a_socket_that_is_missing_is_forgotten() {
        let mut ledger = Ledger::default();
        ledger.update(vec![counts(1, 10), counts(2, 10)]);
        ledger.update(vec![counts(2, 11)]);
        assert_eq!(ledger.update(vec![counts(1, 10), counts(2, 11)])[&1].sent.calls, 10);
        ledger.forget(2);
        assert_eq!((ledger.get(2), ledger.iter().count()), (None, 1));
    }
}
