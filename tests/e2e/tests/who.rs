//! `stoop who`: one socket in detail, with warnings.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;
use stoop_e2e::{LIMIT, Raw, binary, program, stoop, stoop_as, wait_served};
use stoop_testkit::{NOBODY, TempDir, eventually, has_program, is_root, public_tempdir, skip, tempdir};

fn socket_path() -> (TempDir, PathBuf) {
    let dir = tempdir();
    let place = dir.path().join("s.sock");
    (dir, place)
}

#[track_caller]
fn who(which: impl AsRef<OsStr>) -> Value {
    let lines = stoop(["who", "--json"]).arg(which).run().seen().json();
    assert_eq!(
        (lines.len(), &lines[0]["event"], &lines[0]["schema"]),
        (1, &"who".into(), &1.into()),
        "{lines:#?}"
    );
    lines.into_iter().next().unwrap()
}

fn codes(who: &Value) -> Vec<&str> {
    who["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

#[track_caller]
fn warns(which: impl AsRef<OsStr>, code: &str) {
    let who = who(which);
    assert!(codes(&who).contains(&code), "no {code} in {:#?}", who["warnings"]);
}

#[test]
fn names_resolve_as_in_their_own_clients() {
    let (_dir, path) = socket_path();
    let _listener = UnixListener::bind(&path).unwrap();
    let host = format!("unix://{}", path.display());
    for verb in ["who", "ls"] {
        let lines = stoop([verb, "docker", "--json"]).env("DOCKER_HOST", &host).run().seen().text();
        assert!(lines.contains(path.to_str().unwrap()), "{verb}: {lines}");
    }
}

#[test]
fn a_server_is_shown_with_accepted_and_waiting_clients() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let served: Vec<_> = clients[..2].iter().map(|_| listener.accept().unwrap()).collect();
    let who = who(&path);
    let own = std::process::id();
    assert_eq!((&who["state"], &who["kind"]), (&"listening".into(), &"stream".into()));
    assert_eq!(who["socket"]["processes"][0]["pid"], own);
    assert_eq!((who["clients"].as_array().unwrap().len(), &who["waiting"]), (served.len(), &1.into()));
    assert_eq!(who["waiting_clients"][0]["processes"][0]["pid"], own);
    assert!(who["backlog"].is_u64() && who["somaxconn"].is_u64());
    assert_eq!(
        (&who["file"]["fate"], &who["file"]["path"]),
        (&"there".into(), &path.to_str().unwrap().into())
    );
    assert_eq!(who["settings"]["peer_pid"], own, "who called listen");
    assert_eq!(codes(&who).iter().filter(|code| **code == "nobody_accepts").count(), 1);

    let text = stoop(["who"]).arg(&path).run().seen().text();
    for part in ["served by", "backlog", "clients    2", "waiting    1", "×2", "! nobody accepts"] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
}

#[test]
fn every_selector_finds_the_same_socket() {
    let (_dir, path) = socket_path();
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    let found = who(&path);
    let inode = found["socket"]["inode"].as_u64().unwrap();
    for spelling in
        [format!("inode:{inode}"), format!("socket:[{inode}]"), format!("unix:{}", path.display())]
    {
        assert_eq!(who(&spelling)["socket"]["inode"], inode, "{spelling}");
    }
    let of_process = stoop(["who", "--json", &format!("pid:{}", server.pid())]).run().seen().json();
    assert!(of_process.iter().any(|line| line["socket"]["inode"] == inode));
    let name = format!("@stoop-who-{}\0x", std::process::id());
    let _receiver = Raw::bound("dgram", &name);
    let shown = name.replace('\0', "%00");
    assert_eq!(who(&shown)["socket"]["address"], shown.as_str());
    warns(&shown, "abstract_open");
}

#[test]
fn a_full_backlog_is_reported() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 4).unwrap();
    let clients: Vec<_> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
    warns(&path, "backlog_nearly_full");
    let _one_more = UnixStream::connect(&path).unwrap();
    warns(&path, "backlog_full");
    drop(clients);
    drop(listener);
}

