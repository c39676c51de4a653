//! `stoop bench` as a whole: every transport with every work, in real processes, for a moment each.
//!
//! No figure is compared with another here: on a busy machine that would say nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use stoop_testkit::{deadline, tempdir};

const PATIENCE: Duration = Duration::from_secs(120);

fn bench(directory: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stoop"));
    command.arg("bench").args(flags).env("TMPDIR", directory);
    deadline(PATIENCE, move || command.output().expect("start the command"))
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("JSON is UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Runs it with JSON, and gives the results by work and transport.
fn results(flags: &[&str]) -> BTreeMap<(String, String), Vec<Value>> {
    let directory = tempdir();
    let output = bench(directory.path(), &[flags, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "no progress where there is no terminal");
    let left: Vec<_> = directory.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "files are left: {left:?}");
    let mut results: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for line in lines(&output).into_iter().filter(|line| line["event"] == "bench_result") {
        let word = |field: &str| line[field].as_str().expect("a word").to_owned();
        results.entry((word("work"), word("transport"))).or_default().push(line);
    }
    results
}

#[test]
fn every_transport_runs_every_workload() {
    let results = results(&["--quick", "--sizes", "64", "--for", "3s", "--clients", "3"]);
    // Queues are a kernel option.
    let excused = ["posix-mq", "sysv"];
    for ((work, transport), found) in &results {
        let is_excused = excused.contains(&&**transport) || (work == "one-way" && transport == "file");
        for line in found {
            match line["status"].as_str() {
                Some("measured") => check(line),
                Some("not_measured") if is_excused => assert!(line["why"].is_string()),
                _ => panic!("{work} {transport}: {line}"),
            }
        }
    }
    let transports = |work: &str| results.keys().filter(|(other, _)| other == work).count();
    let counts = ["ping-pong", "one-way", "fan-in", "connect", "descriptors", "credentials"].map(transports);
    assert_eq!(counts, [16, 16, 9, 5, 4, 4]);
}

fn check(line: &Value) {
    assert!(line["messages"].as_u64() > Some(0) && line["per_second"].as_f64() > Some(0.0), "{line}");
    assert!(line["cpu_us"].as_f64() > Some(0.0), "{line}");
    let latency = &line["latency"];
    let is_answered = ["ping-pong", "fan-in", "connect"].iter().any(|work| line["work"] == *work);
    assert_eq!(latency.is_object(), is_answered, "{line}");
    let percentiles = ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|name| latency[name].as_f64());
    assert!(percentiles.is_sorted(), "{line}");
    let is_compared = line["work"] == "descriptors" || line["work"] == "credentials";
    assert_eq!(line["plain_per_second"].is_number(), is_compared, "{line}");
}

#[test]
fn large_messages_are_complete_or_not_measured() {
    let flags =
        ["--quick", "--workloads", "ping-pong,one-way", "--sizes", "16,100000,4194304", "--for", "3s"];
    let results = results(&flags);
    let stream = &results[&("one-way".into(), "stream".into())];
    assert!(stream.iter().all(|line| line["status"] == "measured"), "{stream:?}");
    for memory in ["memory-futex", "memory-spin"] {
        // On a busy machine, time may be too short for 4 MiB messages, which is said.
        let rings = &results[&("one-way".into(), memory.into())];
        let is_measured_or_slow = |line: &Value| {
            line["status"] == "measured" || line["why"] == "too slow for the given time; try --for"
        };
        assert!(rings.iter().all(is_measured_or_slow), "{rings:?}");
        assert_eq!(rings[0]["status"], "measured", "{rings:?}");
    }
    let udp = &results[&("ping-pong".into(), "udp".into())];
    let statuses: Vec<_> = udp.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["measured", "not_measured", "not_measured"]);
    let queue = &results[&("ping-pong".into(), "sysv".into())];
    assert_eq!(queue[2]["status"], "not_measured", "{queue:?}");
}

#[test]
fn a_rate_is_kept() {
    let flags = ["--rate", "500", "--transports", "stream", "--sizes", "64", "--for", "900ms"];
    let results = results(&flags);
    let line = &results[&("ping-pong".into(), "stream".into())][0];
    assert!(line["cpu_us"].is_null(), "waiting awake is no cost of a message: {line}");
    assert!(line["per_second"].as_f64() < Some(600.0), "{line}");
}

#[test]
fn files_are_written_and_text_has_recommendations() {
    let directory = tempdir();
    let (svg, html) = (directory.path().join("plot.svg"), directory.path().join("page.html"));
    let files = ["-o", svg.to_str().unwrap(), "-o", html.to_str().unwrap()];
    let flags = ["--quick", "--transports", "stream,tcp", "--workloads", "ping-pong,one-way", "--for", "1s"];
    let output = bench(directory.path(), &[&flags[..], &files].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["usable processor", "Latency", "One-way throughput", "Recommendations"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg "));
    assert!(std::fs::read_to_string(html).unwrap().starts_with("<!doctype html>"));
}

#[test]
fn contradicting_arguments_are_rejected() {
    let directory = tempdir();
    for flags in [
        &["--sizes", "8"][..],
        &["--sizes", "99999999999"],
        &["--transports", "morse"],
        &["--workloads", "idling"],
        &["-o", "results.txt"],
        &["--pin", "0"],
        &["--rate", "0"],
        &["--clients", "0"],
        &["--transports", "pipe", "--workloads", "connect"],
    ] {
        assert_eq!(bench(directory.path(), flags).status.code(), Some(2), "{flags:?}");
    }
}
