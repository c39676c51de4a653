//! Real clients through the built-in sets, and rules for some clients.

use std::fs;

use serde_json::{Value, json};
use stoop_e2e::containerd::Containerd;
use stoop_e2e::docker::Dockerd;
use stoop_e2e::{Run, Running, stoop, stoop_as};
use stoop_testkit::{deadline, has_program, skip};

use crate::raw::{request, send, statuses};
use crate::{Guarded, IMAGE, LONG, create, direct, docker, guard, prepare};

#[test]
fn a_ci_build_works_and_has_no_other_rights() {
    let daemon = match Dockerd::start() {
        Ok(_) if !has_program("docker") => skip!("lacks docker"),
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        prepare(&daemon, "foreign", &json!({}));
        let guard =
            guard(daemon.directory(), "ci.sock", &daemon.socket(), &["--http-rules", "docker:ci-build"]);
        let context = daemon.directory().join("context");
        fs::create_dir(&context).unwrap();
        let file = format!(
            "FROM {IMAGE}\nRUN [\"/bin/busybox\", \"touch\", \"/built\"]\nCMD [\"/bin/busybox\", \"ls\", \"/built\"]\n"
        );
        fs::write(context.join("Dockerfile"), file).unwrap();
        let built = docker(&guard, &["build", "--network", "none", "-t", "app:1", context.to_str().unwrap()]);
        let built = built.run().ok();
        assert!(built.text().contains("Successfully tagged app:1"), "{}", built.text());
        docker(&guard, &["tag", "app:1", "app:2"]).run().ok();
        let run = docker(&guard, &["run", "--rm", "--network", "none", "app:2"]).run().ok();
        assert_eq!(run.text(), "/built\n");
        let cat = ["run", "-i", "--rm", "--network", "none", "app:1", "/bin/busybox", "cat"];
        assert_eq!(docker(&guard, &cat).input("to and fro\n").run().ok().text(), "to and fro\n");
        only_its_own_containers(&guard);
        privileges_are_refused(&guard);
        bodies_in_other_spellings(&daemon, &guard);
        crate::own::labels_of_images_do_not_count(&daemon, &guard);
        crate::own::names_like_ids_are_refused(&daemon, &guard);
        crate::own::a_begin_of_a_path_is_not_left(&daemon);
        a_login_reaches_the_registry(&guard);
        crate::python::builds(&guard, &context);
        guard.running.terminate().ok();
    });
}

/// Nothing listens there: what counts is that the daemon tried.
fn a_login_reaches_the_registry(guard: &Guarded) {
    let body = json!({"username": "a", "password": "b", "serveraddress": "127.0.0.1:1"}).to_string();
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let answer = send(&guard.path, request("POST /auth", &headers, &body));
    assert!(answer.contains("127.0.0.1:1"), "{answer}");
    let login = docker(guard, &["login", "-u", "a", "--password-stdin", "127.0.0.1:1"]).input("b").run();
    assert!(!login.stderr.contains("refused by the guard"), "{}", login.stderr);
}

fn only_its_own_containers(guard: &Guarded) {
    docker(guard, &["create", "--name", "mine", "--network", "none", "app:1"]).run().ok();
    let listed = docker(guard, &["ps", "-a", "--format", "{{.Names}}"]).run().ok().text();
    assert_eq!(listed, "mine\n");
    for words in [
        &["container", "inspect", "foreign"][..],
        &["logs", "foreign"],
        &["rm", "foreign"],
        &["start", "foreign"],
    ] {
        let run = docker(guard, words).run().code(1);
        assert!(run.stderr.to_lowercase().contains("no such"), "{words:?}: {}", run.stderr);
    }
    docker(guard, &["rm", "mine"]).run().ok();
}