#[test]
fn a_stopped_server_is_reported() {
    let (_dir, path) = socket_path();
    let server = stoop(["serve"]).arg(&path).spawn();
    wait_served(&path);
    server.signal(Signal::STOP);
    let is_stopped = || codes(&who(&path)).contains(&"owner_stopped");
    eventually(LIMIT, is_stopped);
    server.signal(Signal::CONT);
    eventually(LIMIT, || !is_stopped());
}

#[test]
fn moved_and_removed_files_are_reported() {
    let (dir, path) = socket_path();
    let moved = dir.path().join("moved");
    let _server = UnixListener::bind(&path).unwrap();
    let inode = who(&path)["socket"]["inode"].as_u64().unwrap();
    let it = format!("inode:{inode}");
    assert_eq!(who(&it)["file"]["fate"], "there");

    fs::rename(&path, &moved).unwrap();
    let told = who(&it);
    // Without CAP_NET_ADMIN the file itself cannot be found: it is only missing at its path.
    let fate = told["file"]["fate"].as_str().unwrap();
    assert!(["moved", "removed"].contains(&fate), "{fate}");
    assert_eq!(who(&moved)["socket"]["inode"], inode);
    fs::rename(&moved, &path).unwrap();
    assert_eq!(who(&it)["file"]["fate"], "there");

    fs::remove_file(&path).unwrap();
    warns(&it, "file_removed");
    assert_eq!(who(&path)["socket"]["inode"], inode, "a server is found by its name when the file is gone");
    fs::write(&path, "").unwrap();
    warns(&it, "file_replaced");
    warns(&path, "other_file");
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    warns(&it, "file_replaced");
    assert_ne!(who(&path)["socket"]["inode"], inode, "the path leads to the new server");
}

#[test]
fn a_name_is_resolved_in_the_mounts_of_its_server() {
    if !is_root() || !has_program("python3") {
        skip!("lacks root or python3");
    }
    // /var/run of its server is a link to the server's own /run.
    let dir = tempdir();
    let root = dir.path();
    fs::create_dir_all(root.join("run")).unwrap();
    fs::create_dir(root.join("var")).unwrap();
    std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
    for (name, enter) in [("/var/run/s", "os.chroot('.')"), ("run/relative", "None")] {
        let script = format!(
            "import os, socket, sys; os.chdir('{}'); {enter}; s = socket.socket(socket.AF_UNIX); \
             s.bind('{name}'); s.listen(); print('ready', flush=True); sys.stdin.read()",
            root.display()
        );
        let server = program("python3", ["-c", &script]).open_input().spawn();
        server.wait_stdout("ready");
        let told = who(format!("pid:{}", server.pid()));
        let fate = told["file"]["fate"].as_str().unwrap();
        // The directory of a relative name can be determined only with CAP_NET_ADMIN.
        assert!(fate == "there" || (fate == "unknown" && name == "run/relative"), "{name}: {told}");
        assert!(!codes(&told).iter().any(|code| code.starts_with("file_")), "{told}");
        fs::remove_file(root.join("run").join(name.rsplit('/').next().unwrap())).unwrap();
        let after = who(format!("pid:{}", server.pid()));
        assert_eq!(after["file"]["fate"], if fate == "there" { "removed" } else { "unknown" });
    }
}

/// In a user namespace, others' ids are shown as that of `nobody`, who owns none of it.
#[test]
fn users_without_an_id_here_are_not_nobody() {
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let (_dir, path) = socket_path();
    let _listener = UnixListener::bind(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(4001), Some(4001)).unwrap();
    let who = |args: &[&str]| {
        let command = program("unshare", ["--user", "--map-root-user"]).arg(binary()).arg("who");
        args.iter().fold(command.arg(&path), |command, arg| command.arg(arg)).run().seen().text()
    };
    let text = who(&[]);
    assert!(text.contains(" unmapped:unmapped,") && !text.contains("nobody"), "{text}");
    let file: Value = serde_json::from_str(who(&["--json"]).lines().next().unwrap()).unwrap();
    assert!(file["file"].get("user").is_none_or(Value::is_null), "{file:#}");
}

