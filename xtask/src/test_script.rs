//! Tests of `./test`: what it makes of the output of test programs.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a function of the script with this input.
fn call(function: &str, input: &str) -> String {
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!(". ./test; {function}")]).current_dir(crate::tree::root());
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{function}");
    String::from_utf8(output.stdout).unwrap()
}

const OF_CARGO: &str = "\
[3 of 9] Running tests/bind.rs (target/debug/deps/bind-1)
test a::b ... FAILED
test c ... ok
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s
[4 of 9] Doc-tests stoop
test crates/stoop/src/lib.rs - (line 8) ... FAILED
test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.05s
error: 2 targets failed:
    `-p stoop --test bind`
    `-p stoop --doc`
";

const OF_NEXTEST: &str = "\
        FAIL [   0.014s] (1/4) stoop waiting::tests::a
     Summary [   0.237s] 4 tests run: 2 passed, 2 failed, 20 skipped
        FAIL [   0.014s] (1/4) stoop waiting::tests::a
     SIGABRT [   0.014s] (2/4) stoop::ring b
";

#[test]
fn passed_failed_and_ignored_tests_are_added_up() {
    assert_eq!(call("sum_up /dev/stdin", OF_CARGO), "8 2 1\n");
    assert_eq!(call("sum_up /dev/stdin", OF_NEXTEST), "2 2 0\n");
}

#[test]
fn failed_tests_are_named_with_their_program() {
    let expected = "FAILED stoop: crates/stoop/src/lib.rs - (line 8)\nFAILED tests/bind.rs: a::b\n\
                    rerun: ./test -p stoop --doc\nrerun: ./test -p stoop --test bind\n";
    assert_eq!(call("failed_names /dev/stdin", OF_CARGO), expected);
    let expected = "FAILED stoop waiting::tests::a\nFAILED stoop::ring b\n";
    assert_eq!(call("failed_names /dev/stdin", OF_NEXTEST), expected);
}

#[test]
fn programs_are_numbered() {
    let numbered = call("nextest=no; total=2; number", "     Running a\ntest x ... ok\n   Doc-tests b\n");
    assert_eq!(numbered, "[1 of 2] Running a\ntest x ... ok\n[2 of 2] Doc-tests b\n");
}

#[test]
fn arguments_select_packages_and_their_features() {
    let read = |line: &str| {
        call(
            &format!("read_arguments {line}; echo ${{selected[*]-}} $doc_tests $nextest ${{cargo_args[*]-}}"),
            "",
        )
    };
    assert_eq!(
        read("-p stoop connect"),
        "stoop yes yes --features stoop/tracing,stoop/futures,stoop/serde\n"
    );
    assert_eq!(read("--package=stoop-memory --test ring -- --nocapture"), "stoop-memory no no\n");
    assert!(read("").starts_with("yes yes --workspace --features stoop/tracing,"));
}
