//! The programs `examples/http_server.rs` and `examples/http_client.rs`, run as documented.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stoop_testkit::{KillOnDrop, deadline, spawn, tempdir};

const SOON: Duration = Duration::from_secs(20);

fn example(name: &str) -> Command {
    // This test is target/PROFILE/deps/examples-HASH.
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built: cargo build -p stoop-http --examples", program.display());
    Command::new(program)
}

/// Returns the client's stdout and stderr, and whether it succeeded.
fn asks(words: &[&str]) -> (String, String, bool) {
    let mut command = example("http_client");
    command.args(words).stdin(Stdio::null());
    let output = deadline(SOON, move || command.output().unwrap());
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (out, err, output.status.success())
}

#[test]
fn the_examples_talk_and_shut_down() {
    let dir = tempdir();
    let path = dir.path().join("app.sock").to_str().unwrap().to_owned();
    let (_, error, succeeded) = asks(&[&path, "GET", "/whoami"]);
    assert!(!succeeded && error.contains("ENOENT") && error.contains(&path), "{error}");

    let mut command = example("http_server");
    let mut server = KillOnDrop(spawn(command.arg(&path).stdout(Stdio::piped())).unwrap());
    server.line("listening", SOON);
    let (out, status, succeeded) = asks(&[&path, "GET", "/whoami"]);
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    assert_eq!((out, status, succeeded), (format!("user {uid}\n"), "200 OK\n".into(), true));
    assert!(asks(&[&path, "GET", "/nothing"]).1.starts_with("404 Not Found"));

    let mut slow = example("http_client");
    slow.args([&path, "POST", "/slow"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut slow = KillOnDrop(spawn(&mut slow).unwrap());
    std::thread::sleep(Duration::from_millis(150));
    let pid = server.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    slow.line("done", SOON);
    server.line("exited", SOON);
    assert!(server.finish(SOON).success() && slow.finish(SOON).success());
}
