//! `stoop connect` and `stoop send`: exact bytes, the end of the input and of the reply, messages,
//! and the terminal.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use stoop_e2e::{KINDS, bytes, messages, peer, program, serve, socket_path, stoop, wait_served};
use stoop_testkit::{deadline, has_program, skip};

mod streams {
    use super::*;

    #[test]
    fn megabytes_are_echoed_exactly() {
        let (_dir, place) = socket_path();
        let _server = serve("stream", &place);
        for (len, seed) in [(0, 1), (1, 2), (65_536, 3), (8_000_000, 4)] {
            let sent = bytes(len, seed);
            stoop(["connect", &place]).input(sent.clone()).run().ok().stdout_is(&sent);
        }
    }

    /// Both directions at once, with different data in each.
    #[test]
    fn both_directions_are_independent() {
        let (_dir, place) = socket_path();
        let listener = UnixListener::bind(&place).unwrap();
        let (ours, theirs) = (bytes(3_000_000, 5), bytes(2_000_000, 6));
        let client = stoop(["connect", &place]).input(ours.clone()).spawn();
        let answer = theirs.clone();
        let heard = deadline(Duration::from_secs(20), move || {
            let (stream, _) = listener.accept().unwrap();
            let mut writer = stream.try_clone().unwrap();
            let writing = std::thread::spawn(move || {
                writer.write_all(&answer).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut heard = Vec::new();
            std::io::Read::read_to_end(&mut &stream, &mut heard).unwrap();
            writing.join().unwrap();
            heard
        });
        assert!(heard == ours);
        client.finish().ok().stdout_is(&theirs);
    }

    /// The end of the input is forwarded to the server; the reply may take any time.
    #[test]
    fn a_slow_server_is_awaited_after_end_of_input() {
        let (_dir, place) = socket_path();
        let server =
            stoop(["serve", &place, "--exec", "words=$(wc -w); sleep 1.5; echo $words words"]).spawn();
        wait_served(&place);
        stoop(["connect", &place]).input("one two three").run().ok().stdout_is(b"3 words\n");
        server.terminate().ok();
    }

    /// A server that closes ends the client, even if its input continues.
    #[test]
    fn the_server_closing_ends_the_conversation() {
        let (_dir, place) = socket_path();
        let listener = UnixListener::bind(&place).unwrap();
        let client = stoop(["connect", &place]).open_input().spawn();
        let (mut stream, _) = deadline(Duration::from_secs(20), move || listener.accept().unwrap());
        stream.write_all(b"bye\n").unwrap();
        drop(stream);
        client.finish().ok().stdout_is(b"bye\n");
    }

    /// As a server does whose policy refuses the client.
    #[test]
    fn a_connection_closed_without_an_answer_is_explained() {
        let (_dir, place) = socket_path();
        let listener = UnixListener::bind(&place).unwrap();
        let client = stoop(["connect", &place]).open_input().spawn();
        drop(deadline(Duration::from_secs(20), move || listener.accept().unwrap()));
        let output = client.finish().code(3);
        output.explains(&["closed the connection without sending anything", "may not allow this user"]);
        assert!(!output.stderr.contains("--keep-open"), "the end of the input did not end it");
    }

    /// A question that got no answer is not a success, and neither is one to a server whose policy
    /// refuses the client.
    #[test]
    fn no_answer_is_not_a_success() {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--discard"]).spawn();
        wait_served(&place);
        let said = ["no answer from", "without sending anything", "may not allow this user"];
        let output = stoop(["connect", &place]).input("question").run().code(3);
        output.explains(&said);
        output.explains(&["--keep-open"]);
        let output = stoop(["send", &place, "--reply", "a question"]).run().code(3);
        output.explains(&said);
        output.explains(&["--reply --keep-open 'a question'"]);
        stoop(["send", &place, "no question"]).run().ok();
        stoop(["connect", &place]).input("").run().ok();
        server.terminate().ok();

        let server = stoop(["serve", &place, "--allow-uid", "4000000000"]).spawn();
        wait_served(&place);
        // Whether the server closes before or after it was sent something, it is said.
        for line in [&["connect", &place][..], &["send", &place], &["send", &place, "--reply"]] {
            let output = stoop(line).input(bytes(1_000_000, 7)).run();
            let server = format!("the server is process {} (stoop) of this user", server.pid());
            output.explains(&["may not allow this user", &server, "--allow-uid or --allow-gid"]);
        }
        server.terminate().ok();
    }

    /// As servers of Node.js do: this one takes the end of its input for the end of its client.
    #[test]
    fn a_connection_that_is_kept_open_is_not_shut_down() {
        let (_dir, place) = socket_path();
        let listener = UnixListener::bind(&place).unwrap();
        let server = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; 8];
                std::io::Read::read_exact(&mut stream, &mut question).unwrap();
                stream.set_nonblocking(true).unwrap();
                // The client has sent everything by now, or will be found out by the next read.
                std::thread::sleep(Duration::from_millis(200));
                let more = std::io::Read::read(&mut stream, &mut question);
                assert_eq!(more.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "no end of input");
                stream.write_all(b"answer\n").unwrap();
            }
        });
        stoop(["connect", &place, "--keep-open"]).input("question").run().ok().stdout_is(b"answer\n");
        stoop(["send", &place, "--reply", "--keep-open", "question"]).run().ok().stdout_is(b"answer\n");
        deadline(Duration::from_secs(20), move || server.join().unwrap());
        stoop(["send", &place, "--keep-open", "question"]).run().code(2);
    }

    #[test]
    fn wait_allows_the_server_to_start_later() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let mut client = stoop(["connect", &place, "--kind", kind, "--wait", "20s"]);
            if kind == "dgram" {
                client = client.args(["--count", "1"]);
            }
            let client = client.input("early\n").spawn();
            std::thread::sleep(Duration::from_millis(200));
            let _server = serve(kind, &place);
            client.finish().ok().stdout_is(b"early\n");
        }
    }

    /// A connect waits for a full backlog, or gives up after the timeout.
    #[test]
    fn timeout_limits_the_wait_for_backlog_space() {
        let (_dir, place) = socket_path();
        let listener = UnixListener::bind(&place).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = std::os::unix::net::UnixStream::connect(&place).unwrap();
        stoop(["connect", &place, "--timeout", "300ms"]).run().code(3).explains(&["backlog", "300ms"]);
        let patient = stoop(["connect", &place, "--timeout", "20s"]).spawn();
        std::thread::sleep(Duration::from_millis(200));
        drop(listener.accept().unwrap());
        drop(listener.accept().unwrap());
        patient.finish();
    }
}

