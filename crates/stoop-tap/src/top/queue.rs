//! What waits in queues, of one socket or of several together. Pure.

/// Bytes that arrived and were not received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// How many, at least.
    pub bytes: u64,
    /// Whether it is all of them: the queue of some sockets is not known.
    pub is_complete: bool,
}

/// Clients that have connected and were not accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many there are.
    pub waiting: u64,
    /// The limits given to `listen`.
    pub limit: u64,
    /// How many listeners are full: the next client has to wait, or is refused.
    pub full: u64,
}

impl Default for Unread {
    fn default() -> Unread {
        Unread { bytes: 0, is_complete: true }
    }
}

impl Unread {
    /// Adds the queue of another socket. `None` if it is not known.
    pub fn add(&mut self, bytes: Option<u64>) {
        self.bytes = self.bytes.saturating_add(bytes.unwrap_or_default());
        self.is_complete &= bytes.is_some();
    }
}

impl Backlog {
    /// Adds a listener. One more client than the limit fits.
    pub fn add(&mut self, waiting: u64, limit: u64) {
        self.waiting += waiting;
        self.limit += limit;
        self.full += u64::from(waiting > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unknown_queue_makes_a_sum_a_lower_bound() {
        let mut unread = Unread::default();
        unread.add(Some(3));
        assert_eq!(unread, Unread { bytes: 3, is_complete: true });
        unread.add(None);
        assert_eq!(unread, Unread { bytes: 3, is_complete: false });
    }

    #[test]
    fn a_backlog_is_full_with_one_more_than_its_limit() {
        let mut backlog = Backlog::default();
        backlog.add(5, 5);
        assert_eq!(backlog.full, 0);
        backlog.add(1, 0);
        assert_eq!(backlog, Backlog { waiting: 6, limit: 5, full: 1 });
    }
}
