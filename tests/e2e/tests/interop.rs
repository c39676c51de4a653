//! The command and programs of other projects, in both directions, for every socket type that they
//! support.
//!
//! Every test compares exact bytes. The sizes cross the limits at which those programs truncate or
//! split: 8,192 bytes of a record (socat), 16,384 bytes of a datagram (nc).

use std::process::id;

use stoop_e2e::{Run, Running, bytes, messages, peer, program, stoop, wait_served};
use stoop_testkit::{TempDir, has_program, skip, tempdir};

/// Message lengths in bytes that fit every peer's default buffers.
const LENS: [usize; 6] = [2, 100, 8_191, 8_193, 16_385, 60_000];

/// Skips the test if a program is missing.
macro_rules! needs {
    ($program:literal) => {
        if !has_program($program) {
            skip!("lacks {}", $program);
        }
    };
}

/// A running server, and its address.
struct Server {
    _process: Running,
    _dir: TempDir,
    place: String,
}

/// Starts a server at a path of its own.
#[track_caller]
fn serve(run: impl FnOnce(&str) -> Run) -> Server {
    let dir = tempdir();
    let place = dir.path().join("s").to_str().unwrap().to_owned();
    let process = run(&place).spawn();
    wait_served(&place);
    Server { _process: process, _dir: dir, place }
}

#[track_caller]
fn serve_echo(kind: &str) -> Server {
    serve(|place| stoop(["serve", place, "--echo", "--kind", kind]))
}

/// `stoop connect` sends these messages to an echo server, and receives exactly them.
#[track_caller]
fn connect_echoes(place: &str, kind: Option<&str>, messages: &[Vec<u8>]) {
    let all = messages.concat();
    let mut run = stoop(["connect", place]).input(all.clone());
    if let Some(kind) = kind {
        run = run.arg("--kind").arg(kind);
    }
    if kind == Some("dgram") {
        run = run.arg("--count").arg(messages.len().to_string());
    }
    run.run().ok().stdout_is(&all);
}

/// A peer that sends its input, and exits once it has the reply, receives exactly what it sent.
#[track_caller]
fn hears_itself(client: Run, sent: &[u8]) {
    client.input(sent).run().ok().stdout_is(sent);
}

/// The same with a peer that has no end of input, or loses the reply at the end of its input: it is
/// stopped when it has everything.
#[track_caller]
fn hears_itself_while_open(client: Run, sent: &[u8]) {
    let mut client = client.open_input().spawn();
    client.say(sent);
    assert!(client.wait_bytes(sent.len()) == sent, "heard something else: {}", client.stderr());
}

/// A datagram server operated by a user on a terminal: the question arrives there, and the reply
/// here.
#[track_caller]
fn asks_and_is_answered(mut server: Running, place: &str) {
    wait_served(place);
    let mut client = stoop(["connect", place, "--kind", "dgram", "--count", "1"]).open_input().spawn();
    client.say("question\n");
    server.wait_stdout("question\n");
    server.say("answer\n");
    client.end_input();
    client.finish().ok().stdout_is(b"answer\n");
}

mod python {
    use super::*;

    #[test]
    fn serves_stoop_on_paths() {
        needs!("python3");
        for kind in ["stream", "dgram", "seqpacket"] {
            let server = serve(|place| peer(["echo", kind, place]));
            connect_echoes(&server.place, Some(kind), &messages(&[2, 8_193, 16_385, 150_000]));
        }
    }

    #[test]
    fn is_served_by_stoop_on_paths() {
        needs!("python3");
        let sent = messages(&[2, 8_193, 16_385, 150_000]);
        for kind in ["stream", "dgram", "seqpacket"] {
            let server = serve_echo(kind);
            hears_itself(peer(["send", kind, &server.place, "4"]), &sent.concat());
        }
    }

