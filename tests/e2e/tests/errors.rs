//! The errors of the command: four parts, the right exit code, and no terminal control sequences.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use stoop_e2e::{KINDS, Output, program, serve, socket_path, stoop, stoop_as, verbs, wait_served};
use stoop_testkit::{NOBODY, is_root, public_tempdir, skip};

/// The four parts, in their order and with their indentation; "seen" and "next" may have several
/// lines.
#[track_caller]
fn has_four_parts(output: &Output) {
    let lines: Vec<&str> = output.stderr.lines().collect();
    let starts = |line: &str, label: &str| line.starts_with(label) && line.len() > label.len();
    assert!(lines.len() >= 3, "too short:\n{}", output.stderr);
    assert!(starts(lines[0], "error: ") && starts(lines[1], "  why:  "), "{}", output.stderr);
    let mut labels = vec!["  seen: ", "  next: "].into_iter().peekable();
    for line in &lines[2..] {
        if !starts(line, "        ") {
            let label = labels.find(|label| starts(line, label));
            assert!(label.is_some(), "'{line}' is out of place in\n{}", output.stderr);
        }
    }
    assert!(lines.iter().any(|line| line.starts_with("  next: ")), "no next step in\n{}", output.stderr);
    assert!(!output.stderr.contains("panicked"));
}

#[track_caller]
fn explained(output: Output, code: i32, words: &[&str]) {
    let output = output.code(code);
    has_four_parts(&output);
    output.explains(words);
}

#[test]
fn only_a_client_was_started() {
    for kind in KINDS {
        let (_dir, place) = socket_path();
        let output = stoop(["connect", &place, "--kind", kind]).run();
        explained(output, 3, &[&place, "ENOENT", "no server", "--wait 10s"]);
    }
    let name = format!("@stoop-e2e-nobody-{}", std::process::id());
    explained(stoop(["connect", &name]).run(), 3, &[&name, "ECONNREFUSED"]);
}

#[test]
fn a_client_of_a_stale_socket() {
    let (_dir, place) = socket_path();
    serve("stream", &place).kill();
    explained(stoop(["connect", &place]).run(), 3, &["ECONNREFUSED", "stale", "--wait 10s"]);
}

/// Both types are named, and the suggested command works.
#[test]
fn a_client_of_the_wrong_kind() {
    for (served, tried) in
        [("dgram", "stream"), ("stream", "dgram"), ("seqpacket", "stream"), ("stream", "seqpacket")]
    {
        let (_dir, place) = socket_path();
        let _server = serve(served, &place);
        let output = stoop(["connect", &place, "--kind", tried]).run();
        let prose = |kind: &str| if kind == "dgram" { "datagram".to_owned() } else { kind.to_owned() };
        let fix = format!("next: stoop connect {place} --kind {served}");
        explained(output, 3, &["EPROTOTYPE", &prose(served), &prose(tried), &fix]);
        let mut fixed = stoop(["connect", &place, "--kind", served]);
        if served == "dgram" {
            fixed = fixed.args(["--count", "1"]);
        }
        fixed.input("works\n").run().ok().stdout_is(b"works\n");
    }
}

#[test]
fn a_client_without_write_permission() {
    if !is_root() {
        skip!("lacks root");
    }
    let (_dir, place) = socket_path();
    let server = stoop(["serve", &place, "--mode", "640"]).spawn();
    server.wait_stderr("serving");
    let output = stoop_as(NOBODY, ["connect", &place]).run();
    explained(output, 4, &["EACCES", "write permission", "0640", "uid 65534", "nobody", "root"]);
}

#[test]
fn a_directory_without_search_permission() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _) = socket_path();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let place = closed.join("s").to_str().unwrap().to_owned();
    let _server = serve("stream", &place);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let closed = closed.to_str().unwrap();
    for verb in [&["connect", &place][..], &["serve", &place]] {
        explained(stoop_as(NOBODY, verb).run(), 4, &["EACCES", closed, "0700", "uid 65534"]);
    }
}

#[test]
fn a_server_where_it_may_not_create() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _) = socket_path();
    let readable = dir.path().join("readable");
    fs::create_dir(&readable).unwrap();
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o755)).unwrap();
    let place = readable.join("s").to_str().unwrap().to_owned();
    let output = stoop_as(NOBODY, ["serve", &place]).run();
    explained(output, 4, &["EACCES", readable.to_str().unwrap(), "0755", "uid 65534"]);
    assert!(fs::read_dir(&readable).unwrap().next().is_none(), "nothing is left behind");
}

