//! The results, as the section of `BENCHMARKS.md`. Pure.

use std::fmt::Write;

use stoop_bench::machine::Machine;
use stoop_bench::stats::{Summary, ratios};

use crate::{Options, Seen, Viewer};

/// The goals: a program, the one it is compared with, and the minimum speed-up.
const TARGETS: &[(&str, &str, f64)] =
    &[("stoop ls", "ss -xap", 6.0), ("stoop ls", "lsof -U", 15.0), ("stoop ls --no-bpf", "ss -xap", 2.5)];

/// Lines except for the headings.
pub fn lines(text: &str) -> usize {
    text.lines().count().saturating_sub(1)
}

pub fn markdown(options: &Options, viewers: &[Viewer], results: &[Seen]) -> String {
    let mut text = header(options);
    let of = |name: &str| viewers.iter().position(|viewer| viewer.name == name).map(|at| &results[at]);
    text.push_str("\n| | beside | wanted | measured | |\n| --- | --- | ---: | ---: | --- |\n");
    for (name, beside, least) in TARGETS {
        let (Some(own), Some(other)) = (of(name), of(beside)) else { continue };
        let Some(factor) = Summary::of(&ratios(&other.millis, &own.millis)) else { continue };
        let met = if factor.median >= *least { "met" } else { "**missed**" };
        let _ = writeln!(text, "| {name} | {beside} | ≥ {least} × as fast | {} | {met} |", show(factor));
    }
    text.push_str("\n| | ms | × as fast as `ss -xap` | ms of CPU | lines shown |\n| --- | ---: | ---: | ---: | ---: |\n");
    for (viewer, seen) in viewers.iter().zip(results) {
        let Some(millis) = Summary::of(&seen.millis) else { continue };
        let factor = of("ss -xap").and_then(|ss| Summary::of(&ratios(&ss.millis, &seen.millis)));
        let factor = factor.map_or(String::new(), show);
        let shown = seen.shown.unwrap_or(0);
        let cpu = Summary::of(&seen.cpu_millis).map_or(String::new(), show);
        let _ = writeln!(text, "| {} | {} | {factor} | {cpu} | {shown} |", viewer.name, show(millis));
    }
    text
}

fn header(options: &Options) -> String {
    let (machine, size) = (Machine::here(), options.size);
    format!(
        "## Seeing every local socket\n\n\
         Measured on Linux {}, {} CPUs, {}: {} sockets of {} processes, {} of them in {} other network namespaces, which `ss` and `lsof` cannot \
         name. {} repetitions, each program in another order each time, to its end and with its output read; medians [least–greatest], ratios \
         taken within a repetition. A line of `stoop ls` is a connection with both ends and their processes, or another socket; one of the \
         others is one end. The C program reads links and nothing else: no table of sockets, no names, no output.\n",
        machine.kernel,
        machine.cpus,
        machine.model,
        size.sockets_in_all(),
        size.processes,
        size.sockets_elsewhere(),
        size.networks,
        options.reps,
    )
}

fn show(summary: Summary) -> String {
    let digits = |value: f64| match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    format!("{} [{}–{}]", digits(summary.median), digits(summary.min), digits(summary.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Size;

    #[test]
    fn a_target_is_judged_by_the_ratio_within_a_repetition() {
        let size = Size { processes: 20, sockets: 5, networks: 2 };
        let options = Options { reps: 2, size, out: "x".into() };
        let viewer = |name| Viewer { name, command: Vec::new(), shows: lines };
        let seen = |millis: [f64; 2]| Seen { millis: millis.into(), cpu_millis: Vec::new(), shown: Some(7) };
        let text = markdown(
            &options,
            &[viewer("stoop ls"), viewer("ss -xap"), viewer("lsof -U")],
            &[seen([10.0, 20.0]), seen([61.0, 122.0]), seen([100.0, 200.0])],
        );
        assert!(text.contains("| stoop ls | ss -xap | ≥ 6 × as fast | 6.10 [6.10–6.10] | met |"), "{text}");
        assert!(
            text.contains("| stoop ls | lsof -U | ≥ 15 × as fast | 10.0 [10.0–10.0] | **missed** |"),
            "{text}"
        );
    }
}
