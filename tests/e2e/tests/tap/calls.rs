//! Calls of real clients to containerd and Docker, with their messages, and filters.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use stoop_e2e::containerd::Containerd;
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{binary, program, stoop};
use stoop_testkit::{deadline, has_program, is_root, skip};

use super::tap;

const LONG: Duration = Duration::from_secs(240);
const VERSION: &str = "runtime.v1.RuntimeService/Version";
const STATUS: &str = "runtime.v1.RuntimeService/PodSandboxStatus";

/// Asks for the version, and for a pod that there is not. Returns how long each took at most.
fn ask(place: &str) -> [Duration; 2] {
    let timed = |method: &str, request: &str, code| {
        let begin = Instant::now();
        stoop(["grpc", place, "--builtin", method, request]).run().code(code);
        begin.elapsed()
    };
    [timed(VERSION, "{}", 0), timed(STATUS, r#"{"podSandboxId": "none"}"#, 64 + 5)]
}

#[test]
fn calls_of_a_container_runtime_are_shown_with_their_messages() {
    needs_capture!();
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    binary();
    deadline(LONG, || {
        let containerd = Containerd::start();
        let place = containerd.socket();
        let place = place.to_str().unwrap();
        shown_as_json(place);
        only_errors(place);
        dissected(place, containerd.directory());
    });
}

/// Each call is found once, with its messages and a latency that its client has seen, and none that
/// was not made.
fn shown_as_json(place: &str) {
    let tap = tap(&[place, "--json", "--count", "4"]);
    let measured = ask(place);
    let lines = tap.finish().ok().json();
    let of = |event: &str| -> Vec<&Value> { lines.iter().filter(|line| line["event"] == event).collect() };
    let (calls, responses) = (of("call"), of("response"));
    let methods: Vec<&str> = calls.iter().map(|call| call["method"].as_str().unwrap()).collect();
    assert_eq!(methods, [VERSION, STATUS].map(|method| format!("/{method}")));
    assert_eq!((&calls[0]["protocol"], &calls[0]["message"]), (&"grpc".into(), &serde_json::json!({})));
    assert_eq!(calls[1]["message"]["podSandboxId"], "none");
    assert_eq!(responses.len(), 2, "{lines:?}");
    assert_eq!((&responses[0]["status"], &responses[0]["ok"]), (&"OK".into(), &true.into()));
    assert_eq!(responses[0]["message"]["runtimeName"], "containerd");
    assert_eq!((&responses[1]["status"], &responses[1]["ok"]), (&"NOT_FOUND".into(), &false.into()));
    for (response, measured) in responses.iter().zip(measured) {
        let latency = Duration::from_nanos(response["latency_ns"].as_u64().unwrap());
        assert!(latency > Duration::ZERO && latency <= measured, "{latency:?} of {measured:?}");
        assert_eq!(
            (&response["to"]["command"], &response["from"]["command"]),
            (&"stoop".into(), &"containerd".into())
        );
    }
}

/// With a filter for answers, each says what it answers.
fn only_errors(place: &str) {
    let tap = tap(&[place, "--status", "!ok", "--method", "*Sandbox*", "--count", "1"]);
    ask(place);
    let text = tap.finish().ok().text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("← containerd[") && text.contains(&format!("/{STATUS}  NOT_FOUND")), "{text}");
}

/// Wireshark sees the same calls.
fn dissected(place: &str, directory: &Path) {
    if !has_program("tshark") {
        return;
    }
    let file = directory.join("cri.pcapng");
    let file = file.to_str().unwrap();
    let tap = tap(&[place, "-w", file, "--count", "4"]);
    ask(place);
    tap.finish().ok();
    let paths = program(
        "tshark",
        ["-r", file, "-Y", "http2.headers.path", "-T", "fields", "-e", "http2.headers.path"],
    );
    let paths = paths.run().ok().text();
    assert_eq!(paths.lines().collect::<Vec<_>>(), [VERSION, STATUS].map(|method| format!("/{method}")));
    assert_eq!(program("tshark", ["-r", file, "-Y", "_ws.malformed"]).run().ok().text(), "");
}

#[test]
fn containers_have_their_names_in_calls_to_docker() {
    needs_capture!();
    if !has_program("docker") {
        skip!("lacks docker");
    }
    binary();
    deadline(LONG, || {
        let dockerd = match Dockerd::start() {
            Ok(dockerd) => dockerd,
            Err(reason) => skip!("{reason}"),
        };
        let place = dockerd.socket();
        let place = place.to_str().unwrap();
        let host = format!("unix://{place}");
        let docker = |words: &[&str]| program("docker", ["--host", &host]).args(words).run().ok().text();
        docker(&["load", "-i", dockerd.image("stoop.test/tapped:1").to_str().unwrap()]);
        let tap = tap(&[place, "--bodies", "--method", "*/containers/*"]);
        let create = [
            "create",
            "--name",
            "web",
            "--network",
            "none",
            "-e",
            "KEY=s3cret",
            "stoop.test/tapped:1",
            "true",
        ];
        let id = docker(&create);
        docker(&["container", "inspect", id.trim()]);
        tap.wait_stdout("/containers/web/json");
        let text = tap.terminate().ok().text();
        assert!(text.contains("/containers/create?name=web") && text.contains("  201 Created  "), "{text}");
        assert!(text.contains("KEY=[redacted]") && !text.contains("s3cret"), "{text}");
        assert!(!text.contains(id.trim()), "{text}");
    });
}
