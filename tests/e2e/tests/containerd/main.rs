//! A real containerd, called by `stoop grpc` and by the library: the whole life cycle of a pod,
//! including images, with nothing but calls to its socket.
//!
//! | file | contents |
//! |---|---|
//! | `caller.rs` | the two ways to make a call |
//! | `pod.rs` | the life cycle of a pod |
//! | `schema.rs` | compares the built-in schemas with containerd's |

mod caller;
mod pod;
mod schema;

use std::time::Duration;

use caller::{Caller, Command, Library};
use pod::Pod;
use serde_json::{Value, json};
use stoop_e2e::containerd::Containerd;
use stoop_e2e::{LIMIT, stoop};
use stoop_testkit::{deadline, eventually, skip};

/// A generous timeout: the machine may be busy with a build.
const LONG: Duration = Duration::from_secs(180);

/// Runs the life cycle of a pod, and returns the version of the containerd.
fn whole_life(caller: &dyn Caller, containerd: &Containerd) -> String {
    let version = caller.one("runtime.v1.RuntimeService/Version", json!({}));
    assert_eq!(version["runtimeName"], "containerd", "{version}");
    let status = caller.one("runtime.v1.RuntimeService/Status", json!({}));
    let ready = json!({"type": "RuntimeReady", "status": true});
    assert!(status["status"]["conditions"].as_array().unwrap().contains(&ready), "{status}");
    pod::import_images(caller, containerd);
    let version = version["runtimeVersion"].as_str().unwrap().to_owned();
    // GetContainerEvents is new in 1.7.
    let by_cri = !version.starts_with("1.6.");
    let watch = pod::watch(caller, by_cri);
    let pod = Pod::run(caller, containerd);
    let container = pod.container.clone();
    pod.look();
    pod.remove();
    pod::saw_all(&*watch, by_cri, &container);
    version
}

#[test]
fn a_pod_by_the_command() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        whole_life(&Command { socket: pod::socket(&containerd) }, &containerd);
    });
}

#[test]
fn a_pod_by_the_library() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        whole_life(&Library { socket: pod::socket(&containerd) }, &containerd);
    });
}

/// With events by the CRI, which the containerd of an older Debian does not support.
#[test]
fn a_pod_watched_by_the_cri() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    let Some(containerd) = Containerd::start_newer() else {
        skip!("lacks a containerd that is newer than Debian's 1.6 (./test fetches one)");
    };
    deadline(LONG, move || {
        let version = whole_life(&Command { socket: pod::socket(&containerd) }, &containerd);
        assert!(!version.starts_with("1.6."), "{version}");
    });
}

/// The names of both services, and the protocol of each, are detected.
#[test]
fn shims_and_events_by_ttrpc() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        let caller = Command { socket: pod::socket(&containerd) };
        pod::import_images(&caller, &containerd);
        let pod = Pod::run(&caller, &containerd);
        let shim = pod.shim();
        let services = stoop(["grpc", &shim, "list"]).run().ok().text();
        let service = services.trim();
        assert!(service.starts_with("containerd.task.v"), "{services}");
        let id = json!({"id": pod.container}).to_string();
        let method = format!("{service}/Pids");
        let answer = stoop(["grpc", &shim, &method, &id, "--json-lines"]).run().ok().text();
        let pids: Value = serde_json::from_str(&answer).unwrap();
        assert!(pids["processes"][0]["pid"].as_u64().unwrap() > 1, "{answer}");
        let missing = stoop(["grpc", "--ttrpc", &shim, &method, r#"{"id":"none"}"#]).run().code(69);
        assert!(missing.stderr.contains("NOT_FOUND"), "{}", missing.stderr);
        pod.remove();

        let watch = caller.watch("containerd.services.events.v1.Events/Subscribe", &[pod::NAMESPACE]);
        let envelope = json!({"envelope": {
            "timestamp": "2001-02-03T04:05:06Z",
            "namespace": "k8s.io",
            "topic": "/test/word",
            "event": {"@type": "containerd.events/containerd.events.TaskExit", "containerId": "word", "pid": 7},
        }});
        let ttrpc = containerd.directory().join("containerd.sock.ttrpc");
        // The subscription may not have begun yet.
        eventually(LIMIT, || {
            stoop(["grpc"]).arg(&ttrpc).args(["Forward", &envelope.to_string()]).run().ok();
            watch
                .so_far()
                .iter()
                .any(|event| event["event"]["containerId"] == "word" && event["event"]["pid"] == 7)
        });
    });
}

#[test]
fn the_runtime_is_found_by_its_name() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        let endpoint = format!("unix://{}", pod::socket(&containerd).display());
        let version = |run: stoop_e2e::Run, source: &str| {
            let output = run.run().ok();
            assert!(
                output.stderr.contains("stoop: cri is at ") && output.stderr.contains(source),
                "{}",
                output.stderr
            );
            assert!(output.text().contains("\"runtimeName\": \"containerd\""));
        };
        let variable = "CONTAINER_RUNTIME_ENDPOINT";
        version(stoop(["grpc", "cri", "Version"]).env(variable, &endpoint), variable);
        let config = containerd.directory().join("crictl.yaml");
        std::fs::write(&config, format!("runtime-endpoint: {endpoint}\ntimeout: 2\n")).unwrap();
        let run = stoop(["grpc", "cri", "Version"]).env(variable, "").env("CRI_CONFIG_FILE", &config);
        version(run, "crictl.yaml");
    });
}
