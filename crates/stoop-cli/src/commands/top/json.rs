//! Entries as JSON lines. Pure.

use serde::Serialize;
use stoop_tap::top::{mean_ns, percentile_ns};

use super::accounts::Entry;
use super::args::By;
use super::column::{Moment, age};
use super::frame::Frame;
use crate::output::{SCHEMA, push_json};
use crate::time;

/// A line of the table. What is not known is absent.
#[derive(Serialize)]
struct EntryFields<'a> {
    schema: u32,
    event: &'static str,
    by: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    activity: Option<ActivityFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_unread_ns: Option<u64>,
    unread_bytes: u64,
    unread_complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u64>,
    connections: u64,
}

#[derive(Serialize)]
struct ActivityFields {
    received_calls: u64,
    received_bytes: u64,
    sent_calls: u64,
    sent_bytes: u64,
    errors: u64,
    send_waits: u64,
    connects: u64,
    measured: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_mean_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_p99_ns: Option<u64>,
}

/// The end of a look.
#[derive(Serialize)]
struct LookFields<'a> {
    schema: u32,
    event: &'static str,
    time: String,
    span_ms: u64,
    sockets: usize,
    lines: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncounted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_counted_because: Option<&'a str>,
}

/// Formats the entries of a look, and its end.
pub(super) fn lines(frame: &Frame, entries: &[Entry], by: By, missing: Option<&str>) -> Vec<u8> {
    let moment = Moment { span: frame.span, now_ns: frame.now_ns };
    let mut text = Vec::with_capacity(entries.len() * 300);
    for entry in entries {
        push_json(&fields(entry, by, moment), &mut text);
    }
    let look = LookFields {
        schema: SCHEMA,
        event: "look",
        time: time::utc_millis(frame.snapshot.taken),
        span_ms: frame.span.as_millis() as u64,
        sockets: frame.snapshot.sockets.len(),
        lines: entries.len(),
        uncounted: frame.activities.as_ref().map(|_| frame.uncounted),
        not_counted_because: missing,
    };
    push_json(&look, &mut text);
    text
}

fn fields(entry: &Entry, by: By, moment: Moment) -> EntryFields<'_> {
    EntryFields {
        schema: SCHEMA,
        event: "activity",
        by: by.word(),
        name: &entry.name,
        server: entry.server.as_deref(),
        client: entry.client.as_deref(),
        activity: entry.activity.as_ref().map(|activity| ActivityFields {
            received_calls: activity.received.calls,
            received_bytes: activity.received.bytes,
            sent_calls: activity.sent.calls,
            sent_bytes: activity.sent.bytes,
            errors: activity.errors,
            send_waits: activity.send_waits,
            connects: activity.connects,
            measured: activity.latencies.count(),
            wait_mean_ns: mean_ns(&activity.latencies),
            wait_p50_ns: percentile_ns(&activity.latencies, 0.5),
            wait_p99_ns: percentile_ns(&activity.latencies, 0.99),
        }),
        oldest_unread_ns: age(entry, moment),
        unread_bytes: entry.unread.bytes,
        unread_complete: entry.unread.is_complete,
        waiting: entry.backlog.map(|backlog| backlog.waiting),
        backlog: entry.backlog.map(|backlog| backlog.limit),
        connections: entry.connections,
    }
}
