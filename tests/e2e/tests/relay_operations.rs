//! `stoop relay` in operation: in front of a live server, its limits, its counters, its start under
//! a service manager.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use stoop_e2e::{
    LIMIT, Part, Raw, Running, program, serve, socket_path, stoop, stoop_as, wait_gone, wait_served,
};
use stoop_testkit::{NOBODY, eventually, has_program, is_root, public_tempdir, skip, tempdir};

const SOON: Duration = Duration::from_secs(30);

/// Starts a relay, and waits until it listens.
fn relay(arguments: &[&str]) -> Running {
    let running = stoop(["relay"]).args(arguments).spawn();
    running.wait_stderr("relays each client");
    running
}

fn echoes(place: &str, word: &str) {
    stoop(["connect", place]).input(word).run().ok().stdout_is(word.as_bytes());
}

#[test]
fn a_relay_in_front_of_a_server_gives_its_name_back() {
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let before = inode(&place);
    let relay = relay(&["--interpose", &place]);
    relay.wait_stderr("the server sees the relay as its client");
    assert_ne!(inode(&place), before);
    echoes(&place, "through the relay");
    // It stands there already.
    let second = stoop(["relay", "--interpose", &place]).run();
    second
        .fails(5, &[(Part::Why, "a relay stands in front of the server already"), (Part::Next, "stoop who")]);
    stoop(["relay", "--restore", &place]).run().fails(1, &[(Part::Why, "a relay that still runs")]);
    let ended = relay.terminate().ok();
    assert!(ended.stderr.contains("relayed 1 connection: 17 bytes"), "{}", ended.stderr);
    assert_eq!(inode(&place), before);
    echoes(&place, "directly");
    stoop(["relay", "--restore", &place]).run().ok();
}

fn inode(place: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(place).unwrap().ino()
}

#[test]
fn a_killed_relay_is_undone_by_the_command() {
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let before = inode(&place);
    relay(&["--interpose", &place]).kill();
    let refused = stoop(["connect", &place]).run();
    refused.fails(3, &[(Part::Why, "stale"), (Part::Next, "stoop relay --restore")]);
    let restored = stoop(["relay", "--restore", &place]).run().ok();
    assert!(restored.stderr.contains("has its name"), "{}", restored.stderr);
    assert_eq!(inode(&place), before);
    echoes(&place, "directly");
}

/// Calls that change files or sockets: between two of them nothing changes.
const STEPS: &str = "?rename,?renameat,renameat2,?link,linkat,?unlink,unlinkat,?rmdir,?mkdir,mkdirat,bind,listen,\
                     ?chmod,fchmod,fchmodat,?chown,?lchown,fchown,fchownat,setxattr,lsetxattr,fsetxattr";

/// Starts a relay in front of a server, which strace follows, and stops it if it gets that far.
fn traced(place: &str, file: &Path, inject: Option<&str>) {
    let steps = format!("trace={STEPS}");
    let inject = inject.map(|inject| format!("inject={inject}"));
    let flags =
        ["-D", "-f", "-qq", "-e", &steps].into_iter().chain(inject.iter().flat_map(|text| ["-e", text]));
    let strace = program("strace", flags).arg("-o").arg(file).arg(stoop_e2e::binary());
    let mut relay = strace.args(["relay", "--interpose", place]).spawn();
    eventually(LIMIT, || relay.stderr().contains("relays each client") || !relay.is_running());
    // If it is killed meanwhile, that is one of the steps, too.
    match relay.is_running() {
        true => relay.terminate(),
        false => relay.finish(),
    };
}

