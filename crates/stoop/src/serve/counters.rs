//! Counts of a server's events, for exporters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A handle to a server's counts, which outlives the server.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Cells>);

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Cells {
            $(pub(super) $name: AtomicU64,)*
        }

        /// The counts of a server at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Returns the counts at this moment.
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.0.$name.load(Relaxed),)* }
            }
        }

        impl Snapshot {
            /// Returns each count with its name, for an exporter.
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
    /// Clients that were given to the handler (of [`Datagrams`](super::Datagrams): messages).
    accepted
    /// Of these, the ones being handled now.
    active
    /// The most that were ever handled at once.
    peak
    /// Handlers that returned.
    finished
    /// Handlers that panicked.
    panicked
    /// Connections aborted because no byte moved during the idle timeout.
    idle
    /// Connections aborted because they exceeded the maximum lifetime.
    overdue
    /// Connections aborted because they had not finished at the drain deadline.
    aborted
    /// Clients or messages refused by the policy.
    refused_by_policy
    /// Clients refused because their user had reached the limit on connections.
    refused_by_uid
    /// Messages dropped because their sender or user had reached the limit on messages in flight,
    /// or on replies waiting for it to read.
    dropped_over_share
    /// Replies that were not sent because their receiver did not read in time.
    replies_timed_out
    /// Replies that were not sent because their receiver did not read and the limit on waiting
    /// replies was reached.
    replies_refused
    /// Times that no file descriptor or memory was free for a client, which stayed in the queue.
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

/// How the handling of one client or message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Finished,
    Panicked,
    Idle,
    Overdue,
    Aborted,
}