#[test]
fn world_writable_sockets_of_root_are_reported() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("open");
    let _server = UnixListener::bind(&path).unwrap();
    for (mode, is_open) in [(0o666, true), (0o660, false)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let who = who(&path);
        assert_eq!(who["file"]["mode"], format!("{mode:o}"));
        assert_eq!(codes(&who).contains(&"world_writable"), is_open);
    }
    // Other users cannot reach it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!codes(&who(&path)).contains(&"world_writable"));
}

#[test]
fn peek_shows_unread_bytes_without_consuming_them() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let client = Raw::connect("stream", path.to_str().unwrap()).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    client.say(b"secret \x1b[2J\xff");
    let plain = stoop(["who"]).arg(&path).run().seen().text();
    assert!(!plain.contains("secret"), "only on demand: {plain}");
    assert!(plain.contains("has not read 12 bytes"), "{plain}");
    let peeked = stoop(["who", "--peek"]).arg(&path).run().seen().text();
    assert!(peeked.contains("73 65 63 72 65 74") && peeked.contains("secret .[2J."), "{peeked}");
    assert!(!peeked.contains('\x1b'));
    let json = &stoop(["who", "--peek", "--json"]).arg(&path).run().seen().json()[0];
    assert!(json["clients"][0]["unread"]["bytes"].is_string(), "{json}");
    let mut all = [0; 12];
    std::io::Read::read_exact(&mut served, &mut all).unwrap();
    assert_eq!(&all, b"secret \x1b[2J\xff");
}

#[test]
fn datagram_receivers_are_shown_with_limits_and_senders() {
    let (_dir, path) = socket_path();
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    sender.send(b"12345").unwrap();
    let who = who(&path);
    assert_eq!((&who["kind"], &who["socket"]["unread_bytes"]), (&"dgram".into(), &5.into()));
    assert!(who["max_dgram_qlen"].is_u64());
    assert_eq!(who["clients"][0]["client"]["processes"][0]["pid"], std::process::id());
}

#[test]
fn a_full_queue_names_the_receiver() {
    let (dir, path) = socket_path();
    let receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    sender.send_to(b"x", &path).unwrap();
    assert!(!codes(&who(&path)).contains(&"queue_full"));
    while sender.send_to(b"x", &path).is_ok() {}
    warns(&path, "queue_full");
    let text = stoop(["who"]).arg(&path).run().seen().text();
    let own = format!("! queue full: {}/", std::process::id());
    assert!(text.contains(&own), "{text}");
    // The probe did not change it, and used the current name of its file.
    sender.send_to(b"x", &path).unwrap_err();
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    warns(&moved, "queue_full");
    receiver.recv(&mut [0]).unwrap();
    assert!(!codes(&who(&moved)).contains(&"queue_full"));

    let name = format!("@stoop-who-full-{}", std::process::id());
    let receiver = Raw::bound("dgram", &name);
    let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
    while sender.send_to_addr(b"x", &address).is_ok() {}
    warns(&name, "queue_full");
    drop(receiver);
}

#[test]
fn a_socket_that_refuses_all_clients_is_reported() {
    let (dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Read).unwrap();
    warns(&path, "shut_down");
    let bound = dir.path().join("bound");
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None);
    let socket = socket.unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&bound).unwrap()).unwrap();
    warns(&bound, "not_listening");
}

