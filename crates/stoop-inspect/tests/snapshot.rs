//! Snapshots of sockets created by these tests: peers, listeners, names, owners, and what is
//! reported as missing.
//!
//! Each test checks only its own sockets, by inode, because the rest of the machine keeps changing.

use std::ffi::OsStr;
use std::io::{Read, stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::fs::fstat;
use stoop::{Address, Kind};
use stoop_inspect::FileId;
use stoop_inspect::{
    Inspector, Options, OwnersFrom, OwnersWanted, Pid, Process, Queue, Snapshot, Socket, SocketId, SocketIno,
    State, What,
};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, is_root, role, skip, tempdir};

const LIMIT: Duration = Duration::from_secs(20);

fn inspector(owners: OwnersWanted) -> Inspector {
    let mut options = Options::default();
    options.owners = owners;
    options.in_flight = true;
    Inspector::new(options)
}

/// Takes one snapshot for each way of finding owners. Without the privilege to load BPF programs
/// both use the walk.
fn both_ways() -> [Snapshot; 2] {
    [OwnersWanted::Auto, OwnersWanted::Proc].map(|owners| inspector(owners).snapshot())
}

fn inode(socket: &OwnedFd) -> SocketIno {
    SocketIno(fstat(socket).unwrap().st_ino as u32)
}

fn find(snapshot: &Snapshot, ino: SocketIno) -> Option<SocketId> {
    snapshot.iter().find(|(_, socket)| socket.ino == ino).map(|(id, _)| id)
}

#[track_caller]
fn id(snapshot: &Snapshot, socket: &OwnedFd) -> SocketId {
    find(snapshot, inode(socket)).expect("the socket is in the snapshot")
}

#[track_caller]
fn the<'s>(snapshot: &'s Snapshot, socket: &OwnedFd) -> &'s Socket {
    &snapshot[id(snapshot, socket)]
}

/// Returns this process's file descriptors of the socket. Children of other tests briefly have
/// copies, from fork to exec.
fn mine(socket: &Socket) -> Vec<u32> {
    let me = Pid(std::process::id());
    socket.owners.iter().filter(|owner| owner.pid == me).map(|owner| owner.fd).collect()
}

#[test]
fn a_server_its_clients_and_those_who_wait() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let name = Name::path(&path);
    let listener = listener(STREAM, &name, 8);
    let served = client(STREAM, &name);
    let accepted = accept(&listener).unwrap();
    let waiting = [client(STREAM, &name), client(STREAM, &name)];
    for snapshot in both_ways() {
        let server = the(&snapshot, &listener);
        assert_eq!((server.state, server.kind), (State::Listening, Some(Kind::Stream)));
        assert_eq!(server.queue, Some(Queue::Backlog { waiting: 2, limit: 8 }));
        assert_eq!(server.waiting, waiting.each_ref().map(|client| id(&snapshot, client)));
        assert_eq!(server.name, Address::path(&path).unwrap());
        let file = FileId::from(&std::fs::metadata(&path).unwrap());
        assert!(server.file.unwrap().may_be(file));
        assert_eq!(server.uid, Some(rustix::process::geteuid().as_raw()));
        for client in &waiting {
            let client = the(&snapshot, client);
            assert_eq!((client.state, client.waits_for), (State::Waiting, Some(id(&snapshot, &listener))));
        }
        let end = the(&snapshot, &accepted);
        assert_eq!((end.state, end.listener), (State::Connected, Some(id(&snapshot, &listener))));
        assert_eq!(end.peer, Some(id(&snapshot, &served)));
        assert_eq!(the(&snapshot, &served).peer, Some(id(&snapshot, &accepted)));
        let rows: Vec<_> =
            snapshot.connections().filter(|row| row.listener == Some(id(&snapshot, &listener))).collect();
        let ends: Vec<_> = rows.iter().map(|row| (row.client, row.server)).collect();
        assert!(ends.contains(&(id(&snapshot, &served), Some(id(&snapshot, &accepted)))));
        assert!(waiting.iter().all(|client| ends.contains(&(id(&snapshot, client), None))));
        assert_eq!(ends.len(), 3);
    }
    close(listener);
    for snapshot in both_ways() {
        assert_eq!(the(&snapshot, &accepted).listener, None);
        assert_eq!(the(&snapshot, &waiting[0]).state, State::PeerClosed);
    }
}

