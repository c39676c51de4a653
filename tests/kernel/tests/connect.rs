//! Facts about connect(2): full backlogs, signals, refusals, permissions, symbolic links.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::event::PollFlags;
use stoop_kernel_facts::libc::{SA_RESTART, SHUT_RD, SO_ERROR, SO_SNDTIMEO, SYS_connect};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, is_root, public_tempdir, role, skip, tempdir};

/// A listener with a full backlog: its name, itself and the client that fills it.
fn full() -> (Name, OwnedFd, OwnedFd) {
    let name = Name::unique("full");
    let listener = listener(STREAM, &name, 0);
    let filler = client(STREAM, &name);
    (name, listener, filler)
}

/// K-CONNECT-1
#[test]
fn full_backlog_gives_eagain_and_queues_nothing() {
    let name = Name::unique("backlog");
    let listener = listener(STREAM, &name, 2);
    nonblocking(&listener);
    let attempts: Vec<_> = (0..5)
        .map(|_| {
            let socket = socket(STREAM);
            nonblocking(&socket);
            let outcome = connect(&socket, &name);
            (socket, outcome)
        })
        .collect();
    let outcomes: Vec<_> = attempts.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Err(Errno::AGAIN), Err(Errno::AGAIN)]);
    for _ in 0..3 {
        accept(&listener).unwrap();
    }
    assert_eq!(accept(&listener).unwrap_err(), Errno::AGAIN);
}

/// K-CONNECT-2
#[test]
fn socket_refused_by_a_full_backlog_looks_writable() {
    let (name, _listener, _filler) = full();
    let socket = socket(STREAM);
    nonblocking(&socket);
    assert_eq!(connect(&socket, &name), Err(Errno::AGAIN));
    assert_eq!(polled(&socket, PollFlags::IN | PollFlags::OUT), PollFlags::OUT | PollFlags::HUP);
    assert_eq!(option(&socket, SO_ERROR), Ok(0));
    assert_eq!(send(&socket, b"x"), Err(Errno::NOTCONN));
    assert_eq!(peer_name(&socket), Err(Errno::NOTCONN));
}

/// K-CONNECT-3
#[test]
fn blocking_connect_wakes_when_room_appears() {
    for timeout in [Duration::ZERO, SOON] {
        let (name, listener, _filler) = full();
        let waiting = blocked(SYS_connect, move || {
            let socket = socket(STREAM);
            set_timeout(&socket, SO_SNDTIMEO, timeout);
            connect(&socket, &name).map(|()| socket)
        });
        accept(&listener).unwrap();
        assert!(peer_name(&waiting.join().unwrap()).is_ok());
    }
}

/// K-CONNECT-4
#[test]
fn send_timeout_bounds_a_blocking_connect() {
    let (name, listener, _filler) = full();
    let socket = socket(STREAM);
    set_timeout(&socket, SO_SNDTIMEO, Duration::from_millis(50));
    assert_eq!(connect(&socket, &name), Err(Errno::AGAIN));
    assert_eq!(peer_name(&socket), Err(Errno::NOTCONN));
    accept(&listener).unwrap();
    assert_eq!(connect(&socket, &name), Ok(()));
}

/// K-CONNECT-5
#[test]
fn interrupted_connect_stays_unconnected() {
    if role().is_none() {
        return Role::new("interrupted_connect_stays_unconnected", "interrupted").run();
    }
    on_interrupt(0);
    let (name, listener, _filler) = full();
    let again = name.clone();
    let waiting = blocked(SYS_connect, move || {
        let socket = socket(STREAM);
        let outcome = connect(&socket, &name);
        (socket, outcome)
    });
    waiting.interrupt();
    let (socket, outcome) = waiting.join();
    assert_eq!(outcome, Err(Errno::INTR));
    assert_eq!(peer_name(&socket), Err(Errno::NOTCONN));
    accept(&listener).unwrap();
    assert_eq!(peer_name(&socket), Err(Errno::NOTCONN), "nothing continues in the background");
    assert_eq!(connect(&socket, &again), Ok(()));
}

/// K-CONNECT-6
#[test]
fn send_timeout_defeats_sa_restart() {
    if role().is_none() {
        return Role::new("send_timeout_defeats_sa_restart", "interrupted").run();
    }
    on_interrupt(SA_RESTART);
    let (name, listener, _filler) = full();
    let bounded = name.clone();
    let waiting = blocked(SYS_connect, move || {
        let socket = socket(STREAM);
        set_timeout(&socket, SO_SNDTIMEO, SOON);
        let outcome = connect(&socket, &bounded);
        (socket, outcome)
    });
    waiting.interrupt();
    let (socket, outcome) = waiting.join();
    assert_eq!(outcome, Err(Errno::INTR));
    assert_eq!(peer_name(&socket), Err(Errno::NOTCONN));

    let waiting = blocked(SYS_connect, move || connect(&stoop_kernel_facts::socket(STREAM), &name));
    waiting.interrupt();
    waiting.wait();
    accept(&listener).unwrap();
    assert_eq!(waiting.join(), Ok(()));
}