#[test]
fn an_unowned_address_exits_with_1() {
    let (dir, path) = socket_path();
    drop(UnixListener::bind(&path).unwrap());
    stoop(["who"]).arg(&path).run().code(1).explains(&["stale", "stoop why"]);
    stoop(["who"]).arg(dir.path().join("nothing")).run().code(1).explains(&["the file does not exist"]);
    stoop(["who", "@stoop-nobody-has-this"]).run().code(1);
    stoop(["who", "inode:0"]).run().code(1);
    stoop(["who", "tcp:localhost:80"]).run().code(2);
    stoop(["who", "fd:3"]).run().code(2);
}

#[test]
fn likely_spellings_are_suggested() {
    let (dir, _) = socket_path();
    let name = format!("stoop-meant-{}", std::process::id());
    let _receiver = Raw::bound("dgram", &format!("@{name}"));
    stoop(["who", &name]).run().code(1).explains(&[&format!("next: stoop who @{name}")]);
    let pid = std::process::id().to_string();
    stoop(["who", &pid]).run().code(1).explains(&[&format!("next: stoop who pid:{pid}")]);
    let directory = dir.path().to_str().unwrap();
    stoop(["who", directory]).run().code(1).explains(&["it is a directory", "next: stoop ls --name"]);
    stoop(["who", "/dev/null"]).run().code(1).explains(&["the file is not a socket"]);
    let mut sleeper = program("cat", [] as [&str; 0]).open_input().spawn();
    let its = format!("pid:{}", sleeper.pid());
    stoop(["who", &its]).run().code(1).explains(&["has no Unix socket open"]);
    sleeper.end_input();
    sleeper.finish().ok();
    stoop(["who", &its]).run().code(1).explains(&["does not exist"]);
}

#[test]
fn an_ordinary_user_is_told_what_is_hidden() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("root.sock");
    let _server = UnixListener::bind(&path).unwrap();
    let output = stoop_as(NOBODY, ["who"]).arg(&path).run().code(6);
    assert!(output.text().contains("no visible process; created by root"), "{}", output.text());
    let line = &stoop_as(NOBODY, ["who", "--json"]).arg(&path).run().code(6).json()[0];
    assert!(line["settings"].is_null() && line["socket"]["processes"] == serde_json::json!([]));
    assert!(!codes(line).contains(&"no_owner"), "not seen is not nobody");
    assert_eq!(line["file"]["fate"], "there");
}

#[test]
fn hostile_names_stay_on_their_line() {
    let dir = tempdir();
    let path = dir.path().join("a\x1b[2J\n  ! b");
    let _server = UnixListener::bind(&path).unwrap();
    let text = stoop(["who"]).arg(Path::new(&path)).run().seen().text();
    assert!(text.contains("a%1B[2J%0A") && !text.contains('\x1b') && !text.contains("\n  ! b"), "{text}");
}

#[test]
fn connections_that_a_server_does_not_close_are_reported() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(!codes(&who(&path)).contains(&"connections_leaked"));
    drop(client);
    warns(&path, "connections_leaked");
    drop(accepted);
    assert!(!codes(&who(&path)).contains(&"connections_leaked"));
}

/// Writes until the send buffer is full.
fn fill(mut stream: &UnixStream) {
    use std::io::Write;
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[0; 4096]).is_ok() {}
}

#[test]
fn an_end_that_does_not_read_is_reported() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let inode = rustix::fs::fstat(&client).unwrap().st_ino;
    fill(&client);
    warns(&path, "server_not_reading");
    warns(format!("inode:{inode}"), "peer_not_reading");
    fill(&accepted);
    warns(&path, "clients_not_reading");
}

#[test]
fn descriptors_in_flight_are_reported_at_the_address() {
    let (_dir, path) = socket_path();
    let server = stoop::Bind::new(&path).listen().unwrap();
    let client = stoop::Stream::connect(&path).unwrap();
    let _accepted = server.accept().unwrap();
    assert!(!codes(&who(&path)).contains(&"descriptors_in_flight"));
    client.send_fds(b"x", &[std::os::fd::AsFd::as_fd(&client)]).unwrap();
    warns(&path, "descriptors_in_flight");
}

