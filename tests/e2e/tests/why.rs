//! `stoop why`: predictions about real sockets, the drawing of the path walk, `--try`, other users
//! and processes, JSON.

mod why {
    mod not_responding;
    mod situations;
}

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use stoop_e2e::{program, serve, socket_path, stoop, stoop_as, wait_served};
use stoop_testkit::{NOBODY, has_program, is_root, public_tempdir, skip};

/// The marked line of the drawing.
#[track_caller]
fn marked(text: &str) -> &str {
    let mut lines = text.lines().filter(|line| line.contains("<-- "));
    let line = lines.next().unwrap_or_else(|| panic!("no mark in\n{text}"));
    assert_eq!(lines.next(), None, "one mark in\n{text}");
    line
}

#[test]
fn a_connect_to_a_live_server_succeeds() {
    let (_dir, place) = socket_path();
    let server = serve("stream", &place);
    let text = stoop(["why", &place, "--try"]).run().ok().text();
    assert!(text.starts_with(&format!("connect to '{place}': would succeed\n")), "{text}");
    assert!(text.contains(&format!("process {} (stoop)", server.pid())), "{text}");
    assert!(text.contains("tried: it succeeded, as predicted") && !text.contains("<--"), "{text}");
    stoop(["send", &place, "x", "--reply"]).run().ok().stdout_is(b"x");
}

/// However the server wrote its name, however it is requested, and whatever has replaced the file.
#[test]
fn a_server_without_its_file_is_found_by_relative_names_too() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (dir, _) = socket_path();
    let absolute = dir.path().join("app").to_str().unwrap().to_owned();
    for given in ["app", &absolute] {
        let script = format!(
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind('{given}'); s.listen(); \
             print('ready', flush=True); sys.stdin.read()"
        );
        let server = program("python3", ["-c", &script]).inside(dir.path()).open_input().spawn();
        server.wait_stdout("ready");
        fs::remove_file(&absolute).unwrap();
        for asked in ["./app", &absolute] {
            let text = stoop(["why", asked]).inside(dir.path()).run().code(1).text();
            assert!(text.contains(&format!("process {}", server.pid())), "{given} {asked}: {text}");
            let text = stoop(["who", asked]).inside(dir.path()).run().text();
            assert!(text.contains(&format!("{}/python3", server.pid())), "{given} {asked}: {text}");
        }
    }
}

#[test]
fn the_failing_component_is_named_and_marked() {
    let (dir, place) = socket_path();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    serve("stream", &place).kill();
    fs::write(path("file"), "").unwrap();
    symlink("nowhere", path("link")).unwrap();
    let none = format!("@stoop-e2e-why-{}", std::process::id());
    for (args, errno, cause, mark) in [
        (vec!["why", &place], "ECONNREFUSED", "stale", "s    <-- ECONNREFUSED"),
        (vec!["why", &path("none")], "ENOENT", "no server", "none (does not exist)    <-- ENOENT"),
        (vec!["why", &path("no/s")], "ENOENT", "does not exist", "no (does not exist)    <-- ENOENT"),
        (vec!["why", &path("file/s")], "ENOTDIR", "is not a directory", "file    <-- ENOTDIR"),
        (vec!["why", &path("file")], "ECONNREFUSED", "a regular file", "file    <-- ECONNREFUSED"),
        (vec!["why", &path("link")], "ENOENT", "symbolic link", "  nowhere (does not exist)    <-- ENOENT"),
        (vec!["why", &place, "--op", "bind"], "EADDRINUSE", "stale", "s    <-- EADDRINUSE"),
        (vec!["why", &none], "ECONNREFUSED", "no socket in this network namespace", ""),
        (vec!["why", &place, "--op", "send", "--size", "99999999"], "EMSGSIZE", "send buffer", ""),
    ] {
        let mut run = stoop(&args);
        if args[args.len() - 2] != "--size" {
            run = run.arg("--try");
        }
        let text = run.run().code(1).text();
        assert!(text.contains(&format!("would fail with {errno}\n")) && text.contains(cause), "{text}");
        assert!(mark.is_empty() || marked(&text).ends_with(mark), "{text}");
        assert!(
            args.contains(&"--size")
                || text.contains(&format!("tried: it failed with {errno}, as predicted")),
            "{text}"
        );
    }
}

