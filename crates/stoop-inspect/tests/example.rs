//! Runs the examples of this crate as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use stoop_kernel_facts::*;
use stoop_testkit::{deadline, tempdir};

fn run(example: &str, argument: &Path) -> Output {
    // This test is target/PROFILE/deps/example-HASH.
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().and_then(Path::parent).unwrap().join("examples").join(example);
    assert!(program.exists(), "{} is not built", program.display());
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::null());
    deadline(Duration::from_secs(20), move || command.output().unwrap())
}

#[test]
fn the_other_end_is_named() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let _listener = listener(STREAM, &Name::path(&path), 8);
    let said = String::from_utf8(run("other_end", &path).stdout).unwrap();
    // The client has not been accepted. The listener belongs to this process.
    assert!(said.starts_with(&format!("{} ", std::process::id())), "{said}");
}

#[test]
fn a_failed_connect_is_diagnosed() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let output = run("diagnose", &path);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("ENOENT"), "{error}");
    assert!(error.contains("why:  no server has created this file"), "{error}");
    assert!(error.contains("next: start a server at"), "{error}");
    let _listener = listener(STREAM, &Name::path(&path), 8);
    assert!(run("diagnose", &path).status.success());
}