/// A parent that only supervises, and two workers.
#[test]
fn workers_that_all_have_clients_are_reported() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_dir, path) = socket_path();
    let script = "import os, socket, sys, time\n\
        s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(4)\n\
        workers = []\n\
        for _ in range(2):\n\
        \x20   pid = os.fork()\n\
        \x20   if pid == 0:\n\
        \x20       while True:\n\
        \x20           c, _ = s.accept(); c.recv(1); c.close()\n\
        \x20   workers.append(pid)\n\
        print('ready', flush=True); sys.stdin.read()\n\
        for pid in workers: os.kill(pid, 9)";
    let mut server = program("python3", ["-c", script, path.to_str().unwrap()]).open_input().spawn();
    server.wait_stdout("ready");
    let connect = || UnixStream::connect(&path).unwrap();
    let mut clients = vec![connect(), connect()];
    let accepted = |who: &Value| who["clients"].as_array().unwrap().len();
    eventually(LIMIT, || accepted(&who(&path)) == 2);
    assert!(!codes(&who(&path)).contains(&"workers_busy"), "no client waits");
    clients.push(connect());
    warns(&path, "workers_busy");
    clients.remove(0);
    eventually(LIMIT, || !codes(&who(&path)).contains(&"workers_busy"));
    server.end_input();
    server.finish();
}

/// A receiver that is connected refuses all others, whatever its mode.
#[test]
fn a_receiver_that_is_connected_is_not_called_open() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let [path, peer] = ["s.sock", "peer.sock"].map(|name| dir.path().join(name));
    let receiver = UnixDatagram::bind(&path).unwrap();
    let _peer = UnixDatagram::bind(&peer).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let is_open = || {
        let warnings = who(&path)["warnings"].as_array().unwrap().clone();
        warnings.iter().any(|warning| warning["code"] == "world_writable")
    };
    assert!(is_open());
    receiver.connect(&peer).unwrap();
    assert!(!is_open());
}

#[test]
fn a_datagram_queue_is_counted() {
    let (_dir, path) = socket_path();
    let _receiver = UnixDatagram::bind(&path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    for len in [1, 1100, 0] {
        sender.send_to(&vec![b'x'; len], &path).unwrap();
    }
    let who = who(&path);
    let socket = &who["socket"];
    assert_eq!(socket["first_message_bytes"], 1);
    // Without the BPF program the sum is not known, and not claimed.
    if socket["unread_messages"].is_null() {
        return assert!(socket["unread_bytes"].is_null());
    }
    assert_eq!((&socket["unread_messages"], &socket["unread_bytes"]), (&3.into(), &1101.into()));
    assert_eq!(who["message_limit"], who["max_dgram_qlen"]);
}

/// The client has a name of its own, and the listener was closed.
#[test]
fn the_ends_of_a_connection_are_never_exchanged() {
    let dir = tempdir();
    let pairs: Vec<_> = (0..40)
        .map(|number| {
            let at = |side: &str| dir.path().join(format!("{side}{number}"));
            let listener = UnixListener::bind(at("server")).unwrap();
            let client =
                rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None)
                    .unwrap();
            let name = |side| rustix::net::SocketAddrUnix::new(at(side)).unwrap();
            rustix::net::bind(&client, &name("client")).unwrap();
            rustix::net::connect(&client, &name("server")).unwrap();
            (client, listener.accept().unwrap().0)
        })
        .collect();
    let own = std::process::id().to_string();
    let lines = stoop(["ls", "--all", "--json", "--pid", &own]).run().seen().json();
    let inode = |socket: &dyn std::os::fd::AsFd| rustix::fs::fstat(socket.as_fd()).unwrap().st_ino;
    for (client, accepted) in &pairs {
        let ends = [inode(client), inode(accepted)];
        let mut of_it = lines.iter().filter(|line| {
            line["event"] == "connection" && ends.contains(&line["server"]["inode"].as_u64().unwrap_or(0))
        });
        let line = of_it.next().unwrap();
        let is_right = line["client"]["inode"] == ends[0] && line["server"]["inode"] == ends[1];
        assert!(is_right || line["client_known"] == false, "{line:#}");
    }
}