#[test]
fn a_relay_that_is_killed_at_any_step_leaves_the_name_or_what_restores_it() {
    if !has_program("strace") {
        skip!("lacks strace");
    }
    let (dir, place) = socket_path();
    let trace = tempdir();
    let file = trace.path().join("trace");
    let _server = serve("stream", &place);
    let before = inode(&place);
    let client = Raw::connect("stream", &place).unwrap();
    traced(&place, &file, None);
    let text = fs::read_to_string(&file).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains('(')) {
        let name = line.split('(').next().unwrap().split_whitespace().last().unwrap();
        let count: &mut u32 = counts.entry(name).or_default();
        *count += 1;
    }
    assert!(counts.contains_key("renameat2") && counts.contains_key("bind"), "{text}");
    let mut restored = 0;
    for (name, step) in counts.iter().flat_map(|(name, count)| (1..=*count).map(move |step| (name, step))) {
        traced(&place, &file, Some(&format!("{name}:signal=KILL:when={step}")));
        if !Raw::connect("stream", &place).is_ok_and(|raw| raw.try_say(b"?").is_ok()) {
            stoop(["relay", "--restore", &place]).run().ok();
            restored += 1;
        }
        assert_eq!(inode(&place), before, "killed at {name} {step}");
        echoes(&place, "directly");
        client.is_echoed(b"still connected");
    }
    assert!(restored > 0, "{counts:?}");
    // Nothing that was left is in the way.
    let relay = relay(&["--interpose", &place]);
    echoes(&place, "through the relay");
    relay.terminate().ok();
    assert_eq!((inode(&place), fs::read_dir(dir.path()).unwrap().count()), (before, 1));
}

#[test]
fn a_relay_whose_server_starts_anew_says_so_and_stops() {
    for removes in [true, false] {
        let (dir, place) = socket_path();
        let server = UnixListener::bind(&place).unwrap();
        let relay = stoop(["relay", "--json", "--interpose", &place]).spawn();
        relay.wait_stdout("listening");
        let mut new = None;
        if removes {
            fs::remove_file(&place).unwrap();
            new = Some(UnixListener::bind(&place).unwrap());
        }
        stoop_testkit::close(server);
        let ended = relay.finish().code(3);
        let reason = if removes { "name_taken" } else { "server_closed" };
        assert!(
            ended.text().contains(&format!(r#""event":"displaced","reason":"{reason}""#)),
            "{}",
            ended.text()
        );
        assert!(ended.stderr.contains("stoop relay --interpose"), "{}", ended.stderr);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), usize::from(new.is_some()), "{left:?}");
        if let Some(new) = new {
            let _client = UnixStream::connect(&place).unwrap();
            new.accept().unwrap();
        }
    }
}

#[test]
fn without_a_server_there_is_nothing_to_stand_in_front_of() {
    let (_dir, place) = socket_path();
    let refused = |words: &[(Part, &str)]| stoop(["relay", "--interpose", &place]).run().fails(3, words);
    refused(&[(Part::Why, "there is no socket file"), (Part::Next, "stoop ls")]);
    drop(UnixListener::bind(&place).unwrap());
    refused(&[(Part::Why, "no socket is bound to the socket file")]);
    stoop(["relay", "--interpose", "@name"]).run().fails(2, &[(Part::Why, "an abstract name")]);
    stoop(["relay", "--interpose", &place, "--mode", "600"]).run().code(2);
    stoop(["relay"]).run().code(2);
}

#[test]
fn a_relay_in_front_of_a_server_hands_its_place_over() {
    let (_dir, place) = socket_path();
    let _server = serve("stream", &place);
    let before = inode(&place);
    let mut old = relay(&["--interpose", &place]);
    let mut held = UnixStream::connect(&place).unwrap();
    let mut is_held = |byte: u8| {
        held.write_all(&[byte]).unwrap();
        let mut answer = [0];
        held.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [byte]);
    };
    is_held(1);
    let new = relay(&["--interpose", &place, "--replace"]);
    old.wait_stderr("another relay stands in front of the server now");
    assert_ne!(inode(&place), before);
    echoes(&place, "through the new one");
    // The old one relays the clients that it has, for as long as they want.
    is_held(2);
    assert!(old.is_running());
    drop(held);
    let ended = old.finish().ok();
    assert!(ended.stderr.contains("relayed 1 connection: 2 bytes"), "{}", ended.stderr);
    echoes(&place, "through the new one");
    new.terminate().ok();
    assert_eq!(inode(&place), before);
    echoes(&place, "directly");
}

