//! Rules for the names in the certificates of clients that come with TLS.

use std::fs;
use std::path::Path;

use stoop_e2e::certificates::{certificates, identity};
use stoop_e2e::{Running, stoop, wait_served};
use stoop_testkit::{TempDir, has_program, skip, tempdir};

use crate::identity::serve;

/// What both machines may ask for, and what one of them may.
const RULES: &str = "requests = ['GET /all']\n\
                     [[client]]\nsan = ['spiffe://test/near']\nrequests = ['GET /near']\n\
                     [[client]]\nuid = [0]\nrequests = ['GET /root']\n";

/// A guard that listens with TLS, and where that is.
struct TlsGuard {
    dir: TempDir,
    running: Running,
    address: String,
}

impl TlsGuard {
    fn start(flags: &[&str]) -> TlsGuard {
        let dir = tempdir();
        certificates(dir.path());
        let server = dir.path().join("server.sock");
        serve(&server);
        fs::write(dir.path().join("rules.toml"), RULES).unwrap();
        let running =
            stoop(["relay", "tls:127.0.0.1:0", "--json"]).arg(&server).args(flags).inside(dir.path());
        let running = running.args(identity(dir.path(), "far")).spawn();
        running.wait_stdout("}\n");
        let text = String::from_utf8(running.stdout()).unwrap();
        let listening: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let address = listening["address"].as_str().unwrap().to_owned();
        TlsGuard { dir, running, address }
    }

    /// Starts the relay of a client's machine.
    fn near(&self, name: &str) -> (Running, String) {
        let path = self.dir.path().join(format!("{name}.sock")).to_str().unwrap().to_owned();
        let relay = stoop(["relay", &path, &self.address]).args(identity(self.dir.path(), name)).spawn();
        wait_served(&path);
        (relay, path)
    }
}

fn ask(path: &str, target: &str) -> String {
    stoop(["http", path, target]).run().text()
}

#[test]
fn rules_are_for_the_names_in_certificates() {
    if !has_program("openssl") {
        skip!("lacks openssl");
    }
    let guard = TlsGuard::start(&["--http-rules", "rules.toml"]);
    let (near, from_near) = guard.near("near");
    let (far, from_far) = guard.near("far");
    assert_eq!((ask(&from_near, "/near"), ask(&from_near, "/all")), ("OK".into(), "OK".into()));
    assert_eq!(ask(&from_far, "/all"), "OK");
    for (path, target) in [(&from_far, "/near"), (&from_near, "/other"), (&from_near, "/root")] {
        let said = ask(path, target);
        assert!(said.contains("refused by the guard"), "{target}: {said}");
    }
    let _ = [near, far].map(|relay| relay.terminate().ok());
    let events = guard.running.terminate().ok().json();
    // Others of this machine may try to go around it meanwhile; they have no certificate.
    let is_asked = |event: &&serde_json::Value| event["event"] == "request" && event["names"].is_array();
    let asked: Vec<_> = events.iter().filter(is_asked).collect();
    let first = (&asked[0]["target"], &asked[0]["names"]);
    assert_eq!(first, (&"/near".into(), &serde_json::json!(["spiffe://test/near", "near"])));
    assert!(asked.iter().all(|event| event.get("pid").is_none_or(serde_json::Value::is_null)), "{asked:?}");
    assert_eq!(asked.len(), 6);
}

/// The name of the guard's own socket is seen by all. Who connects to it, even as the same user, is
/// no client of the guard.
#[test]
fn nobody_goes_around_the_certificates() {
    if !has_program("openssl") {
        skip!("lacks openssl");
    }
    let guard = TlsGuard::start(&["--http-rules", "rules.toml"]);
    let names = fs::read_to_string("/proc/net/unix").unwrap();
    let pid = guard.running.pid();
    let own = stoop(["ls", "--json", "--all"]).run().ok().text();
    let its = names.lines().filter_map(|line| line.split_once("@stoop-guard-")).map(|(_, rest)| rest);
    let mut tried = 0;
    for name in its.filter(|rest| rest.ends_with("-guard")) {
        let address = format!("@stoop-guard-{name}");
        if !own.contains(&address) {
            continue;
        }
        let said = ask(&address, "/all");
        assert!(!said.contains("OK"), "{pid}: {said}");
        tried += 1;
    }
    assert!(tried > 0, "{names}");
    guard.running.terminate().ok();
}

#[test]
fn what_a_named_client_asks_for_is_learned_for_its_names() {
    if !has_program("openssl") {
        skip!("lacks openssl");
    }
    let guard = TlsGuard::start(&["--http-rules", "rules.toml", "--learn", "learned.toml"]);
    let (near, path) = guard.near("near");
    assert_eq!(ask(&path, "/learned"), "OK");
    near.terminate().ok();
    guard.running.terminate().ok();
    let learned = fs::read_to_string(Path::new(guard.dir.path()).join("learned.toml")).unwrap();
    let client = "[[client]]\nsan = [\"spiffe://test/near\", \"near\"]";
    assert!(learned.contains(client) && learned.contains("[[client.allow]]"), "{learned}");
}
