//! Secrets that Docker's answers have outside of environments. The daemon itself shows each.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{program, stoop};
use stoop_testkit::eventually;

use crate::{Guarded, IMAGE, direct};

const SECRET: &str = "hunter2";

/// Checks that the daemon's own answers have the secret, and the guard's do not.
pub fn secrets_in_other_places(daemon: &Dockerd, guard: &Guarded) {
    options_of_drivers(daemon);
    output_of_health_checks(daemon);
    arguments_of_a_build(daemon);
    for target in [
        "/containers/options/json",
        "/v1.19/containers/options/json",
        "/containers/healthy/json",
        "/images/argued:1/json",
    ] {
        assert!(direct(daemon, &[target]).contains(SECRET), "{target} has no secret to hide");
        let shown = guard.get(target).to_string();
        assert!(shown.contains("redacted") && !shown.contains(SECRET), "{target}: {shown}");
    }
    direct(daemon, &["DELETE", "/containers/healthy?force=1"]);
}

/// The password of a file server, and the token of a log service.
fn options_of_drivers(daemon: &Dockerd) {
    let options =
        json!({"type": "cifs", "device": "//host.example/share", "o": format!("password={SECRET}")});
    let volume = json!({
        "Type": "volume", "Source": "share", "Target": "/share",
        "VolumeOptions": {"NoCopy": true, "DriverConfig": {"Name": "local", "Options": options}},
    });
    let log = json!({"Type": "json-file", "Config": {"tag": SECRET}});
    let config = json!({
        "Image": IMAGE, "Cmd": ["/bin/busybox"],
        "HostConfig": {"NetworkMode": "none", "Mounts": [volume], "LogConfig": log},
    });
    direct(daemon, &["/containers/create?name=options", "--data", &config.to_string()]);
}

fn output_of_health_checks(daemon: &Dockerd) {
    let second = 1_000_000_000_u64;
    let check = ["CMD", "/bin/busybox", "env"];
    let config = json!({
        "Image": IMAGE, "Cmd": ["/bin/busybox", "sleep", "1000"], "Env": [format!("PASSWORD={SECRET}")],
        "Healthcheck": {"Test": check, "Interval": second / 5, "Timeout": 20 * second},
        "HostConfig": {"NetworkMode": "none"},
    });
    direct(daemon, &["/containers/create?name=healthy", "--data", &config.to_string()]);
    direct(daemon, &["POST", "/containers/healthy/start"]);
    eventually(Duration::from_secs(60), || {
        let inspected: Value = serde_json::from_str(&direct(daemon, &["/containers/healthy/json"])).unwrap();
        inspected["State"]["Health"].to_string().contains(SECRET)
    });
}

/// The step that comes last has the arguments in front of its command.
fn arguments_of_a_build(daemon: &Dockerd) {
    let file = format!("FROM {IMAGE}\nARG TOKEN\nRUN [\"/bin/busybox\", \"true\"]\n");
    let archive = archive(&daemon.directory().join("argued"), &file);
    let target = format!("/build?t=argued:1&networkmode=none&buildargs=%7B%22TOKEN%22%3A%22{SECRET}%22%7D");
    build(&daemon.socket(), &target, &archive);
}

/// Writes a Dockerfile, and returns an archive with it.
pub fn archive(directory: &Path, dockerfile: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let archive = directory.join("context.tar");
    program("tar", ["-cf"]).arg(&archive).arg("-C").arg(directory).arg("Dockerfile").run().ok();
    archive
}

/// Builds an image from an archive.
#[track_caller]
pub fn build(socket: &Path, target: &str, archive: &Path) {
    let archive = std::fs::File::open(archive).unwrap();
    let build = stoop(["http"]).arg(socket).args(["POST", target, "-H", "Content-Type: application/x-tar"]);
    let built = build.args(["--data", "@-", "--fail"]).stdin(archive).run().ok();
    assert!(built.text().contains("Successfully tagged"), "{}", built.text());
}
