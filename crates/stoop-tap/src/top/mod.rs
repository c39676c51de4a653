//! Accounting: from what was counted to rates and latencies. Pure.
//!
//! [`Ledger`] compares what was counted of each socket with the time before and returns its
//! [`Activity`]; activities of several sockets are added. What is not known stays `None`: without
//! counters there are no rates, and of some queues the length is not known.
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//! use stoop_tap::top::Ledger;
//! use stoop_tap::SocketCounts;
//!
//! let mut counts = SocketCounts::default();
//! (counts.cookie, counts.received_calls, counts.received_bytes) = (1, 10, 1000);
//! let mut ledger = Ledger::default();
//! ledger.update(vec![counts.clone()]);
//! counts.received_calls += 50;
//! let activity = ledger.update(vec![counts]).remove(&1).unwrap();
//! assert_eq!(activity.received.calls, 50);
//! assert_eq!(stoop_tap::top::per_second(activity.received.calls, Duration::from_secs(2)), 25.0);
//! ```

mod activity;
mod latency;
mod ledger;
mod queue;

pub use activity::{Activity, Traffic, per_second};
pub use latency::{histogram, mean_ns, percentile_ns};
pub use ledger::Ledger;
pub use queue::{Backlog, Unread};
