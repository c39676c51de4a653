//! Runs the example of this crate as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stoop_kernel_facts::*;
use stoop_testkit::{deadline, tempdir};

#[test]
fn the_other_end_is_named() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let _listener = listener(STREAM, &Name::path(&path), 8);
    // This test is target/PROFILE/deps/example-HASH.
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().and_then(Path::parent).unwrap().join("examples").join("other_end");
    assert!(program.exists(), "{} is not built", program.display());
    let mut command = Command::new(program);
    command.arg(&path).stdin(Stdio::null());
    let output = deadline(Duration::from_secs(20), move || command.output().unwrap());
    let said = String::from_utf8(output.stdout).unwrap();
    // The client has not been accepted. The listener belongs to this process.
    assert!(said.starts_with(&format!("{} ", std::process::id())), "{said}");
}