fn privileges_are_refused(guard: &Guarded) {
    for flags in [
        "--privileged",
        "-v /:/host",
        "-v /data",
        "--mount type=bind,src=/,dst=/host",
        "--tmpfs /x",
        "--pid host",
        "--ipc host",
        "--uts host",
        "--userns host",
        "--cgroupns host",
        "--network host",
        "--network container:foreign",
        "--pid container:foreign",
        "--volumes-from foreign",
        "--cap-add SYS_ADMIN",
        "--device /dev/null",
        "--security-opt seccomp=unconfined",
        "--security-opt systempaths=unconfined",
        "--cgroup-parent /x",
        "--runtime other",
        "--sysctl net.ipv4.ip_forward=1",
        "--group-add 0",
        "--restart always",
        "-p 80:80",
        "--link foreign",
        "--gpus all",
        "--oom-score-adj -1000",
        "--log-driver syslog",
        "--add-host a:1.1.1.1",
    ] {
        let words: Vec<&str> = ["create"].into_iter().chain(flags.split(' ')).chain(["app:1"]).collect();
        let run = docker(guard, &words).run().code(1);
        assert!(run.stderr.contains("refused by the guard"), "{flags}: {}", run.stderr);
    }
}

/// Bodies that the daemon reads in another way than it seems.
fn bodies_in_other_spellings(daemon: &Dockerd, guard: &Guarded) {
    let post = |path: &std::path::Path, kind: &str, body: &str| {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        send(path, request("POST /containers/create", &headers, body))
    };
    let image = format!("\"Image\":\"{IMAGE}\"");
    for body in [
        format!("{{{image},\"HostConfig\":{{\"Privileged\":false,\"privileged\":true}}}}"),
        format!("{{{image},\"HostConfig\":{{\"pRivileged\":true}}}}"),
        format!("{{{image},\"hostconfig\":{{\"Privileged\":true}}}}"),
        format!("{{{image},\"HostConfig\":{{}},\"HostConfig\":{{\"Privileged\":true}}}}"),
        format!("{{{image},\"HostConfig\":{{\"Priv\\u0069leged\":true}}}}"),
        format!("{{{image},\"HostConfig\":{{\"Device\u{17f}\":[]}}}}"),
        format!("{{{image}}}{{\"HostConfig\":{{\"Privileged\":true}}}}"),
        format!("\u{feff}{{{image}}}"),
        format!("{{{image},\"New\":1}}"),
        format!("[{{{image}}}]"),
        format!("{{{image},\"Labels\":{{\"a\":\"{}\"}}}}", "x".repeat(1 << 20)),
    ] {
        let answer = post(&guard.path, "application/json", &body);
        assert!(statuses(&answer).iter().all(|status| [400, 403, 413].contains(status)), "{answer}");
    }
    // The daemon takes the second key, in whatever case: it is an attack.
    let folded = format!("{{{image},\"HostConfig\":{{\"Privileged\":false,\"privileged\":true}}}}");
    let id = created(&post(&daemon.socket(), "application/json", &folded));
    let inspected: Value =
        serde_json::from_str(&direct(daemon, &[&format!("/containers/{id}/json")])).unwrap();
    assert_eq!(inspected["HostConfig"]["Privileged"], true);
    // A form in the body comes before the query in Go.
    for kind in ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-16"] {
        let answer = post(&guard.path, kind, "{}");
        assert!(statuses(&answer).iter().all(|status| [400, 403].contains(status)), "{kind}: {answer}");
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 16\r\n";
    let answer = send(&guard.path, request("POST /build?networkmode=none", form, "networkmode=host"));
    assert_eq!(statuses(&answer), [403], "{answer}");
    // Docker takes over a connection without being asked to change the protocol, too.
    let answer = send(&guard.path, request("POST /containers/foreign/attach?stream=1&stdin=1", "", ""));
    assert_eq!(statuses(&answer), [403], "{answer}");
    chunked_bodies_are_judged(daemon, guard, &image);
}

