//! Totals of addresses, as OpenMetrics text. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use stoop_tap::top::{Activity, Backlog, Unread, histogram};

use super::accounts::Entry;

/// How many addresses have labels of their own. What others do is counted together.
const ADDRESSES_MAX: usize = 200;
/// How many of them may have done nothing so far.
const IDLE_MAX: usize = 100;
/// The label of the others.
const OTHERS: &str = "(others)";

/// What was counted of each address since the start, and what is there now.
#[derive(Debug, Default)]
pub(super) struct Totals {
    addresses: BTreeMap<Rc<str>, Total>,
    uncounted: u64,
    is_counted: bool,
    now_ns: u64,
}

#[derive(Clone, Debug, Default)]
struct Total {
    activity: Activity,
    unread: Unread,
    backlog: Option<Backlog>,
    connections: u64,
}

impl Totals {
    /// Adds a look. Addresses that were removed keep their totals.
    pub(super) fn add(&mut self, entries: &[Entry], uncounted: u64, now_ns: u64) {
        for total in self.addresses.values_mut() {
            let mut activity = std::mem::take(&mut total.activity);
            activity.unread_since_ns = None;
            *total = Total { activity, ..Total::default() };
        }
        self.uncounted += uncounted;
        self.now_ns = now_ns;
        self.is_counted = entries.iter().all(|entry| entry.activity.is_some());
        for entry in entries {
            self.total(entry).add(entry);
        }
    }

    fn total(&mut self, entry: &Entry) -> &mut Total {
        let is_idle = entry.activity.as_ref().is_none_or(|activity| activity.active_at_ns.is_none());
        let most = if is_idle { IDLE_MAX } else { ADDRESSES_MAX };
        let has_space = self.addresses.len() < most || self.addresses.contains_key(&entry.name);
        self.addresses.entry(if has_space { entry.name.clone() } else { OTHERS.into() }).or_default()
    }

    /// Returns everything as text.
    pub(super) fn text(&self) -> String {
        let mut text = Text { out: String::new() };
        if self.is_counted {
            for (name, description, amount) in COUNTERS {
                text.family(name, "counter", description);
                for (address, total) in &self.addresses {
                    text.sample(
                        &format!("{name}_total"),
                        &[("address", &**address)],
                        amount(&total.activity),
                    );
                }
            }
            self.waits(&mut text);
            self.ages(&mut text);
            text.family("stoop_events_uncounted", "counter", "Calls that were not counted.");
            text.sample("stoop_events_uncounted_total", &[], self.uncounted);
        }
        self.queues(&mut text);
        text.out.push_str("# EOF\n");
        text.out
    }

    fn waits(&self, text: &mut Text) {
        const NAME: &str = "stoop_socket_wait_seconds";
        text.family(NAME, "histogram", "How long messages waited until servers received them.");
        for (address, total) in &self.addresses {
            let steps = histogram(&total.activity.latencies);
            // Every other range is enough, and the last, which has no end.
            for (end, count) in steps.iter().skip(1).step_by(2) {
                let limit = end.map_or("+Inf".to_owned(), seconds);
                text.sample(&format!("{NAME}_bucket"), &[("address", &**address), ("le", &*limit)], *count);
            }
            let latencies = &total.activity.latencies;
            text.sample(&format!("{NAME}_count"), &[("address", &**address)], latencies.count());
            text.value(&format!("{NAME}_sum"), &[("address", &**address)], &seconds(latencies.sum_ns));
        }
    }

    fn ages(&self, text: &mut Text) {
        const NAME: &str = "stoop_socket_oldest_unread_seconds";
        text.family(NAME, "gauge", "How long the oldest unread message waits, at least; 0 without.");
        for (address, total) in &self.addresses {
            let since = total.activity.unread_since_ns;
            let age = since.map_or(0, |since| self.now_ns.saturating_sub(since));
            text.value(NAME, &[("address", &**address)], &seconds(age));
        }
    }

    fn queues(&self, text: &mut Text) {
        for (name, description, amount) in GAUGES {
            text.family(name, "gauge", description);
            for (address, total) in &self.addresses {
                if let Some(amount) = amount(total) {
                    text.sample(name, &[("address", &**address)], amount);
                }
            }
        }
    }
}

impl Total {
    fn add(&mut self, entry: &Entry) {
        if let Some(activity) = &entry.activity {
            self.activity.add(activity);
        }
        self.unread.bytes += entry.unread.bytes;
        self.unread.is_complete &= entry.unread.is_complete;
        if let Some(backlog) = entry.backlog {
            let sum = self.backlog.get_or_insert_default();
            sum.waiting += backlog.waiting;
            sum.limit += backlog.limit;
            sum.full += backlog.full;
        }
        self.connections += entry.connections;
    }
}

/// The name of a metric, its description, and its value.
type Metric<T, V> = (&'static str, &'static str, fn(&T) -> V);