#[test]
fn every_state_of_a_socket_without_a_listener() {
    let name = Name::unique("states");
    let (receiver, sender) = (bound(DATAGRAM, &name), client(DATAGRAM, &name));
    let (idle, unheard) = (socket(STREAM), bound(STREAM, &Name::unique("unheard")));
    let (left, gone) = pair(STREAM);
    close(gone);
    for snapshot in both_ways() {
        let state = |socket| the(&snapshot, socket).state;
        assert_eq!([&receiver, &unheard].map(state), [State::Bound, State::Bound]);
        assert_eq!(
            [&sender, &idle, &left].map(state),
            [State::Connected, State::Unconnected, State::PeerClosed]
        );
        assert_eq!(the(&snapshot, &sender).peer, Some(id(&snapshot, &receiver)));
        assert_eq!(the(&snapshot, &receiver).peer, None);
        assert_eq!(the(&snapshot, &left).shutdown, (true, true));
    }
}

#[test]
fn owners_are_descriptors_of_processes() {
    let (one, other) = pair(STREAM);
    let copy = one.try_clone().unwrap();
    for snapshot in both_ways() {
        let mut expected = [&one, &copy].map(|fd| fd.as_raw_fd() as u32);
        expected.sort();
        assert_eq!(mine(the(&snapshot, &one)), expected);
        let me = |process: &&Process| process.pid == Pid(std::process::id());
        let process = snapshot.processes_of(id(&snapshot, &other)).find(me).unwrap();
        let command = std::fs::read("/proc/self/comm").unwrap();
        assert_eq!(process.command.as_bytes(), command.trim_ascii_end());
        assert_eq!(process.uid, Some(rustix::process::geteuid().as_raw()));
    }
}

#[test]
fn a_socket_in_flight_has_no_owner() {
    let (carrier, end) = pair(STREAM);
    let (flying, _kept) = pair(STREAM);
    let ino = inode(&flying);
    send_message(&carrier, b"x", &[Control::Rights(&[flying.as_fd()])], 0, None).unwrap();
    close(flying);
    for snapshot in both_ways() {
        let socket = &snapshot[find(&snapshot, ino).expect("what is in flight is shown")];
        assert_eq!((&socket.owners[..], socket.state), (&[][..], State::Connected));
        if kernel_at_least(5, 6) {
            assert_eq!(the(&snapshot, &end).in_flight, Some(1));
        }
    }
}

#[test]
fn names_are_kept_byte_by_byte() {
    let directory = tempdir();
    let hostile = [&b"line\nbreak"[..], b"\x1b[2J", b"\xff\xfe", b"a b", b"@at", b"1: 2 3 4 5 6 7 x"];
    let paths = hostile.map(|name| directory.path().join(OsStr::from_bytes(name)));
    let files = paths.each_ref().map(|path| listener(STREAM, &Name::path(path), 1));
    let names = [&b"nul\0inside\0"[..], b"\n\x1b]0;x\x07", b"\xff"].map(|name| {
        let unique = format!("{}-", std::process::id()).into_bytes();
        [&unique[..], name].concat()
    });
    let abstracts = names.each_ref().map(|name| bound(DATAGRAM, &Name::abstract_name(name)));
    for snapshot in both_ways() {
        for (path, socket) in paths.iter().zip(&files) {
            assert_eq!(the(&snapshot, socket).name.as_pathname().unwrap(), path);
        }
        for (name, socket) in names.iter().zip(&abstracts) {
            assert_eq!(the(&snapshot, socket).name.as_abstract_name(), Some(&name[..]));
        }
    }
}