mod packets {
    use super::*;

    /// What did not happen in time, why, and where to look.
    #[test]
    fn timeouts_are_explained() {
        let (_dir, place) = socket_path();
        let server = std::os::unix::net::UnixDatagram::bind(&place).unwrap();
        let output = stoop(["send", &place, "--reply", "--timeout", "100ms", "x"]).run().code(3);
        output.explains(&["no reply was received within 100ms", "has not answered", "stoop who"]);
        drop(server);
        let (_dir, place) = socket_path();
        let output = stoop(["recv", &place, "--timeout", "100ms"]).run().code(3);
        output.explains(&["no message was received within 100ms", "none that is allowed", "stoop send"]);
    }

    /// A line is a message, including its newline; the last may have none.
    #[test]
    fn lines_are_messages() {
        for kind in ["dgram", "seqpacket"] {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind, "--count", "3", "--json"]).spawn();
            wait_served(&place);
            let mut client = stoop(["connect", &place, "--kind", kind]);
            if kind == "dgram" {
                client = client.args(["--idle", "10ms"]);
            }
            client.input("one\n\ntwo").run().ok();
            let heard = recv.finish().ok().json();
            let texts: Vec<_> = heard.iter().map(|line| line["data"]["text"].as_str().unwrap()).collect();
            assert_eq!(texts, ["one\n", "\n", "two"], "{kind}");
        }
    }

    #[test]
    fn whole_sends_the_input_as_one_message() {
        for kind in ["dgram", "seqpacket"] {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind, "--count", "1", "--json"]).spawn();
            wait_served(&place);
            let mut client = stoop(["connect", &place, "--kind", kind, "--whole"]);
            if kind == "dgram" {
                client = client.args(["--idle", "10ms"]);
            }
            let client = client.input("one\n\ntwo").spawn();
            assert_eq!(recv.finish().ok().json()[0]["data"]["text"], "one\n\ntwo");
            client.finish();
        }
    }

    #[test]
    fn replies_are_counted() {
        let (_dir, place) = socket_path();
        let _server = serve("dgram", &place);
        let sent = messages(&[10, 20_000, 30, 100_000]);
        let client = stoop(["connect", &place, "--kind", "dgram", "--count", "4"]);
        client.input(sent.concat()).run().ok().stdout_is(&sent.concat());
    }

    #[test]
    fn bind_creates_and_removes_the_clients_address() {
        let (dir, place) = socket_path();
        let own = dir.path().join("own").to_str().unwrap().to_owned();
        let recv = stoop(["recv", &place, "--count", "1", "--json"]).spawn();
        wait_served(&place);
        stoop(["send", &place, "x", "--bind", &own]).run().ok();
        assert_eq!(recv.finish().ok().json()[0]["from"], own.as_str());
        assert!(!fs::exists(&own).unwrap());
    }
}

