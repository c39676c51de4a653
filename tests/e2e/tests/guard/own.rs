//! Whose a container is. What a client makes up is not taken for what the guard gave.

use serde_json::{Value, json};
use stoop_e2e::docker::Dockerd;

use crate::hidden::{archive, build};
use crate::raw::{request, send, statuses};
use crate::{Guarded, IMAGE, direct, docker, guard};

/// Checks that containers of others stay invisible, also if their image has the client's label.
pub fn labels_of_images_do_not_count(daemon: &Dockerd, guard: &Guarded) {
    let archive =
        archive(&daemon.directory().join("labelled"), &format!("FROM {IMAGE}\nLABEL stoop.guard=ci-build\n"));
    build(&guard.path, "/build?t=labelled:1&networkmode=none", &archive);
    create(daemon, "inheriting", &json!({"Image": "labelled:1", "Cmd": ["/bin/busybox"]}));
    let inspected = inspect(daemon, "inheriting");
    assert_eq!(inspected["Config"]["Labels"]["stoop.guard"], "ci-build", "the daemon shows no difference");
    for line in [
        "GET /containers/inheriting/json",
        "GET /containers/inheriting/logs?stdout=1",
        "POST /containers/inheriting/start",
        "DELETE /containers/inheriting?force=1",
    ] {
        let answer = send(&guard.path, request(line, "", ""));
        assert_eq!(statuses(&answer), [404], "{line}: {answer}");
    }
    assert!(!guard.get("/containers/json?all=1").to_string().contains("inheriting"));
    docker(guard, &["create", "--name", "given", "--network", "none", "app:1"]).run().ok();
    assert!(guard.get("/containers/json?all=1").to_string().contains("/given"));
    docker(guard, &["rm", "given"]).run().ok();
    direct(daemon, &["DELETE", "/containers/inheriting"]);
}

/// Checks that no container stands in the place of another: Docker looks for names before ids.
pub fn names_like_ids_are_refused(daemon: &Dockerd, guard: &Guarded) {
    let id = inspect(daemon, "foreign")["Id"].as_str().unwrap().to_owned();
    let short = &id[..12];
    let body = json!({"Image": IMAGE, "Cmd": ["/bin/busybox"]}).to_string();
    for name in [short, &id, &format!("%2F{short}"), "000000000000"] {
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let line = format!("POST /containers/create?name={name}");
        let answer = send(&guard.path, request(&line, &headers, &body));
        assert_eq!(statuses(&answer), [403], "{line}: {answer}");
    }
    create(daemon, short, &json!({"Image": IMAGE, "Cmd": ["/bin/busybox"]}));
    assert_ne!(inspect(daemon, short)["Id"], id.as_str(), "it stands in the place of another");
    direct(daemon, &["DELETE", &format!("/containers/{}", inspect(daemon, short)["Id"].as_str().unwrap())]);
}

/// Checks that a rule for the begin of a path is not one for what `..` leads to.
pub fn a_begin_of_a_path_is_not_left(daemon: &Dockerd) {
    let rules = daemon.directory().join("begins.toml");
    let text = "[[allow]]\nrequest = 'POST /containers/create?name'\n[allow.json]\nImage = 'any'\nCmd = 'any'\n\
                'HostConfig.Binds[]' = { starts-with = ['/srv/cache/'] }\n\
                'HostConfig.Mounts[].Type' = ['bind']\n'HostConfig.Mounts[].Target' = 'any'\n\
                'HostConfig.Mounts[].Source' = { starts-with = ['/tmp/'] }\n";
    std::fs::write(&rules, text).unwrap();
    let guard =
        guard(daemon.directory(), "b.sock", &daemon.socket(), &["--http-rules", rules.to_str().unwrap()]);
    let mount = |source: &str| json!({"Mounts": [{"Type": "bind", "Source": source, "Target": "/host"}]});
    for host in [
        mount("/tmp/../etc"),
        mount("/tmp/x/../../etc"),
        mount("/tmp/.."),
        json!({"Binds": ["/srv/cache/../../etc:/host"]}),
        json!({"Binds": ["/srv/cache/..:/host:ro"]}),
    ] {
        let body = json!({"Image": IMAGE, "Cmd": ["/bin/busybox"], "HostConfig": host}).to_string();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        let answer = send(&guard.path, request("POST /containers/create", &headers, &body));
        assert_eq!(statuses(&answer), [403], "{host}: {answer}");
    }
    // The daemon follows it.
    create(
        daemon,
        "up",
        &json!({"Image": IMAGE, "Cmd": ["/bin/busybox"], "HostConfig": mount("/tmp/../etc")}),
    );
    let source = inspect(daemon, "up")["Mounts"][0]["Source"].clone();
    assert!(["/etc", "/tmp/../etc"].contains(&source.as_str().unwrap()), "{source}");
    direct(daemon, &["DELETE", "/containers/up"]);
    guard.running.terminate().ok();
}

fn create(daemon: &Dockerd, name: &str, config: &Value) {
    let mut config = config.clone();
    config["NetworkDisabled"] = json!(true);
    direct(daemon, &[&format!("/containers/create?name={name}"), "--data", &config.to_string()]);
}

fn inspect(daemon: &Dockerd, name: &str) -> Value {
    serde_json::from_str(&direct(daemon, &[&format!("/containers/{name}/json")])).unwrap()
}
