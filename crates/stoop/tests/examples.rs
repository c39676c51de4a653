//! The programs in `examples`, run as a newcomer would run them: in pairs, as processes of their
//! own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stoop_testkit::{KillOnDrop, TempDir, deadline, has_program, skip, spawn, tempdir};

const SOON: Duration = Duration::from_secs(20);

fn example(name: &str) -> Command {
    // This test is target/PROFILE/deps/examples-HASH.
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built: cargo build -p stoop --examples", program.display());
    Command::new(program)
}

/// Starts a server, and waits until it says that it listens; returns what else it said in that
/// line.
fn server(name: &str, arguments: &[&str]) -> (KillOnDrop, String) {
    let command = &mut example(name);
    let mut child =
        KillOnDrop(spawn(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap());
    let rest = child.line("listening", SOON);
    (child, rest)
}

/// Runs a client to its end; returns what it printed on stdout and stderr, and whether it
/// succeeded.
fn run(name: &str, arguments: &[&str]) -> (String, String, bool) {
    let mut command = example(name);
    command.args(arguments).stdin(Stdio::null());
    let output = deadline(SOON, move || command.output().unwrap());
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (out, err, output.status.success())
}

fn says(name: &str, arguments: &[&str]) -> String {
    let (out, err, succeeded) = run(name, arguments);
    assert!(succeeded, "{name}: {err}");
    out
}

fn at(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn streams() {
    let dir = tempdir();
    let path = at(&dir, "app.sock");
    let (_server, _) = server("stream_server", &[&path]);
    assert_eq!(says("stream_client", &[&path, "hello", "there"]), "HELLO\nTHERE\n");
    assert_eq!(says("stream_client", &[&path]), "");
    let (_, error, succeeded) = run("stream_server", &[&path]);
    assert!(!succeeded && error.contains("EADDRINUSE") && error.contains(&path), "{error}");
}

#[test]
fn a_client_alone_names_the_address() {
    let dir = tempdir();
    let path = at(&dir, "nobody.sock");
    let (_, error, succeeded) = run("stream_client", &[&path]);
    assert!(!succeeded && error.contains("ENOENT") && error.contains(&path), "{error}");
}

#[test]
fn datagrams() {
    let dir = tempdir();
    let path = at(&dir, "app.sock");
    let (_server, _) = server("datagram_server", &[&path]);
    assert_eq!(says("datagram_client", &[&path, "hello", "there"]), "HELLO\nTHERE\n");
}

#[test]
fn a_descriptor_is_passed() {
    let dir = tempdir();
    let (path, file) = (at(&dir, "app.sock"), at(&dir, "letter"));
    std::fs::write(&file, "dear reader\n").unwrap();
    let (mut receiver, _) = server("pass_descriptor", &["receive", &path]);
    assert_eq!(says("pass_descriptor", &["send", &path, &file]), "");
    receiver.line(&format!("{file}:"), SOON);
    receiver.line("dear reader", SOON);
    assert!(receiver.finish(SOON).success());
}

#[test]
fn peers_are_checked() {
    let dir = tempdir();
    let path = at(&dir, "app.sock");
    let (mut server, _) = server("check_peer", &[&path, "12345"]);
    let me = rustix::process::getuid().as_raw();
    assert!(says("stream_client", &[&path]).starts_with(&format!("hello, user {me}, in process Some(")));
    server.line(&format!("accepted Known({me})"), SOON);
}

#[test]
fn a_name_is_taken_over() {
    let dir = tempdir();
    let path = at(&dir, "app.sock");
    let (mut one, _) = server("take_over", &[&path, "one"]);
    assert_eq!(says("stream_client", &[&path]), "this is version one\n");
    let (_two, _) = server("take_over", &[&path, "two"]);
    assert_eq!(says("stream_client", &[&path]), "this is version two\n");
    one.line("replaced", SOON);
    assert!(one.finish(SOON).success());
    assert_eq!(says("stream_client", &[&path]), "this is version two\n");
}

#[test]
fn a_socket_is_handed_over() {
    let dir = tempdir();
    let (path, control) = (at(&dir, "app.sock"), at(&dir, "app.handover"));
    let (mut one, how) = server("hand_over", &[&path, &control, "one"]);
    assert_eq!(how, ", the first");
    assert_eq!(says("stream_client", &[&path]), "this is version one\n");
    let (_two, how) = server("hand_over", &[&path, &control, "two"]);
    assert_eq!(how, ", taken over");
    one.line("handed over", SOON);
    assert!(one.finish(SOON).success());
    assert_eq!(says("stream_client", &[&path]), "this is version two\n");
}

#[test]
fn a_socket_is_passed_by_systemd() {
    let dir = tempdir();
    let path = at(&dir, "own.sock");
    let (_server, _) = server("socket_activation", &[&path]);
    assert_eq!(says("stream_client", &[&path]), "hello from behind the door\n");
    if !has_program("systemd-socket-activate") {
        skip!("lacks systemd-socket-activate");
    }
    let path = at(&dir, "app.sock");
    let mut manager = Command::new("systemd-socket-activate");
    manager.arg(format!("--listen={path}")).arg(example("socket_activation").get_program()).arg(&path);
    let _manager = KillOnDrop(spawn(manager.stdout(Stdio::null()).stderr(Stdio::null())).unwrap());
    assert_eq!(says("stream_client", &[&path]), "hello from behind the door\n");
    // It lives on for the next client.
    assert_eq!(says("stream_client", &[&path]), "hello from behind the door\n");
}
