//! `stoop relay` with rules, in front of a real dockerd and a real containerd: what the rules allow
//! works as without them, and nothing else gets through.

#[path = "guard/attacks.rs"]
mod attacks;
#[path = "guard/clients.rs"]
mod clients;
#[path = "guard/hidden.rs"]
mod hidden;
#[path = "guard/hooks.rs"]
mod hooks;
#[path = "guard/identity.rs"]
mod identity;
#[path = "guard/named.rs"]
mod named;
#[path = "guard/own.rs"]
mod own;
#[path = "guard/python.rs"]
mod python;
#[path = "guard/raw.rs"]
mod raw;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{Running, program, stoop, wait_served};

/// A generous timeout: the machine may be busy with a build.
const LONG: Duration = Duration::from_secs(180);

const IMAGE: &str = "stoop.test/busybox:1";

/// A guard at work.
struct Guarded {
    path: PathBuf,
    running: Running,
}

/// Starts a guard with these flags, and waits until it listens.
fn guard(directory: &Path, name: &str, server: &Path, flags: &[&str]) -> Guarded {
    let path = directory.join(name);
    let running = stoop(["relay"]).arg(&path).arg(server).args(flags).spawn();
    wait_served(path.to_str().unwrap());
    Guarded { path, running }
}

impl Guarded {
    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Asks with stoop's own client.
    fn get(&self, target: &str) -> Value {
        let text = stoop(["http"]).arg(&self.path).args([target, "--fail"]).run().ok().text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{target}: {error}: {text}"))
    }
}

/// Asks the daemon itself, past any guard.
fn direct(daemon: &Dockerd, words: &[&str]) -> String {
    stoop(["http"]).arg(daemon.socket()).args(words).arg("--fail").run().ok().text()
}

/// Loads the image, and creates a container with a secret in its environment.
fn prepare(daemon: &Dockerd, name: &str, labels: &Value) {
    let archive = std::fs::File::open(daemon.image(IMAGE)).unwrap();
    let load = stoop(["http"]).arg(daemon.socket()).args(["POST", "/images/load", "--data", "@-", "--fail"]);
    load.stdin(archive).run().ok();
    create(daemon, name, labels);
}

fn create(daemon: &Dockerd, name: &str, labels: &Value) {
    let config = serde_json::json!({
        "Image": IMAGE, "Cmd": ["sleep", "1000"], "Env": ["PASSWORD=hunter2"], "Labels": labels,
        "HostConfig": {"NetworkMode": "none"},
    });
    direct(daemon, &[&format!("/containers/create?name={name}"), "--data", &config.to_string()]);
}

/// Runs Docker's own client.
fn docker(guard: &Guarded, words: &[&str]) -> stoop_e2e::Run {
    program("docker", words).env("DOCKER_HOST", guard.host()).env("DOCKER_BUILDKIT", "0")
}
