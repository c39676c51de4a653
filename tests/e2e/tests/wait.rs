//! `stoop wait`: servers that come in steps, and health checks in their own protocols.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::thread;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use stoop_e2e::{LIMIT, Output, socket_path, stoop, wait_served};
use stoop_testkit::eventually;

/// A stream socket that is bound, and does not listen.
fn bound(path: &str) -> OwnedFd {
    let server = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&server, &SocketAddrUnix::new(path).unwrap()).unwrap();
    server
}

/// Checks a condition once.
fn once(path: &str, flags: &[&str]) -> Output {
    stoop(["wait", path, "--timeout", "0"]).args(flags).run()
}

/// A server that answers each connection with these bytes, after it has read something unless it
/// speaks first. It lives as long as the test.
fn answers(path: &str, speaks_first: bool, answer: &'static [u8]) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            if !speaks_first {
                let _ = client.read(&mut [0; 1024]);
            }
            let _ = client.write_all(answer);
            // The client ends the connection.
            let _ = client.read_to_end(&mut Vec::new());
        }
    });
}

#[test]
fn a_server_is_waited_for_in_steps() {
    let (_dir, path) = socket_path();
    once(&path, &["--exists"]).code(1).explains(&["does not exist", "no such file"]);
    let server = bound(&path);
    once(&path, &["--exists"]).ok();
    once(&path, &[]).code(1).explains(&["is not listening", "no process listens"]);
    let waiting = stoop(["wait", &path]).spawn();
    listen(&server, 8).unwrap();
    assert_eq!(waiting.finish().ok().text(), "");
    once(&path, &["--listening"]).ok();
    // It has not connected.
    rustix::io::ioctl_fionbio(&server, true).unwrap();
    assert_eq!(rustix::net::accept(&server).unwrap_err(), rustix::io::Errno::WOULDBLOCK);
    drop(server);
    once(&path, &[]).code(1).explains(&["stale"]);
}

#[test]
fn only_a_server_that_accepts_is_accepting() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    once(&path, &["--accepting"]).code(1).explains(&["does not accept", "waits in its backlog"]);
    let waiting = stoop(["wait", &path, "--accepting"]).spawn();
    // The client before has gone.
    let _clients = [listener.accept().unwrap(), listener.accept().unwrap()];
    waiting.finish().ok();
}

#[test]
fn a_client_that_is_refused_was_accepted() {
    let (_dir, path) = socket_path();
    let _server = stoop(["serve", &path, "--allow-uid", "54321"]).spawn();
    wait_served(&path);
    stoop(["wait", &path, "--accepting"]).run().ok();
}

#[test]
fn kinds_and_abstract_names_are_waited_for() {
    let (_dir, path) = socket_path();
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    once(&path, &[]).ok();
    once(&path, &["--accepting"]).ok();
    once(&format!("stream:{path}"), &[]).code(1);
    let name = format!("@stoop-wait-{}", std::process::id());
    once(&name, &["--exists"]).code(1).explains(&["no socket of this network namespace has this name"]);
    let server = stoop(["serve", &name, "--kind", "seqpacket"]).spawn();
    stoop(["wait", &name]).run().ok();
    stoop(["wait", &name, "--accepting"]).run().ok();
    server.terminate().ok();
}

#[test]
fn the_condition_is_reported_as_json() {
    let (_dir, path) = socket_path();
    let _listener = UnixListener::bind(&path).unwrap();
    let lines = stoop(["wait", &path, "--json"]).run().ok().json();
    assert_eq!((&lines[0]["event"], &lines[0]["condition"]), (&"ready".into(), &"listening".into()));
    assert_eq!(lines[0]["address"], path.as_str());
    assert!(lines[0]["time_ms"].is_u64());
}

#[test]
fn health_is_asked_for_in_the_servers_protocol() {
    let cases: [(&str, bool, &[u8], Option<&str>); 9] = [
        ("http", false, b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("http", false, b"HTTP/1.1 404 Not Found\r\n\r\n", None),
        ("http", false, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Some("responded with 503")),
        ("redis", false, b"+PONG\r\n", None),
        ("redis", false, b"-LOADING Redis is loading\r\n", Some("LOADING Redis is loading")),
        ("postgres", false, b"R\0\0\0\x08\0\0\0\x05", None),
        ("postgres", false, b"E\0\0\0\x15C57P03\0Mstarting\0\0", Some("starting")),
        ("mysql", true, b"\x10\0\0\0\x0a8.0.36\0", None),
        ("mysql", false, b"", Some("has not answered")),
    ];
    for (protocol, speaks_first, answer, error) in cases {
        let (_dir, path) = socket_path();
        answers(&path, speaks_first, answer);
        let flags = ["--healthy", "--protocol", protocol, "--timeout", "300ms"];
        let flags = if error.is_some() { &flags[..] } else { &flags[..3] };
        let run = stoop(["wait", &path]).args(flags).run();
        match error {
            None => drop(run.ok()),
            Some(error) => run.code(1).explains(&["is not healthy", error]),
        }
    }
    let (_dir, path) = socket_path();
    answers(&path, false, b"HTTP/1.1 404 Not Found\r\n\r\n");
    once(&path, &["--healthy"]).code(2).explains(&["add --protocol"]);
    let flags = ["--healthy", "--protocol", "http", "--path", "/ready", "--timeout", "300ms"];
    stoop(["wait", &path]).args(flags).run().code(1).explains(&["responded with 404"]);
}

#[test]
fn a_server_is_recognised_by_what_it_says() {
    let (_dir, path) = socket_path();
    answers(&path, true, b"OK Pleased to meet you, process 7\n");
    // On a busy machine the server may say it too late.
    eventually(LIMIT, || once(&path, &["--healthy"]).code == Some(0));
    let (_dir, path) = socket_path();
    answers(&path, true, b"hello\n");
    eventually(LIMIT, || once(&path, &["--healthy"]).code(2).stderr.contains("it says 'hello%0A'"));
    let (_dir, path) = socket_path();
    answers(&path, false, b"-ERR unknown command 'GET'\r\n");
    let flags = ["--healthy", "--protocol", "http"];
    eventually(LIMIT, || {
        once(&path, &flags).code(1).stderr.contains("does not speak HTTP: it answers like Redis")
    });
}

#[test]
fn a_grpc_server_reports_its_health() {
    let (_dir, path) = socket_path();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (health, routes) = stoop_grpc::health(tonic::service::Routes::default());
    let address = stoop_grpc::Endpoint::try_from(path.as_str()).unwrap();
    let incoming = runtime.block_on(address.listen(|bind| bind)).unwrap();
    runtime.spawn(stoop_grpc::Server::new(routes).serve(incoming, std::future::pending::<()>()));
    let flags = ["--healthy", "--protocol", "grpc"];
    stoop(["wait", &path]).args(flags).run().ok();
    runtime.block_on(health.set_service_status("", tonic_health::ServingStatus::NotServing));
    eventually(LIMIT, || once(&path, &flags).code(1).stderr.contains("not serving"));
}