#[test]
fn a_server_without_a_directory() {
    let (dir, _) = socket_path();
    let missing = dir.path().join("missing");
    let place = missing.join("deeper/s").to_str().unwrap().to_owned();
    explained(stoop(["serve", &place]).run(), 3, &["ENOENT", missing.to_str().unwrap()]);
}

/// The suggestion for send is another send, and a wait that timed out is reported instead of
/// suggested again.
#[test]
fn a_message_without_a_server() {
    let (_dir, place) = socket_path();
    let output = stoop(["send", &place, "two words", "--reply"]).run();
    let again = format!("stoop send {place} --wait 10s --reply 'two words'    #");
    assert!(!output.stderr.contains("stoop connect"), "{}", output.stderr);
    explained(output, 3, &["ENOENT", &again]);
    for verb in ["send", "connect"] {
        let output = stoop([verb, &place, "--wait", "300ms"]).run();
        assert!(!output.stderr.contains("--wait 10s"), "{}", output.stderr);
        explained(output, 3, &["ENOENT", "no server was listening within the 300ms of --wait"]);
    }
}

/// After a wait in vain, no prediction of what is known is advised, but to look at the process that
/// has bound the socket.
#[test]
fn a_server_that_never_listens_is_shown() {
    let (_dir, place) = socket_path();
    let kind = rustix::net::SocketType::STREAM;
    let bound = rustix::net::socket(rustix::net::AddressFamily::UNIX, kind, None).unwrap();
    rustix::net::bind(&bound, &rustix::net::SocketAddrUnix::new(&place).unwrap()).unwrap();
    let output = stoop(["connect", &place, "--wait", "300ms"]).run();
    assert!(!output.stderr.contains("stoop why"), "{}", output.stderr);
    explained(output, 3, &["does not listen", &format!("stoop who {place}")]);
}

/// A datagram has no connection, so nothing is said of who may connect.
#[test]
fn a_receiver_that_was_shut_down_is_named() {
    let (_dir, place) = socket_path();
    let receiver = std::os::unix::net::UnixDatagram::bind(&place).unwrap();
    receiver.shutdown(std::net::Shutdown::Read).unwrap();
    let output = stoop(["send", &place, "x"]).run();
    assert!(!output.stderr.contains("allow this user"), "{}", output.stderr);
    explained(output, 3, &["EPIPE", "the receiver was shut down for reading", "restart"]);
}