fn chunked_bodies_are_judged(daemon: &Dockerd, guard: &Guarded, image: &str) {
    let post = |body: &str| {
        let chunks: String = body.as_bytes().chunks(7).fold(String::new(), |text, chunk| {
            format!("{text}{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk))
        });
        let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n";
        send(
            &guard.path,
            request("POST /containers/create", headers, &format!("{chunks}0\r\nX-A: b\r\n\r\n")),
        )
    };
    let answer = post(&format!("{{{image},\"HostConfig\":{{\"Privileged\":true}}}}"));
    assert_eq!(statuses(&answer), [403], "{answer}");
    let id = created(&post(&format!("{{{image},\"Labels\":{{\"stoop.guard\":\"other\"}}}}")));
    let inspected: Value =
        serde_json::from_str(&direct(daemon, &[&format!("/containers/{id}/json")])).unwrap();
    assert_eq!(inspected["Config"]["Labels"]["stoop.guard"], "ci-build", "the label is the guard's to give");
}

fn created(answer: &str) -> String {
    assert_eq!(statuses(answer), [201], "{answer}");
    let at = answer.find("\"Id\":\"").expect("an id") + 6;
    answer[at..at + 64].to_owned()
}

#[test]
fn traefik_sees_only_what_it_is_shown() {
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        prepare(&daemon, "shown", &json!({"traefik.enable": "true"}));
        create(&daemon, "hidden", &json!({}));
        let rules = daemon.directory().join("rules.toml");
        fs::write(&rules, "include = ['docker:traefik']\nvisible-label = 'traefik.enable=true'\n").unwrap();
        let guard = guard(
            daemon.directory(),
            "t.sock",
            &daemon.socket(),
            &["--http-rules", rules.to_str().unwrap(), "--json"],
        );
        traefiks_own_requests(&daemon, &guard);
        for name in ["hidden", "missing"] {
            let answer = send(&guard.path, request(&format!("GET /containers/{name}/json"), "", ""));
            assert_eq!(statuses(&answer), [404], "{answer}");
        }
        assert_eq!(statuses(&send(&guard.path, request("GET /info", "", ""))), [403]);
        let decisions: Vec<Value> = guard.running.terminate().ok().json();
        let of = |verdict: &str| decisions.iter().filter(|event| event["verdict"] == verdict).count();
        assert_eq!((of("hidden"), of("refused")), (2, 1), "{decisions:?}");
        let refused = decisions.iter().find(|event| event["verdict"] == "refused").unwrap();
        assert_eq!((&refused["target"], &refused["forwarded"]), (&json!("/info"), &json!(false)));
        assert_eq!(refused["pid"], std::process::id());
    });
}

/// In the order of its provider `docker`.
fn traefiks_own_requests(daemon: &Dockerd, guard: &Guarded) {
    assert_eq!(statuses(&send(&guard.path, request("HEAD /_ping", "", ""))), [200]);
    assert!(guard.get("/v1.24/version")["ApiVersion"].is_string());
    let filters = "filters=%7B%22type%22%3A%7B%22container%22%3Atrue%7D%7D";
    let mut events = stoop(["http"]).arg(&guard.path).arg(format!("/v1.24/events?{filters}")).spawn();
    let listed = guard.get("/v1.24/containers/json?limit=0&all=1");
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let inspected = guard.get(&format!("/v1.24/containers/{}/json", listed[0]["Id"].as_str().unwrap()));
    assert_eq!(
        (&inspected["Name"], &inspected["Config"]["Labels"]["traefik.enable"]),
        (&json!("/shown"), &json!("true"))
    );
    let networks = guard.get("/v1.24/networks?filters=%7B%22scope%22%3A%7B%22swarm%22%3Atrue%7D%7D");
    assert!(networks.is_array());
    for name in ["hidden", "shown"] {
        direct(daemon, &["POST", &format!("/containers/{name}/rename?name={name}-2")]);
        direct(daemon, &["POST", &format!("/containers/{name}-2/rename?name={name}")]);
    }
    events.wait_stdout("shown-2");
    assert!(!String::from_utf8_lossy(&events.stdout()).contains("hidden"));
    assert!(events.is_running(), "the stream of events has no end");
}