/// Asks a relay for its counters, over HTTP.
fn counters(mut client: impl Read + Write) -> String {
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: relay\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text"), "{head}");
    body.to_owned()
}

#[test]
fn counters_are_answered_as_openmetrics() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (front, metrics) = (at("front"), at("metrics"));
    let running = relay(&[&front, &place, "--metrics", &metrics]);
    echoes(&front, "12345");
    let mut text = String::new();
    eventually(SOON, || {
        text = counters(UnixStream::connect(&metrics).unwrap());
        text.contains("stoop_relay_connections_open 0\n")
    });
    assert!(text.contains("\nstoop_relay_bytes_up_total 5\n"), "{text}");
    assert!(text.contains("\nstoop_relay_connections_total 1\n"), "{text}");
    running.signal(Signal::USR1);
    running.wait_stderr("relayed 1 connection: 5 bytes to the server, 5 bytes back; open: 0");
    running.terminate().ok();
    is_read_by_prometheus(&text);
}

/// The client library of Prometheus reads it.
fn is_read_by_prometheus(text: &str) {
    const READ: &str = "\
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
found = {family.name: family.type for family in families(sys.stdin.read())}
assert found['stoop_relay_connections_open'] == 'gauge', found
assert found['stoop_relay_bytes_up'] == 'counter', found
print(len(found))
";
    // Debian's library belongs to Debian's Python.
    let libraries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/python");
    let pythons = ["/usr/bin/python3", "python3"];
    let python = pythons.into_iter().find(|python| {
        has_program(python)
            && program(python, ["-c", "import prometheus_client"]).env("PYTHONPATH", &libraries).run().code
                == Some(0)
    });
    let Some(python) = python else { skip!("lacks prometheus_client") };
    let read = program(python, ["-c", READ]).env("PYTHONPATH", &libraries).input(text).run().ok();
    assert_eq!(read.text().trim(), text.matches("# TYPE").count().to_string());
}

#[test]
fn counters_are_events_for_scripts() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let relay = stoop(["relay", &front, &place, "--json"]).spawn();
    wait_served(&front);
    relay.signal(Signal::USR1);
    relay.wait_stdout(r#""event":"statistics""#);
    let events = relay.terminate().ok().json();
    let statistics = events.iter().find(|event| event["event"] == "statistics").unwrap();
    assert_eq!((&statistics["connections_open"], &statistics["lost_messages"]), (&0.into(), &0.into()));
}

#[test]
fn a_client_over_a_limit_is_refused_and_told_of() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let running = relay(&[&front, &place, "--max-per-uid", "1"]);
    let mut first = UnixStream::connect(&front).unwrap();
    first.write_all(b"x").unwrap();
    first.read_exact(&mut [0]).unwrap();
    let mut second = UnixStream::connect(&front).unwrap();
    assert!(matches!(second.read(&mut [0]), Ok(0) | Err(_)));
    running.wait_stderr("its user has as many connections as --max-per-uid allows");
    drop(first);
    let ended = running.terminate().ok();
    assert!(ended.stderr.contains("limited: 1"), "{}", ended.stderr);
}

#[test]
fn only_those_who_are_allowed_are_relayed() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let own = format!("uid:{}", geteuid().as_raw());
    for (allow, words) in [
        (&[own.as_str()][..], None),
        (&["unit:none-such", &own], None),
        (&["unit:none-such"], Some("refused")),
        (&["uid:54321"], Some("refused")),
        (&["container:*none-such*"], Some("refused")),
    ] {
        let flags: Vec<&str> = allow.iter().flat_map(|who| ["--allow", who]).collect();
        let relay = relay(&[&[front.as_str(), &place], &flags[..]].concat());
        match words {
            None => echoes(&front, "allowed"),
            Some(words) => {
                let mut client = UnixStream::connect(&front).unwrap();
                assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "{allow:?}");
                relay.wait_stderr(words);
            }
        }
        relay.terminate().ok();
        wait_gone(&front);
    }
    let over_tcp = stoop(["relay", "tcp:127.0.0.1:0", &place, "--max-per-uid", "1"]).run();
    over_tcp.fails(2, &[(Part::Why, "there the kernel does not say who a client is")]);
    stoop(["relay", &front, &place, "--allow", "name:x"]).run().code(2);
}

