//! What a relay has done, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Defines the counters, what they are summed up in, and their names.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of a running relay.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $($name: AtomicU64,)+
        }

        /// What a relay has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            pub(crate) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl Counts {
            /// Returns each counter with its name and what it counts.
            pub(crate) fn described(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+), self.$name),)+].into_iter()
            }

            /// Returns each counter with its name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Connections that were relayed, those in progress included.
    connections,
    /// Clients that the policy or the program refused.
    refused,
    /// Clients that were closed because their user or group had as many connections as allowed.
    limited,
    /// Clients that were closed because the server could not be reached.
    unreached,
    /// Bytes from clients to the server.
    bytes_up,
    /// Bytes from the server to clients.
    bytes_down,
    /// Messages, on sockets that have them.
    messages,
    /// File descriptors that were passed on.
    descriptors,
    /// File descriptors that the receiver refused, and that were closed.
    lost_descriptors,
    /// Messages that no send buffer could hold, or whose receiver has closed.
    lost_messages,
    /// Connections reset by one end of which the other was told only the end.
    lost_resets,
    /// Connections that were closed because nothing came for too long.
    idle_closed,
    /// Connections that were closed because they had lasted for too long.
    time_closed,
}

impl Counters {
    fn add(counter: &AtomicU64, count: usize) {
        if count > 0 {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn connection(&self) {
        Counters::add(&self.connections, 1);
    }

    pub(crate) fn refusal(&self) {
        Counters::add(&self.refused, 1);
    }

    pub(crate) fn no_server(&self) {
        Counters::add(&self.unreached, 1);
    }

    pub(crate) fn bytes(&self, is_up: bool, count: usize) {
        Counters::add(if is_up { &self.bytes_up } else { &self.bytes_down }, count);
    }

    pub(crate) fn message(&self, descriptors: usize) {
        Counters::add(&self.messages, 1);
        self.descriptors(descriptors);
    }

    pub(crate) fn descriptors(&self, count: usize) {
        Counters::add(&self.descriptors, count);
    }

    pub(crate) fn lost_descriptors(&self, count: usize) {
        Counters::add(&self.lost_descriptors, count);
    }

    pub(crate) fn lost_message(&self) {
        Counters::add(&self.lost_messages, 1);
    }

    pub(crate) fn lost_reset(&self) {
        Counters::add(&self.lost_resets, 1);
    }

    pub(crate) fn over_limit(&self) {
        Counters::add(&self.limited, 1);
    }

    pub(crate) fn out_of_time(&self) {
        Counters::add(&self.time_closed, 1);
    }

    pub(crate) fn idle(&self) {
        Counters::add(&self.idle_closed, 1);
    }
}
