//! Real containers: a containerd for these tests starts processes that connect to sockets of the
//! host, or serve some.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use stoop_e2e::containerd::Containerd;
use stoop_e2e::{LIMIT, Raw, stoop, wait_served};
use stoop_testkit::{deadline, eventually, skip};

/// A generous timeout: the machine may be busy with a build.
const LONG: Duration = Duration::from_secs(150);

#[track_caller]
fn json<A: AsRef<OsStr>>(verb: &str, arguments: impl IntoIterator<Item = A>) -> Vec<Value> {
    let lines = stoop([verb, "--json"]).args(arguments).run().seen().json();
    lines.into_iter().filter(|line| line["event"] != "missing").collect()
}

fn of<'a>(lines: &'a [Value], event: &str) -> &'a Value {
    lines.iter().find(|line| line["event"] == event).unwrap_or_else(|| panic!("no {event} in {lines:#?}"))
}

/// A running containerd with the image, and a directory to share with containers.
fn prepared() -> (Containerd, PathBuf) {
    let containerd = Containerd::start();
    containerd.import_image();
    let shared = containerd.directory().join("shared");
    fs::create_dir(&shared).unwrap();
    (containerd, shared)
}

fn run(containerd: &Containerd, id: &str, shared: &Path, command: &[&str]) -> u32 {
    let mount = format!("type=bind,src={},dst=/shared,options=rbind:rw", shared.display());
    containerd.run(id, &["--mount", &mount], command)
}

#[test]
fn a_container_that_uses_a_socket_of_the_host_is_named() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let (containerd, shared) = prepared();
        let path = shared.join("app.sock");
        let server = stoop(["serve", "--json"]).arg(&path).spawn();
        wait_served(&path);
        let pid = run(&containerd, "talker", &shared, &["/bin/talk", "/shared/app.sock", "hello"]);
        server.wait_stdout("accepted");
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        assert_ne!(fs::read_link(format!("/proc/{pid}/ns/net")).unwrap(), own, "a namespace of its own");

        let lines = json("ls", [&path]);
        assert_eq!(lines.len(), 2, "{lines:#?}");
        let connection = of(&lines, "connection");
        let client = &connection["client"]["processes"][0];
        assert_eq!((&client["pid"], &client["command"]), (&pid.into(), &"talk".into()));
        assert_eq!((&client["container"], &client["runtime"]), (&"talker".into(), &"containerd".into()));
        assert_eq!(connection["server"]["processes"][0]["pid"], server.pid());
        assert_eq!(connection["address"], path.to_str().unwrap());
        // The accepted end is in the namespace of its client.
        assert_eq!(connection["server"]["network_namespace"], connection["client"]["network_namespace"]);
        assert_ne!(
            connection["client"]["network_namespace"],
            of(&lines, "listener")["server"]["network_namespace"]
        );

        let text = stoop(["ls"]).arg(&path).run().seen().text();
        assert!(text.contains(&format!("{pid}/talk")) && text.contains("containerd:talker"), "{text}");
        assert_eq!(json("ls", ["--container", "talk", "--peer", &server.pid().to_string()]).len(), 1);
        assert_eq!(json("ls", ["--container", "other"]).len(), 0);

        let who = stoop(["who"]).arg(&path).run().seen().text();
        assert!(who.contains(&format!("{pid}/talk")) && who.contains("in containerd:talker"), "{who}");
        let tree = json("tree", [&path]);
        assert!(tree.iter().any(|line| line["group"] == "containerd:talker"), "{tree:#?}");

        // Only the server's end remains of a container that has exited.
        drop(containerd);
        eventually(LIMIT, || fs::metadata(format!("/proc/{pid}")).is_err());
        server.wait_stdout("closed");
    });
}

#[test]
fn a_server_in_a_container_is_found_by_its_host_path() {
    if let Some(reason) = Containerd::lacks() {
        skip!("{reason}");
    }
    deadline(LONG, || {
        let (containerd, shared) = prepared();
        run(&containerd, "server", &shared, &["/bin/talk", "--serve", "/shared/inner.sock"]);
        let path = shared.join("inner.sock");
        eventually(LIMIT, || json("ls", [&path]).iter().any(|line| line["event"] == "listener"));
        let _client = Raw::connect("stream", path.to_str().unwrap()).unwrap();
        eventually(LIMIT, || json("ls", [&path]).iter().any(|line| line["state"] == "connected"));

        let lines = json("ls", [&path]);
        let listener = of(&lines, "listener");
        assert_eq!(listener["address"], "/shared/inner.sock", "the name that it has in there");
        assert_eq!(listener["server"]["processes"][0]["container"], "server");
        assert_eq!(of(&lines, "connection")["client"]["processes"][0]["pid"], std::process::id());

        let who = json("who", [&path]);
        assert_eq!((who.len(), &who[0]["file"]["fate"]), (1, &"there".into()), "{who:#?}");
        let file = &who[0]["file"];
        let path = path.to_str().unwrap();
        assert_eq!((&file["path"], &file["bound_as"]), (&path.into(), &"/shared/inner.sock".into()));
        // A name in the mount namespace of a container does not identify it from outside.
        let inside = stoop(["who", "/shared/inner.sock", "--json"]).run();
        assert_eq!(inside.seen().json()[0]["socket"]["inode"], who[0]["socket"]["inode"]);
    });
}