/// The server has exited, and a child that it left behind keeps the listener open.
#[test]
fn a_listener_that_only_a_child_has_is_reported() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_dir, path) = socket_path();
    let script = "import os, socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(4)\n\
        if os.fork() == 0: print('ready', flush=True); sys.stdin.read()";
    let mut server = program("python3", ["-c", script, path.to_str().unwrap()]).open_input().spawn();
    server.wait_stdout("ready");
    let pid = server.pid();
    eventually(LIMIT, || !server.is_running());
    let _client = UnixStream::connect(&path).unwrap();
    warns(&path, "listener_inherited");
    let text = stoop(["why"]).arg(&path).run().ok().text();
    assert!(text.contains(&format!("process {pid} called listen and no longer has the socket")), "{text}");
    server.end_input();
}

/// Sockets of one process: the most important are shown, quickly, and how many more there are.
#[test]
fn many_sockets_are_counted_instead_of_shown() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    const MANY: &str = "import os, resource, socket, sys\n\
        most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 20000)\n\
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n\
        pairs = [socket.socketpair(socket.AF_UNIX, kind) for kind in (1, 2) for _ in range(most // 4 - 50)]\n\
        [one.send(b'x') for one, _ in pairs]\n\
        named = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(40)]\n\
        [one.bind('\\0stoop-many-%d-%d' % (os.getpid(), at)) for at, one in enumerate(named)]\n\
        [named[0].sendto(b'x', one.getsockname()) for one in named]\n\
        print(4 * (most // 4 - 50) + 40, flush=True); sys.stdin.read()";
    let process = program("python3", ["-c", MANY]).open_input().spawn();
    process.wait_stdout("\n");
    let count: usize = String::from_utf8(process.stdout()).unwrap().trim().parse().unwrap();
    let which = format!("pid:{}", process.pid());
    let before = std::time::Instant::now();
    let text = stoop(["who", &which]).run().seen().text();
    let took = before.elapsed();
    let headings = text.lines().filter(|line| !line.starts_with(' ') && line.contains(", inode "));
    assert_eq!(headings.count(), 20, "{text}");
    let more = text.lines().last().unwrap();
    let number: String = more.chars().filter(char::is_ascii_digit).collect();
    assert_eq!(
        (number.parse(), more.starts_with("… and "), more.ends_with(" more: --all")),
        (Ok(count - 20), true, true)
    );
    // A search that is quadratic takes minutes.
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn command_lines_and_colors_are_shown() {
    let (_dir, path) = socket_path();
    let server = stoop(["serve", "--quiet"]).arg(&path).spawn();
    wait_served(&path);
    let as_typed = format!("serve --quiet {}", path.display());
    let text = stoop(["who"]).arg(&path).run().seen().text();
    assert!(text.lines().any(|line| line.contains(" as ") && line.ends_with(&as_typed)), "{text}");
    let json = who(&path);
    let line = json["socket"]["processes"][0]["command_line"].as_array().unwrap();
    assert_eq!(line[1..], ["serve", "--quiet", path.to_str().unwrap()], "{line:?}");
    let wide = stoop(["ls", "--wide"]).arg(&path).run().seen().text();
    assert!(wide.contains("SERVER-TITLE") && wide.contains("serve --quiet"), "{wide}");
    server.signal(Signal::STOP);
    let is_stopped =
        || fs::read_to_string(format!("/proc/{}/stat", server.pid())).is_ok_and(|stat| stat.contains(") T"));
    eventually(LIMIT, is_stopped);
    for (when, has_color) in [("always", true), ("never", false), ("auto", false)] {
        let text = stoop(["who", "--color", when]).arg(&path).run().seen().text();
        assert_eq!(text.contains("\x1b[1;33m!\x1b[0m"), has_color, "{text}");
        let failure = stoop(["connect", "/stoop/no/such", "--color", when]).run();
        assert_eq!(failure.stderr.contains("\x1b[1;31merror:\x1b[0m"), has_color, "{}", failure.stderr);
    }
    server.signal(Signal::CONT);
}