    #[test]
    fn abstract_names_work_in_both_directions() {
        needs!("python3");
        for kind in ["stream", "dgram", "seqpacket"] {
            let name = format!("@stoop-e2e-{kind}-{}", id());
            let theirs = format!("{name}-theirs");
            let _stoop = stoop(["serve", &name, "--kind", kind]).spawn();
            let _peer = peer(["echo", kind, &theirs]).spawn();
            wait_served(&name);
            wait_served(&theirs);
            hears_itself(peer(["send", kind, &name, "6"]), &messages(&LENS).concat());
            connect_echoes(&theirs, Some(kind), &messages(&LENS));
        }
    }

    /// The socket type need not be named: stoop detects it.
    #[test]
    fn stoop_detects_the_kind() {
        needs!("python3");
        for kind in ["stream", "seqpacket"] {
            let server = serve(|place| peer(["echo", kind, place]));
            connect_echoes(&server.place, None, &messages(&LENS));
        }
        let server = serve(|place| peer(["echo", "dgram", place]));
        let sent = messages(&LENS).concat();
        let run = stoop(["connect", &server.place, "--count", "6"]).input(sent.clone());
        run.run().ok().stdout_is(&sent);
    }

    /// socat gives up half a second after the end of its input; stoop waits for the reply
    /// indefinitely.
    #[test]
    fn late_replies_are_not_lost() {
        needs!("python3");
        for kind in ["stream", "seqpacket"] {
            let server = serve(|place| peer(["echo", kind, place, "1.5"]));
            connect_echoes(&server.place, Some(kind), &messages(&LENS));
        }
    }

    #[test]
    fn megabytes_are_exchanged_exactly() {
        needs!("python3");
        let sent = bytes(5_000_000, 1);
        let server = serve(|place| peer(["echo", "stream", place]));
        stoop(["connect", &server.place]).input(sent.clone()).run().ok().stdout_is(&sent);
        let server = serve_echo("stream");
        hears_itself(peer(["send", "stream", &server.place, "0"]), &sent);
    }
}

mod socat {
    use super::*;

    const CLIENT: [&str; 5] = ["-b", "262144", "-t", "20", "-"];

    fn client(to: String) -> Run {
        program("socat", CLIENT).arg(to)
    }

    fn server(address: String, then: &str) -> Run {
        program("socat", ["-b", "262144", "-t", "20", &address, then])
    }

    #[test]
    fn streams_in_both_directions() {
        needs!("socat");
        let sent = bytes(300_000, 2);
        let server = serve(|place| server(format!("UNIX-LISTEN:{place},fork"), "EXEC:cat"));
        connect_echoes(&server.place, Some("stream"), std::slice::from_ref(&sent));
        let server = serve_echo("stream");
        hears_itself(client(format!("UNIX-CONNECT:{}", server.place)), &sent);
    }

    #[test]
    fn datagrams_in_both_directions() {
        needs!("socat");
        let server = serve(|place| server(format!("UNIX-RECVFROM:{place},fork"), "PIPE"));
        connect_echoes(&server.place, Some("dgram"), &messages(&[60_000]));
        let server = serve_echo("dgram");
        let own = format!("{}.client", server.place);
        for sent in messages(&LENS) {
            // socat reads a pipe in pieces of at most 64 KiB, so one line is one datagram.
            hears_itself_while_open(
                client(format!("UNIX-SENDTO:{},bind={own},unlink-early", server.place)),
                &sent,
            );
        }
    }

    #[test]
    fn seqpackets_in_both_directions() {
        needs!("socat");
        let sent = messages(&LENS);
        let server = serve(|place| server(format!("UNIX-LISTEN:{place},socktype=5,fork"), "EXEC:cat"));
        connect_echoes(&server.place, Some("seqpacket"), &sent);
        let server = serve_echo("seqpacket");
        hears_itself(client(format!("UNIX-CONNECT:{},socktype=5", server.place)), &sent[5]);
    }
}

mod nc {
    use super::*;