/// Asks as Portainer does for its snapshot of an environment, and for its pages.
pub fn what_a_dashboard_asks_for_is_allowed(guard: &Guarded) {
    assert_eq!(statuses(&send(&guard.path, request("HEAD /_ping", "", ""))), [200]);
    let get = |target: &str| statuses(&send(&guard.path, request(&format!("GET {target}"), "", "")));
    let dangling = "filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D";
    for target in [
        "/v1.41/info",
        "/v1.41/containers/json?all=1",
        "/v1.41/images/json",
        "/v1.41/volumes",
        "/v1.41/networks",
        "/v1.41/version",
        "/v1.41/system/df",
        "/info",
        "/containers/json?all=true",
        "/containers/json?all=1&size=0&filters=%7B%22status%22%3A%5B%22created%22%5D%7D",
        "/containers/victim/json",
        "/containers/victim/json?size=1",
        "/containers/victim/stats?stream=false",
        "/images/json?all=0",
        "/images/stoop.test/busybox:1/json",
        "/networks/none",
        &format!("/volumes?{dangling}"),
        "/events?since=1&until=2",
    ] {
        assert_eq!(get(target), [200], "{target}");
    }
    // This daemon is not part of a swarm.
    for target in ["/services", "/tasks", "/nodes"] {
        assert_eq!(get(target), [503], "{target}");
    }
}

#[test]
fn a_dry_run_forwards_and_learning_writes_the_rules() {
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        prepare(&daemon, "one", &json!({}));
        let dry = guard(
            daemon.directory(),
            "dry.sock",
            &daemon.socket(),
            &["--http-rules", "docker:traefik", "--dry-run"],
        );
        let post = |guard: &Guarded, target: &str, body: &str| {
            stoop(["http"]).arg(&guard.path).args([target, "--data", body, "--fail"]).run().ok();
        };
        post(&dry, "/containers/one/rename?name=two", "");
        dry.running.wait_stderr("refused, but forwarded: POST /containers/one/rename");
        let file = daemon.directory().join("learned.toml");
        let learn =
            guard(daemon.directory(), "learn.sock", &daemon.socket(), &["--learn", file.to_str().unwrap()]);
        post(&learn, "/containers/two/update", "{\"CpuShares\": 512}");
        learn.get("/v1.41/containers/json?all=1");
        learn.running.terminate().ok();
        let learned = guard(
            daemon.directory(),
            "learned.sock",
            &daemon.socket(),
            &["--http-rules", file.to_str().unwrap()],
        );
        post(&learned, "/containers/two/update", "{\"CpuShares\": 512}");
        learned.get("/containers/json?all=1");
        let other = stoop(["http"]).arg(&learned.path).args([
            "/containers/two/update",
            "--data",
            "{\"CpuShares\": 9}",
        ]);
        assert!(other.run().ok().text().contains("this value is not allowed: CpuShares"));
        let again = stoop(["relay", "./x.sock"]).arg(daemon.socket()).arg("--learn").arg(&file).run();
        assert!(again.stderr.contains("file exists"), "it is not overwritten: {}", again.stderr);
    });
}

#[test]
fn rules_are_for_the_client_that_the_kernel_names() {
    let daemon = match Dockerd::start() {
        Ok(daemon) => daemon,
        Err(reason) => skip!("{reason}"),
    };
    deadline(LONG, move || {
        let rules = daemon.directory().join("rules.toml");
        let text = "requests = ['GET /_ping']\n[[client]]\nuid = [1234]\nrequests = ['GET /version']\n\
                    [[client]]\nunit = ['nothing.service']\nrequests = ['GET /info']\n";
        fs::write(&rules, text).unwrap();
        let dir = stoop_testkit::tempdir();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let flags = ["--http-rules", rules.to_str().unwrap(), "--mode", "666"];
        let guard = guard(dir.path(), "g.sock", &daemon.socket(), &flags);
        let asked =
            |run: Run, target: &str| run.args([guard.path.to_str().unwrap(), target]).run().ok().text();
        for (target, of_root, of_user) in
            [("/_ping", true, true), ("/version", false, true), ("/info", false, false)]
        {
            let refused = |text: String| text.contains("refused by the guard");
            assert_eq!(refused(asked(stoop(["http"]), target)), !of_root, "{target}");
            assert_eq!(refused(asked(stoop_as(1234, ["http"]), target)), !of_user, "{target}");
        }
        guard.running.terminate().ok();
    });
}

