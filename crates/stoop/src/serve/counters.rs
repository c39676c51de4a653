//! What a server has done so far, for whoever exports it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A handle on a server's counts, which outlives the server.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Cells>);

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Cells {
            $(pub(super) $name: AtomicU64,)*
        }

        /// The counts at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// The counts at this moment.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.0.$name.load(Relaxed),)* }
            }
        }

        impl Snapshot {
            /// Each count with its name, as exporters want them.
            ///
            /// ```
            /// let counters = stoop::serve::Counters::default();
            /// for (name, value) in counters.snapshot().iter() {
            ///     println!("myserver_{name} {value}");
            /// }
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counts! {
    /// Clients (of [`Datagrams`](super::Datagrams): messages) that were given to the handler.
    accepted
    /// Of these, being handled now.
    active
    /// The most that were ever handled at once.
    peak
    /// Handled to the end.
    finished
    /// Ended by a panic in the handler.
    panicked
    /// Cut: no byte had moved for the idle timeout.
    idle
    /// Cut: connected for longer than the longest time.
    overdue
    /// Cut: still not finished at the end of draining.
    aborted
    /// Refused by the policy.
    refused_by_policy
    /// Refused because their user had as many connections as one may.
    refused_by_uid
    /// Messages dropped because their sender had as many in flight, or as many replies waiting for it to read, as one may.
    dropped_over_share
    /// Replies that were not sent because their receiver did not read in time.
    replies_timed_out
    /// Replies that were not sent because their receiver did not read, and as many replies were waiting already as may.
    replies_refused
    /// Times that no descriptor or memory was free for a client, who waited on in the queue.
    exhausted
    /// Times that a client could not be accepted, or a message received, for any other reason.
    failed
}

impl Counters {
    pub(super) fn cells(&self) -> &Cells {
        &self.0
    }

    pub(super) fn began(&self) {
        self.0.accepted.fetch_add(1, Relaxed);
        let active = self.0.active.fetch_add(1, Relaxed) + 1;
        self.0.peak.fetch_max(active, Relaxed);
    }

    pub(super) fn ended(&self, how: Ended) {
        self.0.active.fetch_sub(1, Relaxed);
        let cell = match how {
            Ended::Finished => &self.0.finished,
            Ended::Panicked => &self.0.panicked,
            Ended::Idle => &self.0.idle,
            Ended::Overdue => &self.0.overdue,
            Ended::Aborted => &self.0.aborted,
        };
        cell.fetch_add(1, Relaxed);
    }
}

/// How one client's, or one message's, handling came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Finished,
    Panicked,
    Idle,
    Overdue,
    Aborted,
}