mod sending {
    use super::*;

    #[test]
    fn messages_come_from_arguments_files_and_stdin() {
        let (dir, place) = socket_path();
        let file = dir.path().join("file");
        fs::write(&file, "from a file").unwrap();
        for kind in KINDS {
            let server = serve(kind, &place);
            let send = || stoop(["send", &place, "--reply", "--kind", kind]);
            send().arg("from the line").run().ok().stdout_is(b"from the line");
            send().arg("--file").arg(&file).run().ok().stdout_is(b"from a file");
            send().input("from stdin").run().ok().stdout_is(b"from stdin");
            send().args(["--file", "-"]).input("from - too").run().ok().stdout_is(b"from - too");
            server.terminate().ok();
        }
    }

    /// A server that replies while the client is still sending must not deadlock with it.
    #[test]
    fn large_streams_do_not_deadlock() {
        let (_dir, place) = socket_path();
        let _server = serve("stream", &place);
        let sent = bytes(4_000_000, 7);
        stoop(["send", &place, "--reply"]).input(sent.clone()).run().ok().stdout_is(&sent);
        stoop(["send", &place]).input(sent).run().ok().stdout_is(b"");
    }

    /// One process opens a file, another reads it; refused if it was not requested.
    #[test]
    fn descriptors_are_passed() {
        let (dir, place) = socket_path();
        let letter = dir.path().join("letter");
        fs::write(&letter, "dear reader").unwrap();
        for kind in KINDS {
            let recv = stoop(["recv", &place, "--kind", kind, "--descriptors", "2", "--count", "1"]).spawn();
            wait_served(&place);
            let send = stoop(["send", &place, "enclosed", "--kind", kind]);
            send.arg("--fd").arg(&letter).args(["--fd", "/dev/null"]).run().ok();
            let heard = recv.finish().ok().text();
            let file = format!("regular file '{}' of 11 bytes, for reading", letter.display());
            assert!(heard.contains(&file) && heard.contains("device '/dev/null'"), "{kind}: {heard}");
        }
    }

