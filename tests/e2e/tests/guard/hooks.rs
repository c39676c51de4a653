//! A guard that records what it allows, and that disturbs it.

use std::fs;

use stoop_e2e::{stoop, wait_served};
use stoop_testkit::tempdir;

use crate::guard;
use crate::identity::serve;

fn ask(guard: &crate::Guarded, target: &str) -> String {
    stoop(["http"]).arg(&guard.path).arg(target).run().text()
}

#[test]
fn what_the_rules_allow_is_recorded() {
    let dir = tempdir();
    let (server, file) = (dir.path().join("server.sock"), dir.path().join("allowed.rec"));
    serve(&server);
    let flags = ["--allow-request", "GET /allowed", "--record", file.to_str().unwrap()];
    let guard = guard(dir.path(), "guard.sock", &server, &flags);
    assert_eq!(ask(&guard, "/allowed"), "OK");
    assert!(ask(&guard, "/refused").contains("refused by the guard"));
    guard.running.terminate().ok();
    let shown = stoop(["replay"]).arg(&file).args(["--show", "--json"]).run().ok().json();
    let opened = shown.iter().filter(|record| record["record"] == "opened").count();
    let text = format!("{shown:?}");
    assert_eq!((opened, text.contains("/allowed"), text.contains("/refused")), (1, true, false), "{text}");
    assert_eq!(shown.last().unwrap()["end"], "stopped");
    // The server answers as it did.
    stoop(["replay"]).arg(&file).arg(&server).run().ok();
    assert!(fs::read_dir(dir.path()).unwrap().all(|entry| entry.unwrap().file_name() != "guard.sock"));
}

#[test]
fn what_the_rules_allow_meets_faults() {
    let dir = tempdir();
    let (server, control) = (dir.path().join("server.sock"), dir.path().join("faults.sock"));
    serve(&server);
    let control = control.to_str().unwrap();
    let flags = ["--allow-request", "GET /allowed", "--fault", "refuse", "--fault-control", control];
    let guard = guard(dir.path(), "guard.sock", &server, &flags);
    wait_served(control);
    assert!(!ask(&guard, "/allowed").contains("OK"));
    assert!(guard.running.stderr().contains("injected fault"), "{}", guard.running.stderr());
    let now = stoop(["connect", control]).input("none\n").run().ok().text();
    assert_eq!(now, "up none\ndown none\n");
    assert_eq!(ask(&guard, "/allowed"), "OK");
    assert!(ask(&guard, "/refused").contains("refused by the guard"));
    guard.running.terminate().ok();
}
