//! The attack list. Each attack is sent to the guard, and where that shows that it is one, to the
//! daemon itself.

use serde_json::json;
use stoop_e2e::docker::Dockerd;
use stoop_testkit::{deadline, skip};

use crate::raw::{request, send, statuses};
use crate::{Guarded, LONG, direct, guard, prepare};

/// The secret that the container has: it must never come through.
const SECRET: &str = "hunter2";

#[test]
fn nothing_gets_through_the_read_only_set() {
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        prepare(&daemon, "victim", &json!({}));
        let guard =
            guard(daemon.directory(), "guard.sock", &daemon.socket(), &["--http-rules", "docker:read-only"]);
        files_of_containers_are_not_handed_out(&daemon, &guard);
        paths_in_other_spellings(&daemon, &guard);
        methods(&guard);
        queries(&guard);
        secrets_are_redacted(&guard);
        smuggling(&guard);
        upgrades(&guard);
        let containers = direct(&daemon, &["/containers/json?all=1"]);
        let containers: serde_json::Value = serde_json::from_str(&containers).unwrap();
        assert_eq!(containers.as_array().unwrap().len(), 1, "nothing was created or removed: {containers}");
        assert_eq!(containers[0]["State"], "created", "nothing was started");
        guard.running.terminate().ok();
    });
}

#[track_caller]
fn refused(guard: &Guarded, text: &str) {
    let answer = send(&guard.path, text);
    let statuses = statuses(&answer);
    let is_refusal = |status: &u16| [400, 403, 404, 405, 408, 413, 501].contains(status);
    assert!(!statuses.is_empty() && statuses.iter().all(is_refusal), "{text}\n{answer}");
    assert!(!answer.contains(SECRET), "{answer}");
}

/// What `CONTAINERS=1` of other proxies gives to every client.
fn files_of_containers_are_not_handed_out(daemon: &Dockerd, guard: &Guarded) {
    for target in [
        "/containers/victim/archive?path=/bin/busybox",
        "/containers/victim/export",
        "/containers/victim/logs?stdout=1",
        "/containers/victim/top?ps_args=axe",
        "/containers/victim/attach/ws?stream=1",
        "/images/stoop.test/busybox:1/get",
        "/images/get?names=stoop.test/busybox:1",
        "/images/stoop.test/busybox:1/history",
        "/swarm",
        "/swarm/unlockkey",
        "/secrets",
        "/configs",
        "/plugins",
        "/plugins/x/json",
        "/distribution/a/json",
        "/images/search?term=a",
    ] {
        refused(guard, &request(&format!("GET {target}"), "", ""));
        refused(guard, &request(&format!("GET /v1.41{target}"), "", ""));
    }
    // The daemon itself hands them out.
    let answer = send(&daemon.socket(), request("GET /containers/victim/export", "", ""));
    assert_eq!(statuses(&answer)[..1], [200]);
}

fn paths_in_other_spellings(daemon: &Dockerd, guard: &Guarded) {
    for target in [
        "//containers/victim/export",
        "/containers//victim/export",
        "/containers/victim/json/../export",
        "/containers/victim/./export",
        "/containers/%2e%2e/containers/victim/export",
        "/containers/victim%2fexport",
        "/containers/victim%2Fexport/json",
        "/containers/victim/export%2f..%2fjson",
        "/containers/..%2fvictim%2fexport%3f/json",
        "/containers/victim%252fexport/json",
        "/containers/victim/export%3f/json",
        "/containers/victim/export%23/json",
        "/containers/victim/export;/json",
        "/containers/victim\\export/json",
        "/containers/victim%5cexport/json",
        "/containers/victim%00/json",
        "/Containers/victim/json",
        "/containers/victim/JSON",
        "/containers/json/",
        "/v1.41/v1.41/containers/json",
        "/v1.41/../v1.41/containers/victim/export",
        "/v1.x/containers/json",
        "/images/../containers/victim/export/json",
        "/images/%2e%2e/containers/victim/export/json",
        "/images/a/../../containers/victim/export/json",
        "/exec/../containers/victim/export",
        "http://docker/containers/json",
        "containers/json",
        "*",
    ] {
        refused(guard, &request(&format!("GET {target}"), "", ""));
    }
    // What is only encoded is decoded, judged, and forwarded in plain.
    let answer = send(&guard.path, request("GET /containers/%6aso%6e?all=1", "", ""));
    assert_eq!(statuses(&answer), [200], "{answer}");
    // Names like links and paths stay names.
    let answer = send(&guard.path, request("GET /containers/victim.json/json", "", ""));
    assert_eq!(statuses(&answer), [404], "{answer}");
    let id =
        serde_json::from_str::<serde_json::Value>(&direct(daemon, &["/containers/victim/json"])).unwrap();
    let id = id["Id"].as_str().unwrap().to_owned();
    for name in [&id, &id[..12], "victim"] {
        assert_eq!(guard.get(&format!("/containers/{name}/json"))["Id"], id.as_str());
    }
}