#[test]
fn a_namespace_that_only_a_socket_is_in() {
    let directory = tempdir();
    let name = Name::path(directory.path().join("socket"));
    let listener = listener(STREAM, &name, 8);
    let Some(client) = in_new_network(|| client(STREAM, &name)) else {
        skip!("lacks the right to make a network namespace");
    };
    let accepted = accept(&listener).unwrap();
    let mut inspector = inspector(OwnersWanted::Proc);
    for snapshot in both_ways().into_iter().chain([inspector.snapshot(), inspector.snapshot()]) {
        let end = the(&snapshot, &accepted);
        let namespace = snapshot.namespace(end.namespace).unwrap();
        assert!(!namespace.is_own && namespace.is_read && namespace.process.is_none());
        assert_eq!(end.peer, Some(id(&snapshot, &client)));
        assert_eq!(end.listener, Some(id(&snapshot, &listener)), "a file leads from one to the other");
        assert_eq!(mine(end).len(), 1);
    }
    // If the table were kept for the next snapshot, it alone would keep the namespace alive
    // indefinitely.
    let namespace = the(&inspector.snapshot(), &accepted).namespace;
    close((accepted, client));
    let _last_look = inspector.snapshot();
    assert!(inspector.snapshot().namespace(namespace).is_none());
}

#[test]
fn a_snapshot_says_what_is_now() {
    let mut inspector = inspector(OwnersWanted::Auto);
    let (one, other) = pair(STREAM);
    let first = inspector.snapshot();
    assert_eq!(the(&first, &one).peer, Some(id(&first, &other)));
    let ino = inode(&one);
    close(one);
    let late = pair(STREAM);
    let second = inspector.snapshot();
    assert_eq!(find(&second, ino), None);
    assert_eq!(mine(the(&second, &late.0)).len(), 1);
    assert_eq!(the(&second, &other).cookie, the(&first, &other).cookie);
}

#[test]
fn processes_come_and_go_meanwhile() {
    const TEST: &str = "processes_come_and_go_meanwhile";
    if role().is_none() {
        // Its children would otherwise have copies of other tests' sockets.
        return Role::new(TEST, "churn").run();
    }
    let (stays, _other) = pair(STREAM);
    let end = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = || {
            while !end.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = Command::new("true").status();
                let _closed_at_once = pair(STREAM);
            }
        };
        scope.spawn(churn);
        let mut inspectors = [OwnersWanted::Auto, OwnersWanted::Proc].map(inspector);
        for _ in 0..15 {
            for inspector in &mut inspectors {
                let snapshot = inspector.snapshot();
                let socket = the(&snapshot, &stays);
                assert_eq!(mine(socket).len(), 1);
                // Every index is valid, and links are symmetric.
                for (id, socket) in snapshot.iter() {
                    assert!(socket.waiting.iter().all(|&client| snapshot[client].waits_for == Some(id)));
                    let Some(peer) = socket.peer else { continue };
                    assert!(
                        socket.kind == Some(Kind::Datagram) || snapshot[peer].peer == Some(id),
                        "{socket:?}"
                    );
                }
            }
        }
        end.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn an_ordinary_user_sees_its_own_and_hears_what_is_missing() {
    const TEST: &str = "an_ordinary_user_sees_its_own_and_hears_what_is_missing";
    if role().is_none() && is_root() {
        let name = Name::unique("roots");
        let _kept = listener(STREAM, &name, 1);
        let child = Role::new(TEST, "nobody").user(NOBODY, NOBODY).env("ROOTS", &name.to_text());
        return child.run();
    }
    let (one, _other) = pair(STREAM);
    let snapshot = inspector(OwnersWanted::Auto).snapshot();
    assert_eq!(the(&snapshot, &one).owners.len(), 1);
    if role().is_some() {
        assert!(
            matches!(&snapshot.owners_from, OwnersFrom::Proc { why_not_bpf: Some(why) } if !why.is_empty())
        );
        let hidden = |what: &What| matches!(what, What::Descriptors(pids) if !pids.is_empty());
        assert!(snapshot.missing.iter().any(|missing| hidden(&missing.what) && missing.errno.is_some()));
        let name = Name::from_text(&std::env::var("ROOTS").unwrap());
        let server = snapshot.sockets.iter().find(|socket| {
            socket.name.as_abstract_name().is_some_and(|bytes| [b"\0", bytes].concat() == name.bytes())
        });
        let server = server.expect("names need no privilege");
        assert_eq!((server.owners.len(), server.uid), (0, Some(0)));
    }
}

