//! `stoop tap` without the kernel's programs: files that are read back, Wireshark's own list of
//! sockets, and programs that are started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use stoop_e2e::web::{Web, answer};
use stoop_e2e::{binary, program, serve, socket_path, stoop};
use stoop_testkit::{has_program, is_root, public_tempdir, skip, tempdir};

/// The lines of `tap --json` without their times and latencies.
fn events(lines: &[Value]) -> Vec<Value> {
    let mut lines = lines.to_vec();
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        line.remove("time");
        line.remove("latency_ns");
    }
    lines
}

fn of<'l>(lines: &'l [Value], event: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A recording of one request of HTTP, with its file and the address of the relay.
fn recorded(dir: &Path) -> (String, String) {
    let web = Web::answering(answer("", b"hello"));
    let [front, file] = ["front.sock", "rec"].map(|name| text(&dir.join(name)).to_owned());
    let relay = stoop(["relay", &front, &web.path, "--record", &file]).spawn();
    relay.wait_stderr("relays each client");
    let (header, url) = ("Authorization: Bearer s3cret", "http://x/hello?token=s3cret");
    program("curl", ["-s", "--unix-socket", &front, "-H", header, url]).run().ok().stdout_is(b"hello");
    relay.terminate();
    (file, front)
}

#[test]
fn a_recording_is_shown_and_becomes_a_capture_that_says_the_same() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let (file, front) = recorded(dir.path());
    let capture = dir.path().join("out.pcapng");
    let seen = stoop(["tap", "-r", &file, "--json"]).run().ok().json();
    let (call, response) = (of(&seen, "call")[0], of(&seen, "response")[0]);
    assert_eq!((&call["method"], &response["text"]), (&"GET /hello".into(), &"200 OK".into()), "{seen:?}");
    assert_eq!(call["to"]["address"], front.as_str());
    assert!(response["latency_ns"].as_u64().unwrap() > 0);

    stoop(["tap", "-r", &file, "-w", text(&capture)]).run().ok();
    let again = stoop(["tap", "-r", text(&capture), "--json"]).run().ok().json();
    assert_eq!(events(&again), events(&seen));
    assert_eq!(again[0]["time"], seen[0]["time"]);
    assert!(!fs::read(&capture).unwrap().windows(6).any(|window| window == b"s3cret"));
    let table = stoop(["tap", "-r", text(&capture), "--stats"]).run().ok().text();
    assert!(table.contains("GET /hello"), "{table}");

    if has_program("tshark") {
        let fields = ["-T", "fields", "-e", "http.request.method", "-e", "http.response.code"];
        let dissected =
            program("tshark", ["-r", text(&capture), "-Y", "http"]).args(fields).run().ok().text();
        assert_eq!(dissected.split_whitespace().collect::<Vec<_>>(), ["GET", "200"]);
        let wrong =
            program("tshark", ["-r", text(&capture), "-Y", "_ws.malformed or _ws.expert.severity==error"]);
        assert_eq!(wrong.run().ok().text(), "");
    }
}

#[test]
fn what_is_read_is_selected_by_what_the_file_says() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let (file, front) = recorded(dir.path());
    // Its server may end the connection with a reset.
    let is_said = |line: &&str| !line.contains("error");
    let shown = |flags: &[&str]| {
        stoop(["tap", "-r", &file]).args(flags).run().ok().text().lines().filter(is_said).count()
    };
    assert_eq!((shown(&[]), shown(&[&front]), shown(&["/run/another.sock"])), (3, 3, 0));
    assert_eq!((shown(&["--command", "curl"]), shown(&["--command", "another"])), (3, 0));
    assert_eq!(
        (shown(&["--kind", "dgram"]), shown(&["--name", "*/front.sock"]), shown(&["--count", "1"])),
        (0, 3, 2)
    );
    stoop(["tap", "-r", &file, "--user", "root"])
        .run()
        .code(2)
        .explains(&["--user cannot select from a file"]);
}