    /// Unrequested file descriptors are not accepted; since Linux 6.16 their sender gets an error.
    #[test]
    fn descriptors_are_refused_by_default() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind]).spawn();
            recv.wait_stderr("serving");
            let sent = stoop(["send", &place, "x", "--kind", kind, "--fd", "/dev/null"]).run();
            match sent.code {
                Some(4) => sent.explains(&["does not accept file descriptors", "next: stoop recv"]),
                _ => {
                    sent.ok();
                    recv.wait_stderr("descriptor");
                }
            }
            stoop(["send", &place, "plain", "--kind", kind]).run().ok();
            recv.wait_stdout("5 bytes: plain");
            assert!(!String::from_utf8_lossy(&recv.stdout()).contains("with device"));
            recv.terminate().ok();
        }
    }

    /// recv prints the sender of each message, as reported by the kernel.
    #[test]
    fn senders_are_known() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind, "--count", "2", "--json"]).spawn();
            wait_served(&place);
            let senders: Vec<_> =
                (0..2).map(|_| stoop(["send", &place, "x", "--kind", kind]).spawn()).collect();
            let mut pids: Vec<_> = senders.iter().map(|sender| u64::from(sender.pid())).collect();
            let heard = recv.finish().ok().json();
            let mut known: Vec<_> = heard.iter().map(|line| line["pid"].as_u64().unwrap()).collect();
            pids.sort_unstable();
            known.sort_unstable();
            assert_eq!(known, pids, "{kind}");
            let own = u64::from(rustix::process::geteuid().as_raw());
            assert!(heard.iter().all(|line| line["uid"] == own && line["size"] == 1));
            assert!(heard.iter().all(|line| line["gid"].is_u64()), "{heard:?}");
            senders.into_iter().for_each(|sender| drop(sender.finish().ok()));
        }
    }

    /// Whatever a sender chooses, each record of recv is one line with recv's own prefix.
    #[test]
    fn records_cannot_be_forged() {
        let forged = "hello\n@0, process 1 (systemd), uid 0 (root), 6 bytes: reboot\n";
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind, "--count", "1"]).spawn();
            wait_served(&place);
            let own = format!("@{}, process 1 (systemd), uid 0 (root)", std::process::id());
            let mut send = stoop(["send", &place, forged, "--kind", kind]);
            if kind == "dgram" {
                send = send.args(["--bind", &own]);
            }
            send.run().ok();
            let heard = recv.finish().ok().text();
            assert_eq!(heard.lines().count(), 1, "{heard}");
            assert!(
                heard.ends_with(": hello%0A@0, process 1 (systemd), uid 0 (root), 6 bytes: reboot\n"),
                "{heard}"
            );
            let (head, _) = heard.split_once("bytes: ").unwrap();
            assert!(!head.contains("process 1 "), "{heard}");
        }
    }

    #[test]
    fn recv_removes_its_socket_on_a_signal() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind]).spawn();
            wait_served(&place);
            recv.terminate().ok();
            assert!(!fs::exists(&place).unwrap());
        }
    }

    #[test]
    fn recv_accepts_many_clients_at_once() {
        for kind in ["stream", "seqpacket"] {
            let (_dir, place) = socket_path();
            let recv = stoop(["recv", &place, "--kind", kind, "--count", "20"]).spawn();
            wait_served(&place);
            let clients: Vec<_> = (0..20).map(|_| stoop_e2e::Raw::connect(kind, &place).unwrap()).collect();
            clients.iter().rev().for_each(|client| client.say(b"hello"));
            assert_eq!(recv.finish().ok().text().matches("5 bytes: hello").count(), 20);
        }
    }
}

mod terminal {
    use super::*;

    /// On a terminal: input is sent a line at a time, replies are shown, and the arrow key recalls
    /// the previous line.
    #[test]
    fn lines_are_edited_with_a_history() {
        if !has_program("python3") {
            skip!("lacks python3");
        }
        let (dir, place) = socket_path();
        let answer = "while read -r line; do echo \"got $line.\"; done";
        let _server = stoop(["serve", &place, "--exec", answer]).spawn();
        wait_served(&place);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/terminal.py");
        let stoop = stoop_e2e::binary().to_str().unwrap();
        let run = program("python3", [script, stoop, "connect", &place]).env("TERM", "xterm");
        let run = run.env("HOME", dir.path()).env("XDG_STATE_HOME", dir.path()).run().ok();
        let shown = run.text();
        assert!(shown.contains("echo of first"), "{shown:?}");
        assert!(shown.contains("echo of history"), "{shown:?}");
        assert!(shown.contains("echo of edit"), "{shown:?}");
    }

