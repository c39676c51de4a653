//! Sockets that are hard to find: in flight within each other, held only by the kernel, or in other
//! namespaces. Also callers from which some processes are hidden: what cannot be determined is
//! reported as missing, and nothing is guessed.

use std::fs;
use std::io::{Read, stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use stoop_inspect::{
    Inspector, Options, OwnersFrom, OwnersWanted, Pid, Snapshot, Socket, SocketIno, State, What,
};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, has_program, is_root, role, skip, tempdir};

const LIMIT: Duration = Duration::from_secs(20);
const WAYS: [OwnersWanted; 2] = [OwnersWanted::Auto, OwnersWanted::Proc];

fn snapshot(owners: OwnersWanted) -> Snapshot {
    let mut options = Options::default();
    options.owners = owners;
    options.in_flight = true;
    Inspector::new(options).snapshot()
}

fn inode(socket: &OwnedFd) -> SocketIno {
    SocketIno(fstat(socket).unwrap().st_ino as u32)
}

#[track_caller]
fn the(snapshot: &Snapshot, ino: SocketIno) -> &Socket {
    snapshot.sockets.iter().find(|socket| socket.ino == ino).expect("the socket is in the snapshot")
}

/// Waits for the end of stdin.
fn stay() {
    println!("ready");
    let _ = stdin().read_to_end(&mut Vec::new());
}

#[test]
fn sockets_in_flight_within_sockets_in_flight() {
    let kinds = [STREAM, DATAGRAM, SEQPACKET];
    let (carrier, end) = pair(SEQPACKET);
    let chain: Vec<(OwnedFd, OwnedFd)> = kinds.map(pair).into();
    let inodes: Vec<SocketIno> = chain.iter().map(|(one, _)| inode(one)).collect();
    // Each is in the queue of the next one, and the last one is in the queue of a socket that this
    // process holds.
    let mut kept = Vec::new();
    let mut inner: Option<OwnedFd> = None;
    for (one, other) in chain {
        if let Some(inner) = inner.take() {
            send_message(&other, b"x", &[Control::Rights(&[inner.as_fd()])], 0, None).unwrap();
            close(inner);
        }
        kept.push(other);
        inner = Some(one);
    }
    let last = inner.unwrap();
    send_message(&carrier, b"x", &[Control::Rights(&[last.as_fd()])], 0, None).unwrap();
    close(last);
    for owners in WAYS {
        let snapshot = snapshot(owners);
        for (&ino, other) in inodes.iter().zip(&kept) {
            let socket = the(&snapshot, ino);
            assert_eq!((&socket.owners[..], socket.state), (&[][..], State::Connected));
            let peer = socket.peer.map(|peer| snapshot[peer].ino);
            assert_eq!(peer, Some(inode(other)));
        }
        if kernel_at_least(5, 6) {
            assert_eq!(the(&snapshot, inode(&end)).in_flight, Some(1));
        }
    }
}

/// An io_uring instance holds the file that was registered with it, without a file descriptor.
#[test]
fn a_socket_that_only_a_ring_keeps_has_no_owner() {
    let (kept, other) = pair(STREAM);
    let ino = inode(&kept);
    let Some(_ring) = ring_of(&kept) else { skip!("lacks io_uring") };
    close(kept);
    for owners in WAYS {
        let snapshot = snapshot(owners);
        let socket = the(&snapshot, ino);
        assert_eq!((&socket.owners[..], socket.state), (&[][..], State::Connected));
        assert_eq!(socket.peer.map(|peer| snapshot[peer].ino), Some(inode(&other)));
    }
}

/// No process is in the namespace, and a mount or a file descriptor keeps it alive.
#[test]
fn a_namespace_that_a_mount_or_a_descriptor_keeps() {
    const TEST: &str = "a_namespace_that_a_mount_or_a_descriptor_keeps";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        // It mounts, in a mount namespace of its own.
        return Role::new(TEST, "mounts").run();
    }
    let directory = tempdir();
    let file = directory.path().join("blue net");
    fs::write(&file, "").unwrap();
    unshare(libc::CLONE_NEWNS).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let name = Name::unique("kept");
    let in_another = || {
        in_new_network(|| {
            let listener = listener(STREAM, &name, 8);
            (fs::File::open("/proc/thread-self/ns/net").unwrap(), listener)
        })
    };
    let (named, kept) = (in_another().unwrap(), in_another().unwrap());
    mount_bind(proc_path(&named.0), &file).unwrap();
    for owners in WAYS {
        let snapshot = snapshot(owners);
        let sockets = [&named.1, &kept.1].map(|socket| the(&snapshot, inode(socket)));
        assert_ne!(sockets[0].namespace, sockets[1].namespace);
        let names = |socket: &Socket| snapshot.namespace(socket.namespace).unwrap().names.clone();
        assert_eq!((names(sockets[0]), names(sockets[1])), (vec![file.clone()], vec![]));
        for socket in sockets {
            assert_eq!((socket.owners.len(), socket.state), (1, State::Listening));
        }
    }
    unmount(&file, UnmountFlags::DETACH).unwrap();
}

