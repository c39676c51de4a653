//! The results: the goals first, then a table for each workload.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::{Value, json};
use stoop_bench::Report;
use stoop_bench::stats::{Summary, ratios};

use crate::Options;
use crate::processes::Sample;
use crate::role::Workload;
use crate::workloads::{Goal, MISSED_BECAUSE, Measurement, Reason, TARGETS, Target, WORKLOADS};

/// A workload's key and a peer.
type Id = (&'static str, &'static str);

/// All samples, and the failed peers.
#[derive(Default)]
pub struct Results {
    samples: HashMap<Id, Vec<Sample>>,
    failures: HashMap<Id, String>,
}

impl Results {
    pub fn push(&mut self, id: Id, sample: Sample) {
        self.samples.entry(id).or_default().push(sample);
    }

    /// Excludes a peer from now on, and discards its samples.
    pub fn fail(&mut self, id: Id, why: &str) {
        self.samples.remove(&id);
        self.failures.insert(id, why.lines().next().unwrap_or_default().to_owned());
    }

    pub fn has_failed(&self, id: Id) -> bool {
        self.failures.contains_key(&id)
    }

    fn of(&self, id: Id, value: impl Fn(&Sample) -> f64) -> Option<Vec<f64>> {
        Some(self.samples.get(&id)?.iter().map(value).collect())
    }

    fn nanos(&self, id: Id) -> Option<Vec<f64>> {
        self.of(id, |sample| sample.nanos)
    }

    /// Returns the value of a goal: median and range over the repetitions.
    fn value(&self, target: &Target) -> Option<Summary> {
        let id = (target.key, target.subject);
        let values = match target.goal {
            Goal::Memory(_) => self.of(id, |sample| sample.memory_bytes)?,
            Goal::Cpu(_) => self.of(id, |sample| sample.cpu_nanos / sample.nanos)?,
            Goal::Time(_) => ratios(&self.nanos(id)?, &self.best(target)?),
            Goal::Speed(_) => ratios(&self.best(target)?, &self.nanos(id)?),
        };
        Summary::of(&values)
    }

    /// Returns the shortest time among those it is compared with, in each repetition.
    fn best(&self, target: &Target) -> Option<Vec<f64>> {
        let all = target.against.iter().filter_map(|peer| self.nanos((target.key, peer)));
        all.reduce(|one, other| one.iter().zip(other).map(|(a, b)| a.min(b)).collect())
    }
}

/// Returns the report of all results.
pub fn of(options: &Options, results: &Results) -> Report {
    let mut failures: Vec<_> = results.failures.iter().collect();
    failures.sort();
    Report {
        title: "stoop and other libraries",
        text: text(options),
        tables: tables(options, results),
        json: to_json(results),
        failures: failures.into_iter().map(|((key, peer), why)| format!("{peer}, {key}: {why}")).collect(),
    }
}

fn tables(options: &Options, results: &Results) -> String {
    let mut text = String::from(
        "### Targets\n\n| workload | stoop | compared with | target | measured | |\n| --- | --- | --- | ---: | ---: | --- |\n",
    );
    for target in TARGETS {
        line(&mut text, target, results);
    }
    notes(&mut text, results);
    for measurement in WORKLOADS.iter().filter(|one| !options.peers(one).is_empty()) {
        table(&mut text, measurement, results);
    }
    text
}

fn text(options: &Options) -> String {
    format!(
        "About {} ms for each peer, workload and repetition, in a different order each time; two processes, each on a core of its own \
         unless the table says otherwise. CPU is the time of both processes together. The workloads and the peers are in \
         `bench/peers`.\n\n\
         In a virtual machine a wake-up costs far more than on bare metal, so spinning gains less on bare metal. Differences of less \
         than a quarter between neighbouring rows are noise.\n\n\
         \"Adaptive\" is `Socket::set_spin` with 20 µs at both ends; \"C, spin then block\" spins as long. stoop's frames have its native \
         framing; the other streams carry messages of a length known to both ends, without a header, except C's, whose header has \
         four bytes, and `LengthDelimitedCodec`, which is not flushed after each message. Long frames are sent with a send buffer of \
         1 MiB; every other socket has the kernel's default. Of the io_uring runtimes, compio is measured and monoio is not. Requires \
         a C compiler, cmake, pkg-config and ZeroMQ's headers (`libzmq3-dev`).",
        options.time().as_millis(),
    )
}

