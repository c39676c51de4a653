//! `stoop relay` to and from programs, standard input and output, TLS, and messages over streams.

use std::path::Path;

use stoop_e2e::certificates::{certificates, identity};
use stoop_e2e::{Run, Running, bytes, program, serve, socket_path, stoop, wait_served};
use stoop_testkit::{TempDir, eventually, has_program, is_root, skip, tempdir};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

/// Starts a relay, and waits until it listens.
fn relay(arguments: &[&str]) -> Running {
    let running = stoop(["relay"]).args(arguments).spawn();
    running.wait_stderr("relays each client");
    running
}

/// The port that a relay says it listens at.
fn port(relay: &Running) -> String {
    let text = relay.stderr();
    let rest = text.split_once(":127.0.0.1:").expect("an address").1;
    rest.split(' ').next().unwrap().to_owned()
}

fn at(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_program_answers_each_client() {
    let dir = tempdir();
    let front = at(&dir, "front");
    let relay = stoop(["relay", &front, "exec:sort -r; exit 3", "--json"]).spawn();
    wait_served(&front);
    for _ in 0..2 {
        stoop(["connect", &front]).input("1\n2\n").run().ok().stdout_is(b"2\n1\n");
    }
    eventually(SOON, || String::from_utf8_lossy(&relay.stdout()).matches("\"exited\"").count() == 2);
    let events = relay.terminate().ok().json();
    let exits: Vec<_> = events.iter().filter(|event| event["event"] == "exited").collect();
    assert!(exits.iter().all(|event| event["exit_status"] == 3), "{exits:?}");
}

#[test]
fn standard_input_and_output_are_one_side() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let sent = bytes(3_000_000, 5);
    stoop(["relay", "-", &place, "-q"]).input(sent.clone()).run().ok().stdout_is(&sent);
    // The other way round: one client, then the relay ends.
    let front = at(&dir, "front");
    let relay = stoop(["relay", &front, "-", "-q"]).input("an answer").spawn();
    wait_served(&front);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(b"an answer");
    relay.finish().ok().stdout_is(&sent);
}