/// From outside, its processes have pids of the outer namespace. From inside, the processes outside
/// are hidden and reported as missing.
#[test]
fn a_namespace_of_process_ids() {
    const TEST: &str = "a_namespace_of_process_ids";
    if role().is_some() {
        let (one, _other) = pair(STREAM);
        println!("inode {}", inode(&one).0);
        let snapshot = snapshot(OwnersWanted::Auto);
        assert!(matches!(snapshot.owners_from, OwnersFrom::Proc { why_not_bpf: Some(_) }));
        assert_eq!(the(&snapshot, inode(&one)).owners[0].pid, Pid(std::process::id()));
        let outside = SocketIno(std::env::var("OUTSIDE").unwrap().parse().unwrap());
        assert_eq!(the(&snapshot, outside).owners, []);
        assert!(snapshot.missing.iter().any(|missing| missing.what == What::Processes));
        return stay();
    }
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let (outside, _other) = pair(STREAM);
    let mut inside = Role::new(TEST, "inside")
        .env("OUTSIDE", &inode(&outside).to_string())
        .within("unshare", &["--pid", "--fork", "--mount-proc", "--kill-child"])
        .spawn();
    let ino = SocketIno(inside.line("inode", LIMIT).parse().unwrap());
    inside.line("ready", LIMIT);
    for owners in WAYS {
        let snapshot = snapshot(owners);
        let socket = the(&snapshot, ino);
        let pid = socket.owners[0].pid;
        // The child of unshare; its number inside is another one.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("PPid:\t{}\n", inside.id())), "{status}");
        assert!(snapshot.missing.iter().all(|missing| missing.what != What::Processes));
    }
}

#[test]
fn a_proc_that_hides_processes_is_told() {
    const TEST: &str = "a_proc_that_hides_processes_is_told";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "hidden").run();
    }
    // A socket of another process, which runs as root.
    let name = Name::unique("hidden");
    let kept = listener(STREAM, &name, 1);
    let ino = inode(&kept);
    unshare(libc::CLONE_NEWNS).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    if mount("proc", "/proc", "proc", MountFlags::empty(), Some(c"hidepid=2")).is_err() {
        skip!("lacks hidepid");
    }
    let everything = snapshot(OwnersWanted::Proc);
    assert!(everything.missing.iter().all(|missing| missing.what != What::Processes), "root sees all");
    become_user(NOBODY, NOBODY);
    let (own, _other) = pair(STREAM);
    let snapshot = snapshot(OwnersWanted::Auto);
    let missing = snapshot.missing.iter().find(|missing| missing.what == What::Processes);
    assert!(missing.unwrap().to_string().contains("hidepid"));
    assert!(the(&snapshot, ino).name.as_abstract_name().is_some());
    let _ = own;
}

/// Names with every byte value at either end of the name, abstract and in the file system.
#[test]
fn names_of_every_byte() {
    let directory = tempdir();
    let names: Vec<Name> = (0..=255u8)
        .map(|byte| {
            Name::abstract_name([&[byte][..], format!("{}", std::process::id()).as_bytes(), &[byte]].concat())
        })
        .collect();
    let abstracts: Vec<OwnedFd> = names.iter().map(|name| bound(DATAGRAM, name)).collect();
    let is_allowed = |byte: &u8| !matches!(byte, 0 | b'/');
    let path = |byte: u8| {
        use std::os::unix::ffi::OsStrExt;
        directory.path().join(std::ffi::OsStr::from_bytes(&[byte, b'-', byte]))
    };
    let files: Vec<(u8, OwnedFd)> = (0..=255u8)
        .filter(is_allowed)
        .map(|byte| (byte, listener(STREAM, &Name::path(path(byte)), 1)))
        .collect();
    let snapshot = snapshot(OwnersWanted::Proc);
    for (name, socket) in names.iter().zip(&abstracts) {
        let socket = the(&snapshot, inode(socket));
        assert_eq!([b"\0", socket.name.as_abstract_name().unwrap()].concat(), name.bytes());
        assert!(!socket.name.to_string().chars().any(char::is_control));
    }
    for (byte, socket) in &files {
        let socket = the(&snapshot, inode(socket));
        assert_eq!(socket.name.as_pathname(), Some(&*path(*byte)));
        assert!(!socket.name.to_string().chars().any(char::is_control));
    }
}

/// Process trees that start, pass sockets on and exit all the time: no panic, and the owners of a
/// socket that stays are always complete and correct.
#[test]
fn a_storm_of_processes() {
    const TEST: &str = "a_storm_of_processes";
    const SNAPSHOTS: usize = 10;
    if role().is_none() {
        // Its children would otherwise have copies of other tests' sockets.
        return Role::new(TEST, "storm").run();
    }
    let (stays, peer) = pair(STREAM);
    let me = Pid(std::process::id());
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let burst = || {
            while !end.load(Ordering::Relaxed) {
                // Each briefly has copies of all file descriptors of the previous one.
                in_child(|| {
                    for _ in 0..4 {
                        in_child(|| in_child(|| 0).1.code().unwrap_or(1));
                    }
                    0
                });
            }
        };
        scope.spawn(burst);
        scope.spawn(|| {
            let (carrier, arrival) = pair(DATAGRAM);
            while !end.load(Ordering::Relaxed) {
                let (flies, _other) = pair(STREAM);
                send_message(&carrier, b"x", &[Control::Rights(&[flies.as_fd()])], 0, None).unwrap();
                close(flies);
                let _ = receive_message(&arrival, 1, 0, 0);
            }
        });
        for _ in 0..SNAPSHOTS {
            for owners in WAYS {
                let snapshot = snapshot(owners);
                let socket = the(&snapshot, inode(&stays));
                let mine: Vec<u32> =
                    socket.owners.iter().filter(|owner| owner.pid == me).map(|owner| owner.fd).collect();
                assert_eq!(mine, [stays.as_raw_fd() as u32]);
                assert_eq!(socket.peer.map(|peer| snapshot[peer].ino), Some(inode(&peer)));
                for socket in &snapshot.sockets {
                    let is_named = |pid: &Pid| snapshot.processes.contains_key(pid);
                    let gone = socket.owners.iter().filter(|owner| !is_named(&owner.pid));
                    assert!(gone.count() == 0 || owners == OwnersWanted::Proc, "the program names them all");
                }
            }
        }
        end.store(true, Ordering::Relaxed);
    });
}