/// A process in a control group named as Docker names a container's.
#[test]
fn a_container_is_known_by_its_control_group() {
    const CONTROLLER: &str = "/sys/fs/cgroup/systemd";
    let id = "5".repeat(64);
    let group = Path::new(CONTROLLER).join(format!("docker-{id}.scope"));
    if !is_root() || fs::create_dir(&group).is_err() {
        skip!("lacks a place for control groups");
    }
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let running = relay(&[&front, &place, "--allow", "container:555", "--max-per-container", "1"]);
    let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.display());
    let inside = |words: &[&str]| program("sh", ["-c", &enter, "sh"]).arg(stoop_e2e::binary()).args(words);
    let mut first = inside(&["connect", &front]).open_input().spawn();
    first.say("held");
    first.wait_stdout("held");
    // There is one already.
    inside(&["connect", &front]).input("more").run();
    running.wait_stderr("its container docker:5555");
    first.end_input();
    first.finish().ok();
    let mut outside = UnixStream::connect(&front).unwrap();
    assert!(matches!(outside.read(&mut [0]), Ok(0) | Err(_)));
    running.wait_stderr("no rule allows it");
    running.terminate().ok();
    datagrams_of_a_container(dir.path(), &inside);
    eventually(SOON, || fs::remove_dir(&group).is_ok());
}

/// Each datagram comes with its sender's process, on Linux 6.5 and later; before, none is proven.
fn datagrams_of_a_container(dir: &Path, inside: &dyn Fn(&[&str]) -> stoop_e2e::Run) {
    let server = UnixDatagram::bind(dir.join("log")).unwrap();
    let at = |name: &str| format!("dgram:{}", dir.join(name).display());
    let front = at("front.log");
    let running = relay(&[&front, &at("log"), "--allow", "container:555"]);
    let mut outside = stoop(["connect", &front]).open_input().spawn();
    outside.say("outside\n");
    running.wait_stderr("no rule allows it");
    let mut sender = inside(&["connect", &front]).open_input().spawn();
    sender.say("inside\n");
    let mut message = [0; 64];
    server.set_nonblocking(true).unwrap();
    eventually(SOON, || match server.recv(&mut message) {
        Ok(len) => {
            assert_eq!(&message[..len], b"inside\n");
            true
        }
        Err(_) => running.stderr().contains("its container or unit is not known"),
    });
    running.terminate().ok();
}

#[test]
fn a_server_sees_the_client_or_is_told() {
    if !is_root() || !has_program("setpriv") {
        skip!("lacks root or setpriv");
    }
    let dir = public_tempdir();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (place, front) = (at("s"), at("front"));
    let show = ["serve", &place, "--mode", "666", "--exec", "echo $STOOP_PEER_UID:$STOOP_PEER_GID"];
    let server = stoop(show).spawn();
    wait_served(&place);
    let ask = || stoop_as(NOBODY, ["connect", &front]).run().ok().text();
    let direct = stoop_as(NOBODY, ["connect", &place]).run().ok().text();
    let as_client = relay(&[&front, &place, "--mode", "666", "--as-client"]);
    assert_eq!(ask(), direct);
    assert!(direct.starts_with(&NOBODY.to_string()), "{direct}");
    as_client.terminate().ok();
    let plain = relay(&[&front, &place, "--mode", "666"]);
    assert!(ask().starts_with("0:"), "the relay's own");
    plain.terminate().ok();
    server.terminate().ok();
    let _server = stoop(["serve", &place, "--exec", "head -c 260 | tail -c 28 | tr -d '\\0'"]).spawn();
    wait_served(&place);
    let told = relay(&[&front, &place, "--mode", "666", "--send-proxy"]);
    let heard = ask();
    assert!(heard.contains(&format!("uid={NOBODY} gid=")), "{heard:?}");
    told.terminate().ok();
    stoop(["relay", "dgram:@none", "dgram:@nowhere", "--as-client"]).run().code(2);
    let unprivileged = stoop_as(NOBODY, ["relay", "@relay-of-nobody", &place, "--as-client"]).run();
    unprivileged.fails(4, &[(Part::Why, "CAP_SETUID"), (Part::Next, "as root")]);
}