#[test]
fn without_sock_diag_there_is_the_text_of_proc() {
    const TEST: &str = "without_sock_diag_there_is_the_text_of_proc";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "without").run();
    }
    let (name, free) = (Name::unique("text"), pair(DATAGRAM));
    let listener = listener(STREAM, &name, 8);
    forbid_call(libc::SYS_socket, Errno::PROTONOSUPPORT);
    for snapshot in both_ways() {
        let server = the(&snapshot, &listener);
        assert_eq!((server.state, server.kind), (State::Listening, Some(Kind::Stream)));
        assert_eq!([b"\0", server.name.as_abstract_name().unwrap()].concat(), name.bytes());
        // The text has no queues; the kernel program may have.
        let queue = Queue::Backlog { waiting: 0, limit: 8 };
        let is_told = snapshot.owners_from == OwnersFrom::Bpf && server.queue == Some(queue);
        assert!(server.owners.len() == 1 && (is_told || server.queue.is_none()), "{server:?}");
        assert_eq!(the(&snapshot, &free.0).state, State::Connected);
        assert!(snapshot.missing.iter().any(|missing| matches!(missing.what, What::Table(_))));
    }
}

#[test]
fn one_socket_of_many_processes() {
    const TEST: &str = "one_socket_of_many_processes";
    if role().is_some() {
        println!("ready");
        return drop(stdin().read_to_end(&mut Vec::new()));
    }
    let (shared, _other) = pair(STREAM);
    rustix::io::fcntl_setfd(&shared, rustix::io::FdFlags::empty()).unwrap();
    let mut heirs = [Role::new(TEST, "heir").spawn(), Role::new(TEST, "heir").spawn()];
    rustix::io::fcntl_setfd(&shared, rustix::io::FdFlags::CLOEXEC).unwrap();
    for heir in &mut heirs {
        heir.line("ready", LIMIT);
    }
    let mut expected = vec![Pid(std::process::id()), Pid(heirs[0].id()), Pid(heirs[1].id())];
    expected.sort();
    for snapshot in both_ways() {
        let mut pids: Vec<_> =
            snapshot.processes_of(id(&snapshot, &shared)).map(|process| process.pid).collect();
        // Children of other tests may briefly have a copy, from fork to exec.
        pids.retain(|pid| expected.contains(pid));
        assert_eq!(pids, expected);
    }
}

#[test]
fn who_came_to_an_earlier_server_of_the_name_is_not_the_new_ones_client() {
    let name = Name::unique("successor");
    let first = listener(STREAM, &name, 8);
    let early = (client(STREAM, &name), accept(&first).unwrap());
    close(first);
    let second = listener(STREAM, &name, 8);
    let late = (client(STREAM, &name), accept(&second).unwrap());
    for snapshot in both_ways() {
        let server = id(&snapshot, &second);
        let origin = |socket: &OwnedFd| {
            let socket = the(&snapshot, socket);
            (socket.listener, socket.namesake)
        };
        let connection = |client: &OwnedFd| {
            let client = id(&snapshot, client);
            snapshot.connections().find(|connection| connection.client == client).unwrap()
        };
        match snapshot.owners_from {
            OwnersFrom::Bpf => {
                assert_eq!(origin(&early.1), (None, None));
                assert_eq!(origin(&late.1), (Some(server), None));
                assert_eq!(connection(&late.0).listener, Some(server));
            }
            _ => {
                assert_eq!((origin(&early.1), origin(&late.1)), ((None, Some(server)), (None, Some(server))));
                let end = connection(&early.0).server.unwrap();
                assert_eq!(snapshot[end].may_be_from(), Some(server));
            }
        }
    }
}

#[test]
fn who_took_a_path_over_has_none_of_the_clients_before() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let name = Name::path(&path);
    let first = listener(STREAM, &name, 8);
    let early = (client(STREAM, &name), accept(&first).unwrap());
    close(first);
    std::fs::remove_file(&path).unwrap();
    let second = listener(STREAM, &name, 8);
    let late = (client(STREAM, &name), accept(&second).unwrap());
    for snapshot in both_ways() {
        assert_eq!(the(&snapshot, &early.1).may_be_from(), None);
        assert_eq!(the(&snapshot, &late.1).listener, Some(id(&snapshot, &second)));
    }
}
