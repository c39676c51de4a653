//! The attack list. Each attack is sent to the guard, and where that shows that it is one, to the
//! daemon itself.

use serde_json::json;
use stoop_e2e::docker::Dockerd;
use stoop_testkit::{deadline, skip};

use crate::clients::what_a_dashboard_asks_for_is_allowed;
use crate::hidden::secrets_in_other_places;
use crate::raw::{request, send, send_whole, statuses};
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
        what_a_dashboard_asks_for_is_allowed(&guard);
        files_of_containers_are_not_handed_out(&daemon, &guard);
        paths_in_other_spellings(&daemon, &guard);
        methods(&guard);
        queries(&guard);
        secrets_are_redacted(&guard);
        smuggling(&guard);
        messages_that_parsers_read_differently(&guard);
        versions_and_targets_in_other_forms(&guard);
        upgrades(&guard);
        let containers = direct(&daemon, &["/containers/json?all=1"]);
        let containers: serde_json::Value = serde_json::from_str(&containers).unwrap();
        assert_eq!(containers.as_array().unwrap().len(), 1, "nothing was created or removed: {containers}");
        assert_eq!(containers[0]["State"], "created", "nothing was started");
        secrets_in_other_places(&daemon, &guard);
        crate::python::reads(&guard);
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

/// Whatever the answer is, it is not that of the daemon to the hidden request.
#[track_caller]
fn leaks_nothing(guard: &Guarded, bytes: &[u8]) {
    let answer = send_whole(&guard.path, bytes);
    let shown = String::from_utf8_lossy(bytes);
    let shown = shown.chars().take(300).collect::<String>();
    assert!(!answer.contains("ustar") && !answer.contains(SECRET), "{shown}\n{answer}");
    assert!(statuses(&answer).iter().filter(|status| **status == 200).count() <= 1, "{shown}\n{answer}");
}

/// Line ends, chunks and headers that one parser takes for something else than another.
fn messages_that_parsers_read_differently(guard: &Guarded) {
    let hidden = "GET /containers/victim/export HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n";
    let body = |chunks: &str| {
        let head = "POST /containers/json HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n";
        let ping = "GET /_ping HTTP/1.1\r\nHost: docker\r\nTransfer-Encoding: chunked\r\n\r\n";
        [head, ping].map(|head| format!("{head}{chunks}"))
    };
    let length = hidden.len();
    for chunks in [
        format!("0\n\r\n{hidden}"),
        format!("0;a=\"\r\n\r\n{hidden}\"\r\n\r\n"),
        format!("0;a\n\n{hidden}"),
        format!("00000000000000000000\r\n\r\n{hidden}"),
        format!("0x0\r\n\r\n{hidden}"),
        format!("-0\r\n\r\n{hidden}"),
        format!("0 \r\n\r\n{hidden}"),
        format!(" 0\r\n\r\n{hidden}"),
        format!("0_0\r\n\r\n{hidden}"),
        format!("1\r\nx0\r\n\r\n{hidden}"),
        format!("2\r\nx\r\n0\r\n\r\n{hidden}"),
        format!("10000000000000000\r\n\r\n{hidden}"),
        format!("ffffffffffffffff\r\n{hidden}"),
        format!("{length:x}\r{hidden}\r\n0\r\n\r\n"),
        format!("0\r\nHost: other\r\nContent-Length: 0\r\n\r\n{hidden}"),
        format!("0\r\nX: y\r\n z\r\n\r\n{hidden}"),
        format!("0\r\n{hidden}"),
    ] {
        body(&chunks).iter().for_each(|text| leaks_nothing(guard, text.as_bytes()));
    }
    let many: String = (0..5000).map(|number| format!("X-{number}: y\r\n")).collect();
    for headers in [
        "X: y\n\nGET /containers/victim/export HTTP/1.1\r\n".to_owned(),
        "X: y\r\rGET /containers/victim/export HTTP/1.1\r\n".to_owned(),
        "X: y\0\r\n".to_owned(),
        "X\0: y\r\n".to_owned(),
        "X : y\r\n".to_owned(),
        " X: y\r\n".to_owned(),
        ": y\r\n".to_owned(),
        "\u{e4}: y\r\n".to_owned(),
        "Host:\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Transfer-Encoding: gzip, chunked\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n".to_owned(),
        "Transfer-Encoding:\r\n chunked\r\n".to_owned(),
        format!("Content-Length: {length}\r\nExpect: 100-continue\r\n"),
        format!("Content-Length: {length}\r\nConnection: Content-Length\r\n"),
        "Connection: Host, X-Registry-Auth\r\nX-Registry-Auth: e30=\r\n".to_owned(),
        "Content-Length: 18446744073709551616\r\n".to_owned(),
        "Content-Length: 00\r\n".to_owned(),
        format!("X: {}\r\n", "y".repeat(1 << 20)),
        many,
    ] {
        for line in ["GET /_ping", "GET /containers/json"] {
            leaks_nothing(guard, request(line, &headers, hidden).as_bytes());
        }
    }
}

