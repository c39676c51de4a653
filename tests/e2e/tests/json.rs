//! `--json`: every line is JSON with a schema number, has its documented fields, and bytes are
//! preserved.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use serde_json::Value;
use stoop_e2e::{KINDS, Raw, socket_path, stoop, wait_served};

/// The schema number and the event name of every line.
#[track_caller]
fn events(lines: &[Value]) -> Vec<&str> {
    let event = |line| -> &str {
        let line: &Value = line;
        assert_eq!(line["schema"], 1, "{line}");
        line["event"].as_str().unwrap_or_else(|| panic!("no event in {line}"))
    };
    lines.iter().map(event).collect()
}

#[test]
fn serve_reports_accepted_and_closed_connections() {
    for kind in ["stream", "seqpacket"] {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--kind", kind, "--json", "--mode", "600"]).spawn();
        wait_served(&place);
        let client = Raw::connect(kind, &place).unwrap();
        client.is_echoed(b"12345");
        drop(client);
        server.wait_stdout("closed");
        let lines = server.terminate().ok().json();
        let names = events(&lines);
        assert!(names.starts_with(&["listening", "accepted", "closed"]), "{names:?}");
        assert_eq!((&lines[0]["address"], &lines[0]["kind"]), (&place.as_str().into(), &kind.into()));
        assert_eq!(lines[0]["mode"], "600");
        assert_eq!(lines[1]["pid"], std::process::id());
        assert_eq!(lines[1]["connection"], lines[2]["connection"]);
        assert_eq!((&lines[2]["received_bytes"], &lines[2]["sent_bytes"]), (&5.into(), &5.into()));
    }
}

#[test]
fn serve_reports_the_exit_status_of_commands() {
    for (command, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--exec", command, "--json", "--count", "1"]).spawn();
        wait_served(&place);
        Raw::connect("stream", &place).unwrap().hear();
        let lines = server.finish().ok().json();
        assert_eq!(events(&lines), ["listening", "accepted", "closed"]);
        assert_eq!(lines[2]["exit_status"], status, "{command}");
    }
    for (command, words) in
        [("exit 7", "a command exited with status 7"), ("kill -9 $$", "a command was ended by signal 9")]
    {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--exec", command, "--count", "1"]).spawn();
        wait_served(&place);
        Raw::connect("stream", &place).unwrap().hear();
        server.finish().ok().explains(&[words]);
    }
}

#[test]
fn recv_reports_messages_with_their_senders() {
    for kind in KINDS {
        let (_dir, place) = socket_path();
        let recv = stoop(["recv", &place, "--kind", kind, "--json", "--count", "1"]).spawn();
        wait_served(&place);
        stoop(["send", &place, "grüße", "--kind", kind]).run().ok();
        let lines = recv.finish().ok().json();
        assert_eq!(events(&lines), ["message"]);
        assert_eq!((&lines[0]["size"], &lines[0]["data"]["text"]), (&7.into(), &"grüße".into()));
        assert!(lines[0]["pid"].is_u64() && lines[0]["uid"].is_u64() && lines[0]["gid"].is_u64());
    }
}

#[test]
fn bytes_that_are_not_utf8_are_base64() {
    let (_dir, place) = socket_path();
    let recv = stoop(["recv", &place, "--json", "--count", "2", "--kind", "seqpacket"]).spawn();
    wait_served(&place);
    let client = Raw::connect("seqpacket", &place).unwrap();
    client.say(&[0xff, 0xfe, 0xfd]);
    client.say(b"line\n\x1b[31m\0");
    let output = recv.finish().ok();
    let lines = output.json();
    assert_eq!(lines[0]["data"]["bytes"], "//79");
    assert_eq!(lines[1]["data"]["text"], "line\n\u{1b}[31m\0");
    assert!(!output.stdout.contains(&0x1b), "control characters are escaped in JSON, too");
}

#[test]
fn send_reports_the_answer() {
    for kind in KINDS {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--kind", kind]).spawn();
        wait_served(&place);
        let lines = stoop(["send", &place, "ping", "--kind", kind, "--reply", "--json"]).run().ok().json();
        assert_eq!(events(&lines), ["message"]);
        assert_eq!(lines[0]["data"]["text"], "ping");
        assert_eq!(lines[0]["pid"], server.pid());
        server.terminate().ok();
    }
}

#[test]
fn descriptors_are_listed() {
    let (_dir, place) = socket_path();
    let recv = stoop(["recv", &place, "--json", "--count", "1", "--descriptors", "1"]).spawn();
    wait_served(&place);
    stoop(["send", &place, "x", "--fd", "/dev/null"]).run().ok();
    let lines = recv.finish().ok().json();
    assert_eq!(lines[0]["descriptors"][0], "device '/dev/null', for reading");
}

