//! `stoop ls`: the open sockets of real processes are listed, with both ends, under any name, and
//! filters show only the matches.

#[path = "ls/top.rs"]
mod top;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use stoop_e2e::{LIMIT, Raw, program, stoop, stoop_as, wait_served};
use stoop_testkit::{NOBODY, eventually, has_program, is_root, public_tempdir, skip, tempdir};

/// Returns its lines. What it may not see on this machine (some hide a process even from root) does
/// not matter for this test.
#[track_caller]
fn ls<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Vec<Value> {
    let lines = stoop(["ls", "--json"]).args(arguments).run().seen().json();
    lines.into_iter().filter(|line| line["event"] != "missing").collect()
}

#[track_caller]
fn pid_of(end: &Value) -> u64 {
    end["processes"][0]["pid"].as_u64().unwrap_or_else(|| panic!("no process in {end}"))
}

#[test]
fn a_connection_is_one_line_with_both_processes() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    let client = stoop(["connect"]).arg(&path).open_input().spawn();
    eventually(LIMIT, || ls([&path]).len() == 2);

    let lines = ls([&path]);
    let listener = lines.iter().find(|line| line["event"] == "listener").unwrap();
    assert_eq!((&listener["state"], &listener["kind"]), (&"listening".into(), &"stream".into()));
    assert_eq!(listener["address"], path.to_str().unwrap());
    assert_eq!(pid_of(&listener["server"]), u64::from(server.pid()));
    assert_eq!(listener["server"]["processes"][0]["command"], "stoop");
    assert!(listener["backlog"].is_u64() && listener["waiting"] == 0);

    let connection = lines.iter().find(|line| line["event"] == "connection").unwrap();
    assert_eq!(connection["state"], "connected");
    assert_eq!(pid_of(&connection["server"]), u64::from(server.pid()));
    assert_eq!(pid_of(&connection["client"]), u64::from(client.pid()));
    assert_eq!(connection["listener_inode"], listener["server"]["inode"]);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for line in &lines {
        assert_eq!(line["schema"], 1);
    }
}

