//! Runs the asynchronous benchmarks with a few messages. Asserts nothing about speed.

#![cfg(feature = "tokio")]

use std::process::Command;

fn results(program: &str, args: &[&str]) -> Vec<serde_json::Value> {
    let output = Command::new(program).args(args).arg("--json").output().expect("run the benchmark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
    assert!(report["machine"]["model"].is_string(), "the processor is named");
    assert_eq!(report["repetitions"], 1);
    report["results"].as_array().expect("results").clone()
}

#[test]
fn streams_are_compared_on_one_cpu_and_on_two() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        stoop_testkit::skip!("lacks a second CPU");
    }
    let results = results(env!("CARGO_BIN_EXE_tokio_stream"), &["--reps", "1", "--rounds", "20"]);
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|row| row["ratio_to_tokio"]["median"].as_f64() > Some(0.0)));
}

#[test]
fn idle_connections_are_measured_for_each_server() {
    let results = results(env!("CARGO_BIN_EXE_idle_connections"), &["--reps", "1", "--connections", "50"]);
    let servers: Vec<_> = results.iter().map(|row| row["server"].as_str().expect("a name")).collect();
    assert_eq!(servers, ["raw", "tokio", "stoop"]);
}

#[cfg(feature = "grpc")]
#[test]
fn calls_are_compared_in_every_measurement() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        stoop_testkit::skip!("lacks a second CPU");
    }
    let results = results(env!("CARGO_BIN_EXE_grpc"), &["--reps", "1", "--calls", "64"]);
    assert_eq!(results.len(), 6);
    assert!(results.iter().all(|row| row["both_ratio"]["median"].as_f64() > Some(0.0)));
}

#[test]
fn what_is_not_in_the_usage_is_refused() {
    for args in [&["5"][..], &["--fast"], &["--reps", "x"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_tokio_stream")).args(args).output().expect("run it");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