#[test]
fn messages_of_each_kind_cross_tcp() {
    for kind in ["dgram", "seqpacket"] {
        let (dir, place) = socket_path();
        let _server = serve(kind, &place);
        let far = relay(&["tcp:127.0.0.1:0", &format!("{kind}:{place}"), "--framed"]);
        let front = format!("{kind}:{}", at(&dir, "front"));
        let near = relay(&[&front, &format!("tcp:127.0.0.1:{}", port(&far)), "--framed"]);
        for message in ["a", "two words", &"long ".repeat(10_000)] {
            let answer = stoop(["send", &front, message, "--reply"]).run().ok();
            assert_eq!(answer.text().trim_end(), message.trim_end(), "{kind}");
        }
        for relay in [near, far] {
            assert!(!relay.terminate().ok().stderr.contains("lost"), "{kind}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let dir = tempdir();
    let front = at(&dir, "front");
    for (arguments, words) in [
        (vec![front.as_str(), "tcp:localhost:1", "--framed"], "nothing to frame"),
        (vec!["seqpacket:./a", "tcp:localhost:1"], "--framed at both ends"),
        (vec!["dgram:./a", "seqpacket:./b", "--framed"], "cannot be relayed to a seqpacket"),
        (vec!["dgram:./a", "exec:cat"], "cannot be relayed to a program"),
        (vec!["exec:cat", front.as_str()], "only be the second address"),
        (vec![front.as_str(), "tls:host"], "a host and a port are needed"),
        (vec![front.as_str(), "vsock:1"], "a context id and a port are needed"),
        (vec![front.as_str(), "tls:localhost:1"], "needs --ca"),
        (vec!["tls:localhost:0", front.as_str()], "needs --cert and --key"),
        (vec!["-", front.as_str(), "--allow", "uid:0"], "does not say who a client is"),
    ] {
        stoop(["relay"]).args(arguments).run().code(2).explains(&[words]);
        assert!(!Path::new(&front).exists());
    }
}

/// Two relays of one machine, if its kernel has a loopback for vsock.
#[test]
fn a_socket_goes_over_vsock() {
    let (dir, port) = (tempdir(), std::process::id() + 10_000);
    let (server, front, vsock) = (at(&dir, "server"), at(&dir, "front"), format!("vsock:1:{port}"));
    let _server = serve("stream", &server);
    let mut near = stoop(["relay", &vsock, &server]).spawn();
    eventually(SOON, || near.stderr().contains("relays each client") || !near.is_running());
    if !near.is_running() {
        let said = near.finish().code(3).stderr;
        assert!(said.contains("vsock_loopback") || said.contains("this kernel has no vsock"), "{said}");
        skip!("lacks vsock_loopback");
    }
    let _far = relay(&[&front, &vsock]);
    let sent = bytes(300_000, 6);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
}

#[test]
fn a_socket_goes_over_tls_with_certificates_of_both_sides() {
    if !has_program("openssl") {
        skip!("lacks openssl");
    }
    let (dir, place) = socket_path();
    certificates(dir.path());
    let _server = serve("stream", &place);
    let far = stoop(["relay", "tls:127.0.0.1:0", &place, "--allow-san", "near"])
        .args(identity(dir.path(), "far"))
        .spawn();
    far.wait_stderr("relays each client");
    let to = format!("tls:127.0.0.1:{}", port(&far));
    let front = at(&dir, "front");
    let near = stoop(["relay", &front, &to, "--allow-san", "far"]).args(identity(dir.path(), "near")).spawn();
    near.wait_stderr("relays each client");
    let sent = bytes(2_000_000, 9);
    stoop(["connect", &front]).input(sent.clone()).run().ok().stdout_is(&sent);
    // The same machine's certificate has another name than the one allowed.
    let other = at(&dir, "other");
    let stranger = stoop(["relay", &other, &to]).args(identity(dir.path(), "far")).spawn();
    stranger.wait_stderr("relays each client");
    stoop(["connect", &other]).input("x").run();
    far.wait_stderr("not allowed: spiffe://test/far, far");
    // Keys are checked when the relay starts.
    let mut wrong = identity(dir.path(), "near");
    wrong[5] = at(&dir, "far.key");
    stoop(["relay", &at(&dir, "x"), &to]).args(wrong).run().code(3).explains(&["cannot use", "near.pem"]);
}

/// A network namespace of its own, as long as it lives.
struct Machine(Running);

impl Machine {
    fn start() -> Machine {
        let running =
            program("unshare", ["--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep 600"])
                .spawn();
        running.wait_stdout("ready");
        Machine(running)
    }

    fn ip(&self, arguments: &str) {
        let pid = self.0.pid().to_string();
        program("nsenter", ["-t", &pid, "-n", "ip"]).args(arguments.split(' ')).run().ok();
    }

    /// Returns a run of the command on it.
    fn stoop(&self, arguments: &[&str]) -> Run {
        let pid = self.0.pid().to_string();
        stoop(arguments).under("nsenter", ["-t", &pid, "-n"])
    }

    /// Relays on it, and waits until it listens.
    fn relay(&self, arguments: &[&str], identity: &[String]) -> Running {
        let identity: Vec<&str> = identity.iter().map(String::as_str).collect();
        let relay = self.stoop(&[&["relay"], arguments, &identity].concat()).spawn();
        relay.wait_stderr("relays each client");
        relay
    }
}

#[test]
fn sockets_of_each_kind_go_from_one_machine_to_another() {
    if !is_root() || !has_program("ip") || !has_program("nsenter") || !has_program("openssl") {
        skip!("lacks root, ip, nsenter or openssl");
    }
    let (near, far) = (Machine::start(), Machine::start());
    near.ip(&format!("link add wire type veth peer name wire netns {}", far.0.pid()));
    for (machine, address) in [(&near, "10.77.0.1/24"), (&far, "10.77.0.2/24")] {
        machine.ip(&format!("addr add {address} dev wire"));
        machine.ip("link set wire up");
    }
    for kind in ["stream", "dgram", "seqpacket"] {
        let (dir, place) = socket_path();
        certificates(dir.path());
        let framed: &[&str] = if kind == "stream" { &[] } else { &["--framed"] };
        let server = format!("{kind}:{place}");
        // A datagram's sender has an abstract name, which is one of its network namespace.
        let echo = far.stoop(&["serve", &server]).spawn();
        echo.wait_stderr("serving");
        let _far =
            far.relay(&[&["tls:10.77.0.2:8443", &server], framed].concat(), &identity(dir.path(), "far"));
        let front = format!("{kind}:{}", at(&dir, "front"));
        let relay =
            near.relay(&[&[&front, "tls:10.77.0.2:8443"], framed].concat(), &identity(dir.path(), "near"));
        for message in ["a question", &"long ".repeat(10_000)] {
            let answer = near.stoop(&["send", &front, message, "--reply"]).run().ok();
            assert_eq!(answer.text().trim_end(), message.trim_end(), "{kind}");
        }
        relay.terminate().ok();
    }
}
