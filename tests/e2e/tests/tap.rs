//! `stoop tap`: what is shown of real programs, and what Wireshark's dissectors make of the file.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use stoop_e2e::{Run, Running, program, redis, serve, socket_path, stoop, stoop_as, wait_served};
use stoop_testkit::{has_program, is_root, public_tempdir, skip};

/// Skips the test if the kernel or its owner does not permit to capture.
macro_rules! needs_capture {
    () => {
        if !is_root() {
            skip!("lacks root");
        }
        if let Err(missing) = stoop_tap::Tap::start(stoop_tap::CaptureOptions::default()) {
            skip!("lacks the capture programs: {missing}");
        }
    };
}

#[path = "tap/calls.rs"]
mod calls;
#[path = "tap/displays.rs"]
mod displays;
#[path = "tap/programs.rs"]
mod programs;
#[path = "tap/secrets.rs"]
mod secrets;
#[path = "tap/waiting.rs"]
mod waiting;

/// Starts a capture, and waits until it runs.
fn tap(arguments: &[&str]) -> Running {
    let running = stoop(["tap"]).args(arguments).spawn();
    running.wait_stderr("capturing");
    running
}

/// Runs a client while its server is tapped. Returns what was shown, and how long the client took.
fn tapped(place: &str, client: Run) -> (Vec<Value>, Duration) {
    let tap = tap(&[place, "--json"]);
    let begin = Instant::now();
    client.run().ok();
    let measured = begin.elapsed();
    // What the client has received was captured before.
    (tap.terminate().ok().json(), measured)
}

/// Asserts that a method was called and answered once, and returns the answer.
fn answered_once(lines: &[Value], method: &str, measured: Duration) -> Value {
    let of = |event: &str| -> Vec<&Value> {
        lines.iter().filter(|line| line["event"] == event && line["method"] == method).collect()
    };
    let (calls, answers) = (of("call"), of("response"));
    assert_eq!((calls.len(), answers.len()), (1, 1), "{lines:?}");
    let latency = Duration::from_nanos(answers[0]["latency_ns"].as_u64().unwrap());
    assert!(latency > Duration::ZERO && latency <= measured, "{latency:?} of {measured:?}");
    answers[0].clone()
}

/// Captures the client to a file, which Wireshark dissects as this protocol, without an error.
fn dissected(place: &str, directory: &Path, protocol: &str, client: Run) {
    if !has_program("tshark") {
        return;
    }
    let file = directory.join("tapped.pcapng");
    let file = file.to_str().unwrap();
    let tap = tap(&[place, "-w", file]);
    client.run().ok();
    tap.terminate().ok();
    let shown = |filter: &str| program("tshark", ["-r", file, "-Y", filter]).run().ok().text();
    assert_ne!(shown(protocol), "", "{protocol}");
    assert_eq!(shown("_ws.malformed"), "", "{protocol}");
}

/// Removes what a server has created and left.
struct Removed<'p>(&'p [String]);

impl Drop for Removed<'_> {
    fn drop(&mut self) {
        for path in self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A server that answers each request of HTTP.
fn http_server(place: &str) -> Running {
    const ANSWER: &str = "while read -r line && [ ${#line} -gt 1 ]; do :; done; printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'";
    let server = stoop(["serve", place, "--quiet", "--exec", ANSWER]).spawn();
    wait_served(place);
    server
}

#[test]
fn a_call_is_shown_with_both_processes_and_its_latency() {
    needs_capture!();
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let (_dir, place) = socket_path();
    let _server = http_server(&place);
    let tap = tap(&[&place, "--json", "--count", "2"]);
    let url = "http://x/path?token=s3cret";
    program("curl", ["-s", "--unix-socket", &place, url]).run().ok().stdout_is(b"ok");
    let lines = tap.finish().ok().json();
    let of = |event: &str| -> &Value { lines.iter().find(|line| line["event"] == event).expect(event) };
    let (call, response) = (of("call"), of("response"));
    assert_eq!((&call["text"], &call["method"]), (&"GET /path?token=[redacted]".into(), &"GET /path".into()));
    assert_eq!((&call["protocol"], &call["from"]["command"]), (&"http".into(), &"curl".into()));
    assert_eq!((&response["text"], &response["ok"]), (&"200 OK".into(), &true.into()));
    assert_eq!((&response["method"], &response["connection"]), (&call["method"], &call["connection"]));
    assert_eq!(response["to"]["pid"], call["from"]["pid"]);
    assert!(response["latency_ns"].as_u64().unwrap() > 0);
    assert_eq!(of("connect")["to"]["address"], place.as_str());
}

#[test]
fn what_a_user_does_later_is_selected_too() {
    needs_capture!();
    let directory = public_tempdir();
    let place = directory.path().join("later.sock").to_str().unwrap().to_owned();
    let tap = tap(&["--user", "65534", "--json", "--count", "1"]);
    let server = stoop(["serve", &place, "--mode", "666", "--quiet", "--exec", "cat > /dev/null"]).spawn();
    wait_served(&place);
    stoop(["send", &place, "not theirs"]).run().ok();
    stoop_as(65534, ["send", &place, "theirs"]).run().ok();
    let lines = tap.finish().ok().json();
    drop(server);
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["theirs"], "{lines:?}");
}