#[test]
fn waiting_clients_and_unread_bytes_are_shown() {
    let dir = tempdir();
    let path = dir.path().join("busy.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let _accepted = Raw::connect("stream", path.to_str().unwrap()).unwrap();
    let (_served, _) = listener.accept().unwrap();
    _accepted.say(b"12345");
    let _waiting = Raw::connect("stream", path.to_str().unwrap()).unwrap();

    let lines = ls([&path]);
    let of = |state: &str| lines.iter().find(|line| line["state"] == state).unwrap();
    assert_eq!(of("listening")["waiting"], 1);
    assert_eq!(of("connected")["server"]["unread_bytes"], 5);
    let waiting = of("waiting");
    assert!(waiting["server"].is_null(), "nobody has accepted it: {waiting}");
    assert_eq!(pid_of(&waiting["client"]), u64::from(std::process::id()));
    assert_eq!(waiting["listener_inode"], of("listening")["server"]["inode"]);
    assert_eq!(ls([path.as_os_str(), OsStr::new("--state"), OsStr::new("waiting")]).len(), 1);
}

#[test]
fn a_path_selects_by_file_whatever_the_bound_name() {
    let dir = tempdir();
    let (bound, moved) = (dir.path().join("bound"), dir.path().join("moved"));
    let _server = UnixListener::bind(&bound).unwrap();
    fs::rename(&bound, &moved).unwrap();
    let lines = ls([&moved]);
    assert_eq!((lines.len(), &lines[0]["address"]), (1, &bound.to_str().unwrap().into()));
    let output = stoop(["ls"]).arg(&moved).run().seen();
    output.explains(&["moved' is listed under the name it was bound to", "bound'"]);
    // The table has both, also without asking for a wide one.
    let text = stoop(["ls", "--name"]).arg(&bound).run().text();
    assert!(text.contains("PATH") && text.contains(moved.to_str().unwrap()), "{text}");
    // Another server binds the old name: the two are distinguished.
    let _other = UnixListener::bind(&bound).unwrap();
    assert_eq!(ls([&moved]).len(), 1);
    assert_eq!(ls([&bound]).len(), 1);
    assert_ne!(ls([&moved])[0]["server"]["inode"], ls([&bound])[0]["server"]["inode"]);
    // The file was removed, but the server is running: only the name identifies it.
    fs::remove_file(&bound).unwrap();
    let output = stoop(["ls", "--json"]).arg(&bound).run().seen();
    output.explains(&["no file at"]);
    assert_eq!(output.json().iter().filter(|line| line["event"] == "listener").count(), 2);
}

#[test]
fn an_empty_result_is_explained() {
    let output = stoop(["ls", "--name", "/stoop/no/such/*"]).run().seen();
    assert_eq!(output.text().lines().count(), 1, "{}", output.text());
    output.explains(&["stoop ls --name '/stoop/no/such/*': none of ", " matches"]);
    stoop(["ls", "--command", "stoop-no-such"])
        .run()
        .seen()
        .explains(&["a pattern must match the whole name"]);
    // What is hidden is reported too.
    let (_one, _other) = UnixStream::pair().unwrap();
    let pid = std::process::id().to_string();
    let pairs = stoop(["ls", "--pid", &pid, "--peer", &pid, "--netns", "own"]).run().seen();
    assert!(pairs.text().lines().count() > 1 || pairs.stderr.contains("(--all)"), "{}", pairs.stderr);
}

#[test]
fn a_file_without_a_socket_is_named() {
    let dir = tempdir();
    let [stale, text] = ["stale.sock", "notes"].map(|name| dir.path().join(name));
    drop(UnixListener::bind(&stale).unwrap());
    fs::write(&text, "notes").unwrap();
    let asked = |path: &Path| stoop(["ls"]).arg(path).run().seen();
    asked(&stale).explains(&["no socket is bound to", "stale.sock' as seen from here: stoop why /"]);
    let output = asked(&text);
    output.explains(&["notes' is not a socket"]);
    assert!(!output.stderr.contains("no socket is bound"), "{}", output.stderr);
    // A live one is listed, and nothing more is said.
    let _server = UnixListener::bind(dir.path().join("app.sock")).unwrap();
    let output = asked(&dir.path().join("app.sock"));
    assert!(!output.stderr.contains("no socket is bound"), "{}", output.stderr);
}

#[test]
fn descriptors_are_a_column() {
    use std::os::fd::AsRawFd;
    let dir = tempdir();
    let path = dir.path().join("fd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (served, _) = listener.accept().unwrap();
    let columns = ["--columns", "server-fd,client-fd", "--state", "connected"];
    let text = stoop(["ls"]).arg(&path).args(columns).run().seen().text();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [served, client] = [served.as_raw_fd(), client.as_raw_fd()].map(|fd| fd.to_string());
    assert_eq!(words, ["SERVER-FD", "CLIENT-FD", &*served, &*client], "{text}");
}

#[test]
fn every_selector_of_who_is_accepted() {
    let dir = tempdir();
    let path = dir.path().join("s.sock");
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    let of_process = ls([format!("pid:{}", server.pid())]);
    let listener = of_process.iter().find(|line| line["event"] == "listener").unwrap();
    let inode = format!("inode:{}", listener["server"]["inode"]);
    assert_eq!(ls([&inode]).len(), 1);
    assert_eq!(ls([OsStr::new(&inode), path.as_os_str(), OsStr::new("--listening")]).len(), 1);
    let directory = stoop(["ls"]).arg(dir.path()).run().seen();
    directory.explains(&["is a directory; for the sockets in it, use --name"]);
    let its = server.pid().to_string();
    stoop(["ls", &its]).run().seen().explains(&[&format!("did you mean 'pid:{its}'?")]);
}

#[test]
fn hostile_names_are_escaped_and_found() {
    let dir = tempdir();
    let name = OsStr::from_bytes(b"e\x1b[2J \n\xff.sock");
    let _path = UnixListener::bind(dir.path().join(name)).unwrap();
    let pattern = format!("{}/*", dir.path().display());
    let text = stoop(["ls", "--name", &pattern]).run().seen().text();
    assert!(text.contains("e%1B[2J%20%0A%FF.sock"), "{text}");
    assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
    let shown = ls(["--name", &pattern])[0]["address"].as_str().unwrap().to_owned();
    assert_eq!(ls([&shown]).len(), 1, "what is shown can be asked for");

    let abstract_name = format!("stoop-ls-{}\0\u{1b}x", std::process::id());
    let _abstract = Raw::bound("dgram", &format!("@{abstract_name}"));
    let lines = ls(["--name", &format!("@stoop-ls-{}*", std::process::id())]);
    let address = lines[0]["address"].as_str().unwrap();
    assert_eq!(address, format!("@stoop-ls-{}%00%1Bx", std::process::id()));
    assert_eq!(ls([address]).len(), 1);
}

#[test]
fn datagram_senders_are_shown_with_their_receiver() {
    let dir = tempdir();
    let path = dir.path().join("log");
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    sender.send(b"123").unwrap();
    let lines = ls([&path]);
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    assert_eq!(
        (&of("socket")["state"], &of("socket")["server"]["unread_bytes"]),
        (&"bound".into(), &3.into())
    );
    assert_eq!(of("connection")["server"]["inode"], of("socket")["server"]["inode"]);
    assert_eq!(ls([path.as_os_str(), OsStr::new("--listening")]).len(), 1);
}

#[test]
fn filters_match_either_end() {
    let dir = tempdir();
    let path = dir.path().join("f.sock");
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    let _client = Raw::connect("stream", path.to_str().unwrap()).unwrap();
    eventually(LIMIT, || ls([&path]).iter().any(|line| line["state"] == "connected"));
    let count = |flags: &[&str]| ls([path.to_str().unwrap()].iter().chain(flags)).len();
    let (own, its) = (std::process::id().to_string(), server.pid().to_string());
    let netns =
        fs::metadata("/proc/self/ns/net").map(|file| std::os::unix::fs::MetadataExt::ino(&file)).unwrap();
    let table: [(&[&str], usize); 14] = [
        (&["--pid", &its], 2),
        (&["--pid", &own], 1),
        (&["--pid", "1", "--pid", &own], 1),
        (&["--pid", &own, "--peer", &its], 1),
        (&["--pid", &own, "--peer", "stoo?"], 1),
        (&["--pid", &own, "--peer", &own], 0),
        (&["--command", "stoop"], 2),
        (&["--command", "sto"], 0),
        (&["--kind", "dgram"], 0),
        (&["--kind", "stream", "--state", "connected,waiting"], 1),
        (&["--netns", "own"], 2),
        (&["--netns", &netns.to_string()], 2),
        (&["--netns", "12"], 0),
        (&["--container", "no-such-container"], 0),
    ];
    for (flags, expected) in table {
        assert_eq!(count(flags), expected, "{flags:?}");
    }
    let user = rustix::process::geteuid().as_raw().to_string();
    assert_eq!((count(&["--user", &user]), count(&["--user", "12345"])), (2, 0));
}

#[test]
fn identical_lines_are_merged_and_counted() {
    let dir = tempdir();
    let path = dir.path().join("many.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let clients: Vec<_> = (0..5).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let _served: Vec<_> = clients.iter().map(|_| listener.accept().unwrap()).collect();
    let text = |flags: &[&str]| stoop(["ls"]).arg(&path).args(flags).run().seen().text();
    let merged = text(&[]);
    assert_eq!(merged.lines().count(), 3, "{merged}");
    assert!(merged.lines().any(|line| line.contains("connected") && line.ends_with("×5")), "{merged}");
    assert_eq!(text(&["--each"]).lines().count(), 7);
}

#[test]
fn an_ordinary_user_gets_a_partial_list_and_a_note() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let (roots, own) = (dir.path().join("root.sock"), dir.path().join("own.sock"));
    let _root = UnixListener::bind(&roots).unwrap();
    let served = stoop_as(NOBODY, ["serve"]).arg(&own).spawn();
    wait_served(&own);
    let output = stoop_as(NOBODY, ["ls", "--json"]).run().code(6);
    output.explains(&["not visible", "descriptors"]);
    let lines = output.json();
    let at = |path: &Path| lines.iter().find(|line| line["address"] == path.to_str().unwrap()).unwrap();
    assert_eq!(at(&roots)["server"]["processes"], serde_json::json!([]));
    assert_eq!(at(&roots)["server"]["uid"], 0);
    assert_eq!(pid_of(&at(&own)["server"]), u64::from(served.pid()));
    assert!(lines.iter().any(|line| line["event"] == "missing"));
    let quiet = stoop_as(NOBODY, ["ls", "--quiet"]).arg(&own).run().code(6);
    assert_eq!(quiet.stderr, "");
    let text = stoop_as(NOBODY, ["ls"]).arg(&roots).run().code(6).text();
    assert!(text.contains("(root)"), "{text}");
}

/// A connection whose other end belongs to another user is listed, with that user.
#[test]
fn connections_of_strangers_are_listed_as_theirs() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let place = dir.path().join("app.sock");
    let served = stoop_as(NOBODY, ["serve"]).arg(&place).spawn();
    wait_served(&place);
    let _of_root = UnixStream::connect(&place).unwrap();
    let own = stoop_as(NOBODY, ["connect"]).arg(&place).open_input().spawn();
    let lines = || stoop_as(NOBODY, ["ls", "--json"]).arg(&place).run().code(6).json();
    let connections = || -> Vec<Value> {
        lines()
            .into_iter()
            .filter(|line| line["event"] == "connection" && line["state"] == "connected")
            .collect()
    };
    eventually(LIMIT, || connections().len() == 2);
    let connections = connections();
    let of = |uid: u64| connections.iter().find(|line| line["client"]["uid"] == uid).unwrap();
    assert_eq!(of(0)["client"]["processes"], serde_json::json!([]), "it is another user's");
    assert_eq!(pid_of(&of(NOBODY.into())["client"]), u64::from(own.pid()));
    assert!(connections.iter().all(|line| pid_of(&line["server"]) == u64::from(served.pid())));
    let text = stoop_as(NOBODY, ["ls"]).arg(&place).run().code(6).text();
    assert!(text.lines().any(|line| line.contains("connected") && line.ends_with("(root)")), "{text}");
}

#[test]
fn other_network_namespaces_are_listed() {
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let name = format!("stoop-ls-ns-{}", std::process::id());
    let script = format!(
        "exec python3 -c \"import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(chr(0)+'{name}'); s.listen(); print('ready', flush=True); sys.stdin.read()\""
    );
    let server = program("unshare", ["--net", "sh", "-c", &script]).open_input().spawn();
    server.wait_stdout("ready");
    let lines = ls(["--name", &format!("@{name}")]);
    assert_eq!(lines.len(), 1);
    assert_eq!(pid_of(&lines[0]["server"]), u64::from(server.pid()));
    assert_eq!(ls(["--name", &format!("@{name}"), "--netns", "own"]).len(), 0);
    let inode = lines[0]["server"]["network_namespace"].to_string();
    assert_eq!(ls(["--name", "@stoop-ls-ns-*", "--netns", &inode]).len(), 1);
    let text = stoop(["ls", "--name", &format!("@{name}")]).run().seen().text();
    assert!(text.contains("NETNS") && text.contains(&inode), "{text}");
}

#[test]
fn watch_reports_changes_until_interrupted() {
    let dir = tempdir();
    let path = dir.path().join("w.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let watch = stoop(["ls", "--watch", "--interval", "20ms"]).arg(&path).spawn();
    watch.wait_stderr("checking every");
    let client = UnixStream::connect(&path).unwrap();
    watch.wait_stdout("+ ");
    let accepted = listener.accept().unwrap();
    watch.wait_stdout("~ ");
    // The connection changes: its server's end is left, and is no other socket.
    drop(client);
    watch.wait_stdout("(was connected, with ");
    drop(accepted);
    // A line, not a column of one.
    watch.wait_stdout("\n- ");
    watch.signal(Signal::INT);
    let text = watch.finish().ok().text();
    let signs: Vec<&str> = text.lines().map(|line| &line[..1]).collect();
    assert_eq!(signs, ["+", "~", "~", "-"], "{text}");
    for (line, word) in text.lines().zip(["waiting", "(was waiting)", "gone", "gone"]) {
        assert!(line.contains(word), "{line}");
        let time = line.split_whitespace().nth(1).unwrap();
        assert!(time.len() == "2026-11-22T22:10:03.250Z".len() && time.ends_with('Z'), "{line}");
    }

    let watch = stoop(["ls", "--watch", "--interval", "20ms", "--json"]).arg(&path).spawn();
    watch.wait_stderr("checking every");
    let client = UnixStream::connect(&path).unwrap();
    let accepted = listener.accept().unwrap();
    watch.wait_stdout("connected");
    drop(client);
    watch.wait_stdout(r#""state_before":"connected""#);
    drop((accepted, listener));
    watch.wait_stdout(r#""event":"listener""#);
    let lines = watch.terminate().ok().json();
    let listener = lines.iter().find(|line| line["event"] == "listener").unwrap();
    assert_eq!((&listener["change"], &listener["state_before"]), (&"gone".into(), &Value::Null));
    assert!(listener["time"].as_str().unwrap().ends_with('Z'));
    let left = lines.iter().find(|line| line["state_before"] == "connected").unwrap();
    assert_eq!(
        (&left["event"], &left["change"], &left["state"]),
        (&"socket".into(), &"changed".into(), &"gone".into())
    );
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let output =
        program("sh", ["-c", "exec \"$0\" ls --json | head -c 1"]).arg(stoop_e2e::binary()).run().ok();
    assert!(output.stdout.len() <= 1);
}

/// Addresses, processes and inodes as they are printed select what they were printed for.
#[test]
fn what_is_printed_can_be_typed_back() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let dir = tempdir();
    // Names near the borders of the notation, and random ones.
    const NAMES: &str = "import os, random, socket, sys\n\
        open('/proc/self/comm', 'wb').write(b'a [b *\\x1b 7')\n\
        os.chdir(sys.argv[1]); seed = random.randrange(1 << 32); choose = random.Random(seed).choice\n\
        parts = [b'\\0', b' ', '\\u00d7'.encode(), b'%', b'7', b'a', b'\\x1b', b'\\xff', b'\"', b\"'\", b'\\n', b':', b'@', b'*', b'[']\n\
        names = [b'x' + bytes(98), b'pad' + bytes(9) + b'7', b'  ', b' a', b'stream:x', b'@x', '%00\\u00d77'.encode()]\n\
        names += [b''.join(choose(parts) for _ in range(choose(range(1, 30)))) for _ in range(30)]\n\
        names, kept = list(dict.fromkeys(b'%d' % os.getpid() + name for name in names)), []\n\
        for name in names:\n\
        \x20   path = os.path.join(os.fsencode(sys.argv[1]), name.replace(b'\\0', b''))\n\
        \x20   for place in (b'\\0' + name, path):\n\
        \x20       one = socket.socket(socket.AF_UNIX)\n\
        \x20       try: one.bind(place)\n\
        \x20       except OSError: continue\n\
        \x20       one.listen(); kept.append(one)\n\
        print('seed', seed, 'made', len(kept), flush=True); sys.stdin.read()";
    let process = program("python3", ["-c", NAMES]).arg(dir.path()).open_input().spawn();
    process.wait_stdout("made");
    let of_process = format!("pid:{}", process.pid());
    let columns = ["--columns", "server-inode,address,server", "--wide"];
    let text = stoop(["ls", &of_process]).args(columns).run().seen().text();
    let lines: Vec<(&str, &str, &str)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (inode, rest) = line.split_once("  ").unwrap();
            let (address, server) = rest.trim_start().split_once("  ").unwrap();
            (inode, address.trim(), server.trim())
        })
        .collect();
    assert!(lines.len() > 40, "{}: {text}", String::from_utf8_lossy(&process.stdout()));
    for (inode, address, server) in &lines {
        let found = ls([*address]);
        let inodes: Vec<String> = found.iter().map(|line| line["server"]["inode"].to_string()).collect();
        assert_eq!(inodes, [*inode], "{address:?} of {}", String::from_utf8_lossy(&process.stdout()));
        assert_eq!(*server, lines[0].2);
    }
    let (pid, command) = lines[0].2.split_once('/').unwrap();
    assert_eq!(command, "a%20[b%20*%1B 7", "{text}");
    let count = |flag: &str, value: &str| ls([flag, value]).len();
    assert_eq!(count("--command", command), lines.len());
    assert_eq!(count("--pid", lines[0].2), lines.len());
    assert_eq!(count("--command", pid), 0);
    for (_, address, _) in lines.iter().step_by(9) {
        let who = stoop(["who", "--json", address]).run().seen().json();
        let shown = stoop(["who", address]).run().seen().text();
        assert_eq!(who.iter().filter(|line| line["event"] == "who").count(), 1, "{address}");
        assert!(shown.starts_with(&format!("{address}: stream, listening")), "{shown}");
        let why = stoop(["why", address]).run();
        assert_eq!(why.code, Some(0), "{address}: {}", why.text());
    }
}
