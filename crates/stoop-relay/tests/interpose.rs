//! Relays in front of a live server, at its own name.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use stoop::{Allow, Bind, Datagram, ErrorKind, Kind, Listener, SeqPacket, Stream};
use stoop_relay::{Displaced, Event, Front, Relay, Running, restore};
use stoop_testkit::{TempDir, deadline, eventually, tempdir};

const SOON: Duration = Duration::from_secs(30);

/// Answers each client of a listener with a letter, until told to stop.
struct Lettered {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lettered {
    fn start(listener: std::os::unix::net::UnixListener, letter: u8) -> Lettered {
        listener.set_nonblocking(true).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut client, _)) => drop(client.write_all(&[letter])),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Lettered { over, thread: Some(thread) }
    }

    /// Closes the listener, and leaves its file.
    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Lettered {
    fn drop(&mut self) {
        self.end();
    }
}

fn place() -> (TempDir, std::path::PathBuf) {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    (dir, path)
}

fn interpose(path: &Path) -> Running {
    watched(path).0
}

fn watched(path: &Path) -> (Running, Receiver<Displaced>) {
    let (front, server) = Front::interpose(Bind::new(path), Kind::Stream).unwrap();
    let (sender, receiver) = channel();
    let relay = Relay::to(server).on_event(move |event| {
        if let Event::Displaced(why) = event {
            let _ = sender.send(why);
        }
    });
    (relay.start(front).unwrap(), receiver)
}

fn stop(relay: Running) {
    deadline(SOON, move || relay.stop(SOON));
}

fn ask(path: &Path) -> Result<u8, stoop::Error> {
    let mut client = Stream::connect(path)?;
    client.set_read_timeout(Some(SOON))?;
    let mut letter = [0];
    client.read_exact(&mut letter).unwrap();
    Ok(letter[0])
}

fn inode(path: &Path) -> Option<u64> {
    path.symlink_metadata().ok().map(|file| file.ino())
}