/// Returns the process that opened a connection, and how old that is at most.
fn opener(socket: impl AsFd) -> (Option<u64>, Option<u64>) {
    let inode = rustix::fs::fstat(socket).unwrap().st_ino;
    let who = who(format!("inode:{inode}"));
    (who["opener_pid"].as_u64(), who["max_age_seconds"].as_u64())
}

#[test]
fn a_connection_is_at_most_as_old_as_the_process_that_opened_it() {
    if !stoop_kernel_facts::kernel_at_least(6, 5) {
        skip!("lacks SO_PEERPIDFD");
    }
    let begun = Instant::now();
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    // The listener of this process is older than its client.
    let client = program("python3", ["-c", CLIENT]).arg(&path).open_input().spawn();
    client.wait_stdout("connected");
    let waiting = who(&path);
    assert!(waiting["waiting_clients"][0]["inode"].is_u64() && waiting["opener_pid"].is_null(), "{waiting}");
    let (accepted, _) = listener.accept().unwrap();
    let (pid, age) = opener(&accepted);
    assert_eq!(pid, Some(client.pid().into()));
    assert!(age.unwrap() <= begun.elapsed().as_secs() + 1, "{age:?}");
    // The other end says the same. It records who listens.
    let its = who(format!("inode:{}", rustix::fs::fstat(&accepted).unwrap().st_ino));
    let other = who(format!("inode:{}", its["peer"]["inode"]));
    assert_eq!(other["opener_pid"], client.pid());
    let text = stoop(["who", &format!("inode:{}", its["socket"]["inode"])]).run().seen().text();
    assert!(
        text.contains("opened     at most") && text.contains(&format!("by process {}", client.pid())),
        "{text}"
    );
    let list = || stoop(["ls"]).arg(&path).args(["--columns", "max-age,state", "--state", "connected"]);
    let lines = list().arg("--json").run().seen().json();
    assert_eq!(lines[0]["opener_pid"], client.pid(), "{lines:?}");
    assert!(lines[0]["max_age_seconds"].as_u64().unwrap() <= begun.elapsed().as_secs() + 1, "{lines:?}");
    let plain = stoop(["ls"]).arg(&path).args(["--state", "connected", "--json"]).run().seen().json();
    assert!(plain[0]["max_age_seconds"].is_null(), "nobody asked for it: {plain:?}");
    let table = list().run().seen().text();
    assert!(table.starts_with("MAX-AGE  STATE\n") && !table.contains("\n-"), "{table}");
    // The listener has no age.
    let listener = stoop(["ls"]).arg(&path).args(["--listening", "--columns", "max-age"]).run().seen().text();
    assert_eq!(listener, "MAX-AGE\n-\n");
    let (one, _two) = UnixStream::pair().unwrap();
    assert_eq!(opener(&one).0, Some(std::process::id().into()));
}

const CLIENT: &str = "import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print('connected', flush=True)
sys.stdin.read()";

#[test]
fn nothing_is_said_of_an_opener_that_has_exited() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    // Its child keeps the connection: it is younger than the connection, and no bound of its age.
    let heir = program("python3", ["-c", HEIR]).arg(&path).open_input().spawn();
    heir.wait_stdout("alone");
    let (accepted, _) = listener.accept().unwrap();
    assert_eq!(opener(&accepted), (None, None));
}

const HEIR: &str = "import os, socket, sys
if os.fork() == 0:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    if os.fork() == 0:
        sys.stdin.read()
    os._exit(0)
os.wait()
print('alone', flush=True)
sys.stdin.read()";
