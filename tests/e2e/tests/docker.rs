//! Docker for real, through `stoop http` alone: from the daemon's version to a container's last
//! byte.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{Run, stoop};
use stoop_testkit::{deadline, skip};

/// A generous timeout: the machine may be busy with a build.
const LONG: Duration = Duration::from_secs(180);

const IMAGE: &str = "stoop.test/busybox:1";

/// Runs `stoop http docker` with these words, as typed by a user.
fn docker(daemon: &Dockerd, words: &[&str]) -> Run {
    let host = format!("unix://{}", daemon.socket().display());
    stoop(["http", "docker"]).args(words).env("DOCKER_HOST", host)
}

/// Returns the response, which must be successful, as JSON.
#[track_caller]
fn asked(daemon: &Dockerd, words: &[&str]) -> Value {
    let text = docker(daemon, words).arg("--fail").run().ok().text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

/// Makes a request whose response is empty.
#[track_caller]
fn done(daemon: &Dockerd, words: &[&str]) {
    docker(daemon, words).arg("--fail").run().ok().stdout_is(b"");
}

#[track_caller]
fn create(daemon: &Dockerd, name: &str, more: Value) {
    let mut config = json!({"Image": IMAGE, "HostConfig": {"NetworkMode": "none"}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let created = asked(daemon, &[&format!("/containers/create?name={name}"), "--data", &config.to_string()]);
    assert_eq!(created["Id"].as_str().map(str::len), Some(64), "{created}");
}

#[test]
fn a_container_is_managed_over_the_socket() {
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        let daemon = &daemon;
        the_daemon_is_asked(daemon);
        its_build_kit_is_called(daemon);
        an_image_is_loaded(daemon);
        let mut events = docker(daemon, &[r#"/events?filters={"type":["container"]}"#]).spawn();
        names_are_completed(daemon);
        a_container_is_talked_to(daemon);
        its_log_is_read(daemon);
        a_command_is_executed_beside(daemon);
        a_command_has_a_terminal(daemon);
        files_go_in_and_out(daemon);
        for what in ["create", "attach", "start", "die", "exec_create", "destroy"] {
            events.wait_stdout(&format!(r#""status":"{what}"#));
        }
        assert!(events.is_running(), "the stream of events has no end");
        let missing = docker(daemon, &["/containers/one/json", "--fail"]).run().code(22);
        assert!(missing.stderr.contains("No such container"));
        missing.explains(&["the server responded with 404 Not Found"]);
    });
}

fn the_daemon_is_asked(daemon: &Dockerd) {
    assert_eq!(docker(daemon, &["/_ping"]).run().ok().text(), "OK");
    assert!(asked(daemon, &["/version"])["ApiVersion"].is_string());
    let info = asked(daemon, &["/info"]);
    assert_eq!((&info["Driver"], &info["Containers"]), (&json!("vfs"), &json!(0)));
    assert_eq!(info["DockerRootDir"], json!(daemon.directory().join("data")));
    // Its containerd speaks gRPC.
    let containerd = daemon.directory().join("exec/containerd/containerd.sock");
    let refused = stoop(["http"]).arg(&containerd).arg("/").run().code(3);
    refused.explains(&["speaks HTTP/2 only", "next: stoop grpc", "list"]);
    let reset = stoop(["http"]).arg(&containerd).args(["/", "--http2"]).run().code(3);
    reset.explains(&["a gRPC server accepts only gRPC", "next: stoop grpc"]);
    // gRPC is HTTP/2: here an empty message, and a response with trailers.
    let empty = daemon.directory().join("empty");
    fs::write(&empty, [0; 5]).unwrap();
    let call = "/containerd.services.version.v1.Version/Version";
    let data = format!("@{}", empty.display());
    let run = stoop(["http"]).arg(&containerd).args([call, "--http2", "--json", "--data", &data]);
    let lines = run.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]).run().ok().json();
    assert_eq!(lines[0]["version"], "HTTP/2.0");
    assert_eq!(lines.last().unwrap()["trailers"]["grpc-status"], json!(["0"]), "{lines:?}");
    let refused = docker(daemon, &["/version", "--http2"]).run().code(3);
    refused.explains(&["speaks HTTP/1 only", "next: stoop http docker /version"]);
}

/// gRPC, behind an upgrade of HTTP/1.
fn its_build_kit_is_called(daemon: &Dockerd) {
    let host = format!("unix://{}", daemon.socket().display());
    let named = || stoop(["grpc", "docker"]).env("DOCKER_HOST", &host);
    assert_eq!(named().arg("list").run().ok().text(), "moby.buildkit.v1.Control\n");
    let workers = named().args(["ListWorkers", "--json-lines"]).run().ok().text();
    assert!(workers.starts_with(r#"{"record":[{"ID":""#), "{workers}");
    assert_eq!(named().args(["DiskUsage", "--json-lines"]).run().ok().text(), "{}\n");
    let addressed = stoop(["grpc"]).arg(daemon.socket()).args(["--h2c", "/grpc"]);
    assert_eq!(addressed.args(["ListWorkers", "--json-lines"]).run().ok().text(), workers);
    let plain = stoop(["grpc"]).arg(daemon.socket()).arg("list").run().code(3);
    plain.explains(&["it is an HTTP/1 server", "--h2c /grpc"]);
    let lost = stoop(["grpc"]).arg(daemon.socket()).args(["--h2c", "/nowhere", "list"]).run().code(22);
    lost.explains(&["does not upgrade the connection", "page not found"]);
}

fn an_image_is_loaded(daemon: &Dockerd) {
    let archive = daemon.image(IMAGE);
    // Streamed from standard input, as by `docker load`.
    let input = fs::File::open(&archive).unwrap();
    let loaded = docker(daemon, &["POST", "/images/load", "--data", "@-", "--fail"]).stdin(input).run().ok();
    assert!(loaded.text().contains(IMAGE), "{}", loaded.text());
    let images = asked(daemon, &["/images/json"]);
    assert_eq!(images[0]["RepoTags"], json!([IMAGE]));
}

/// The daemon is asked for the names in a path.
fn names_are_completed(daemon: &Dockerd) {
    create(daemon, "to-complete", json!({}));
    let offered = |path: &str| {
        let host = format!("unix://{}", daemon.socket().display());
        let words = ["complete", "fish", "--", "http", "docker", path];
        stoop(words).env("DOCKER_HOST", host).env("STOOP_COMPLETE_TIMEOUT", "10s").run().ok().text()
    };
    assert_eq!(
        offered("/containers/to"),
        "/containers/to-complete\tDELETE\n/containers/to-complete/\tcontainer\n"
    );
    assert!(offered("/containers/to-complete/js").starts_with("/containers/to-complete/json\t"));
    assert_eq!(offered(&format!("/images/{IMAGE}/h")), format!("/images/{IMAGE}/history\tits layers\n"));
    done(daemon, &["DELETE", "/containers/to-complete"]);
}

/// Attaches before start, as `docker run -i` does: no byte is lost, and both directions end by
/// themselves.
fn a_container_is_talked_to(daemon: &Dockerd) {
    let script = "echo ready; echo careful >&2; cat; echo done";
    let config =
        json!({"Cmd": ["sh", "-c", script], "OpenStdin": true, "StdinOnce": true, "AttachStdin": true});
    create(daemon, "one", config);
    let attach = "/containers/one/attach?stream=1&stdin=1&stdout=1&stderr=1";
    let mut attached = docker(daemon, &["POST", attach, "--upgrade", "tcp", "-i"]).open_input().spawn();
    attached.wait_stdout("101 UPGRADED");
    done(daemon, &["POST", "/containers/one/start"]);
    attached.wait_stdout("ready\n");
    attached.say("first\n");
    attached.wait_stdout("first\n");
    attached.say("second\n");
    attached.end_input();
    let output = attached.finish().ok();
    let (_head, said) =
        output.text().split_once("\n\n").map(|(head, said)| (head.to_owned(), said.to_owned())).unwrap();
    assert_eq!((said.as_str(), output.stderr.as_str()), ("ready\nfirst\nsecond\ndone\n", "careful\n"));
    let waited = asked(daemon, &["POST", "/containers/one/wait", "--timeout", "60s"]);
    assert_eq!(waited["StatusCode"], 0);
}

fn its_log_is_read(daemon: &Dockerd) {
    let logs = docker(daemon, &["/containers/one/logs?stdout=1&stderr=1"]).run().ok();
    assert_eq!((logs.text().as_str(), logs.stderr.as_str()), ("ready\nfirst\nsecond\ndone\n", "careful\n"));
    let lines = docker(daemon, &["/containers/one/logs?stderr=1", "--json"]).run().ok().json();
    let body = json!({"schema": 1, "event": "body", "stream": "stderr", "data": {"text": "careful\n"}});
    assert!(lines.contains(&body), "{lines:?}");
    done(daemon, &["DELETE", "/containers/one"]);
}

fn a_command_is_executed_beside(daemon: &Dockerd) {
    create(daemon, "two", json!({"Cmd": ["sh", "-c", "echo up; exec sleep 1000"]}));
    done(daemon, &["POST", "/containers/two/start"]);
    // A followed log does not end, and shows existing lines at once.
    let mut following = docker(daemon, &["/containers/two/logs?stdout=1&follow=1"]).spawn();
    following.wait_stdout("up\n");
    assert!(following.is_running());
    for (terminal, expected) in [(false, "out\nin\n"), (true, "out\r\nerr\r\n")] {
        let script = if terminal { "echo out; echo err >&2" } else { "echo out; echo err >&2; cat" };
        let config = json!({
            "Cmd": ["sh", "-c", script], "Tty": terminal,
            "AttachStdin": !terminal, "AttachStdout": true, "AttachStderr": true,
        });
        let id = asked(daemon, &["/containers/two/exec", "--data", &config.to_string()])["Id"].clone();
        let start = format!("/exec/{}/start", id.as_str().unwrap());
        let how = json!({"Detach": false, "Tty": terminal}).to_string();
        let run = docker(daemon, &[&start, "--data", &how, "--upgrade", "tcp"]).input("in\n").run().ok();
        assert_eq!(run.text(), expected);
        assert_eq!(run.stderr, if terminal { "" } else { "err\n" });
    }
}

/// As `docker exec -it` does it, on a separate terminal.
fn a_command_has_a_terminal(daemon: &Dockerd) {
    let config = json!({
        "Cmd": ["sh", "-c", "test -t 0 && test -t 1 && echo on a terminal"], "Tty": true,
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
    });
    let id = asked(daemon, &["/containers/two/exec", "--data", &config.to_string()])["Id"].clone();
    let start = format!("/exec/{}/start", id.as_str().unwrap());
    let how = json!({"Detach": false, "Tty": true}).to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/shown.py");
    let run = stoop_e2e::program("python3", [script, stoop_e2e::binary().to_str().unwrap(), "http"]);
    let run = run.arg(daemon.socket()).args([&start, "--data", &how, "--upgrade", "tcp", "--tty"]);
    assert!(run.run().ok().text().contains("on a terminal\r\n"));
}

fn files_go_in_and_out(daemon: &Dockerd) {
    let out = daemon.directory().join("bin.tar");
    let path = out.to_str().unwrap();
    docker(daemon, &["/containers/two/archive?path=/bin", "--output", path, "--fail"]).run().ok();
    let listed = stoop_e2e::program("tar", ["--list", "--file", path]).run().ok().text();
    assert!(listed.contains("bin/busybox"), "{listed}");
    done(daemon, &["PUT", "/containers/two/archive?path=/", "--data", &format!("@{path}")]);
    done(daemon, &["DELETE", "/containers/two?force=1"]);
}