fn methods(guard: &Guarded) {
    for line in [
        "POST /containers/create?name=new",
        "POST /containers/victim/start",
        "POST /containers/victim/exec",
        "POST /containers/prune",
        "POST /commit?container=victim",
        "POST /build",
        "POST /auth",
        "POST /plugins/pull?remote=a",
        "POST /swarm/init",
        "PUT /containers/victim/archive?path=/",
        "DELETE /containers/victim?force=1",
        "HEAD /containers/victim/archive?path=/bin",
        "HEAD /containers/json",
        "OPTIONS /containers/json",
        "OPTIONS *",
        "TRACE /containers/json",
        "CONNECT /containers/json",
        "CONNECT docker:80",
        "PATCH /containers/victim",
        "get /containers/json",
        "GET\t/containers/json",
    ] {
        refused(guard, &request(line, "Content-Length: 2\r\nContent-Type: application/json\r\n", "{}"));
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        refused(guard, &request("GET /containers/victim/json", &format!("{name}: DELETE\r\n"), ""));
    }
    refused(guard, &request("GET /_ping", "X-Original-URL: /containers/victim/export\r\n", ""));
    // A body where none is allowed.
    refused(guard, &request("GET /containers/json", "Content-Length: 2\r\n", "{}"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5\r\n";
    refused(guard, &request("GET /containers/json", form, "all=1"));
}

fn queries(guard: &Guarded) {
    for query in
        ["all=1&all=0", "all=1&unknown=1", "all=1;size=1", "ALL=1", "all%00=1", "all=1&limit=1%0d%0aX:y"]
    {
        refused(guard, &request(&format!("GET /containers/json?{query}"), "", ""));
    }
    assert!(guard.get("/containers/json?all=1")[0]["Names"][0] == "/victim");
}

fn secrets_are_redacted(guard: &Guarded) {
    let inspected = guard.get("/v1.41/containers/victim/json");
    let environment = inspected["Config"]["Env"].as_array().unwrap();
    assert!(environment.contains(&json!("PASSWORD=<redacted>")), "{environment:?}");
    assert!(!inspected.to_string().contains(SECRET));
}

/// Two readings of where a request ends: whatever the guard takes for the body, it never becomes a
/// request to the daemon that was not judged.
fn smuggling(guard: &Guarded) {
    let hidden = "GET /containers/victim/export HTTP/1.1\r\nHost: docker\r\n\r\n";
    let length = hidden.len();
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding: chunked, identity\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding : chunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding:\x0bchunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 0\r\n"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: +{length}\r\n"),
        format!("Content-Length: 0, {length}\r\n"),
        "Content-Length: 0x10\r\n".to_owned(),
        "Host: other\r\n".to_owned(),
        "X: y\r\n Content-Length: 0\r\n".to_owned(),
    ] {
        for line in ["GET /_ping", "GET /containers/json", "POST /containers/victim/json"] {
            for body in [format!("0\r\n\r\n{hidden}"), hidden.to_owned()] {
                let answer = send(&guard.path, request(line, &headers, &body));
                assert!(!answer.contains("ustar"), "{headers}: {answer}");
                assert!(statuses(&answer).iter().filter(|status| **status == 200).count() <= 1, "{answer}");
            }
        }
    }
    // Pipelined requests are judged one by one.
    let first = "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
    let answer = send(&guard.path, format!("{first}{hidden}{}", request("GET /_ping", "", "")));
    assert_eq!(statuses(&answer), [200, 403, 200], "{answer}");
}

/// Changes of the protocol, and what is sent right after asking for one.
fn upgrades(guard: &Guarded) {
    let hidden = "GET /containers/victim/export HTTP/1.1\r\nHost: docker\r\n\r\n";
    for (line, protocol) in [
        ("GET /_ping", "h2c"),
        ("GET /containers/json", "h2c"),
        ("GET /containers/json", "tcp"),
        ("GET /containers/json", "websocket"),
        ("POST /session", "h2c"),
        ("POST /grpc", "h2c"),
        ("POST /containers/victim/attach?stream=1&stdout=1", "tcp"),
    ] {
        let headers = format!("Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n");
        let text = request(line, &headers, hidden)
            .replace("Connection: close", "Connection: close, Upgrade, HTTP2-Settings");
        let answer = send(&guard.path, &text);
        assert!(statuses(&answer).iter().all(|status| [400, 403].contains(status)), "{text}: {answer}");
    }
    // HTTP/2 from the first byte: its requests are judged like others, and refused.
    let h2 = |target: &str| stoop_e2e::stoop(["http"]).arg(&guard.path).args([target, "--http2"]).run();
    assert!(h2("/containers/json?all=1").ok().text().contains("victim"));
    assert!(h2("/containers/victim/export").ok().text().contains("refused by the guard"));
}