/// K-CONNECT-7
#[test]
fn waiting_connect_fails_when_the_listener_closes() {
    let (name, listener, _filler) = full();
    let waiting = blocked(SYS_connect, move || try_client(STREAM, &name));
    close(listener);
    assert_eq!(waiting.join().unwrap_err(), Errno::CONNREFUSED);
}

/// K-CONNECT-8
#[test]
fn missing_names() {
    let dir = tempdir();
    let at = |name: &str| Name::path(dir.path().join(name));
    fs::write(dir.path().join("file"), "").unwrap();
    symlink("nothing", dir.path().join("dangling")).unwrap();
    let outcome = |name: &str| try_client(STREAM, &at(name)).unwrap_err();
    assert_eq!(outcome("missing"), Errno::NOENT);
    assert_eq!(outcome("dangling"), Errno::NOENT);
    assert_eq!(outcome("missing/socket"), Errno::NOENT);
    assert_eq!(outcome("file/socket"), Errno::NOTDIR);
}

/// K-CONNECT-9
#[test]
fn refusals() {
    let dir = tempdir();
    let at = |name: &str| Name::path(dir.path().join(name));
    close(listener(STREAM, &at("dead"), 8));
    let _bound = bound(STREAM, &at("bound"));
    let shut_down = listener(STREAM, &at("shut"), 8);
    shutdown(&shut_down, SHUT_RD);
    fs::write(dir.path().join("file"), "").unwrap();
    fs::create_dir(dir.path().join("directory")).unwrap();
    for name in ["dead", "bound", "shut", "file", "directory"] {
        assert_eq!(try_client(STREAM, &at(name)).unwrap_err(), Errno::CONNREFUSED, "{name}");
    }
}

/// K-CONNECT-10
#[test]
fn a_wrong_type_is_distinguished() {
    let dir = tempdir();
    for server in [STREAM, DATAGRAM, SEQPACKET] {
        let name = Name::path(dir.path().join(server.to_string()));
        let _not_listening = bound(server, &name);
        for client in [STREAM, DATAGRAM, SEQPACKET].into_iter().filter(|kind| *kind != server) {
            assert_eq!(try_client(client, &name).unwrap_err(), Errno::PROTOTYPE, "{client} to {server}");
        }
    }
}

/// K-CONNECT-11
#[test]
fn permission_is_write_on_the_file() {
    if let Some(path) = std::env::var_os("DIRECTORY").filter(|_| role().is_some()) {
        let outcome = |name| try_client(STREAM, &Name::path(Path::new(&path).join(name))).map(drop);
        assert_eq!(outcome("writable"), Ok(()));
        assert_eq!(outcome("readable"), Err(Errno::ACCESS));
        assert_eq!(outcome("closed/writable"), Err(Errno::ACCESS));
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let mode = |name: &str, mode| {
        fs::set_permissions(dir.path().join(name), Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(dir.path().join("closed")).unwrap();
    let names = ["writable", "readable", "closed/writable"];
    let _listeners = names.map(|name| listener(STREAM, &Name::path(dir.path().join(name)), 8));
    mode("writable", 0o222);
    mode("readable", 0o555);
    mode("closed/writable", 0o222);
    mode("closed", 0o766);
    Role::new("permission_is_write_on_the_file", "client")
        .env("DIRECTORY", dir.path().to_str().unwrap())
        .user(NOBODY, NOBODY)
        .run();
}

/// K-CONNECT-12
#[test]
fn symbolic_links_are_followed() {
    let dir = tempdir();
    let _listener = listener(STREAM, &Name::path(dir.path().join("socket")), 8);
    symlink("socket", dir.path().join("link")).unwrap();
    let client = client(STREAM, &Name::path(dir.path().join("link")));
    assert!(peer_name(&client).unwrap().bytes().ends_with(b"/socket\0"));
}

/// K-CONNECT-13
#[test]
fn an_o_path_descriptor_pins_the_socket() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let old = listener(STREAM, &Name::path(&path), 8);
    let pinned = o_path(&path);
    fs::remove_file(&path).unwrap();
    let new = listener(STREAM, &Name::path(&path), 8);
    nonblocking(&old);
    nonblocking(&new);
    let _client = client(STREAM, &Name::path(proc_path(&pinned)));
    assert_eq!(accept(&new).unwrap_err(), Errno::AGAIN);
    accept(&old).unwrap();
}

/// K-CONNECT-14
#[test]
fn connected_and_listening_sockets_cannot_connect() {
    let name = Name::unique("twice");
    let (listener, client, accepted) = connection(STREAM, &name);
    assert_eq!(connect(&client, &name), Err(Errno::ISCONN));
    assert_eq!(connect(&accepted, &name), Err(Errno::ISCONN));
    assert_eq!(connect(&listener, &name), Err(Errno::INVAL));
}
