//! Every failure of the command has its parts: what failed, why, and what to do next. What to do
//! is a command that this machine can parse, or a sentence.

mod failures {
    pub mod confined;
    pub mod world;
}

use std::process::Command;

use failures::world::World;
use stoop_e2e::stoop;
use stoop_testkit::{has_program, skip};

/// Command lines that fail without any server: `{}` is the directory of the world.
const USAGE: &[&str] = &[
    "frob",
    "serv",
    "ls --frob",
    "ls -z",
    "connect",
    "serve {}/x --kind frob",
    "connect {}/silent --kind dgram --bind",
    "ls --name [",
    "ls --columns frob",
    "send {}/silent --descriptor",
    "connect tcp:1",
    "why {}/none --op frob",
    "why {}/none --deliver",
    "why {}/none --op send --try",
    "http {}/h1 no-slash",
    "http {}/h1 https://x/",
    "http {}/h1 /path GET",
    "http {}/h1 / -H bad",
    "http {}/h1 / --upgrade tcp --http2",
    "http {}/h1 / --upgrade tcp --output {}/o",
    "http {}/h1 / --tty --upgrade tcp",
    "http dgram:{}/dgram /",
    "grpc {}/silent list --proto {}/none.proto",
    "grpc {}/silent list --proto {}/file",
    "grpc {}/silent list --descriptor-set {}/file",
    "grpc {}/silent list --descriptor-set {}/none",
    "bench --output {}/x.txt",
    "completions frob",
    "man frob",
    "wait {}/silent --healthy --timeout 100ms",
    "send {}/seqpacket x --keep-open --reply",
    "connect {}/dgram --keep-open",
    "connect dgram:{}/dgram --kind stream",
];

/// Command lines that fail because of what is there, or is not.
const WORLD: &[&str] = &[
    "connect {}/none",
    "connect {}/stale",
    "connect {}/file",
    "connect {}/directory",
    "connect {}/dangling",
    "connect {}/loop",
    "connect {}/file/x",
    "connect {}/bound",
    "connect @stoop-e2e-no-such-name",
    "connect fd:77",
    "connect {}/dgram --kind stream",
    "connect {}/full --timeout 100ms",
    "serve {}/file",
    "serve {}/directory",
    "serve {}/dangling",
    "serve {}/silent",
    "serve {}/none/x",
    "serve {}/file/x",
    "serve {}/x --group no-such-group",
    "serve /proc/x",
    "recv {}/silent",
    "recv {}/fresh --timeout 50ms",
    "send {}/silent x --reply --timeout 100ms",
    "send {}/seqpacket x --reply --timeout 100ms",
    "send dgram:{}/unread x --timeout 100ms",
    "send {}/closing x --reply",
    "send {}/silent --file {}/none",
    "send {}/silent --file {}/directory",
    "send {}/seqpacket --file /dev/null",
    "http {}/none /",
    "http {}/silent / --timeout 100ms",
    "http {}/closing /",
    "http {}/short /",
    "http {}/junk /",
    "http {}/tls /",
    "http {}/tls / --http2",
    "http {}/h1 / --http2",
    "http {}/h1 / --upgrade tcp",
    "http {}/h1 / --data @{}/none",
    "http {}/h1 / --output {}/none/x",
    "http {}/full / --timeout 100ms",
    "grpc {}/none list",
    "grpc {}/silent list --timeout 100ms",
    "grpc {}/closing list",
    "grpc {}/junk list",
    "grpc {}/tls list",
    "grpc {}/h1 list",
    "wait {}/none --timeout 50ms",
    "wait {}/none --exists --timeout 50ms",
    "wait {}/full --accepting --timeout 50ms",
    "who {}/none",
    "who {}/file",
    "who inode:1",
    "who pid:4194305",
    "who @stoop-e2e-no-such-name",
    "close inode:1 --yes",
    "close pid:4194305 --yes",
];

#[test]
fn usage_errors_have_their_parts() {
    let world = World::new();
    USAGE.iter().for_each(|line| fails(&world, line));
}

#[test]
fn failures_have_their_parts() {
    let world = World::new();
    WORLD.iter().for_each(|line| fails(&world, line));
}

/// The kernel's own errors, made by a filter of system calls.
#[test]
fn errors_of_the_kernel_have_their_parts() {
    if !cfg!(target_arch = "x86_64") {
        skip!("lacks the numbers of this processor's system calls");
    }
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let world = World::new();
    for (call, errno, line) in failures::confined::CASES {
        let output = failures::confined::run(*call, *errno, world.words(line));
        has_parts(&output.stderr, &format!("{line}, errno {errno}"));
    }
}

fn fails(world: &World, line: &str) {
    let output = stoop(world.words(line)).run();
    assert_ne!(output.code, Some(0), "'{line}' succeeded");
    has_parts(&output.stderr, line);
}

/// Panics unless these are the parts of an error, with a next step that can be taken.
fn has_parts(stderr: &str, line: &str) {
    let labels = ["error: ", "  why:  ", "  next: "];
    let found: Vec<usize> = labels
        .iter()
        .map(|label| {
            let at = stderr.lines().position(|line| line.starts_with(label));
            at.unwrap_or_else(|| panic!("no '{}' in what '{line}' says:\n{stderr}", label.trim()))
        })
        .collect();
    assert!(found.is_sorted(), "out of order after '{line}':\n{stderr}");
    let steps = stderr.lines().skip(found[2]).filter_map(|line| line.get("  next: ".len()..));
    for step in steps {
        assert!(can_be_taken(step), "'{step}' after '{line}' can be neither run nor read");
    }
}

/// Returns whether a shell parses this step as a command, and knows the program if it is `stoop`;
/// a sentence is a comment.
fn can_be_taken(step: &str) -> bool {
    // A picture of a command line, to be filled in.
    if step.contains('…') || step.contains("ADDR") || step.starts_with('#') {
        return step.len() > 4;
    }
    let parses = Command::new("sh").args(["-n", "-c", step]).status().is_ok_and(|status| status.success());
    parses && step.split_whitespace().next().is_some_and(|program| !program.ends_with(':'))
}
