//! The life cycle of a pod in a real containerd: images imported, pod run, inspected, watched,
//! removed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stoop_e2e::containerd::{Containerd, IMAGE, PAUSE};
use stoop_e2e::{LIMIT, program};
use stoop_testkit::eventually;

use super::caller::{Caller, Watch};

/// The namespace in which the CRI has its images.
pub const NAMESPACE: &str = "containerd-namespace: k8s.io";

/// The number of bytes of a blob in one message.
const PIECE_BYTES: usize = 512 << 10;

/// A pod with one container, both running.
pub struct Pod<'c> {
    caller: &'c dyn Caller,
    containerd: &'c Containerd,
    pub sandbox: String,
    pub container: String,
}

/// Imports the images: the blobs as streams, then their metadata. A lease keeps them until they are
/// referenced.
pub fn import_images(caller: &dyn Caller, containerd: &Containerd) {
    let layout = containerd.image_layout();
    let within = |method: &str, requests: &[Value], metadata: &[&str]| {
        caller.call(method, requests, metadata).unwrap_or_else(|refused| panic!("{method}: {refused}"))
    };
    within("containerd.services.leases.v1.Leases/Create", &[json!({"id": "import"})], &[NAMESPACE]);
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let lease = [NAMESPACE, "containerd-lease: import"];
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        within("containerd.services.content.v1.Content/Write", &write_of(&blob.unwrap().path()), &lease);
    }
    for entry in index["manifests"].as_array().unwrap() {
        let name = &entry["annotations"]["io.containerd.image.name"];
        let target = json!({"mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"].to_string()});
        // The label marks it as managed by the CRI.
        let image = json!({"name": name, "target": target, "labels": {"io.cri-containerd.image": "managed"}});
        within("containerd.services.images.v1.Images/Create", &[json!({"image": image})], &lease);
    }
    within("containerd.services.leases.v1.Leases/Delete", &[json!({"id": "import"})], &[NAMESPACE]);
    for name in [IMAGE, PAUSE] {
        eventually(LIMIT, || {
            let status = caller.one("ImageStatus", json!({"image": {"image": name}}));
            status["image"]["repoTags"] == json!([name])
        });
    }
}

/// The messages that write a blob: pieces, and the commit. A manifest's labels name its parts, so
/// that they are kept.
fn write_of(blob: &Path) -> Vec<Value> {
    let digest = format!("sha256:{}", blob.file_name().unwrap().to_str().unwrap());
    let bytes = fs::read(blob).unwrap();
    let mut messages = Vec::new();
    let mut offset = 0;
    for piece in bytes.chunks(PIECE_BYTES) {
        let data = program("base64", ["--wrap=0"]).input(piece).run().ok().text();
        messages.push(json!({"action": "WRITE", "ref": digest, "offset": offset.to_string(), "data": data}));
        offset += piece.len();
    }
    let labels = labels_of(&bytes);
    let end = offset.to_string();
    messages.push(json!({
        "action": "COMMIT", "ref": digest, "offset": end, "total": end, "expected": digest, "labels": labels,
    }));
    messages
}

fn labels_of(blob: &[u8]) -> Value {
    let manifest: Value = serde_json::from_slice(blob).unwrap_or_default();
    let parts = [&manifest["config"], &manifest["layers"][0]];
    let digests = parts.iter().enumerate().filter_map(|(at, part)| {
        let digest = part["digest"].as_str()?;
        Some((format!("containerd.io/gc.ref.content.{at}"), Value::from(digest)))
    });
    Value::Object(digests.collect())
}

/// Watches container events; by the CRI if it supports them, else by containerd's own events.
pub fn watch(caller: &dyn Caller, by_cri: bool) -> Box<dyn Watch> {
    if by_cri {
        return caller.watch("runtime.v1.RuntimeService/GetContainerEvents", &[]);
    }
    caller.watch("containerd.services.events.v1.Events/Subscribe", &[NAMESPACE])
}

