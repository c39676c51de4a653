//! Entries and frames made by hand, for tests.

use std::collections::HashMap;
use std::time::Duration;

use stoop_inspect::Snapshot;
use stoop_tap::SocketCounts;
use stoop_tap::top::{Activity, Backlog, Unread};

use super::accounts::Entry;
use super::frame::Frame;

/// Returns what a socket did: so many calls with so many bytes each way, each in the fourth range
/// of latencies.
pub(super) fn activity(calls: u64, bytes: u64) -> Activity {
    let mut counts = SocketCounts::default();
    (counts.received_calls, counts.received_bytes) = (calls, bytes);
    (counts.sent_calls, counts.sent_bytes) = (calls, 2 * bytes);
    counts.received_at_ns = Some(1);
    counts.latencies.ranges[3] = calls as u32;
    counts.latencies.sum_ns = calls * 3000;
    Activity::since(&counts, &SocketCounts::default())
}

/// Returns an entry with one connection.
pub(super) fn entry(name: &str, calls: u64, bytes: u64) -> Entry {
    let mut activity = activity(calls, bytes);
    activity.unread_since_ns = Some(1_000_000_000);
    Entry {
        id: name.into(),
        name: name.into(),
        server: Some("812/server".into()),
        client: None,
        activity: Some(activity),
        unread: Unread { bytes: 120, is_complete: true },
        backlog: Some(Backlog { waiting: 1, limit: 128, full: 0 }),
        connections: 1,
    }
}

/// Returns a frame of this machine, on which each socket received ten messages of ten bytes and
/// answered them, in two seconds.
pub(super) fn frame(snapshot: Snapshot) -> Frame {
    let cookies = snapshot.sockets.iter().filter_map(|socket| socket.cookie);
    let activities: HashMap<u64, Activity> = cookies.map(|cookie| (cookie, activity(10, 100))).collect();
    Frame {
        snapshot,
        activities: Some(activities),
        closed: Vec::new(),
        span: Duration::from_secs(2),
        now_ns: 5_000_000_000,
        uncounted: 0,
    }
}