#[test]
fn containerd_shows_what_runs_and_no_more() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let containerd = Containerd::start();
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("cri.sock");
        let mut guard: Running = stoop(["relay"])
            .arg(&path)
            .arg(containerd.socket())
            .args(["--grpc-rules", "cri:read-only"])
            .spawn();
        guard.wait_stderr("forwards what the rules allow");
        let call = |method: &str, data: &str| {
            let method = format!("runtime.v1.{method}");
            stoop(["grpc"]).arg(&path).args([&method, "--data", data]).run()
        };
        assert!(call("RuntimeService/Version", "{}").ok().text().contains("containerd"));
        call("RuntimeService/ListContainers", "{}").ok();
        call("RuntimeService/Status", "{}").ok();
        for (method, data) in [
            ("RuntimeService/Status", "{\"verbose\": true}"),
            ("RuntimeService/ContainerStatus", "{\"containerId\": \"a\", \"verbose\": true}"),
            ("RuntimeService/ExecSync", "{\"containerId\": \"a\", \"cmd\": [\"id\"]}"),
            ("RuntimeService/RunPodSandbox", "{}"),
            ("RuntimeService/StopContainer", "{\"containerId\": \"a\"}"),
            ("ImageService/RemoveImage", "{}"),
        ] {
            let refused = call(method, data);
            assert!(refused.stderr.contains("returned PERMISSION_DENIED"), "{method}: {}", refused.stderr);
        }
        // A container that is missing is the runtime's own answer.
        let missing = call("RuntimeService/ContainerStatus", "{\"containerId\": \"a\"}");
        assert!(missing.stderr.contains("returned NOT_FOUND"), "{}", missing.stderr);
        assert!(guard.is_running());
    });
}

#[test]
fn what_cannot_be_guarded_is_said() {
    let dir = stoop_testkit::tempdir();
    let (path, rules) = (dir.path().join("g.sock"), dir.path().join("rules.toml"));
    fs::write(&rules, "requests = [\n  'GET /a',\n  'get /b',\n]\n").unwrap();
    let rules = rules.to_str().unwrap();
    let relay =
        |server: &str, flags: &[&str]| stoop(["relay"]).arg(&path).arg(server).args(flags).run().code(2);
    relay("./s", &["--http-rules", rules]).explains(&[
        "rules.toml:3' cannot be read",
        "capital letters",
        "sed -n 3p",
    ]);
    relay("./s", &["--grpc-rules", "docker:read-only"]).explains(&[
        "would allow nothing",
        "expects gRPC calls",
        "--http-rules docker:read-only",
    ]);
    relay("./s", &["--http-rules", "cri:read-only"]).explains(&["would allow nothing", "--grpc-rules"]);
    relay("./s", &["--http-rules", "docker:all"]).explains(&["neither a file nor a set", "docker:read-only"]);
    relay("./s", &["--allow-request", "get /a"]).explains(&["'get /a' is not a rule", "capital letters"]);
    relay("dgram:./s", &["--http-rules", "docker:read-only"]).explains(&["cannot be guarded by rules"]);
    for flag in ["--allow=unit:x", "--max-per-container=5", "--framed"] {
        relay("./s", &["--http-rules", "docker:read-only", flag]).explains(&["cannot be used with rules"]);
    }
    assert!(!path.exists());
}