/// Versions of HTTP and of the API, and targets that are not a plain path.
fn versions_and_targets_in_other_forms(guard: &Guarded) {
    for target in [
        "/v01.41/containers/victim/export",
        "/v1.41.1/containers/json",
        "/V1.41/containers/json",
        "/vv1.41/containers/json",
        "/v1/containers/json",
        "/v1.41//containers/victim/export",
        "/v1.41/%2e/containers/victim/export",
        "/v1.41%2fcontainers/victim/export",
        "/v%31.41/containers/victim/export",
        "/%76%31.41/containers/victim/export",
        "/%63ontainers/victim/export",
        "/containers/victim/expor%74",
        "/containers/victim/%c0%af../export",
        "/containers/victim/%e0%80%af/json",
        "/containers/victim/%u002e%u002e/json",
        "/containers/victim/json%20",
        "/containers/victim/json%0d%0a",
        "/containers/victim/json%0a/../export",
        "/containers/victim/export?/json",
        "/containers/victim/export#/json",
        "/containers/victim/export&/json",
        "/containers/%2fvictim%2fexport/json",
        "/containers/victim%3fsize=1/json",
        "/containers/victim/json%",
        "/containers/victim/json%2",
        "/containers/victim/json%zz",
        "/containers/\u{ff0e}\u{ff0e}/victim/export",
        "http://docker/containers/victim/export",
        "https://docker/containers/victim/export",
        "http://victim@docker/containers/victim/export",
        "http:///containers/victim/export",
        "http:containers/victim/export",
        "unix:///containers/victim/export",
        "docker:80",
        "?/containers/victim/export",
        "#",
    ] {
        refused(guard, &request(&format!("GET {target}"), "", ""));
    }
    let head = "\r\nHost: docker\r\nConnection: close\r\n\r\n";
    for line in [
        "GET /containers/victim/export",
        "GET /containers/victim/export HTTP/0.9",
        "GET /containers/victim/export HTTP/1.0",
        "GET /containers/victim/export HTTP/1.2",
        "GET /containers/victim/export HTTP/2.0",
        "GET /containers/victim/export http/1.1",
        "GET /containers/victim/export HTTP/1.1 HTTP/1.1",
        "GET  /containers/victim/export HTTP/1.1",
        " GET /containers/victim/export HTTP/1.1",
        "GET /_ping HTTP/1.1\nGET /containers/victim/export HTTP/1.1",
        "GET /_ping HTTP/1.1\rGET /containers/victim/export HTTP/1.1",
        "\r\n\r\nGET /containers/victim/export HTTP/1.1",
        "GET /containers/json\x00/../victim/export HTTP/1.1",
        "GET /containers/json\x0b/victim/export HTTP/1.1",
    ] {
        leaks_nothing(guard, format!("{line}{head}").as_bytes());
    }
    // HTTP/1.0 has no chunks, and its connections end after the response.
    let keeps =
        "GET /_ping HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    leaks_nothing(guard, format!("{keeps}GET /containers/victim/export HTTP/1.0\r\n\r\n").as_bytes());
    let websocket =
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n";
    for target in ["/containers/victim/attach/ws?stream=1&logs=1", "/events", "/containers/json"] {
        let text = request(&format!("GET {target}"), websocket, "");
        refused(guard, &text.replace("Connection: close", "Connection: close, Upgrade"));
    }
    for target in
        ["/containers/victim%2fexport", "//containers/victim/export", "/v1.41/containers/victim/export"]
    {
        let run = stoop_e2e::stoop(["http"]).arg(&guard.path).args([target, "--http2"]).run();
        assert!(!run.text().contains("ustar"), "{target}");
    }
}
