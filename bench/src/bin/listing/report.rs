//! The results, as the section of `BENCHMARKS.md`. Pure.

use std::fmt::Write;

use stoop_bench::stats::{Summary, ratios};

use serde_json::{Value, json};

use crate::growth::{self, Grown};
use crate::machine::Size;
use crate::{Sample, Tool};

/// The goals: a program, the one it is compared with, and the minimum speed-up.
const TARGETS: &[(&str, &str, f64)] =
    &[("stoop ls", "ss -xap", 5.0), ("stoop ls", "lsof -U", 15.0), ("stoop ls --no-bpf", "ss -xap", 2.5)];

/// Lines except for the headings.
pub fn lines(text: &str) -> usize {
    text.lines().count().saturating_sub(1)
}

/// Returns the tables: the goals first.
pub fn tables(tools: &[Tool], results: &[Sample]) -> String {
    let of = |name: &str| tools.iter().position(|tool| tool.name == name).map(|at| &results[at]);
    let mut text =
        String::from("| tool | compared with | target | measured | |\n| --- | --- | ---: | ---: | --- |\n");
    for (name, compared, least) in TARGETS {
        let (Some(own), Some(other)) = (of(name), of(compared)) else { continue };
        let Some(factor) = Summary::of(&ratios(&other.millis, &own.millis)) else { continue };
        let met = if factor.median >= *least { "met" } else { "**missed**" };
        let _ = writeln!(text, "| {name} | {compared} | ≥ {least} × as fast | {} | {met} |", show(factor));
    }
    text.push_str("\n| tool | ms | speed relative to `ss -xap` | CPU ms | lines |\n| --- | ---: | ---: | ---: | ---: |\n");
    for (tool, sample) in tools.iter().zip(results) {
        let Some(millis) = Summary::of(&sample.millis) else { continue };
        let factor = of("ss -xap").and_then(|ss| Summary::of(&ratios(&ss.millis, &sample.millis)));
        let factor = factor.map_or(String::new(), show);
        let shown = sample.shown.unwrap_or(0);
        let cpu = Summary::of(&sample.cpu_millis).map_or(String::new(), show);
        let _ = writeln!(text, "| {} | {} | {factor} | {cpu} | {shown} |", tool.name, show(millis));
    }
    text
}

/// Returns the description of the machine and of the tools.
pub fn text(size: Size) -> String {
    format!(
        "{} sockets of {} processes, {} of them in {} other network namespaces, whose sockets `ss` and `lsof` cannot name. Each \
         tool runs to completion, and its output is read. A line of `stoop ls` is a connection with both ends and their processes, \
         or another socket; a line of the other tools is one end. The C program only reads links: no table of sockets, no names, \
         no output.",
        size.sockets_in_all(),
        size.processes,
        size.sockets_elsewhere(),
        size.networks,
    )
}

/// Returns the values of the tables as JSON.
pub fn to_json(size: Size, tools: &[Tool], results: &[Sample], grown: &[Grown]) -> Value {
    let summary = |values: &[f64]| Summary::of(values).map(|summary| summary.to_json());
    let one = |(tool, sample): (&Tool, &Sample)| {
        json!({
            "tool": tool.name,
            "milliseconds": summary(&sample.millis),
            "cpu_milliseconds": summary(&sample.cpu_millis),
            "lines": sample.shown,
        })
    };
    json!({
        "processes": size.processes,
        "sockets": size.sockets_in_all(),
        "results": tools.iter().zip(results).map(one).collect::<Vec<_>>(),
        "growth": growth::to_json(grown),
    })
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

    #[test]
    fn a_target_is_judged_by_the_ratio_within_a_repetition() {
        let tool = |name| Tool { name, command: Vec::new(), shows: lines };
        let sample =
            |millis: [f64; 2]| Sample { millis: millis.into(), cpu_millis: Vec::new(), shown: Some(7) };
        let text = tables(
            &[tool("stoop ls"), tool("ss -xap"), tool("lsof -U")],
            &[sample([10.0, 20.0]), sample([61.0, 122.0]), sample([100.0, 200.0])],
        );
        assert!(text.contains("| stoop ls | ss -xap | ≥ 5 × as fast | 6.10 [6.10–6.10] | met |"), "{text}");
        assert!(
            text.contains("| stoop ls | lsof -U | ≥ 15 × as fast | 10.0 [10.0–10.0] | **missed** |"),
            "{text}"
        );
    }
}