#[test]
fn a_file_is_read_as_far_as_it_goes() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let (file, _) = recorded(dir.path());
    let [capture, cut, wrong] = ["a.pcapng", "cut.pcapng", "wrong.pcapng"].map(|name| dir.path().join(name));
    stoop(["tap", "-r", &file, "-w", text(&capture)]).run().ok();
    let bytes = fs::read(&capture).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let seen = stoop(["tap", "-r", text(&cut)]).run().ok();
    assert!(seen.text().contains("GET /hello"));
    seen.explains(&["still being written, or was cut off"]);
    fs::write(&wrong, [&bytes[..], b"what is this, no block"].concat()).unwrap();
    stoop(["tap", "-r", text(&wrong)]).run().code(6).explains(&["is damaged from byte"]);
    fs::write(&wrong, "GET / HTTP/1.1\r\n").unwrap();
    stoop(["tap", "-r", text(&wrong)])
        .run()
        .code(3)
        .explains(&["neither a capture nor a recording", "next: file"]);
    stoop(["tap", "-r", "-", "--count", "1"]).input(bytes).run().ok();
}

#[test]
fn the_files_of_a_rotation_are_each_whole() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let (file, _) = recorded(dir.path());
    let named = text(&dir.path().join("out.pcapng")).to_owned();
    stoop(["tap", "-r", &file, "-w", &named, "--rotate", "300", "--keep", "2", "--snaplen", "20"]).run().ok();
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "pcapng"));
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(!text(&names[0]).ends_with("_00001.pcapng"), "the oldest was removed: {names:?}");
    for name in &names {
        stoop(["tap", "-r", text(name)]).run().ok();
        if has_program("tshark") {
            program("tshark", ["-r", text(name)]).run().ok();
        }
    }
    stoop(["tap", "-r", &file, "-w", "-", "--rotate", "1K"]).run().code(2);
    stoop(["tap", "-r", &file, "-w", &named, "--keep", "2"]).run().code(2);
}

/// Writes with every call, and reads with every call, on both ends of connections in one process
/// and its child.
const TALK: &str = r#"
import os, socket, struct, threading, array
def part(text): return text.encode() * 300
one, two = socket.socketpair()
def reads():
    for call in range(6):
        left = 2100
        while left:
            if call == 0: got = two.recv(min(left, 700))
            elif call == 1: got = os.read(two.fileno(), min(left, 999))
            elif call == 2: got = two.recvmsg([bytearray(0)] and min(left, 512))[0]
            elif call == 3:
                held = bytearray(min(left, 800)); got = held[:os.readv(two.fileno(), [memoryview(held)[:10], memoryview(held)[10:]])]
            elif call == 4:
                two.recv(5, socket.MSG_PEEK); got = two.recvfrom(left)[0]
            else:
                held = bytearray(left); got = held[:two.recvmsg_into([held])[0]]
            left -= len(got)
thread = threading.Thread(target=reads); thread.start()
for _ in range(6):
    one.send(part("a")); os.write(one.fileno(), part("b")); os.writev(one.fileno(), [part("c")[:7], part("c")[7:]])
    one.sendmsg([part("d")[:100], part("d")[100:]]); one.sendall(part("e")); one.sendto(part("f"), 0, b"") if False else one.send(part("f"))
    one.sendmsg([part("g")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
thread.join()
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if os.fork() == 0:
    assert right.recv(100) == b"packet"; right.send(b"reply"); os._exit(0)
left.send(b"packet"); assert left.recv(100) == b"reply"; os.wait()
print("done")
raise SystemExit(7)
"#;

#[test]
fn a_traced_program_is_shown_byte_for_byte_and_keeps_its_exit_code() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let dir = public_tempdir();
    let (script, capture) = (dir.path().join("talk.py"), dir.path().join("out.pcapng"));
    fs::write(&script, TALK).unwrap();
    let words = ["tap", "-w", text(&capture), "--", "python3", text(&script)];
    stoop(words).run().code(7).stdout_is(b"done\n");
    let lines = stoop(["tap", "-r", text(&capture), "--json"]).run().ok().json();
    assert!(lines.iter().all(|line| line["event"] != "lost" && line["event"] != "missed"), "{lines:?}");
    let bytes: u64 = of(&lines, "data").iter().map(|line| line["bytes"].as_u64().unwrap_or(0)).sum();
    assert_eq!(bytes, 6 * 2100 + 6 + 5, "every byte once");
    let fds: u64 = lines.iter().filter_map(|line| line["descriptors"].as_u64()).sum();
    assert_eq!(fds, 6);
    let said = fs::read(&capture).unwrap();
    for letter in b"abcdefg" {
        let count = said.windows(50).filter(|window| window.iter().all(|byte| byte == letter)).count();
        assert!(count >= 6 * 251, "{}: {count}", char::from(*letter));
    }
}

#[test]
fn an_ordinary_user_sees_what_a_command_says() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    // The user may not enter the directory of the build.
    let words = ["tap", "--json", "--", "/proc/self/exe", "send", &place, "hello", "--reply"];
    let run = if is_root() { stoop_e2e::stoop_as(65534, words) } else { stoop(words) };
    let output = run.run().ok();
    output.stdout_is(b"hello");
    let lines: Vec<Value> =
        output.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let data = of(&lines, "data");
    assert_eq!(data.len(), 2, "{lines:?}");
    assert_eq!((&data[0]["text"], &data[1]["text"]), (&"hello".into(), &"hello".into()));
    let commands = (&data[0]["from"]["command"], &data[1]["to"]["command"]);
    assert_eq!(commands, (&"exe".into(), &"exe".into()), "{lines:?}");
    assert_eq!(data[0]["to"]["address"], place.as_str());
    assert_eq!(of(&lines, "connect")[0]["to"]["address"], place.as_str());
}

