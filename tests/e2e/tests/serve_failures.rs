//! `stoop serve` while its environment fails: a service manager that is missing or does not read,
//! calls that fail for one client, or that a sandbox makes succeed without doing anything.

use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::thread;

use stoop_e2e::{Raw, Running, program, socket_path, stoop, wait_served};
use stoop_kernel_facts::{Errno, fail_next_calls, fake_call, libc};
use stoop_testkit::{TempDir, tempdir};

fn start(kind: &str, flags: &[&str], manager: &str) -> (Running, String, TempDir) {
    let dir = tempdir();
    let place = dir.path().join("s").to_str().unwrap().to_owned();
    let manager = manager.replace("DIR", dir.path().to_str().unwrap());
    let serve = stoop(["serve", &place, "--kind", kind]).args(flags).env("NOTIFY_SOCKET", manager).spawn();
    wait_served(&place);
    (serve, place, dir)
}

#[test]
fn an_unreachable_manager_does_not_prevent_serving() {
    let long = format!("@{}", "x".repeat(200));
    for manager in ["vsock:2:1", "nonsense", "relative/path", "@", &long, "/nowhere/at-all"] {
        let (mut server, place, _dir) = start("stream", &[], manager);
        Raw::connect("stream", &place).unwrap().is_echoed(b"served");
        assert!(server.is_running());
        let said = server.terminate().code(0).stderr;
        if manager.starts_with('/') || manager == "@" {
            continue;
        }
        assert!(
            said.contains("warning: cannot notify the service manager: NOTIFY_SOCKET is"),
            "{manager}: {said}"
        );
        assert!(["  why:  ", "  seen: ", "  next: "].iter().all(|part| said.contains(part)), "{said}");
    }
    let (server, _, _dir) = start("stream", &["--json"], "nonsense");
    server.wait_stdout(r#""event":"trouble""#);
    assert_eq!(server.terminate().code(0).stderr, "");
}

/// The first client is served while the manager does not read; readiness is reported when it does.
#[test]
fn a_manager_that_does_not_read_delays_no_client() {
    let dir = tempdir();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"full", &path).is_ok() {}
    let (server, place, _dir) = start("stream", &[], path.to_str().unwrap());
    Raw::connect("stream", &place).unwrap().is_echoed(b"first");

    manager.set_read_timeout(Some(stoop_e2e::LIMIT)).unwrap();
    let news = || loop {
        let mut buffer = [0; 64];
        let len = manager.recv(&mut buffer).expect("the server tells its manager");
        if &buffer[..len] != b"full" {
            return String::from_utf8_lossy(&buffer[..len]).into_owned();
        }
    };
    assert_eq!(news(), "READY=1");
    // It also exits while the manager does not read.
    while filler.send_to(b"full", &path).is_ok() {}
    server.terminate().code(0);
}

/// Events wait for a reader that does not read, and clients do not.
#[test]
fn events_that_are_not_read_delay_no_client() {
    const CLIENTS: usize = 500;
    let (_dir, place) = socket_path();
    let mut server = Command::new(stoop_e2e::binary());
    let server = server.args(["serve", &place, "--json"]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = server.spawn().unwrap();
    wait_served(&place);
    for _ in 0..CLIENTS {
        Raw::connect("stream", &place).unwrap().is_echoed(b"served");
    }
    // These are more events than the pipe takes.
    let mut events = String::new();
    let pid = server.id().to_string();
    program("kill", [pid]).run().ok();
    server.stdout.take().unwrap().read_to_string(&mut events).unwrap();
    assert!(server.wait().unwrap().success());
    let count = |name: &str| events.matches(&format!(r#""event":"{name}""#)).count();
    assert!(events.len() > 1 << 16, "{}", events.len());
    assert!(count("accepted") >= CLIENTS && count("closed") == count("accepted"), "{events}");
    assert!(events.ends_with("\n") && count("error") == 0);
}

/// Starts a server on a thread whose filter it inherits.
fn started_behind(filter: impl FnOnce() + Send + 'static, kind: &'static str) -> (Running, String, TempDir) {
    let begin = move || {
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        filter();
        let server = stoop(["serve", &place, "--kind", kind, "--json"]).spawn();
        (server, place, dir)
    };
    let (server, place, dir) = thread::spawn(begin).join().unwrap();
    server.wait_stdout(r#""event":"listening""#);
    (server, place, dir)
}

#[test]
fn failures_for_one_client_do_not_stop_the_server() {
    let of_one =
        [Errno::PERM, Errno::PROTO, Errno::IO, Errno::CONNABORTED, Errno::NOBUFS, Errno::NOMEM, Errno::NOSR];
    let of_the_wait = [Errno::NOMEM, Errno::AGAIN, Errno::INTR];
    let cases: [(&str, i64, &'static [Errno]); 5] = [
        ("stream", libc::SYS_accept4, Box::leak(Box::new(of_one))),
        ("seqpacket", libc::SYS_accept4, Box::leak(Box::new(of_one))),
        ("stream", libc::SYS_ppoll, Box::leak(Box::new(of_the_wait))),
        ("stream", libc::SYS_epoll_pwait, Box::leak(Box::new(of_the_wait))),
        ("dgram", libc::SYS_ppoll, Box::leak(Box::new(of_the_wait))),
    ];
    for (kind, call, errnos) in cases {
        let (mut server, place, _dir) = started_behind(move || fail_next_calls(call, errnos), kind);
        Raw::connect(kind, &place).unwrap().is_echoed(b"served");
        assert!(server.is_running());
        server.terminate().code(0);
    }
}

#[test]
fn errors_of_a_sandbox_are_not_misinterpreted() {
    let (mut server, place, _dir) = started_behind(|| fake_call(libc::SYS_getsockopt), "stream");
    for _ in 0..3 {
        Raw::connect("stream", &place).unwrap().is_echoed(b"served");
    }
    server.wait_stdout(r#""event":"accepted""#);
    let input = format!("/proc/{}/fd/0", server.pid());
    assert_eq!(std::fs::read_link(input).unwrap().to_str(), Some("/dev/null"), "standard input was closed");
    assert!(server.is_running());
    let output = server.terminate().code(0);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains(r#""uid":0"#), "{said}");
}