/// HAProxy reads the header.
#[test]
fn a_server_that_expects_a_proxy_header_gets_one() {
    if !has_program("haproxy") {
        skip!("lacks haproxy");
    }
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (front, proxied, config) = (at("front"), at("proxied"), at("haproxy.cfg"));
    let text = format!(
        "defaults\n mode tcp\n timeout client 9s\n timeout server 9s\n timeout connect 9s\n\
         frontend front\n bind unix@{proxied} accept-proxy\n default_backend back\n\
         backend back\n server one unix@{place}\n"
    );
    fs::write(&config, text).unwrap();
    let _haproxy = program("haproxy", ["-db", "-f", &config]).spawn();
    // It binds another name, and renames that.
    stoop(["wait", &proxied, "--listening", "--timeout", "25s"]).run().ok();
    // It knows headers of clients from the network only.
    let with_header = relay(&["tcp:127.0.0.1:0", &proxied, "--send-proxy"]);
    let said = with_header.stderr();
    let port =
        said.split_once("tcp:127.0.0.1:").unwrap().1.split(' ').next().unwrap().parse::<u16>().unwrap();
    let mut client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"after the header").unwrap();
    let mut answer = [0; 16];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"after the header");
    drop(client);
    with_header.terminate().ok();
    let _without = relay(&[&front, &proxied]);
    let refused = stoop(["connect", &front]).input("without one").run();
    assert_ne!(refused.text(), "without one");
}

#[test]
fn a_new_relay_replaces_an_old_one_without_refusing_a_client() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let front = dir.path().join("front").to_str().unwrap().to_owned();
    let mut old = relay(&[&front, &place]);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| {
            let mut answered = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let mut client = UnixStream::connect(&front).unwrap();
                client.write_all(b"x").unwrap();
                client.read_exact(&mut [0]).unwrap();
                answered += 1;
            }
            answered
        });
        for _ in 0..3 {
            let new = relay(&[&front, &place, "--replace"]);
            std::mem::replace(&mut old, new).terminate().ok();
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(clients.join().unwrap() > 0);
    });
}

#[test]
fn a_service_manager_is_told_of_the_start_and_the_end() {
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (front, manager) = (at("front"), at("notify"));
    let heard = UnixDatagram::bind(&manager).unwrap();
    heard.set_read_timeout(Some(SOON)).unwrap();
    let relay = stoop(["relay", &front, &place]).env("NOTIFY_SOCKET", &manager).spawn();
    let hear = || {
        let mut message = [0; 256];
        let len = heard.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..len]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    echoes(&front, "ready");
    relay.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    relay.finish().ok();
}

#[test]
fn a_socket_that_a_manager_passes_is_relayed() {
    if !has_program("systemd-socket-activate") {
        skip!("lacks systemd-socket-activate");
    }
    let (dir, place) = socket_path();
    let _server = serve("stream", &place);
    for listen in ["fd:3", "by path"] {
        let front = dir.path().join("front").to_str().unwrap().to_owned();
        let listen = if listen == "fd:3" { listen } else { front.as_str() };
        let relay = program("systemd-socket-activate", ["-l", &front]).arg(stoop_e2e::binary());
        let relay = relay.args(["relay", listen, &place]).spawn();
        wait_served(&front);
        echoes(&front, "activated");
        relay.wait_stderr("inherited");
        relay.terminate();
        // The file is the manager's, which leaves it.
        fs::remove_file(&front).unwrap();
    }
}
