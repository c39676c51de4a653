//! A directory with servers and files that a command can fail at.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::{fs, thread};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, listen, socket};
use stoop_testkit::TempDir;

/// The directory, and what keeps its sockets open.
pub struct World {
    dir: TempDir,
    _sockets: Vec<rustix::fd::OwnedFd>,
}

impl World {
    /// Creates it.
    pub fn new() -> World {
        let dir = stoop_testkit::tempdir();
        let at = |name: &str| dir.path().join(name);
        let mut sockets = Vec::new();
        drop(UnixListener::bind(at("stale")).unwrap());
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("directory")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        sockets.push(UnixListener::bind(at("silent")).unwrap().into());
        sockets.push(bound(&at("bound"), SocketType::STREAM));
        let seqpacket = bound(&at("seqpacket"), SocketType::SEQPACKET);
        listen(&seqpacket, 8).unwrap();
        sockets.push(seqpacket);
        sockets.push(UnixDatagram::bind(at("dgram")).unwrap().into());
        sockets.extend(full(&at("full")));
        sockets.extend(unread(&at("unread")));
        for (name, answer) in [
            ("closing", &b""[..]),
            ("h1", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ("short", b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"),
            ("junk", b"\0\x01 hello\n"),
            // An alert of TLS: it did not understand the client.
            ("tls", b"\x15\x03\x03\x00\x02\x02\x46"),
        ] {
            serve(&at(name), answer);
        }
        World { dir, _sockets: sockets }
    }

    /// Splits a command line, with the directory in place of `{}`.
    pub fn words(&self, line: &str) -> Vec<String> {
        let dir = self.dir.path().to_str().unwrap();
        line.split(' ').map(|word| word.replace("{}", dir)).collect()
    }
}

fn bound(path: &Path, kind: SocketType) -> rustix::fd::OwnedFd {
    let socket = socket(AddressFamily::UNIX, kind, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

/// A listener whose backlog has no space left.
fn full(path: &Path) -> [rustix::fd::OwnedFd; 2] {
    let listener = bound(path, SocketType::STREAM);
    listen(&listener, 0).unwrap();
    let client = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    connect(&client, &SocketAddrUnix::new(path).unwrap()).unwrap();
    [listener, client]
}

/// A datagram socket whose queue has no space left.
fn unread(path: &Path) -> [rustix::fd::OwnedFd; 2] {
    let receiver = UnixDatagram::bind(path).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", path).is_ok() {}
    [receiver.into(), sender.into()]
}

/// A server that gives each client the same answer to its first bytes, until the test exits.
fn serve(path: &Path, answer: &'static [u8]) {
    let listener = UnixListener::bind(path).unwrap();
    let answered = move |mut client: UnixStream| {
        let _ = client.read(&mut [0; 4096]);
        let _ = client.write_all(answer);
    };
    thread::spawn(move || listener.incoming().flatten().for_each(answered));
}
