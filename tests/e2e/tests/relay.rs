//! `stoop relay`: between sockets of each kind and to and from TCP, with programs of others at both
//! ends.

use std::net::TcpListener;
use std::path::Path;

use rustix::process::Signal;
use stoop_e2e::{KINDS, Running, bytes, program, redis, serve, socket_path, stoop, wait_gone, wait_served};
use stoop_testkit::{has_program, skip, tempdir};

/// Starts a relay, and waits until it listens.
fn relay(arguments: &[&str]) -> Running {
    let running = stoop(["relay"]).args(arguments).spawn();
    running.wait_stderr("relays each client");
    running
}

/// The port that a relay says it listens at.
fn port(relay: &Running) -> String {
    let text = relay.stderr();
    let rest = text.split_once("tcp:127.0.0.1:").expect("an address").1;
    rest.split(' ').next().unwrap().to_owned()
}

#[test]
fn megabytes_come_back_exactly() {
    for extra in [&[][..], &["--no-descriptors"]] {
        let (dir, place) = socket_path();
        let _server = serve("stream", &place);
        let front = dir.path().join("front").to_str().unwrap().to_owned();
        let relay = relay(&[&[front.as_str(), &place], extra].concat());
        for (len, seed) in [(0, 1), (1, 2), (65_536, 3), (8_000_000, 4)] {
            let sent = bytes(len, seed);
            stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
        }
        let ended = relay.terminate().ok();
        assert!(
            ended.stderr.contains("relayed 4 connections: 8065537 bytes to the server"),
            "{}",
            ended.stderr
        );
        assert!(!Path::new(&front).exists());
    }
}

#[test]
fn a_message_of_each_kind_is_answered() {
    for kind in KINDS {
        let (dir, place) = socket_path();
        let _server = serve(kind, &place);
        let front = format!("{kind}:{}/front", dir.path().display());
        let _relay = relay(&[&front, &place]);
        let sent = stoop(["send", &front, "a question", "--reply"]).run().ok();
        assert_eq!(sent.text().trim_end(), "a question", "{kind}");
    }
}

#[test]
fn tcp_in_front_and_behind() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let to_unix = relay(&["tcp:127.0.0.1:0", &place]);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let _to_tcp = relay(&[&front, &format!("tcp:127.0.0.1:{}", port(&to_unix))]);
    let sent = bytes(2_000_000, 7);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    if !has_program("socat") {
        skip!("lacks socat");
    }
    let address = format!("TCP:127.0.0.1:{}", port(&to_unix));
    program("socat", ["-t5", "-", &address]).input(sent.clone()).run().ok().stdout_is(&sent);
}

#[test]
fn each_connection_is_an_event_and_the_end_a_sum() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let relay = stoop(["relay", &front, &place, "--json"]).spawn();
    wait_served(&front);
    stoop(["connect", &front]).input("hello").run().ok().stdout_is(b"hello");
    relay.wait_stdout("\"closed\"");
    let events = relay.terminate().ok().json();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["listening", "accepted", "closed", "ending", "relayed"]);
    assert_eq!((&events[2]["received_bytes"], &events[2]["sent_bytes"]), (&5.into(), &5.into()));
    assert_eq!((&events[4]["connections"], &events[4]["lost_descriptors"]), (&1.into(), &0.into()));
}

#[test]
fn a_server_that_is_not_there_yet_closes_clients_and_is_said() {
    let (dir, place) = socket_path();
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let relay = relay(&[&front, &place]);
    stoop(["connect", &front]).input("question").run().code(3);
    relay.wait_stderr("the server cannot be reached");
    let _server = serve("stream", &place);
    stoop(["connect", &front]).input("now").run().ok().stdout_is(b"now");
    relay.terminate().ok();
}

#[test]
fn connections_have_time_to_end_and_a_second_signal_ends_them() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let relay = relay(&[&front, &place, "--grace", "100s"]);
    let mut client = stoop(["connect", &front]).open_input().spawn();
    client.say("before\n");
    client.wait_stdout("before");
    relay.signal(Signal::TERM);
    relay.wait_stderr("1 client has");
    wait_gone(&front);
    client.say("after\n");
    client.wait_stdout("after");
    relay.signal(Signal::TERM);
    relay.finish().ok();
    client.finish();
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let dir = tempdir();
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    for (arguments, words) in [
        ([format!("dgram:{front}"), "tcp:localhost:1".into()], "cannot be relayed to a stream"),
        ([format!("seqpacket:{front}"), "dgram:./x".into()], "cannot be relayed to a datagram"),
        ([front.clone(), "tcp:80".into()], "a host and a port are needed"),
        ([front.clone(), "fd:7".into()], "it is not an address"),
        (["docker".into(), front.clone()], "well-known server"),
    ] {
        let output = stoop(["relay"]).args(&arguments).run().code(2);
        output.explains(&[words]);
        assert!(!Path::new(&front).exists());
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", taken.local_addr().unwrap());
    stoop(["relay", &address, &front]).run().code(3).explains(&["another program listens at this port"]);
}

#[test]
fn redis_works_through_it() {
    if !has_program("redis-server") || !has_program("redis-cli") {
        skip!("lacks redis-server or redis-cli");
    }
    let (dir, place) = socket_path();
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let server = redis(&place);
    let _relay = relay(&[&front, &place]);
    let value = "v".repeat(300_000);
    program("redis-cli", ["-s", &front, "-x", "SET", "key"]).input(value.clone()).run().ok();
    let got = program("redis-cli", ["-s", &front, "GET", "key"]).run().ok();
    assert!(got.text().trim_end() == value);
    server.terminate();
}