#[test]
fn connect_reports_the_connection_and_what_it_receives() {
    for kind in KINDS {
        let (_dir, place) = socket_path();
        let _server = stoop(["serve", &place, "--kind", kind]).spawn();
        wait_served(&place);
        let flags = if kind == "dgram" { &["--count", "1"][..] } else { &[] };
        let run = stoop(["connect", &place, "--json"]).args(flags).input("gr\u{fc}n\n");
        let lines = run.run().ok().json();
        assert_eq!((&lines[0]["event"], &lines[0]["kind"]), (&"connected".into(), &kind.into()), "{lines:?}");
        assert_eq!(lines[1]["event"], "message");
        assert_eq!((&lines[1]["size"], &lines[1]["data"]["text"]), (&6.into(), &"gr\u{fc}n\n".into()));
    }
}

/// The page that describes the format.
const PAGE: &str = include_str!("../../../docs/src/reference/json.md");

/// What a row of the page says of an event: who prints it, and the fields that each line has.
struct Documented {
    printed_by: BTreeSet<&'static str>,
    required: BTreeSet<&'static str>,
}

/// The words in backticks.
fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the fields in backticks outside brackets that are not followed by a question mark.
fn required(text: &'static str) -> BTreeSet<&'static str> {
    let (mut depth, mut outside) = (0, Vec::new());
    for (at, piece) in text.split('`').enumerate() {
        if at % 2 == 1 {
            outside.extend((depth == 0).then_some((piece, text.split('`').nth(at + 1).unwrap_or(""))));
        } else {
            depth += piece.matches('(').count() as i32 - piece.matches(')').count() as i32;
        }
    }
    let is_required = |(_, behind): &(&str, &str)| !behind.starts_with('?');
    outside.into_iter().filter(is_required).map(|(word, _)| word).collect()
}

fn documented() -> BTreeMap<&'static str, Documented> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').splitn(4, " | ").collect();
        let event = words(cells[0]).next().unwrap();
        (
            event,
            Documented {
                printed_by: words(cells[1]).filter_map(|words| words.split(' ').next()).collect(),
                required: required(cells[3]),
            },
        )
    })
    .collect()
}

/// Fields whose value has the form of something else: received data, and sizes of a machine.
const FOREIGN: [&str; 4] = ["headers", "trailers", "message", "details"];

/// Collects the names of all fields at any depth.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                found.insert(name.clone());
                if !FOREIGN.contains(&&**name) {
                    fields(value, found);
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

/// Every verb's lines have what the page lists, and nothing that it does not.
#[test]
fn every_field_is_documented() {
    let (_dir, place) = socket_path();
    let log = format!("{place}.log");
    let listener = UnixListener::bind(&place).unwrap();
    let _client = UnixStream::connect(&place).unwrap();
    let _served = listener.accept().unwrap();
    let waiting = UnixStream::connect(&place).unwrap();
    let receiver = UnixDatagram::bind(&log).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"unread", &log).unwrap();
    let gone = format!("{place}.gone");
    drop(UnixListener::bind(&gone).unwrap());
    let closes = format!("inode:{}", rustix::fs::fstat(&waiting).unwrap().st_ino);
    let served = format!("{place}.served");
    let server = stoop(["serve", &served, "--json"]).spawn();
    wait_served(&served);
    let runs: [&[&str]; 13] = [
        &["ls", "--json", "--all"],
        &["who", "--json", "--peek", &place],
        &["who", "--json", "--peek", &log],
        &["who", "--json", &served],
        &["tree", "--json", "--all"],
        &["why", "--json", &place],
        &["why", "--json", "--try", &gone],
        &["why", "--json", "--op", "send", "--size", "9", &log],
        &["close", "--json", "--yes", &closes],
        &["wait", "--json", &place],
        &["connect", "--json", &served],
        &["send", "--json", "--reply", &served, "x"],
        &["demo", "--json"],
    ];
    let mut lines: Vec<(&str, Value)> = Vec::new();
    for run in runs {
        let output = stoop(run).input("x").run();
        lines.extend(output.json().into_iter().map(|line| (run[0], line)));
    }
    lines.extend(server.terminate().ok().json().into_iter().map(|line| ("serve", line)));
    drop((receiver, listener));
    let documented = documented();
    let known: BTreeSet<&str> = words(PAGE).collect();
    let mut events = BTreeSet::new();
    for (verb, line) in &lines {
        let event = line["event"].as_str().unwrap();
        events.insert(event);
        let row = documented.get(event).unwrap_or_else(|| panic!("'{event}' of {verb} is in no row"));
        assert!(row.printed_by.contains(verb), "'{event}' is printed by {verb}");
        let mut found = BTreeSet::new();
        fields(line, &mut found);
        let unknown: Vec<&String> = found.iter().filter(|name| !known.contains(&***name)).collect();
        assert!(unknown.is_empty(), "fields of '{event}' that are not documented: {unknown:?}\n{line}");
        let lacks: Vec<&&str> = row.required.iter().filter(|name| !found.contains(**name)).collect();
        assert!(lacks.is_empty(), "fields that '{event}' should have: {lacks:?}\n{line}");
    }
    for event in
        ["listener", "connection", "who", "node", "edge", "verdict", "cut", "ready", "check", "closed"]
    {
        assert!(events.contains(event), "no '{event}' in {events:?}");
    }
}
