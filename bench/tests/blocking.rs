//! Runs the benchmark with a few round trips. Asserts nothing about speed.

use std::process::Command;

#[test]
fn a_short_run_reports_every_peer() {
    if !stoop_testkit::has_program("cc") {
        stoop_testkit::skip!("lacks cc");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_blocking"))
        .args(["--reps", "1", "--rounds", "20", "--json"])
        .output()
        .expect("run the benchmark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
    let results = report["results"].as_array().expect("results");
    let peers: Vec<_> = results.iter().map(|r| r["peer"].as_str().expect("a name")).collect();
    assert_eq!(peers, ["c", "stoop", "std", "c", "stoop", "std"]);
    assert!(results.iter().all(|r| r["nanoseconds"]["median"].as_f64() > Some(0.0)));
}

#[test]
fn an_unknown_option_is_refused() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_blocking")).arg("--fast").output().expect("run the benchmark");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"));
}