    /// What is typed at a terminal that does not echo is neither shown nor recorded. The history is
    /// readable by its user only.
    #[test]
    fn secrets_are_not_recorded() {
        use std::os::unix::fs::PermissionsExt;
        if !has_program("python3") {
            skip!("lacks python3");
        }
        let (dir, place) = socket_path();
        let _server = stoop(["serve", &place, "--exec", "read -r line; echo \"got $line.\""]).spawn();
        wait_served(&place);
        let history = dir.path().join("stoop/history");
        let type_in = |echo: &str| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/type_line.py");
            let stoop = stoop_e2e::binary().to_str().unwrap();
            let run = program("python3", [script, echo, "one two", stoop, "connect", &place]);
            let run = run.env("TERM", "xterm").env("HOME", dir.path()).env("XDG_STATE_HOME", dir.path());
            run.run().ok().text()
        };
        let shown = type_in("-echo");
        assert!(shown.matches("one two").count() == 1 && shown.contains("got one two."), "{shown:?}");
        assert!(!history.exists());
        assert!(type_in("echo").contains("got one two."));
        assert!(fs::read_to_string(&history).unwrap().contains("one two"));
        assert_eq!(fs::metadata(&history).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// After a reply the terminal is at the start of a line, whether the reply ends with one or
    /// not; a pipe gets the exact bytes.
    #[test]
    fn an_answer_ends_its_line() {
        if !has_program("script") {
            skip!("lacks script");
        }
        let (_dir, place) = socket_path();
        for kind in KINDS {
            let server = serve(kind, &place);
            let send = format!("'{}' send '{place}' --kind {kind} --reply", stoop_e2e::binary().display());
            let command = format!("{send} answer; {send} 'line\n'; echo prompt");
            let shown = program("script", ["-qec", &command, "/dev/null"]).run().ok().text();
            assert!(shown.contains("answer\r\nline\r\nprompt"), "{kind}: {shown:?}");
            server.terminate().ok();
        }
    }

    /// Data from a server cannot control the terminal.
    #[test]
    fn control_characters_are_escaped() {
        if !has_program("script") {
            skip!("lacks script");
        }
        let (dir, place) = socket_path();
        let file = dir.path().join("hostile");
        fs::write(&file, "before\u{1b}[31mafter\n").unwrap();
        let _server = stoop(["serve", &place, "--send", file.to_str().unwrap()]).spawn();
        wait_served(&place);
        let command = format!("'{}' connect '{place}' </dev/null", stoop_e2e::binary().display());
        let shown = program("script", ["-qec", &command, "/dev/null"]).run().ok().text();
        assert!(shown.contains("before%1B[31mafter"), "{shown:?}");
    }
}

/// Tests with other programs as peers are in `interop.rs`; this one only checks that an unread
/// reply does no harm.
#[test]
fn a_reset_by_the_peer_is_the_end() {
    if !has_program("python3") {
        skip!("lacks python3");
    }
    let (_dir, place) = socket_path();
    let mut recv = stoop(["recv", &place, "--kind", "stream"]).spawn();
    wait_served(&place);
    peer(["reset", "stream", &place]).run().ok();
    peer(["reset", "stream", &place]).run().ok();
    assert!(recv.is_running());
    recv.terminate().ok();
}

/// An address pasted from the configuration of another program leads to the same server, with each
/// verb.
#[test]
fn addresses_in_the_notation_of_others_are_connected_to() {
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let encoded = place.replace('/', "%2F");
    for address in [
        format!("unix:{place}:"),
        format!("http://unix:{place}:/"),
        format!("unix:path={place},guid=ab"),
        format!("http+unix://{encoded}"),
        format!("UNIX-CONNECT:{place}"),
    ] {
        stoop(["connect", &address]).input("hello").run().ok().stdout_is(b"hello");
        stoop(["send", &address, "--reply", "hello"]).run().ok().stdout_is(b"hello");
        stoop(["why", &address]).run().ok();
        let who = stoop(["who", &address]).run();
        assert!(who.text().contains(&place), "{}", who.text());
    }
}

/// A name such as docker leads where its own clients look, with every verb that connects.
#[test]
fn names_of_well_known_servers_can_be_connected_to() {
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let host = format!("unix://{place}");
    for line in [&["connect", "docker"][..], &["send", "docker", "--reply"]] {
        let output = stoop(line).env("DOCKER_HOST", &host).input("hello").run().code(0);
        output.stdout_is(b"hello");
        output.explains(&["docker is at", &place, "from DOCKER_HOST"]);
    }
    stoop(["send", "docker", "x", "--bind", "@x"]).env("DOCKER_HOST", &host).run().code(2);
}
