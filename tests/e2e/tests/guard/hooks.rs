//! A guard that records what it allows, and that disturbs it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stoop_e2e::{stoop, stoop_as, wait_served};
use stoop_testkit::{has_program, is_root, public_tempdir, skip, tempdir};

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

/// The kernel knows the guard as the one that connects; the recording names who asked.
#[test]
fn a_recording_names_the_client_that_asked() {
    let dir = tempdir();
    let (server, file) = (dir.path().join("server.sock"), dir.path().join("allowed.rec"));
    serve(&server);
    let flags = ["--allow-request", "GET /allowed", "--record", file.to_str().unwrap()];
    let guard = guard(dir.path(), "guard.sock", &server, &flags);
    let client = stoop(["http"]).arg(&guard.path).arg("/allowed").spawn();
    let pid = client.pid();
    assert_eq!(client.finish().ok().text(), "OK");
    let guard_pid = guard.running.pid();
    guard.running.terminate().ok();
    let shown = stoop(["replay"]).arg(&file).args(["--show", "--json"]).run().ok().json();
    let opened = shown.iter().find(|record| record["record"] == "opened").unwrap();
    assert_eq!(opened["client"]["pid"], pid, "{opened} (the guard is {guard_pid})");
    assert_eq!(opened["client"]["uid"], fs::metadata(&file).unwrap().uid());
}

/// A server that answers with the user that has connected, and what came before the request.
fn serve_with_user(path: &Path) {
    let listener = stoop::Bind::new(path).mode(0o666).listen().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            // What introduces the client has empty lines, too.
            let is_whole =
                |head: &[u8]| head.ends_with(b"\r\n\r\n") && head.windows(4).any(|word| word == b"GET ");
            while !is_whole(&head) && client.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head);
            let introduced = text.split("GET ").next().unwrap_or_default();
            let introduced = introduced.split("pid=").nth(1).unwrap_or("nothing").to_owned();
            let body = format!("user {} after {introduced}", client.peer().uid.known().unwrap());
            let len = body.len();
            let _ = client
                .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{body}").as_bytes());
        }
    });
}

#[test]
fn what_the_rules_allow_reaches_the_server_as_the_client() {
    if !is_root() || !has_program("setpriv") {
        skip!("lacks root or setpriv");
    }
    let dir = public_tempdir();
    let server = dir.path().join("server.sock");
    serve_with_user(&server);
    let ask_as =
        |guard: &crate::Guarded| stoop_as(4711, ["http"]).arg(&guard.path).arg("/allowed").run().text();
    let flags = ["--mode", "666", "--allow-request", "GET /allowed", "--max-rate", "1M"];
    let as_client = guard(dir.path(), "as.sock", &server, &[&flags[..], &["--as-client"]].concat());
    assert_eq!(ask_as(&as_client), "user 4711 after nothing");
    let introduced = guard(dir.path(), "proxy.sock", &server, &[&flags[..], &["--send-proxy"]].concat());
    let said = ask_as(&introduced);
    assert!(said.starts_with("user 0 after ") && said.contains("uid=4711 gid="), "{said}");
    assert!(ask(&as_client, "/refused").contains("refused by the guard"));
    let _ = [as_client, introduced].map(|guard| guard.running.terminate().ok());
}

#[test]
fn rules_guard_a_server_beyond_tcp() {
    let dir = tempdir();
    let (server, far) = (dir.path().join("server.sock"), "tcp:127.0.0.1:0");
    serve(&server);
    let far = stoop(["relay", far]).arg(&server).spawn();
    far.wait_stderr("relays each client");
    let port = far.stderr().split_once("127.0.0.1:").unwrap().1.split(' ').next().unwrap().to_owned();
    let tcp = std::path::PathBuf::from(format!("tcp:127.0.0.1:{port}"));
    let guard = guard(dir.path(), "guard.sock", &tcp, &["--allow-request", "GET /allowed"]);
    assert_eq!(ask(&guard, "/allowed"), "OK");
    assert!(ask(&guard, "/refused").contains("refused by the guard"));
    guard.running.terminate().ok();
    far.terminate().ok();
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
    guard.running.wait_stderr("injected fault");
    let now = stoop(["connect", control]).input("none\n").run().ok().text();
    assert_eq!(now, "up none\ndown none\n");
    assert_eq!(ask(&guard, "/allowed"), "OK");
    assert!(ask(&guard, "/refused").contains("refused by the guard"));
    guard.running.terminate().ok();
}
