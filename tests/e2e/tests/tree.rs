//! `stoop tree`: real processes joined by real sockets, as text, JSON, DOT and SVG.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::Value;
use stoop_e2e::{Raw, program, stoop, wait_served};
use stoop_testkit::{has_program, skip, tempdir};

#[test]
fn processes_are_connected_by_their_sockets() {
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

/// A parent that binds and listens, and workers that accept from the inherited listener, are one
/// server; each of its clients is shown as a client of that server only.
#[test]
fn workers_that_share_a_listener_are_one_server() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    const WORKERS: usize = 4;
    let dir = tempdir();
    let path = dir.path().join("prefork.sock");
    let script = format!(
        "import os, socket, sys\n\
         listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()\n\
         for _ in range({WORKERS}):\n\
         \x20   if os.fork() == 0:\n\
         \x20       served, _ = listener.accept(); served.sendall(b'served\\n'); served.recv(1); os._exit(0)\n\
         sys.stdin.read()"
    );
    let server = program("python3", ["-c", &script]).arg(&path).open_input().spawn();
    wait_served(&path);
    let clients: Vec<_> = (0..WORKERS).map(|_| stoop(["connect"]).arg(&path).open_input().spawn()).collect();
    clients.iter().for_each(|client| client.wait_stdout("served"));

    let lines = stoop(["tree", "--json"]).arg(&path).run().seen().json();
    let nodes: Vec<&Value> = lines.iter().filter(|line| line["event"] == "node").collect();
    let edges: Vec<&Value> = lines.iter().filter(|line| line["event"] == "edge").collect();
    let pids = |node: &Value| -> Vec<u64> {
        node["pids"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect()
    };
    let is_server = |node: &&&Value| pids(node).contains(&server.pid().into());
    let served = nodes.iter().find(is_server).unwrap_or_else(|| panic!("no server in {lines:#?}"));
    assert_eq!(pids(served).len(), WORKERS + 1, "{served}");
    assert_eq!(served["serves"].as_array().unwrap().len(), 1);
    let mut theirs: Vec<u64> = clients.iter().map(|client| client.pid().into()).collect();
    theirs.sort_unstable();
    let used = nodes.iter().find(|node| pids(node) == theirs).unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!((nodes.len(), edges.len()), (2, 1), "{lines:#?}");
    assert_eq!((&edges[0]["client"], &edges[0]["server"]), (&used["node"], &served["node"]));
    assert_eq!(edges[0]["connections"], WORKERS);

    let text = stoop(["tree"]).arg(&path).run().seen().text();
    assert!(text.contains(&format!("({} processes)", WORKERS + 1)), "{text}");
    let client = text.lines().find(|line| line.contains("<-")).unwrap();
    assert!(client.contains(&format!("stoop ({WORKERS} processes) ×{WORKERS}")), "{text}");
    // By itself, each worker has its own client.
    let each = stoop(["tree", "--each", "--json"]).arg(&path).run().seen().json();
    let edges: Vec<&Value> = each.iter().filter(|line| line["event"] == "edge").collect();
    let servers: std::collections::BTreeSet<String> =
        edges.iter().map(|edge| edge["server"].to_string()).collect();
    assert_eq!((edges.len(), servers.len()), (WORKERS, WORKERS), "{each:#?}");
}

#[test]
fn unused_sockets_are_hidden_by_default() {
    let dir = tempdir();
    let path = dir.path().join("lonely.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let address = path.to_str().unwrap();
    let lonely = stoop(["tree", address]).run().seen();
    assert!(lonely.text().is_empty());
    lonely.explains(&[&format!("stoop tree {address}: no connection between two processes"), "--all"]);
    let nothing = stoop(["tree", "--name", "/stoop/no/such/*"]).run().seen();
    nothing.explains(&["stoop tree --name '/stoop/no/such/*': no process is connected to another"]);
    assert!(stoop(["tree", "--all", address]).run().seen().text().contains(address));
}

/// Prints the colors of a PNG file, the most frequent first.
const COLORS_OF_PNG: &str = r#"
import collections, struct, sys, zlib
data, at, packed = open(sys.argv[1], 'rb').read(), 8, b''
while at < len(data):
    length, kind = struct.unpack('>I4s', data[at:at + 8])
    body = data[at + 8:at + 8 + length]
    if kind == b'IHDR': width, height, depth, form = struct.unpack('>IIBB', body[:10])
    if kind == b'IDAT': packed += body
    at += 12 + length
size = {2: 3, 6: 4}[form]
assert depth == 8
rows, raw, before = collections.Counter(), zlib.decompress(packed), bytes(width * size)
for number in range(height):
    start = number * (width * size + 1)
    how, line = raw[start], bytearray(raw[start + 1:start + 1 + width * size])
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        up, corner = before[i], before[i - size] if i >= size else 0
        guess = left + up - corner
        paeth = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        line[i] = (line[i] + [0, left, up, (left + up) // 2, paeth][how]) & 255
    before = bytes(line)
    rows.update(before[i:i + 3] for i in range(0, len(before), size))
for color, _ in rows.most_common(40): print('#' + color.hex())
"#;

/// Only browsers know variables: without literal colors, other viewers draw everything black.
#[test]
fn the_picture_has_its_colors_in_every_viewer() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let has_browser = has_program("chromium");
    if !has_program("rsvg-convert") && !has_browser {
        skip!("lacks rsvg-convert and chromium");
    }
    let dir = tempdir();
    let [svg, png] = ["web_site.svg", "picture.png"].map(|name| dir.path().join(name));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/stoop-cli/golden/web_site.svg");
    fs::copy(golden, &svg).unwrap();
    if has_program("rsvg-convert") {
        program("rsvg-convert", ["-w", "400", "-o"]).arg(&png).arg(&svg).run().ok();
        assert_scheme("librsvg", &colors(&png), false);
    }
    for is_dark in [false, true].into_iter().filter(|_| has_browser) {
        if !draw_in_chromium(&svg, &png, is_dark) {
            skip!("lacks a machine on which chromium starts within 25 s");
        }
        assert_scheme("chromium", &colors(&png), is_dark);
    }
}

/// Draws a picture as users see it who prefer light or dark colors. Returns whether the browser
/// ran: some machines do not let it, and on a busy one it takes minutes.
fn draw_in_chromium(svg: &std::path::Path, png: &std::path::Path, is_dark: bool) -> bool {
    let _ = fs::remove_file(png);
    let flags = ["25", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"];
    let scheme = format!("--blink-settings=preferredColorScheme={}", if is_dark { 0 } else { 1 });
    let shot = format!("--screenshot={}", png.display());
    let home = format!("--user-data-dir={}", png.with_extension("profile").display());
    let run = program("timeout", flags).args([&scheme, &shot, &home, "--window-size=500,300"]).arg(svg);
    run.run().code == Some(0) && png.exists()
}

/// Checks the colors of the background and of the boxes.
#[track_caller]
fn assert_scheme(viewer: &str, colors: &[String], is_dark: bool) {
    let expected = if is_dark { ["#10141c", "#1a202b"] } else { ["#f7f8fa", "#ffffff"] };
    assert_eq!(colors[..2], expected, "{viewer}: {colors:?}");
}

fn colors(png: &std::path::Path) -> Vec<String> {
    let text = program("python3", ["-c", COLORS_OF_PNG]).arg(png).run().ok().text();
    text.lines().map(str::to_owned).collect()
}

/// Servers with one command that have nothing to do with each other are entries of their own, and
/// each connection is shown once.
#[test]
fn strangers_with_one_command_are_not_merged() {
    if !has_program("socat") {
        skip!("lacks socat");
    }
    let dir = tempdir();
    let paths: Vec<_> = (0..4).map(|number| dir.path().join(format!("{number}.sock"))).collect();
    let listen = |path: &std::path::PathBuf| {
        let server = program("socat", [format!("UNIX-LISTEN:{}", path.display()), "PIPE".into()]).spawn();
        wait_served(path);
        (server, Raw::connect("stream", path.to_str().unwrap()).unwrap())
    };
    let servers: Vec<_> = paths.iter().map(listen).collect();
    servers.iter().for_each(|(_, client)| client.is_echoed(b"x"));
    let name = format!("{}/*", dir.path().display());
    let text = stoop(["tree", "--name", &name]).run().seen().text();
    for (path, (server, _)) in paths.iter().zip(&servers) {
        assert!(text.contains(&format!("  {}/socat\n", server.pid())), "{text}");
        assert_eq!(text.matches(path.to_str().unwrap()).count(), 1, "{text}");
    }
    assert_eq!(text.matches("<- ").count(), 4, "{text}");
}

#[test]
fn the_svg_is_written_atomically_and_escaped() {
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
    // The extension of the file selects the format, unless a flag does.
    for (ending, start) in [("svg", "<svg "), ("dot", "digraph")] {
        let file = dir.path().join("sockets").with_extension(ending);
        stoop(["tree", "--name", &name, "-o"]).arg(&file).run().seen();
        assert!(fs::read_to_string(&file).unwrap().starts_with(start), "{ending}");
        stoop(["tree", "--json", "--name", &name, "-o"]).arg(&file).run().seen();
        assert!(fs::read_to_string(&file).unwrap().starts_with('{'), "{ending}");
    }
    let dot = stoop(["tree", "--dot", "--name", &name]).run().seen().text();
    assert!(dot.starts_with("digraph") && dot.contains(r#"\"x%1B"#), "{dot}");
    if has_program("dot") {
        program("dot", ["-Tplain"]).input(dot).run().ok();
    }
}

#[test]
fn an_unwritable_file_is_a_failure() {
    stoop(["tree", "--svg", "-o", "/no/such/directory/x.svg"]).run().code(3).explains(&["cannot write"]);
    stoop(["tree", "--svg", "--dot"]).run().code(2);
    assert!(stoop(["tree", "--dot", "-o", "/dev/stdout"]).run().seen().text().starts_with("digraph"));
}