#[test]
fn what_was_sent_cannot_control_the_terminal() {
    needs_capture!();
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let tap = tap(&[&place, "--count", "1"]);
    stoop(["send", &place, "\u{1b}[31mred\u{202e}", "--reply"]).run().ok();
    let text = tap.finish().ok().text();
    assert!(text.contains("\\u{1b}[31mred\\u{202e}"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn contents_are_left_out_on_request() {
    needs_capture!();
    let (_dir, place) = socket_path();
    let _server = serve("dgram", &place);
    let tap = tap(&[&format!("dgram:{place}"), "--no-payload", "--count", "1"]);
    stoop(["send", &format!("dgram:{place}"), "confidential"]).run().ok();
    let text = tap.finish().ok().text();
    assert!(text.contains("→") && text.contains("12 B") && !text.contains("confidential"), "{text}");
}

#[test]
fn a_file_is_dissected_and_has_no_secrets() {
    needs_capture!();
    if !has_program("curl") || !has_program("tshark") {
        skip!("lacks curl or tshark");
    }
    for (flags, secret) in [(&[][..], "Bearer ******"), (&["--secrets"], "Bearer s3cret")] {
        let (dir, place) = socket_path();
        let _server = http_server(&place);
        let file = dir.path().join("out.pcapng");
        let file = file.to_str().unwrap();
        let tap = tap(&[&[place.as_str(), "-w", file, "--count", "2"], flags].concat());
        let header = "Authorization: Bearer s3cret";
        program("curl", ["-s", "--unix-socket", &place, "-H", header, "http://x/file"]).run().ok();
        tap.finish().ok();
        let fields = [
            "-T",
            "fields",
            "-e",
            "http.request.uri",
            "-e",
            "http.response.code",
            "-e",
            "http.authorization",
        ];
        let dissected =
            program("tshark", [&["-r", file, "-Y", "http"], &fields[..]].concat()).run().ok().text();
        let lines: Vec<&str> = dissected.lines().map(str::trim).collect();
        let shown = if secret.contains('*') { "*************" } else { secret };
        assert_eq!(lines, [format!("/file\t\t{shown}"), "200".to_owned()], "{flags:?}");
        let malformed = program("tshark", ["-r", file, "-Y", "_ws.malformed"]).run().ok().text();
        assert_eq!(malformed, "");
        let comments =
            program("tshark", ["-r", file, "-T", "fields", "-e", "frame.comment"]).run().ok().text();
        assert!(comments.contains("curl["), "{comments}");
        assert!(is_private(Path::new(file)));
    }
}

fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().unwrap().permissions().mode() & 0o077 == 0
}

#[test]
fn methods_are_counted_at_the_end() {
    needs_capture!();
    if !has_program("redis-server") || !has_program("redis-cli") {
        skip!("lacks redis");
    }
    let (_dir, place) = socket_path();
    let _server = redis(&place);
    let tap = tap(&[&place, "--stats", "--count", "8"]);
    for command in [&["set", "k", "v"][..], &["get", "k"], &["get", "k"], &["auth", "s3cret"]] {
        program("redis-cli", [&["-s", place.as_str()], command].concat()).run();
    }
    let table = tap.finish().ok().text();
    let row = |method: &str| -> Vec<&str> {
        let row = table.lines().find(|line| line.ends_with(method)).unwrap_or_else(|| panic!("{table}"));
        row.split_whitespace().collect()
    };
    assert_eq!(row("redis GET")[..2], ["2", "0"]);
    assert_eq!(row("redis SET")[..2], ["1", "0"]);
    assert_eq!(row("redis AUTH")[..2], ["1", "1"]);
}

#[test]
fn it_stops_after_its_time_and_says_what_matches_nothing() {
    needs_capture!();
    let (_dir, place) = socket_path();
    stoop(["tap", &place]).run().code(1).explains(&["no socket matches", "next: stoop ls"]);
    let _server = serve("stream", &place);
    let started = std::time::Instant::now();
    stoop(["tap", &place, "--timeout", "200ms"]).run().ok();
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[test]
fn an_ordinary_user_is_told_what_is_missing_and_what_works() {
    if !is_root() {
        skip!("lacks root, to become another user");
    }
    let told = stoop_as(65534, ["tap"]).run().code(4);
    told.explains(&["cannot capture", "CAP_BPF and CAP_PERFMON missing", "next: sudo stoop tap"]);
    told.explains(&["stoop tap -- COMMAND", "strace", "stoop relay --interpose"]);
}