const COUNTERS: [Metric<Activity, u64>; 7] = [
    ("stoop_socket_received_bytes", "Bytes that servers received.", |activity| activity.received.bytes),
    ("stoop_socket_sent_bytes", "Bytes that servers sent.", |activity| activity.sent.bytes),
    ("stoop_socket_received_calls", "Calls with which servers received.", |activity| activity.received.calls),
    ("stoop_socket_sent_calls", "Calls with which servers sent.", |activity| activity.sent.calls),
    ("stoop_socket_errors", "Calls of servers that failed.", |activity| activity.errors),
    ("stoop_socket_send_waits", "Calls that would have waited for space.", |activity| activity.send_waits),
    ("stoop_socket_connects", "Clients that connected.", |activity| activity.connects),
];

const GAUGES: [Metric<Total, Option<u64>>; 5] = [
    ("stoop_socket_connections", "Connections now.", |total| Some(total.connections)),
    // A sum that is not complete could fall where nothing was read.
    ("stoop_socket_unread_bytes", "Bytes that servers have not received.", |total| {
        Some(total.unread.bytes).filter(|_| total.unread.is_complete)
    }),
    ("stoop_socket_backlog_waiting", "Clients that wait to be accepted.", |total| {
        Some(total.backlog?.waiting)
    }),
    ("stoop_socket_backlog_limit", "The limits given to listen.", |total| Some(total.backlog?.limit)),
    ("stoop_socket_backlog_full", "Listeners with a full backlog.", |total| Some(total.backlog?.full)),
];

fn seconds(ns: u64) -> String {
    format!("{}", ns as f64 / 1e9)
}

struct Text {
    out: String,
}

impl Text {
    /// Begins a metric.
    fn family(&mut self, name: &str, kind: &str, description: &str) {
        let _ = write!(self.out, "# TYPE {name} {kind}\n# HELP {name} {description}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.value(name, labels, &value.to_string());
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.out, "{name}{labels} {value}");
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn names(text: &str) -> Vec<&str> {
        let sample = text.lines().filter(|line| !line.starts_with('#'));
        sample.map(|line| line.split(['{', ' ']).next().unwrap()).collect()
    }

    #[test]
    fn totals_only_rise_and_gauges_are_those_of_the_last_look() {
        let mut totals = Totals::default();
        let entry = sample::entry("/run/a.sock", 10, 1000);
        totals.add(std::slice::from_ref(&entry), 0, 5_000_000_000);
        totals.add(&[entry], 3, 5_000_000_000);
        let text = totals.text();
        for line in [
            "stoop_socket_received_calls_total{address=\"/run/a.sock\"} 20",
            "stoop_socket_received_bytes_total{address=\"/run/a.sock\"} 2000",
            "stoop_socket_connections{address=\"/run/a.sock\"} 1",
            "stoop_socket_oldest_unread_seconds{address=\"/run/a.sock\"} 4",
            "stoop_socket_wait_seconds_count{address=\"/run/a.sock\"} 20",
            "stoop_events_uncounted_total 3",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        totals.add(&[], 0, 6_000_000_000);
        let text = totals.text();
        assert!(text.contains("stoop_socket_connections{address=\"/run/a.sock\"} 0\n"));
    }

    #[test]
    fn labels_are_bounded_and_escaped() {
        let mut totals = Totals::default();
        let entries: Vec<Entry> =
            (0..1000).map(|number| sample::entry(&format!("/run/\"{number}\\"), 1, 1)).collect();
        totals.add(&entries, 0, 0);
        let text = totals.text();
        let received = text.lines().filter(|line| line.starts_with("stoop_socket_received_calls_total"));
        assert_eq!(received.count(), ADDRESSES_MAX + 1);
        assert!(text.contains("stoop_socket_received_calls_total{address=\"(others)\"} 800\n"));
        assert!(text.contains("{address=\"/run/\\\"0\\\\\"}"));
    }

    #[test]
    fn what_is_not_counted_has_no_metric() {
        let mut totals = Totals::default();
        totals.add(&[Entry { activity: None, ..sample::entry("/run/a.sock", 1, 1) }], 0, 0);
        let text = totals.text();
        assert!(!text.contains("_total") && text.contains("stoop_socket_unread_bytes"), "{text}");
    }

    /// The dashboard and the rules name no metric that does not exist.
    #[test]
    fn every_metric_of_the_dashboard_and_the_rules_exists() {
        let mut totals = Totals::default();
        totals.add(&[sample::entry("/run/a.sock", 1, 1)], 0, 0);
        let text = totals.text();
        let known = names(&text);
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dashboards");
        let mut found = 0;
        for file in ["stoop-top.json", "stoop-top.rules.yml"] {
            let content = std::fs::read_to_string(format!("{directory}/{file}")).unwrap();
            for (at, _) in content.match_indices("stoop_") {
                let is_name = |letter: char| letter == '_' || letter.is_ascii_alphanumeric();
                let name: String = content[at..].chars().take_while(|&letter| is_name(letter)).collect();
                assert!(known.contains(&&*name), "{file} names {name}");
                found += 1;
            }
        }
        assert!(found > 10);
    }
}