fn entries(dir: &TempDir) -> Vec<std::ffi::OsString> {
    fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn no_client_is_refused_while_the_name_is_taken_over_and_given_back() {
    let (dir, path) = place();
    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let server = inode(&path);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (over, path) = (Arc::clone(&over), path.clone());
            thread::spawn(move || {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(ask(&path).unwrap(), b'A');
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    let mut relayed = 0;
    for _ in 0..20 {
        let relay = interpose(&path);
        assert_ne!(inode(&path), server);
        eventually(SOON, || relay.counts().connections > 0);
        relayed += relay.counts().connections;
        stop(relay);
        assert_eq!(inode(&path), server);
        assert_eq!(entries(&dir), ["app.sock"]);
    }
    over.store(true, Ordering::Relaxed);
    let answered: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered >= relayed && relayed >= 20);
}

#[test]
fn clients_from_before_stay_with_the_server() {
    let (_dir, path) = place();
    let server: Listener<Stream> = Bind::new(&path).listen().unwrap();
    let mut early = Stream::connect(&path).unwrap();
    let relay = interpose(&path);
    let (mut accepted, _) = server.accept().unwrap();
    accepted.write_all(b"early").unwrap();
    let mut answer = [0; 5];
    early.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"early");
    assert_eq!(relay.counts().connections, 0);
    stop(relay);
    early.write_all(b"x").unwrap();
    accepted.read_exact(&mut [0]).unwrap();
    // The server's own end still finds its file.
    server.close().unwrap();
    assert!(!path.exists());
}

#[test]
fn each_kind_is_relayed_and_another_is_refused() {
    let kind_error = |path: &Path, kind| Front::interpose(Bind::new(path), kind).unwrap_err().kind();
    let (_dir, path) = place();
    let server: Listener<SeqPacket> = Bind::new(&path).listen_seqpacket().unwrap();
    assert_eq!(kind_error(&path, Kind::Stream), ErrorKind::WrongKind);
    assert_eq!(kind_error(&path, Kind::Datagram), ErrorKind::WrongKind);
    let (front, behind) = Front::interpose(Bind::new(&path), Kind::SeqPacket).unwrap();
    let relay = Relay::to(behind).start(front).unwrap();
    let client = SeqPacket::connect(&path).unwrap();
    client.send(b"one").unwrap();
    let (accepted, _) = server.accept().unwrap();
    assert_eq!(accepted.recv_vec().unwrap().as_deref(), Some(&b"one"[..]));
    drop((client, accepted));
    stop(relay);
    drop(server);

    let server = Bind::new(&path).datagram().unwrap();
    assert_eq!(kind_error(&path, Kind::Stream), ErrorKind::WrongKind);
    let (front, behind) = Front::interpose(Bind::new(&path), Kind::Datagram).unwrap();
    let relay = Relay::to(behind).start(front).unwrap();
    let client = Datagram::client(&path).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.send(b"question").unwrap();
    let (question, received) = server.recv_vec_with(Allow::NOTHING).unwrap();
    assert_eq!(question, b"question");
    server.reply(b"answer", &received.origin()).unwrap();
    assert_eq!(client.recv_vec().unwrap().0, b"answer");
    stop(relay);
    client.connect(&path).unwrap();
    client.send(b"directly").unwrap();
    assert_eq!(server.recv_vec().unwrap().0, b"directly");
}

#[test]
fn where_no_server_is_nothing_is_taken() {
    let (dir, path) = place();
    let refused = |expected: ErrorKind| {
        let before = entries(&dir);
        let error = Front::interpose(Bind::new(&path), Kind::Stream).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert_eq!(entries(&dir), before);
    };
    refused(ErrorKind::NotFound);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    refused(ErrorKind::Refused);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    refused(ErrorKind::AddressInUse);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();

    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let relay = interpose(&path);
    refused(ErrorKind::Unsupported);
    assert_eq!(ask(&path).unwrap(), b'A');
    stop(relay);
    assert_eq!(ask(&path).unwrap(), b'A');
}

#[test]
fn the_same_clients_may_connect() {
    let (_dir, path) = place();
    let server: Listener<Stream> = Bind::new(&path).mode(0o640).listen().unwrap();
    if stoop_testkit::is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), Some(7)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }
    let owner =
        |path: &Path| path.symlink_metadata().map(|file| (file.uid(), file.gid(), file.mode() & 0o777));
    let before = owner(&path).unwrap();
    let list = set_acl(&path);
    let relay = interpose(&path);
    assert_eq!(owner(&path).unwrap(), before);
    assert_eq!(acl(&path), list);
    stop(relay);
    assert_eq!(owner(&path).unwrap(), before);
    drop(server);
}

const ACL: &str = "system.posix_acl_access";

/// Sets an access control list that lets user 1 connect, if the file system has such lists.
fn set_acl(path: &Path) -> Option<Vec<u8>> {
    let entry = |tag: u16, bits: u16, id: u32| {
        [&tag.to_ne_bytes()[..], &bits.to_ne_bytes(), &id.to_ne_bytes()].concat()
    };
    let none = u32::MAX;
    let list = [
        2u32.to_ne_bytes().to_vec(),
        entry(1, 6, none),
        entry(2, 6, 1),
        entry(4, 4, none),
        entry(0x10, 6, none),
        entry(0x20, 0, none),
    ]
    .concat();
    let set = rustix::fs::setxattr(path, ACL, &list, rustix::fs::XattrFlags::empty());
    fs::set_permissions(path, fs::Permissions::from_mode(0o640)).unwrap();
    set.ok().and_then(|()| acl(path))
}

fn acl(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let len = rustix::fs::getxattr(path, ACL, &mut value).ok()?;
    value.truncate(len);
    Some(value)
}

#[test]
fn a_server_that_starts_anew_is_noticed_and_keeps_its_name() {
    let (dir, path) = place();
    let mut old = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let (relay, displaced) = watched(&path);
    assert_eq!(ask(&path).unwrap(), b'A');
    // As most servers do: unlink by name, close, and bind again.
    fs::remove_file(&path).unwrap();
    old.end();
    let _new = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'B');
    let name = inode(&path);
    let why = displaced.recv_timeout(SOON).unwrap();
    assert!([Displaced::NameRemoved, Displaced::NameTaken].contains(&why), "{why:?}");
    stop(relay);
    assert_eq!(inode(&path), name);
    assert_eq!(ask(&path).unwrap(), b'B');
    assert_eq!(entries(&dir), ["app.sock"]);
}

