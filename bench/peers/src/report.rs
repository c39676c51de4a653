//! The results, as Markdown: the goals first, then a table for each workload.

use std::collections::HashMap;
use std::fmt::Write;

use stoop_bench::machine::Machine;
use stoop_bench::stats::{Summary, ratios};

use crate::Options;
use crate::part::Work;
use crate::players::Sample;
use crate::works::{Goal, HINDRANCES, Measured, TARGETS, Target, WORKS};

/// A work and a peer.
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
        let id = (target.work, target.subject);
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
        let all = target.against.iter().filter_map(|peer| self.nanos((target.work, peer)));
        all.reduce(|one, other| one.iter().zip(other).map(|(a, b)| a.min(b)).collect())
    }
}

/// Formats the whole of BENCHMARKS.md.
pub fn markdown(machine: &Machine, options: &Options, results: &Results) -> String {
    let mut text = header(machine, options);
    text.push_str("\n## What was to be reached\n\n| work | stoop | beside | wanted | measured | |\n| --- | --- | --- | ---: | ---: | --- |\n");
    for target in TARGETS {
        line(&mut text, target, results);
    }
    notes(&mut text, results);
    for measured in WORKS.iter().filter(|work| !options.peers(work).is_empty()) {
        table(&mut text, measured, results);
    }
    if !results.failures.is_empty() {
        text.push_str("\n## Left out\n\n");
        let mut failures: Vec<_> = results.failures.iter().collect();
        failures.sort();
        for ((work, peer), why) in failures {
            let _ = writeln!(text, "- {peer}, {work}: {why}");
        }
    }
    text
}

fn header(machine: &Machine, options: &Options) -> String {
    let quick = if options.quick { " --quick" } else { "" };
    format!(
        "# What stoop costs beside others\n\n\
         Written by a program; do not edit. `cargo xtask bench peers{quick}` measures all of it again and writes this file.\n\n\
         Measured on Linux {}, {} CPUs, {}; the works and their peers are in `bench/peers`. One run of {} repetitions of about {} ms for each \
         peer and work, in another order each time; two processes, each on a core of its own unless the table says otherwise; every message \
         carries its number and is checked. Values are medians [least–greatest] of the repetitions; a ratio is taken within a repetition, and the \
         median of those is given. CPU is that of both processes together.\n\n\
         Absolute figures move with the machine, ratios less. In a virtual machine a wake-up costs far more than on bare metal, so what is gained \
         by not sleeping is less there. Differences of less than a quarter between neighbours mean nothing.\n\n\
         \"Adaptive\" is `Socket::set_spin` with 20 µs at both ends; \"C, spin then park\" tries as long. A frame of stoop's is its native framing; \
         the other streams carry messages of a length known to both, without a header, but for C's, whose header has four bytes, and \
         `LengthDelimitedCodec`, which is fed without a flush for each message. A send buffer of 1 MiB is asked for with long frames; every other \
         socket has the kernel's default. Of the runtimes on io_uring compio is here and monoio is not. Needs a C compiler, cmake, pkg-config \
         and ZeroMQ's headers (`libzmq3-dev`).\n",
        machine.kernel,
        machine.cpus,
        machine.model,
        options.reps,
        options.time().as_millis(),
    )
}

fn line(text: &mut String, target: &Target, results: &Results) {
    let Some(measured) = WORKS.iter().find(|work| work.key == target.work) else { return };
    let Some(value) = results.value(target) else { return };
    let beside = match target.against {
        [] => "",
        [one] => one,
        _ => "the fastest library over a socket",
    };
    let (wanted, unit) = match target.goal {
        Goal::Time(most) => (format!("≤ {most} × the time"), 1.0),
        Goal::Speed(least) => (format!("≥ {least} × as fast"), 1.0),
        Goal::Memory(most) => (format!("≤ {most} bytes a connection"), 1.0),
        Goal::Cpu(most) => (format!("≤ {} % of a CPU", most * 100.0), 100.0),
    };
    let met = if is_met(target, &value) { "met" } else { "**missed**" };
    let value = Summary { median: value.median * unit, min: value.min * unit, max: value.max * unit };
    let _ = writeln!(
        text,
        "| {} | {} | {beside} | {wanted} | {} | {met} |",
        measured.title,
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
        let first = target.against.first().copied().unwrap_or_default();
        let hindrance = HINDRANCES.iter().find(|(work, beside, _)| *work == target.work && *beside == first);
        let title = WORKS.iter().find(|work| work.key == target.work).map_or("", |work| work.title);
        if let Some((_, beside, why)) = hindrance {
            let beside = if beside.is_empty() { String::new() } else { format!(", beside {beside}") };
            let _ = writeln!(notes, "- {}{beside}: {why}", sentence(title));
        }
    }
    if !notes.is_empty() {
        let _ = write!(text, "\n### What stands in the way\n\n{notes}");
    }
}