#[test]
fn a_tried_bind_leaves_no_file() {
    let (dir, place) = socket_path();
    let text = stoop(["why", &place, "--op", "bind", "--try"]).run().ok().text();
    assert!(text.contains("tried: it succeeded, as predicted"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_message_is_sent_only_with_deliver() {
    let (_dir, place) = socket_path();
    let recv = stoop(["recv", &place, "--count", "1", "--json"]).spawn();
    wait_served(&place);
    let send = ["why", &place, "--op", "send", "--size", "3"];
    stoop(send).run().ok();
    stoop(send).arg("--try").run().code(2).explains(&["--deliver"]);
    let text = stoop(send).args(["--try", "--deliver"]).run().ok().text();
    assert!(text.contains("tried: it succeeded, as predicted"), "{text}");
    let heard = recv.finish().ok().json();
    assert_eq!((&heard[0]["size"], heard.len()), (&3.into(), 1), "that one and no other");
}

#[test]
fn as_predicts_and_tries_for_another_user() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, _) = socket_path();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let place = closed.join("s").to_str().unwrap().to_owned();
    let _server = stoop(["serve", &place, "--mode", "600"]).spawn();
    wait_served(&place);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    stoop(["why", &place]).run().ok();
    let text = stoop(["why", &place, "--as", "nobody", "--try"]).run().code(1).text();
    assert!(
        marked(&text).contains("drwx------") && marked(&text).ends_with("closed    <-- EACCES"),
        "{text}"
    );
    assert!(text.contains("as nobody: would fail with EACCES") && text.contains("as predicted"), "{text}");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    let text = stoop(["why", &place, "--as", &NOBODY.to_string(), "--try"]).run().code(1).text();
    assert!(marked(&text).contains("srw-------") && text.contains("write permission"), "{text}");
    // An ordinary user can predict its own calls, but not those of others.
    stoop_as(NOBODY, ["why", &place, "--try"]).run().code(1);
    let text = stoop_as(NOBODY, ["why", &place, "--as", "root", "--try"]).run().code(6).text();
    assert!(text.contains("tried: not made: this process cannot act"), "{text}");
}

#[test]
fn pid_predicts_in_the_view_of_a_process() {
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    // A process with another root: what we see under that path is not there for it.
    let script = format!("cd {0} && mkdir bin lib64 lib && exec chroot {0} /sh", root.display());
    let busybox = fs::read("/bin/busybox");
    let Ok(busybox) = busybox else { skip!("lacks busybox") };
    fs::write(root.join("sh"), busybox).unwrap();
    fs::set_permissions(root.join("sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let shell = program("sh", ["-c", &script]).open_input().spawn();
    let pid = shell.pid().to_string();
    let is_inside = || fs::read_link(format!("/proc/{pid}/root")).is_ok_and(|link| link == root);
    stoop_testkit::eventually(std::time::Duration::from_secs(10), is_inside);
    let text = stoop(["why", &place, "--pid", &pid, "--try"]).run().code(1).text();
    assert!(text.contains(&format!("by process {pid}")) && text.contains("ENOENT"), "{text}");
    assert!(text.contains("as predicted"), "{text}");
    assert!(stoop(["why", &place, "--pid", "999999999"]).run().code(6).text().contains("no process"));
}

#[test]
fn json_has_what_the_text_has() {
    let (_dir, place) = socket_path();
    serve("stream", &place).kill();
    let answers = stoop(["why", &place, "--json", "--try"]).run().code(1).json();
    let [answer] = answers.as_slice() else { panic!("one line: {answers:?}") };
    assert_eq!((&answer["schema"], &answer["event"]), (&1.into(), &"verdict".into()));
    let text = |key: &str| answer[key].as_str().unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned();
    assert_eq!((text("address"), text("operation"), text("kind")), (place, "connect".into(), "any".into()));
    assert_eq!(
        (text("outcome"), text("errno"), text("cause")),
        ("fails".into(), "ECONNREFUSED".into(), "stale".into())
    );
    assert_eq!(answer["tried"]["as_predicted"], true);
    let walk = answer["walk"].as_array().unwrap();
    let last = walk.last().unwrap();
    assert_eq!(
        (&last["name"], &last["found"], &last["stops"]),
        (&"s".into(), &"socket".into(), &"name".into())
    );
    assert!(answer["subject"]["uid"].is_u64(), "{answer}");
}

#[test]
fn hostile_names_are_escaped() {
    let dir = public_tempdir();
    let hostile = dir.path().join("a\u{1b}[31m\nb\u{202e}");
    fs::create_dir(&hostile).unwrap();
    symlink("to\u{7}\r", hostile.join("l")).unwrap();
    for json in [&[][..], &["--json"]] {
        let place = hostile.join("l").to_str().unwrap().replace('%', "%25");
        let output = stoop(["why", &place]).args(json).run().code(1);
        let text = output.text();
        let bad = text.chars().find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}');
        assert!(bad.is_none(), "{bad:?} in {text:?}");
    }
}

#[test]
fn contradicting_flags_are_rejected() {
    for usage in [
        &["why"][..],
        &["why", "fd:3"],
        &["why", "/x", "--op", "listen"],
        &["why", "/x", "--as", "root", "--pid", "1"],
        &["why", "/x", "--pid", "0"],
        &["why", "/x", "--deliver"],
        &["why", "/x", "--try", "--deliver"],
        &["why", "dgram:/x", "--kind", "stream"],
        &["why", "tcp:1.2.3.4"],
    ] {
        stoop(usage).run().code(2).stdout_is(b"");
    }
    stoop(["why", "/x", "--as", "no-such-user-anywhere"]).run().code(6).explains(&[""]);
}

/// A policy is known to the server alone: that the server closed the connection is seen.
#[test]
fn a_server_that_refuses_its_client_is_named() {
    let (_dir, place) = socket_path();
    let other = if is_root() { NOBODY } else { 0 };
    let server = stoop(["serve", &place, "--allow-uid", &other.to_string()]).spawn();
    wait_served(&place);
    let text = stoop(["why", &place, "--try"]).run().ok().text();
    let process = format!("the server is process {} (stoop) of this user", server.pid());
    for words in ["tried: it succeeded, as predicted", "policy of its own", &process, "--allow-uid"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let lines = stoop(["why", &place, "--try", "--json"]).run().ok().json();
    assert_eq!(lines[0]["tried"]["outcome"], "succeeded");
    assert!(lines[0]["tried"]["closed"][1].as_str().unwrap().contains(&process), "{lines:?}");
    server.terminate();
    // One that accepts its clients is not suspected, nor one that has not decided yet.
    let server = stoop(["serve", &place]).spawn();
    wait_served(&place);
    let text = stoop(["why", &place, "--try"]).run().ok().text();
    assert!(text.contains("as predicted") && !text.contains("policy"), "{text}");
    server.terminate();
    let _slow = UnixListener::bind(&place).unwrap();
    let text = stoop(["why", &place, "--try"]).run().ok().text();
    assert!(text.contains("as predicted") && !text.contains("policy"), "{text}");
}