/// Inherited sockets: what is wrong is reported once, with the reason, and none of the command's
/// own file descriptors is taken for one of them.
#[test]
fn a_descriptor_that_cannot_be_used() {
    for number in ["3", "5", "99"] {
        for verb in ["serve", "recv", "connect", "send"] {
            let target = format!("fd:{number}");
            let output = stoop([verb, &target]).run();
            explained(
                output,
                3,
                &[&format!("cannot use '{target}'"), "EBADF", "did not inherit a file descriptor"],
            );
        }
    }
    explained(stoop(["serve", "fd:0"]).run(), 3, &["'fd:0'", "ENOTSOCK", "a file, a pipe or a terminal"]);
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stoop(["serve", "fd:0"]).stdin(tcp).run().code(5).explains(&["address family 2", "Unix sockets only"]);
    let (connection, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let output = stoop(["serve", "fd:0"]).stdin(connection).run();
    explained(output, 3, &["is a connection", "passes each connection", "Accept=no"]);
    let script = format!("LISTEN_FDS=1 LISTEN_PID=$$ exec '{}' serve", stoop_e2e::binary().display());
    let output = program("sh", ["-c", &script]).run();
    explained(output, 3, &["file descriptor 3 is not open", "EBADF"]);
}

/// Nothing is truncated: a message that does not fit is not sent.
#[test]
fn a_message_that_is_too_large() {
    for kind in ["dgram", "seqpacket"] {
        let (_dir, place) = socket_path();
        let recv = stoop(["recv", &place, "--kind", kind, "--count", "1"]).spawn();
        wait_served(&place);
        let output = stoop(["send", &place, "--kind", kind]).input(vec![b'x'; 20_000_000]).run();
        explained(output, 3, &["cannot send to", &place, "larger"]);
        stoop(["send", &place, "small", "--kind", kind]).run().ok();
        let heard = recv.finish().ok();
        assert!(
            heard.text().contains("5 bytes: small") && heard.text().lines().count() == 1,
            "{}",
            heard.text()
        );
    }
}

#[test]
fn an_empty_seqpacket_message_is_refused() {
    let (_dir, place) = socket_path();
    let _server = serve("seqpacket", &place);
    let output = stoop(["send", &place, ""]).run().code(5);
    output.explains(&["empty", "end of the connection"]);
}

#[test]
fn a_reply_that_does_not_arrive() {
    for kind in KINDS {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--kind", kind, "--exec", "sleep 5"]).spawn();
        wait_served(&place);
        let run = stoop(["send", &place, "hello?", "--kind", kind, "--reply", "--timeout", "300ms"]);
        run.run().code(3).explains(&["received within 300ms", &place]);
        drop(server);
    }
}

/// Every exit code of this part of the command, each with a way to produce it.
#[test]
fn exit_codes_are_the_documented_set() {
    let (dir, place) = socket_path();
    let _server = serve("seqpacket", &place);
    stoop(["--help"]).run().code(0);
    stoop(["send", &place, "x"]).run().code(0);
    for usage in [
        &["frobnicate"][..],
        &["connect"],
        &["connect", "%zz"],
        &["connect", ""],
        &["serve", "/x", "--mode", "999"],
        &["serve", "/x", "--grace", "5x"],
        &["connect", "dgram:/x", "--kind", "stream"],
        &["serve", "/x", "--echo", "--discard"],
        &["man", "no-such-verb"],
        &["connect", "http://x"],
        &["serve", "tcp:1.2.3.4"],
        &["connect", "/x", "-w", "3s"],
        &["serve", "@x", "--mode", "600"],
    ] {
        stoop(usage).run().code(2).stdout_is(b"");
    }
    stoop(["connect", dir.path().join("none").to_str().unwrap()]).run().code(3);
    stoop(["send", &place, ""]).run().code(5);
    if is_root() {
        fs::set_permissions(&place, fs::Permissions::from_mode(0o600)).unwrap();
        stoop_as(NOBODY, ["connect", &place]).run().code(4);
    }
}

/// A value that cannot match anything is not an empty result: it is rejected, with the expected
/// form.
#[test]
fn values_that_match_nothing_are_rejected() {
    for (line, words) in [
        (&["ls", "--netns", "stoop-no-such-netns"][..], &["no network namespace", "/run/netns"][..]),
        (&["tree", "--netns", "stoop-no-such-netns"], &["no network namespace"]),
        (&["ls", "--netns", "stoop-no-such-netns", "--watch"], &["no network namespace"]),
        (&["ls", "--netns", ""], &["empty"]),
        (&["ls", "--name", "["], &["invalid value '[' for '--name <GLOB>'", "unclosed"]),
        (&["ls", "--name", "[z-a]"], &["ends before it starts"]),
        (&["ls", "--name", r"x\"], &["escapes nothing"]),
        (&["ls", "--name", ""], &["empty"]),
        (&["ls", "--command", "a-name-longer-than-*"], &["longer than any"]),
        (&["ls", "--peer", ""], &["empty"]),
        (&["ls", "--container", ""], &["empty"]),
        (&["ls", "--user", "stoop-no-such-user"], &["no user with that name"]),
        (&["ls", "--pid", "0"], &["not a process id"]),
        (&["ls", "--pid", "abc"], &["not a process id"]),
        (&["ls", "--columns", "adress"], &["possible values: address, path", "exists: 'address'"]),
        (&["ls", "--sort", "size"], &["possible values: address"]),
        (&["ls", "--state", "open"], &["possible values: listening"]),
        (&["ls", "--kind", "tcp"], &["invalid socket kind"]),
        (&["ls", "--watch", "--interval", "0s"], &["at least"]),
        (&["ls", "tcp:x"], &["is for networks"]),
        (&["connect", "localhost:80"], &["a host and a port", "./ in front"]),
        (&["send", "127.0.0.1:80", "x"], &["a host and a port"]),
        (&["serve", ":8080"], &["a host and a port"]),
        (&["why", "unix:/x:/uri"], &["path of the request is separate", "stoop http /x /uri"]),
        (&["serve", "UNIX-LISTEN:/x,fork"], &["follows the comma", "options are flags"]),
        (&["tree", "npipe:////./pipe/x"], &["does not know addresses of 'npipe:'"]),
        (&["serve", "docker"], &["well-known server", "./docker"]),
        (&["recv", "cri"], &["well-known server", "./cri"]),
        (&["who", "pid:abc"], &["'pid:' must be followed by a number", "./ in front"]),
        (&["who", "pid:0"], &["'pid:' must be followed by a number"]),
        (&["who", "inode:x"], &["'inode:' must be followed by a number"]),
        (&["who", "socket:[12"], &["followed by a number and ']'"]),
        (&["close", "inode:"], &["'inode:' must be followed by a number"]),
    ] {
        let output = stoop(line).run();
        assert!(output.stdout.is_empty(), "{line:?} printed {}", output.text());
        explained(output, 2, words);
    }
}

/// A file may have any name; one that looks like another address form is reachable with a directory
/// in front.
#[test]
fn a_file_named_like_a_selector_is_reached() {
    let dir = public_tempdir();
    let _server = std::os::unix::net::UnixListener::bind(dir.path().join("pid:abc")).unwrap();
    let text = stoop(["who", "./pid:abc"]).inside(dir.path()).run().seen().text();
    assert!(text.contains("pid:abc: stream, listening"), "{text}");
}

/// `stoop help` and `stoop help VERB` are `--help`.
#[test]
fn help_is_a_verb_too() {
    let text = |line: &[&str]| stoop(line).run().ok().text();
    assert_eq!(text(&["help"]), text(&["--help"]));
    assert_eq!(text(&["help", "ls"]), text(&["ls", "--help"]));
    stoop(["help", "no-such-verb"]).run().code(2);
}

/// Every help text and every manual page lists the exit codes.
#[test]
fn help_and_manual_list_the_exit_codes() {
    for verb in verbs() {
        let help = stoop([&*verb, "--help"]).run().ok().text();
        let page = stoop(["man", &verb]).run().ok().text();
        for code in 0..=6 {
            assert!(help.contains(&format!("\n  {code}  ")), "{verb} --help lacks code {code}:\n{help}");
            assert!(page.contains(&format!("{code}  ")), "man {verb} lacks code {code}");
        }
        assert!(help.contains("\n  130, 143  ") && page.contains("130, 143"), "{verb} lacks signals");
    }
}

/// If the reader of the output closes it early, that is not a failure.
#[test]
fn a_closed_stdout_is_not_a_failure() {
    let (dir, place) = socket_path();
    let file = dir.path().join("big");
    fs::write(&file, vec![b'x'; 3_000_000]).unwrap();
    let server = stoop(["serve", &place, "--send", file.to_str().unwrap()]).spawn();
    wait_served(&place);
    let stoop_path = stoop_e2e::binary().to_str().unwrap();
    for command in [
        format!("connect {place}"),
        format!("send {place} x --reply"),
        "man".into(),
        "completions bash".into(),
        "demo".into(),
    ] {
        let script = format!("set -o pipefail; '{stoop_path}' {command} | head -c 10 >/dev/null");
        program("bash", ["-c", &script]).run().code(0).explains(&[""]);
        let script = format!("'{stoop_path}' {command} >&-");
        let output = program("bash", ["-c", &script]).run();
        assert!(!output.stderr.contains("panicked"), "{command}: {}", output.stderr);
    }
    server.terminate().ok();
}

/// Names and messages from other processes cannot control a terminal.
#[test]
fn hostile_names_print_no_control_characters() {
    let dir = public_tempdir();
    let hostile = "s\u{1b}[31mred\u{7}\r\u{9b}2J\u{202e}x";
    let place = format!("{}/{hostile}", dir.path().to_str().unwrap());
    let mut heard = vec![stoop(["connect", &place]).run().code(3).stderr];
    heard.push(stoop(["serve", &format!("{place}/deeper")]).run().code(3).stderr);
    let server = stoop(["serve", &place, "--kind", "dgram"]).spawn();
    server.wait_stderr("serving");
    heard.push(stoop(["serve", &place]).run().code(3).stderr);
    heard.push(stoop(["connect", &place, "--kind", "stream"]).run().code(3).stderr);
    heard.push(server.terminate().ok().stderr);
    let recv = stoop(["recv", &place, "--count", "1"]).spawn();
    recv.wait_stderr("serving");
    stoop(["send", &place, hostile]).run().ok();
    let recv = recv.finish().ok();
    heard.extend([recv.text(), recv.stderr]);
    for text in heard {
        let bad = text.chars().find(|&c| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}');
        assert!(bad.is_none(), "{bad:?} in {text:?}");
    }
}