#[test]
fn a_command_that_is_killed_or_cannot_run_is_reported() {
    stoop(["tap", "--", "sh", "-c", "kill -9 $$"]).run().code(137);
    stoop(["tap", "--", "/no/such/program"]).run().code(3).explains(&["cannot run '/no/such/program'"]);
    let running = stoop([
        "tap",
        "--",
        "sh",
        "-c",
        "trap 'echo ended; exit 3' TERM; echo ready; while :; do sleep 0.1; done",
    ])
    .spawn();
    running.wait_stdout("ready");
    running.signal(rustix::process::Signal::TERM);
    running.finish().code(3).stdout_is(b"ready\nended\n");
}

#[test]
fn wireshark_lists_the_sockets_and_captures_from_one() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let listed = stoop(["extcap", "--extcap-interfaces"]).run().ok().text();
    // At most a hundred are listed, and this machine may have more.
    let is_full = listed.lines().count() >= 100;
    assert!(is_full || listed.contains(&format!("{{value=unix:{place}}}")), "{listed}");
    if !is_root() || !has_program("tshark") || !has_program("unshare") {
        skip!("lacks root, tshark or unshare");
    }
    if let Err(missing) = stoop_tap::Tap::start(stoop_tap::CaptureOptions::default()) {
        skip!("lacks the capture programs: {missing}");
    }
    // Wireshark takes a directory of extensions from the environment only if it is not root.
    let script = dir.path().join("extcap/stoop");
    fs::create_dir(dir.path().join("extcap")).unwrap();
    fs::write(&script, format!("#!/bin/sh\nexec '{}' extcap \"$@\"\n", text(binary()))).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let inside = format!(
        "mount --bind '{}' \"$(tshark -G folders 2>/dev/null | sed -n 's/^Extcap path:[[:space:]]*//p')\" && exec tshark \"$@\"",
        text(script.parent().unwrap())
    );
    let tshark = |words: &[&str]| program("unshare", ["-m", "sh", "-c", &inside, "tshark"]).args(words);
    assert!(tshark(&["-D"]).run().ok().text().contains("unix (All Unix sockets)"));
    // The interface for all sockets, which is always listed, and one of them by the capture filter.
    let mut capture =
        tshark(&["-i", "unix", "-f", &place, "-c", "5", "-T", "fields", "-e", "tcp.payload"]).spawn();
    capture.wait_stderr("Capturing on");
    // The capture begins some time after tshark says so.
    let started = Instant::now();
    while capture.is_running() && started.elapsed() < Duration::from_secs(60) {
        stoop(["send", &place, "hello", "--reply"]).run().ok();
    }
    let text = capture.finish().text();
    assert!(text.contains("68656c6c6f"), "{text}");
}