/// Returns every measured value as JSON.
fn to_json(results: &Results) -> Value {
    let mut rows = Vec::new();
    for measurement in WORKLOADS {
        for &peer in measurement.peers {
            let id = (measurement.key, peer);
            let summary = |value: &dyn Fn(&Sample) -> f64| {
                results.of(id, value).and_then(|all| Summary::of(&all)).map(|summary| summary.to_json())
            };
            if let Some(nanoseconds) = summary(&|sample| sample.nanos) {
                rows.push(json!({
                    "workload": measurement.key,
                    "peer": peer,
                    "nanoseconds": nanoseconds,
                    "p99_nanoseconds": summary(&|sample| sample.p99_nanos),
                    "cpu_nanoseconds": summary(&|sample| sample.cpu_nanos),
                    "user_bytes": summary(&|sample| sample.memory_bytes),
                }));
            }
        }
    }
    let failures = results
        .failures
        .iter()
        .map(|((key, peer), why)| json!({"workload": key, "peer": peer, "error": why}));
    json!({"results": rows, "failures": failures.collect::<Vec<_>>()})
}

fn line(text: &mut String, target: &Target, results: &Results) {
    let Some(measurement) = WORKLOADS.iter().find(|one| one.key == target.key) else { return };
    let Some(value) = results.value(target) else { return };
    let compared = match target.against {
        [] => "",
        [one] => one,
        _ => "the fastest library over a socket",
    };
    let (wanted, unit) = match target.goal {
        Goal::Time(most) => (format!("≤ {most} × the time"), 1.0),
        Goal::Speed(least) => (format!("≥ {least} × as fast"), 1.0),
        Goal::Memory(most) => (format!("≤ {most} bytes per connection"), 1.0),
        Goal::Cpu(most) => (format!("≤ {} % of one CPU", most * 100.0), 100.0),
    };
    let met = if is_met(target, &value) { "met" } else { "**missed**" };
    let value = Summary { median: value.median * unit, min: value.min * unit, max: value.max * unit };
    let _ = writeln!(
        text,
        "| {} | {} | {compared} | {wanted} | {} | {met} |",
        measurement.title,
        target.subject,
        show(value)
    );
}

fn is_met(target: &Target, value: &Summary) -> bool {
    match target.goal {
        Goal::Speed(least) => value.median >= least,
        Goal::Time(most) | Goal::Memory(most) | Goal::Cpu(most) => value.median <= most,
    }
}

/// Explains each missed goal.
fn notes(text: &mut String, results: &Results) {
    let missed = |target: &&Target| results.value(target).is_some_and(|value| !is_met(target, &value));
    let mut notes = String::new();
    for target in TARGETS.iter().filter(missed) {
        let reason = MISSED_BECAUSE.iter().find(|reason| reason.is_of(target));
        let title = WORKLOADS.iter().find(|one| one.key == target.key).map_or("", |one| one.title);
        if let Some(Reason { subject, compared, why, .. }) = reason {
            let compared =
                if compared.is_empty() { String::new() } else { format!(" compared with {compared}") };
            let _ = writeln!(notes, "- {}, {subject}{compared}: {why}", sentence(title));
        }
    }
    if !notes.is_empty() {
        let _ = write!(text, "\n#### Reasons for missed targets\n\n{notes}");
    }
}