    #[test]
    fn streams_in_both_directions() {
        needs!("nc.openbsd");
        let (ours, theirs) = (bytes(300_000, 3), bytes(200_000, 4));
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let server = program("nc.openbsd", ["-N", "-lU", &place]).input(theirs.clone()).spawn();
        wait_served(&place);
        // If its client half-closes, a listening nc drops data that it has not sent yet, so the end is
        // delayed until everything was received.
        let mut client = stoop(["connect", &place]).open_input().spawn();
        client.say(&ours);
        assert!(client.wait_bytes(theirs.len()) == theirs && server.wait_bytes(ours.len()) == ours);
        client.end_input();
        client.finish().ok().stdout_is(&theirs);
        server.finish().ok().stdout_is(&ours);

        let server = serve_echo("stream");
        hears_itself(program("nc.openbsd", ["-N", "-U", &server.place]), &ours);
    }

    #[test]
    fn datagrams_in_both_directions() {
        needs!("nc.openbsd");
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let server = program("nc.openbsd", ["-luU", &place]).open_input().spawn();
        asks_and_is_answered(server, &place);

        let echo = serve_echo("dgram");
        let own = format!("{}.client", echo.place);
        let client = program("nc.openbsd", ["-u", "-U", "-s", &own, &echo.place]);
        hears_itself_while_open(client, &messages(&[16_000])[0]);
    }
}

mod ncat {
    use super::*;

    #[test]
    fn streams_in_both_directions() {
        needs!("ncat");
        // With more than two pipes can hold, ncat and its program would deadlock; and at the end of input
        // ncat discards the reply.
        let server = serve(|place| program("ncat", ["-lkU", place, "--exec", "/bin/cat"]));
        hears_itself_while_open(stoop(["connect", &server.place]), &bytes(30_000, 5));
        let server = serve_echo("stream");
        hears_itself_while_open(program("ncat", ["-U", &server.place]), &bytes(300_000, 5));
    }

    #[test]
    fn datagrams_in_both_directions() {
        needs!("ncat");
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let server = program("ncat", ["-luU", &place]).open_input().spawn();
        asks_and_is_answered(server, &place);

        let echo = serve_echo("dgram");
        let own = format!("{}.client", echo.place);
        hears_itself_while_open(program("ncat", ["-uU", "-s", &own, &echo.place]), b"there and back\n");
    }
}

mod systemd {
    use super::*;

    fn activate(arguments: &[&str]) -> Run {
        program("systemd-socket-activate", arguments)
    }

    /// The listening socket is passed in: stoop serves on it.
    #[test]
    fn passes_sockets_to_stoop() {
        needs!("systemd-socket-activate");
        needs!("python3");
        let stoop = stoop_e2e::binary().to_str().unwrap();
        for (kind, flag) in
            [("stream", None), ("dgram", Some("--datagram")), ("seqpacket", Some("--seqpacket"))]
        {
            let server = serve(|place| {
                let listen = ["--listen", place].into_iter().chain(flag);
                let command = [stoop, "serve", place, "--kind", kind];
                activate(&listen.chain(command).collect::<Vec<_>>())
            });
            hears_itself(peer(["send", kind, &server.place, "6"]), &messages(&LENS).concat());
            connect_echoes(&server.place, Some(kind), &messages(&LENS));
        }
    }

    /// One service process per connection, with the connection as its stdin and stdout.
    #[test]
    fn starts_services_for_stoop() {
        needs!("systemd-socket-activate");
        let server = serve(|place| activate(&["--listen", place, "--accept", "--inetd", "cat"]));
        connect_echoes(&server.place, Some("stream"), &[bytes(300_000, 6)]);
        let flags = ["--accept", "--inetd", "--seqpacket"];
        let server = serve(|place| activate(&[&["--listen", place][..], &flags, &["cat"]].concat()));
        connect_echoes(&server.place, Some("seqpacket"), &messages(&LENS));
    }
}

mod stoop_itself {
    use super::*;

    /// Records far larger than other tools forward whole, one by one and exact.
    #[test]
    fn large_messages_are_not_truncated() {
        for kind in ["dgram", "seqpacket"] {
            let server = serve_echo(kind);
            for len in [8_193, 16_385, 100_000, 200_000] {
                let sent = bytes(len, len as u64);
                let run = stoop(["send", &server.place, "--kind", kind, "--reply"]).input(sent.clone());
                run.run().ok().stdout_is(&sent);
            }
        }
    }
}
