//! `--stats`: calls, errors and latencies by method. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use stoop::escaped;
use stoop_tap::{Kind, Line, Protocol};

use super::render::span;
use crate::output::{SCHEMA, push_json};

/// How many latencies of a method are kept; of more, every other one.
const SAMPLES_MAX: usize = 1 << 16;
/// How many methods are distinguished. More are counted together.
const METHODS_MAX: usize = 2000;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Stats {
    methods: BTreeMap<(&'static str, String), Method>,
}

#[derive(Debug, Default)]
struct Method {
    calls: u64,
    answers: u64,
    errors: u64,
    latencies: Vec<u64>,
    /// Of how many answers one is kept, as a power of two.
    thinned: u32,
    max_ns: u64,
}

/// A line of JSON.
#[derive(Serialize)]
struct Fields<'a> {
    schema: u32,
    event: &'static str,
    protocol: &'a str,
    method: &'a str,
    calls: u64,
    answers: u64,
    errors: u64,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    max_ns: Option<u64>,
}

impl Stats {
    /// Counts a line of this method. Messages that are neither call nor answer are counted by their
    /// protocol, and those of a call are not.
    pub(super) fn add(&mut self, line: &Line, method: Option<&str>) {
        let method = self.method(line.protocol, method.unwrap_or_default().to_owned());
        match line.kind {
            Kind::Message if line.message.is_some() => return,
            // An answer whose status is not known.
            Kind::Message if line.latency_ns.is_some() => method.answers += 1,
            Kind::Call | Kind::Message => method.calls += 1,
            Kind::Answer { ok } => {
                method.answers += 1;
                method.errors += u64::from(!ok);
            }
        }
        if let Some(latency) = line.latency_ns {
            method.sample(latency);
        }
    }

    fn method(&mut self, protocol: Protocol, name: String) -> &mut Method {
        let key = (protocol.name(), name);
        let key = match self.methods.len() < METHODS_MAX || self.methods.contains_key(&key) {
            true => key,
            false => (protocol.name(), "(others)".to_owned()),
        };
        self.methods.entry(key).or_default()
    }

    /// Formats the table, most calls first.
    pub(super) fn table(&self) -> String {
        let mut rows: Vec<_> = self.methods.iter().collect();
        rows.sort_by_key(|(_, method)| std::cmp::Reverse(method.calls.max(method.answers)));
        let mut text = String::from("   CALLS  ERRORS       P50       P90       P99       MAX  METHOD\n");
        for ((protocol, name), method) in rows {
            let latency = |share: f64| method.percentile(share).map_or("-".to_owned(), span);
            let max = if method.latencies.is_empty() { "-".to_owned() } else { span(method.max_ns) };
            let (p50, p90, p99) = (latency(0.5), latency(0.9), latency(0.99));
            let name = escaped(name.as_bytes());
            let _ = writeln!(
                text,
                "{:>8} {:>7} {p50:>9} {p90:>9} {p99:>9} {max:>9}  {protocol} {name}",
                method.calls.max(method.answers),
                method.errors,
            );
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Formats the same as JSON lines.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for ((protocol, name), method) in &self.methods {
            let fields = Fields {
                schema: SCHEMA,
                event: "stats",
                protocol,
                method: name,
                calls: method.calls,
                answers: method.answers,
                errors: method.errors,
                p50_ns: method.percentile(0.5),
                p90_ns: method.percentile(0.9),
                p99_ns: method.percentile(0.99),
                max_ns: Some(method.max_ns).filter(|_| !method.latencies.is_empty()),
            };
            push_json(&fields, &mut text);
        }
        text
    }
}

impl Method {
    fn sample(&mut self, latency_ns: u64) {
        self.max_ns = self.max_ns.max(latency_ns);
        if !self.answers.is_multiple_of(1 << self.thinned) && !self.latencies.is_empty() {
            return;
        }
        if self.latencies.len() == SAMPLES_MAX {
            let mut keep = false;
            self.latencies.retain(|_| {
                keep = !keep;
                keep
            });
            self.thinned += 1;
        }
        self.latencies.push(latency_ns);
    }

    /// The smallest latency that is not exceeded by this share of them.
    fn percentile(&self, share: f64) -> Option<u64> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_tap::{Dialogue, Side, SocketKind};

    #[test]
    fn calls_and_answers_are_counted_by_method() {
        let mut stats = Stats::default();
        let mut dialogue = Dialogue::new(SocketKind::STREAM);
        for number in 1..=100u64 {
            let start = number * 1_000_000_000;
            let status: &[u8] = if number % 10 == 0 { b"500 No" } else { b"200 OK" };
            let answer = [b"HTTP/1.1 ", status, b"\r\nContent-Length: 0\r\n\r\n"].concat();
            let mut lines = dialogue.data(Side::First, start, b"GET /a?x HTTP/1.1\r\n\r\n", 0);
            lines.extend(dialogue.data(Side::Second, start + number * 1_000_000, &answer, 0));
            lines.iter().for_each(|line| stats.add(line, line.method.as_deref()));
        }
        let table = stats.table();
        let row = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row, "100 10 50.0 ms 90.0 ms 99.0 ms 100 ms http GET /a");
    }
}
