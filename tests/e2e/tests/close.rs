//! `stoop close`: closes the connection that was shown, once confirmed, and nothing else.

use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;

use stoop_e2e::{Raw, program, stoop, stoop_as};
use stoop_testkit::{NOBODY, TempDir, has_program, is_root, public_tempdir, skip};

fn socket_path() -> (TempDir, PathBuf) {
    let dir = public_tempdir();
    let place = dir.path().join("s.sock");
    (dir, place)
}

fn inode(socket: &impl std::os::fd::AsFd) -> String {
    format!("inode:{}", rustix::fs::fstat(socket).unwrap().st_ino)
}

#[test]
fn one_connection_is_closed_at_both_ends_and_no_other() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let mut clients: Vec<_> = (0..2).map(|_| UnixStream::connect(&path).unwrap()).collect();
    let mut served: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
    let json = stoop(["close", "--yes", "--json", &inode(&clients[0])]).run().ok().json();
    assert_eq!((&json[0]["event"], &json[0]["address"]), (&"cut".into(), &path.to_str().unwrap().into()));
    for end in [&mut clients[0], &mut served[0]] {
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
    }
    std::io::Write::write_all(&mut clients[1], b"x").unwrap();
    assert_eq!(served[1].read(&mut [0]).unwrap(), 1);
    let _new = UnixStream::connect(&path).unwrap();
}

#[test]
fn several_matches_are_listed_and_none_is_closed() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let clients: Vec<_> = (0..2).map(|_| Raw::connect("stream", path.to_str().unwrap()).unwrap()).collect();
    let served: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
    let output = stoop(["close", "--yes"]).arg(&path).run().code(2);
    output.explains(&["2 connections", &inode(&served[0])["inode:".len()..], "stoop close inode:"]);
    for client in &clients {
        client.say(b"still there");
    }
    let nobodys = stoop(["close", "--yes", "--pid", "1"]).arg(&path).run().code(1);
    nobodys.explains(&["process 1 has no end of its 2 connections"]);
}

/// A listener's inode is that of no connection, even if it has only one.
#[test]
fn the_inode_of_a_listener_is_refused() {
    for kind in ["stream", "seqpacket"] {
        let (_dir, path) = socket_path();
        let listener = Raw::bound(kind, path.to_str().unwrap());
        rustix::net::listen(&listener, 4).unwrap();
        let which = inode(&listener);
        let none = stoop(["close", "--yes", &which]).run().code(2);
        none.explains(&["is a listening socket, not a connection", "no client is connected to it"]);
        let client = Raw::connect(kind, path.to_str().unwrap()).unwrap();
        let _served = rustix::net::accept(&listener).unwrap();
        let one = stoop(["close", "--yes", &which]).run().code(2);
        let its = inode(&client);
        one.explains(&["is a listening socket", "it has 1 connection", &format!("stoop close {its}")]);
        client.say(b"still there");
        stoop(["close", "--yes", &its]).run().ok();
        assert!(client.try_say(b"x").is_err());
    }
}

#[test]
fn confirmation_is_required_and_can_be_declined() {
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let client = Raw::connect("stream", path.to_str().unwrap()).unwrap();
    let _served = listener.accept().unwrap();
    stoop(["close"]).arg(&path).run().code(1).explains(&["not confirmed", "--yes"]);
    client.say(b"x");
    if !has_program("script") {
        skip!("lacks script");
    }
    for (answer, is_cut) in [("n\n", false), ("\n", false), ("y\n", true)] {
        let line = format!("{} close {}", stoop_e2e::binary().display(), path.display());
        let output = program("script", ["-qec", &line, "/dev/null"]).input(answer).run();
        assert_eq!(output.code, Some(if is_cut { 0 } else { 1 }), "{}", output.text());
        assert!(output.text().contains("close this connection?"), "{}", output.text());
        assert_eq!(client.try_say(b"x").is_err(), is_cut, "{answer:?}");
    }
}

#[test]
fn a_waiting_client_can_be_closed() {
    let (_dir, path) = socket_path();
    let _listener = UnixListener::bind(&path).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    stoop(["close", "--yes", &inode(&client)]).run().ok();
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn sockets_without_a_connection_are_rejected() {
    let (_dir, path) = socket_path();
    let _receiver = UnixDatagram::bind(&path).unwrap();
    stoop(["close", "--yes"]).arg(&path).run().code(1);
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(&path).unwrap();
    stoop(["close", "--yes"]).arg(&path).run().code(5).explains(&["datagram"]);
    sender.send(b"x").unwrap();
    if !has_program("python3") {
        skip!("lacks python3");
    }
    // It does not interfere with a connection that can be closed.
    let script = "import socket\n\
                  datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
                  one, other = socket.socketpair()\n\
                  print('ready', flush=True); one.recv(1); print('cut', flush=True); datagrams[0].send(b'x')";
    let both = program("python3", ["-c", script]).spawn();
    both.wait_stdout("ready");
    stoop(["close", "--yes", &format!("pid:{}", both.pid())]).run().ok();
    assert!(both.finish().ok().text().contains("cut"));
    stoop(["close", "--yes", "inode:0"]).run().code(1);
}

#[test]
fn closing_requires_permission_to_trace() {
    if !is_root() {
        skip!("lacks root");
    }
    let (_dir, path) = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let client = Raw::connect("stream", path.to_str().unwrap()).unwrap();
    let _served = listener.accept().unwrap();
    let refused = stoop_as(NOBODY, ["close", "--yes"]).arg(&path).run().code(4);
    refused.explains(&["permission to trace", "next: sudo stoop close inode:"]);
    client.say(b"x");
    // Followed as root, it closes that very connection.
    let next = refused.stderr.lines().find_map(|line| line.trim().strip_prefix("next: sudo stoop close "));
    stoop(["close", "--yes", next.unwrap()]).run().ok();
}
