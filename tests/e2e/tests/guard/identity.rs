//! Rules for containers and units, by the control group of the process that connected.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use stoop_e2e::program;
use stoop_testkit::{deadline, eventually, is_root, skip};

use crate::{Guarded, LONG, guard};

const GROUPS: &str = "/sys/fs/cgroup/systemd";

/// A server that answers every request with `OK`.
pub(crate) fn serve(path: &Path) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
        }
    });
}

/// A control group that is removed at the end, with those around it that were created.
struct Group(Vec<PathBuf>);

impl Group {
    fn new(name: &str) -> Option<Group> {
        let mut created = Group(Vec::new());
        let mut path = PathBuf::from(GROUPS);
        for part in name.split('/') {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).ok()?;
                created.0.push(path.clone());
            }
        }
        Some(created)
    }

    /// Returns what the guard answers to a process in this group.
    fn ask(&self, guard: &Guarded, target: &str) -> String {
        let group = self.0.last().expect("it was created");
        let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.display());
        let run = program("sh", ["-c", &enter, "sh"]).arg(stoop_e2e::binary()).arg("http");
        run.arg(&guard.path).arg(target).run().text()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // A process that has exited may be in it for a moment longer.
            eventually(Duration::from_secs(20), || fs::remove_dir(path).is_ok());
        }
    }
}

#[test]
fn containers_and_units_have_rules_of_their_own() {
    let id = "6".repeat(64);
    let unique = std::process::id();
    let names = [
        format!("docker-{id}.scope"),
        format!("stoop-{unique}.slice/stoop-{unique}.service"),
        format!("user.slice/docker-{id}.scope"),
    ];
    if !is_root() || Group::new(&format!("stoop-{unique}-probe")).is_none() {
        skip!("lacks a place for control groups");
    }
    let [container, unit, users] = names.map(|name| Group::new(&name).expect("a control group"));
    deadline(LONG, move || {
        let dir = stoop_testkit::tempdir();
        serve(&dir.path().join("server"));
        let rules = dir.path().join("rules.toml");
        let text = format!(
            "[[client]]\ncontainer = ['{}']\nrequests = ['GET /container']\n\
             [[client]]\nunit = ['stoop-{unique}.service']\nrequests = ['GET /unit']\n",
            &id[..12]
        );
        fs::write(&rules, text).unwrap();
        let flags = ["--http-rules", rules.to_str().unwrap()];
        let guard = guard(dir.path(), "guard", &dir.path().join("server"), &flags);
        for (group, target, is_allowed) in [
            (&container, "/container", true),
            (&container, "/unit", false),
            (&unit, "/unit", true),
            (&unit, "/container", false),
            (&users, "/container", false),
        ] {
            let answer = group.ask(&guard, target);
            assert_eq!(answer == "OK", is_allowed, "{:?} {target}: {answer}", group.0);
        }
        guard.running.wait_stderr(" of docker:666666666666");
        guard.running.terminate().ok();
    });
}

/// A guard at the name of a server that runs: its clients need no other address.
#[test]
fn a_guard_takes_the_place_of_a_server_and_gives_it_back() {
    deadline(LONG, || {
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("daemon.sock");
        serve(&path);
        let inode = || std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(&path).unwrap());
        let before = inode();
        let ask = |target: &str| stoop_e2e::stoop(["http"]).arg(&path).arg(target).run();
        let metrics = dir.path().join("metrics.sock");
        let place = path.to_str().unwrap();
        let start = |more: &[&str]| {
            let rules = ["relay", "--interpose", place, "--allow-request", "GET /allowed", "--json"];
            let running = stoop_e2e::stoop(rules).args(more).spawn();
            running.wait_stdout("listening");
            running
        };
        let mut guard = start(&["--metrics", metrics.to_str().unwrap()]);
        assert_ne!(inode(), before);
        assert_eq!(ask("/allowed").ok().text(), "OK");
        assert!(ask("/other").text().contains("no rule allows it"));
        let counts = stoop_e2e::stoop(["http"]).arg(&metrics).arg("/metrics").run().ok().text();
        for line in ["requests_total{verdict=\"allowed\"} 1", "requests_total{verdict=\"refused\"} 1"] {
            assert!(counts.contains(&format!("stoop_guard_{line}\n")), "{counts}");
        }
        assert!(counts.ends_with("stoop_guard_forwarded_total 1\n# EOF\n"), "{counts}");
        // Another guard takes its place.
        let new = start(&["--replace"]);
        guard.wait_stdout(r#""event":"displaced","reason":"handed_over""#);
        assert!(guard.finish().ok().text().contains(r#""event":"guarded","forwarded":1,"refused":1"#));
        assert_eq!(ask("/allowed").ok().text(), "OK");
        guard = new;
        let ended = guard.terminate().ok();
        assert!(ended.text().contains(r#""event":"guarded","forwarded":1,"refused":0"#), "{}", ended.text());
        assert_eq!(inode(), before);
        assert_eq!(ask("/other").ok().text(), "OK");
        // Killed, it can be undone.
        start(&[]).kill();
        stoop_e2e::stoop(["relay", "--restore", place]).run().ok();
        assert_eq!(inode(), before);
    });
}