#[test]
fn a_server_that_has_closed_is_noticed_and_nothing_is_left() {
    for removes in [false, true] {
        let (dir, path) = place();
        let mut server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
        let (relay, displaced) = watched(&path);
        if removes {
            fs::remove_file(&path).unwrap();
        }
        server.end();
        let why = displaced.recv_timeout(SOON).unwrap();
        assert_eq!(why, if removes { Displaced::NameRemoved } else { Displaced::ServerClosed });
        stop(relay);
        assert_eq!(entries(&dir), [""; 0]);
    }
}

#[test]
fn a_replacement_of_the_relay_is_not_undone() {
    let (_dir, path) = place();
    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let (relay, displaced) = watched(&path);
    let new: Listener<Stream> = Bind::new(&path).replace(true).listen().unwrap();
    assert_eq!(displaced.recv_timeout(SOON).unwrap(), Displaced::NameTaken);
    stop(relay);
    let _client = Stream::connect(&path).unwrap();
    new.accept().unwrap();
    assert!(!restore(&path).unwrap());
    drop(new);
    // The name is free: the server that lost it has it again.
    assert!(path.exists() || restore(&path).unwrap());
    assert_eq!(ask(&path).unwrap(), b'A');
}

#[test]
fn nothing_is_restored_where_nothing_was_left() {
    let (dir, path) = place();
    assert!(!restore(&path).unwrap());
    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let before = inode(&path);
    assert!(!restore(&path).unwrap());
    let relay = interpose(&path);
    let front = inode(&path);
    assert!(!restore(&path).unwrap(), "the relay lives");
    assert_eq!(inode(&path), front);
    stop(relay);
    assert_eq!(inode(&path), before);
    assert_eq!(entries(&dir), ["app.sock"]);
}

/// A successor takes the place of a relay without a refused client; what the old one has goes on,
/// and the name goes back to the server at the end of the last.
#[test]
fn a_relay_hands_its_place_over() {
    let (dir, path) = place();
    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let server = inode(&path);
    let (mut old, mut displaced) = watched(&path);
    let stop_asking = Arc::new(AtomicBool::new(false));
    let asking = {
        let (path, stop) = (path.clone(), Arc::clone(&stop_asking));
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(ask(&path).unwrap(), b'A');
            }
        })
    };
    for _ in 0..5 {
        let (front, behind) = Front::interpose(Bind::new(&path).replace(true), Kind::Stream).unwrap();
        let (sender, receiver) = channel();
        let new = Relay::to(behind).on_event(move |event| {
            if let Event::Displaced(why) = event {
                let _ = sender.send(why);
            }
        });
        let new = new.start(front).unwrap();
        assert_eq!(displaced.recv_timeout(SOON).unwrap(), Displaced::HandedOver);
        stop(std::mem::replace(&mut old, new));
        displaced = receiver;
    }
    assert_ne!(inode(&path), server);
    stop(old);
    assert_eq!(inode(&path), server);
    stop_asking.store(true, Ordering::Relaxed);
    asking.join().unwrap();
    assert_eq!(entries(&dir), ["app.sock"]);
}

/// What is not proven to be a relay is not replaced as one.
#[test]
fn a_server_that_took_the_name_is_no_predecessor() {
    let (_dir, path) = place();
    let _server = Lettered::start(std::os::unix::net::UnixListener::bind(&path).unwrap(), b'A');
    let (relay, displaced) = watched(&path);
    let other: Listener<Stream> = Bind::new(&path).replace(true).listen().unwrap();
    let taken = inode(&path);
    let error = Front::interpose(Bind::new(&path).replace(true), Kind::Stream).unwrap_err();
    assert!(error.to_string().contains("a relay stands in front of the server already"), "{error}");
    assert_eq!(inode(&path), taken);
    assert_eq!(displaced.recv_timeout(SOON).unwrap(), Displaced::NameTaken);
    stop(relay);
    drop(other);
}
