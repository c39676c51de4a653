//! `stoop tree`: real processes joined by real sockets, as text, JSON, DOT and SVG.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::Value;
use stoop_e2e::{Raw, program, stoop, wait_served};
use stoop_testkit::{has_program, tempdir};

#[test]
fn processes_are_joined_by_what_they_use() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    let clients: Vec<_> = (0..3).map(|_| Raw::connect("stream", path.to_str().unwrap()).unwrap()).collect();
    for client in &clients {
        client.is_echoed(b"x");
    }
    let address = path.to_str().unwrap();
    let lines = stoop(["tree", "--json", address]).run().seen().json();
    let nodes: Vec<&Value> = lines.iter().filter(|line| line["event"] == "node").collect();
    let has = |node: &Value, pid: u32| node["pids"].as_array().unwrap().contains(&pid.into());
    let of = |pid| *nodes.iter().find(|node| has(node, pid)).unwrap();
    let (served, used) = (of(server.pid()), of(std::process::id()));
    assert_eq!(served["serves"][0]["address"], address);
    let edges: Vec<&Value> = lines.iter().filter(|line| line["event"] == "edge").collect();
    assert_eq!(edges.len(), 1);
    assert_eq!((&edges[0]["client"], &edges[0]["server"]), (&used["node"], &served["node"]));
    assert_eq!((&edges[0]["connections"], &edges[0]["address"]), (&3.into(), &address.into()));

    let text = stoop(["tree", address]).run().seen().text();
    assert!(text.contains(&format!("serves {address} (stream)")), "{text}");
    assert!(text.contains("×3"), "{text}");
}

#[test]
fn what_nobody_uses_is_left_out_unless_asked_for() {
    let dir = tempdir();
    let path = dir.path().join("lonely.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let address = path.to_str().unwrap();
    let lonely = stoop(["tree", address]).run().seen();
    assert!(lonely.text().is_empty());
    lonely.explains(&[&format!("stoop tree {address}: nothing here joins two processes"), "--all"]);
    let nothing = stoop(["tree", "--name", "/stoop/no/such/*"]).run().seen();
    nothing.explains(&["stoop tree --name '/stoop/no/such/*': no process here shares a local socket"]);
    assert!(stoop(["tree", "--all", address]).run().seen().text().contains(address));
}

#[test]
fn a_picture_is_written_whole_with_names_that_stay_text() {
    let dir = tempdir();
    let path = dir.path().join("<b>&\"x\u{1b}[2J.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let _client = UnixStream::connect(&path).unwrap();
    let _served = listener.accept().unwrap();
    let file = dir.path().join("sockets.svg");
    fs::write(&file, "old").unwrap();
    let name = format!("{}/*", dir.path().display());
    let run = stoop(["tree", "--svg", "--name", &name, "-o"]).arg(&file).umask("027").run();
    assert!(run.seen().stdout.is_empty());
    let svg = fs::read_to_string(&file).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert!(
        svg.contains("&lt;b&gt;&amp;&quot;x%1B[2J.sock") && !svg.contains("<b>") && !svg.contains('\u{1b}')
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640, "as the umask says");
    if has_program("python3") {
        let parse = "import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])";
        program("python3", ["-c", parse]).arg(&file).run().ok();
    }
    let dot = stoop(["tree", "--dot", "--name", &name]).run().seen().text();
    assert!(dot.starts_with("digraph") && dot.contains(r#"\"x%1B"#), "{dot}");
    if has_program("dot") {
        program("dot", ["-Tplain"]).input(dot).run().ok();
    }
}

#[test]
fn a_file_that_cannot_be_made_is_a_failure() {
    stoop(["tree", "--svg", "-o", "/no/such/directory/x.svg"]).run().code(3).explains(&["cannot write"]);
    stoop(["tree", "--svg", "--dot"]).run().code(2);
    assert!(stoop(["tree", "--dot", "-o", "/dev/stdout"]).run().seen().text().starts_with("digraph"));
}