impl<'c> Pod<'c> {
    /// Runs a pod and a container in it, which prints a word and then sleeps.
    pub fn run(caller: &'c dyn Caller, containerd: &'c Containerd) -> Pod<'c> {
        let logs = containerd.directory().join("logs");
        let config = json!({
            "metadata": {"name": "pod", "uid": "1", "namespace": "default"},
            "logDirectory": logs,
            // The host network, because no CNI plugin is installed.
            "linux": {"securityContext": {"namespaceOptions": {"network": "NODE"}}},
        });
        let sandbox = text(&caller.one("RunPodSandbox", json!({"config": config}))["podSandboxId"]);
        let request = json!({
            "podSandboxId": sandbox,
            "config": {
                "metadata": {"name": "word"},
                "image": {"image": IMAGE},
                "command": ["/bin/sh", "-c", "echo $WORD; exec sleep 1000"],
                // Bytes are base64 in JSON: "grüezi".
                "envs": [{"key": "WORD", "value": "Z3LDvGV6aQ=="}],
                "logPath": "word.log",
            },
            "sandboxConfig": config,
        });
        let container = text(&caller.one("CreateContainer", request)["containerId"]);
        caller.one("StartContainer", json!({"containerId": container}));
        Pod { caller, containerd, sandbox, container }
    }

    /// Inspects it in every way.
    pub fn look(&self) {
        let status = self.caller.one("PodSandboxStatus", json!({"podSandboxId": self.sandbox}));
        // Ready is the default, and not shown.
        assert_eq!(status["status"]["state"], Value::Null, "{status}");
        let running = json!({"filter": {"state": {"state": "CONTAINER_RUNNING"}}});
        let list = self.caller.one("ListContainers", running);
        let ids: Vec<_> = list["containers"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
        assert_eq!(ids, [self.container.as_str()]);
        let log = self.containerd.directory().join("logs/word.log");
        eventually(LIMIT, || fs::read_to_string(&log).is_ok_and(|log| log.ends_with(" stdout F grüezi\n")));
        let command =
            json!({"containerId": self.container, "cmd": ["/bin/sh", "-c", "echo -n word; exit 7"]});
        let result = self.caller.one("ExecSync", command);
        // Bytes are base64 in JSON.
        assert_eq!(result, json!({"stdout": "d29yZA==", "exitCode": 7}));
    }

    /// Returns the address of its shim.
    pub fn shim(&self) -> String {
        let state = self.containerd.directory().join("state/io.containerd.runtime.v2.task/k8s.io");
        let file = |name: &str| fs::read_to_string(state.join(&self.sandbox).join(name));
        match file("bootstrap.json") {
            Ok(json) => text(&serde_json::from_str::<Value>(&json).unwrap()["address"]),
            Err(_) => file("address").unwrap(),
        }
    }

    /// Stops and removes it.
    pub fn remove(self) {
        let container = json!({"containerId": self.container});
        let sandbox = json!({"podSandboxId": self.sandbox});
        self.caller.one("StopContainer", container.clone());
        let status = self.caller.one("ContainerStatus", container.clone());
        assert_eq!(status["status"]["state"], "CONTAINER_EXITED", "{status}");
        self.caller.one("RemoveContainer", container);
        self.caller.one("StopPodSandbox", sandbox.clone());
        self.caller.one("RemovePodSandbox", sandbox);
        assert_eq!(self.caller.one("ListContainers", json!({})), json!({}));
        assert_eq!(self.caller.one("ListPodSandbox", json!({})), json!({}));
    }
}

/// Checks that the events cover the whole life cycle of the container.
pub fn saw_all(watch: &dyn Watch, by_cri: bool, container: &str) {
    let expected: &[&str] = if by_cri {
        // The first is the default, and not shown.
        &["", "CONTAINER_STARTED_EVENT", "CONTAINER_STOPPED_EVENT", "CONTAINER_DELETED_EVENT"]
    } else {
        &["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete", "/containers/delete"]
    };
    let seen = || -> Vec<String> {
        let all = watch.so_far().into_iter();
        let own = all.filter(|event| event.to_string().contains(container));
        own.map(|event| text(&event[if by_cri { "containerEventType" } else { "topic" }])).collect()
    };
    eventually(LIMIT, || expected.iter().all(|event| seen().iter().any(|seen| seen == event)));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the socket of a containerd, as a path.
pub fn socket(containerd: &Containerd) -> PathBuf {
    containerd.socket()
}