fn table(text: &mut String, measured: &Measured, results: &Results) {
    let (unit, has_p99) = match (measured.work, measured.message_bytes) {
        (Work::PingPong, _) => ("µs, median round trip", true),
        (Work::Connections, _) => ("thousand a second", true),
        (Work::OneWay, 65_536..) => ("GiB/s", false),
        (Work::OneWay, _) => ("million messages/s", false),
        (Work::Requests | Work::FanIn, _) => ("thousand answers/s", false),
        (Work::Idle, _) => ("ms", false),
    };
    let memory = measured.work == Work::FanIn;
    let _ = write!(text, "\n## {}\n\n| peer | {unit} | × as fast as the first |", sentence(measured.title));
    text.push_str(if has_p99 { " p99 µs |" } else { "" });
    text.push_str(" CPU µs each |");
    text.push_str(if memory { " bytes of user memory a connection |" } else { "" });
    text.push_str("\n| --- | ---: | ---: | ---: |");
    text.push_str(if has_p99 || memory { " ---: |\n" } else { "\n" });
    for &peer in measured.peers {
        let id = (measured.key, peer);
        let all =
            |value: &dyn Fn(&Sample) -> f64| results.of(id, value).and_then(|values| Summary::of(&values));
        let Some(value) = all(&|sample| in_unit(measured, sample.nanos)) else { continue };
        let base = results.nanos((measured.key, measured.peers[0]));
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

fn in_unit(measured: &Measured, nanos: f64) -> f64 {
    match (measured.work, measured.message_bytes) {
        (Work::PingPong, _) => nanos / 1e3,
        (Work::Idle, _) => nanos / 1e6,
        (Work::OneWay, bytes @ 65_536..) => bytes as f64 / nanos * 1e9 / f64::from(1 << 30),
        (Work::OneWay, _) => 1e3 / nanos,
        (Work::Requests | Work::FanIn | Work::Connections, _) => 1e6 / nanos,
    }
}

fn show(value: Summary) -> String {
    format!("{} [{}–{}]", number(value.median), number(value.min), number(value.max))
}

/// Three digits, more where the number is larger.
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
        for work in WORKS {
            for &peer in work.peers {
                let nanos = if peer.starts_with("stoop") { 1000.0 } else { 1000.0 * factor };
                for rep in [1.0, 3.0] {
                    let sample = Sample {
                        nanos: nanos * rep,
                        cpu_nanos: 1.0 / factor,
                        memory_bytes: 1e4 / factor,
                        ..Sample::default()
                    };
                    results.push((work.key, peer), sample);
                }
            }
        }
        results
    }

    fn text(results: &Results) -> String {
        let machine = Machine { kernel: "6.18".into(), cpus: 2, model: "Some CPU".into() };
        let options = Options { quick: false, reps: 2, only: Vec::new(), out: None };
        markdown(&machine, &options, results)
    }

    #[test]
    fn far_ahead_is_met_and_far_behind_is_missed() {
        let (good, bad) = (text(&results(100.0)), text(&results(0.01)));
        assert!(!good.contains("**missed**") && good.contains("| 100 [100–100] | met |"), "{good}");
        assert!(!bad.contains("| met |"), "{bad}");
        assert!(bad.contains("What stands in the way") && !good.contains("stands in the way"), "{bad}");
    }

    #[test]
    fn whoever_fails_is_left_out_and_named() {
        let mut results = results(1.0);
        results.fail(("pingpong", "nng"), "it broke\nbadly");
        let text = text(&results);
        assert!(text.contains("- nng, pingpong: it broke\n"), "{text}");
        assert!(!text.contains("| nng | 1.00 "), "{text}");
    }

    #[test]
    fn numbers_are_as_long_as_they_are_worth() {
        assert_eq!([0.123, 12.34, 1234.5].map(number), ["0.12", "12.3", "1234"]);
        assert_eq!(sentence("a b"), "A b");
    }
}
