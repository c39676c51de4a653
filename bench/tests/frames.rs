//! Runs the benchmark of framing with a few messages of each size. Asserts nothing about speed.

use std::process::Command;

#[test]
fn a_short_run_reports_every_peer_and_checks_every_byte() {
    if !stoop_testkit::has_program("cc") {
        stoop_testkit::skip!("lacks cc");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_frames"))
        .args(["--reps", "1", "--scale", "0.0005", "--read", "--json"])
        .output()
        .expect("run the benchmark");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON on stdout");
    let results = report["results"].as_array().expect("results");
    let of_size = |bytes: u64| results.iter().filter(|row| row["message_bytes"] == bytes).count();
    assert_eq!([64, 1024, 65_536, 1_048_576].map(of_size), [if cfg!(feature = "tokio") { 6 } else { 4 }; 4]);
    assert!(results.iter().all(|row| row["messages_per_second"]["median"].as_f64() > Some(0.0)));
}

#[test]
fn an_unknown_option_is_refused() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_frames")).arg("--fast").output().expect("run the benchmark");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"));
}