fn table(text: &mut String, measurement: &Measurement, results: &Results) {
    let (unit, has_p99) = match (measurement.workload, measurement.message_bytes) {
        (Workload::PingPong, _) => ("µs, median round trip", true),
        (Workload::Connections, _) => ("thousand connections/s", true),
        (Workload::OneWay, 65_536..) => ("GiB/s", false),
        (Workload::OneWay, _) => ("million messages/s", false),
        (Workload::Requests | Workload::FanIn, _) => ("thousand responses/s", false),
        (Workload::Idle, _) => ("ms", false),
    };
    let memory = measurement.workload == Workload::FanIn;
    let _ = write!(
        text,
        "\n### {}\n\n| peer | {unit} | speed relative to the first row |",
        sentence(measurement.title)
    );
    text.push_str(if has_p99 { " p99 µs |" } else { "" });
    text.push_str(" CPU µs per operation |");
    text.push_str(if memory { " user memory per connection, bytes |" } else { "" });
    text.push_str("\n| --- | ---: | ---: | ---: |");
    text.push_str(if has_p99 || memory { " ---: |\n" } else { "\n" });
    for &peer in measurement.peers {
        let id = (measurement.key, peer);
        let all =
            |value: &dyn Fn(&Sample) -> f64| results.of(id, value).and_then(|values| Summary::of(&values));
        let Some(value) = all(&|sample| in_unit(measurement, sample.nanos)) else { continue };
        let base = results.nanos((measurement.key, measurement.peers[0]));
        let speed = base.zip(results.nanos(id)).and_then(|(base, ours)| Summary::of(&ratios(&base, &ours)));
        let _ = write!(text, "| {peer} | {} | {} |", show(value), speed.map_or_else(String::new, show));
        if has_p99 && let Some(p99) = all(&|sample| sample.p99_nanos / 1e3) {
            let _ = write!(text, " {} |", number(p99.median));
        }
        if let Some(cpu) = all(&|sample| sample.cpu_nanos / 1e3) {
            let _ = write!(text, " {} |", number(cpu.median));
        }
        if memory && let Some(memory) = all(&|sample| sample.memory_bytes) {
            let _ = write!(text, " {} |", number(memory.median));
        }
        text.push('\n');
    }
}

fn in_unit(measurement: &Measurement, nanos: f64) -> f64 {
    match (measurement.workload, measurement.message_bytes) {
        (Workload::PingPong, _) => nanos / 1e3,
        (Workload::Idle, _) => nanos / 1e6,
        (Workload::OneWay, bytes @ 65_536..) => bytes as f64 / nanos * 1e9 / f64::from(1 << 30),
        (Workload::OneWay, _) => 1e3 / nanos,
        (Workload::Requests | Workload::FanIn | Workload::Connections, _) => 1e6 / nanos,
    }
}

fn show(value: Summary) -> String {
    format!("{} [{}–{}]", number(value.median), number(value.min), number(value.max))
}

/// Formats a number with three digits, or more if its integer part has more.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        ..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

fn sentence(title: &str) -> String {
    let mut chars = title.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(factor: f64) -> Results {
        let mut results = Results::default();
        for measurement in WORKLOADS {
            for &peer in measurement.peers {
                let nanos = if peer.starts_with("stoop") { 1000.0 } else { 1000.0 * factor };
                for rep in [1.0, 3.0] {
                    let sample = Sample {
                        nanos: nanos * rep,
                        cpu_nanos: 1.0 / factor,
                        memory_bytes: 1e4 / factor,
                        ..Sample::default()
                    };
                    results.push((measurement.key, peer), sample);
                }
            }
        }
        results
    }

    fn text(results: &Results) -> String {
        tables(&Options::default(), results)
    }

    #[test]
    fn targets_are_met_or_missed() {
        let (good, bad) = (text(&results(100.0)), text(&results(0.01)));
        assert!(!good.contains("**missed**") && good.contains("| 100 [100–100] | met |"), "{good}");
        assert!(!bad.contains("| met |"), "{bad}");
        assert!(bad.contains("Reasons for missed targets") && !good.contains("Reasons for"), "{bad}");
    }

    #[test]
    fn a_failed_peer_is_listed_without_a_row() {
        let mut results = results(1.0);
        results.fail(("pingpong", "nng"), "it broke\nbadly");
        let report = of(&Options::default(), &results);
        assert_eq!(report.failures, ["nng, pingpong: it broke"]);
        assert!(!report.tables.contains("| nng | 1.00 "), "{}", report.tables);
        assert_eq!(report.json["failures"][0]["error"], "it broke");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([0.123, 12.34, 1234.5].map(number), ["0.12", "12.3", "1234"]);
        assert_eq!(sentence("a b"), "A b");
    }
}
