//! Compares the two ways of finding owners on the same state of the machine: the BPF program and
//! the walk through `/proc` must give the same owners for every socket.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stoop_inspect::{
    Inspector, NamespaceIno, Options, Owner, OwnersFrom, OwnersWanted, Pid, Snapshot, Socket, SocketIno,
    State,
};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, is_root, role, skip, tempdir};

const TEST: &str = "both_ways_find_the_same_owners";
const DATAGRAM: i32 = libc::SOCK_DGRAM;
const SEQPACKET: i32 = libc::SOCK_SEQPACKET;
/// The role of a process whose first thread exits.
const HEADLESS: &str = "headless";
/// The number of a file descriptor far from the others.
const FAR: i32 = 3000;

#[test]
fn both_ways_find_the_same_owners() {
    if let Some(role) = role() {
        return live(&role);
    }
    if !is_root() {
        skip!("lacks root");
    }
    let mut by_program = Inspector::new(options(OwnersWanted::Auto));
    if let OwnersFrom::Proc { why_not_bpf } = by_program.snapshot().owners_from {
        skip!("lacks the kernel program: {why_not_bpf:?}");
    }
    let mut roles = [Role::new(TEST, "first").spawn(), Role::new(TEST, "other").user(NOBODY, NOBODY).spawn()];
    let mut headless = Role::new(TEST, HEADLESS).spawn();
    for role in roles.iter_mut().chain([&mut headless]) {
        role.line("ready", Duration::from_secs(20));
    }
    let mut by_walk = Inspector::new(options(OwnersWanted::Proc));
    let mut differences = Vec::new();
    // A socket that is opened and closed between two snapshots does not cause a difference twice.
    for _ in 0..10 {
        let before = seen(&by_walk.snapshot());
        let listed = by_program.snapshot();
        let after = seen(&by_walk.snapshot());
        assert_eq!(listed.owners_from, OwnersFrom::Bpf);
        let listed = seen(&listed);
        for role in &roles {
            let mut owners: Vec<&Owner> = Vec::new();
            let its: Vec<&Seen> = listed.values().filter(|seen| seen.is_of(Pid(role.id()))).collect();
            its.iter().for_each(|seen| owners.extend(&seen.owners));
            assert!(its.len() >= 19, "{its:?}");
            assert!(owners.iter().any(|owner| owner.fd == FAR as u32));
            assert!(owners.iter().any(|owner| owner.thread.is_some()), "a thread has some to itself");
            assert!(owners.iter().any(|owner| owner.pid != Pid(role.id())), "one is inherited");
        }
        differences = differing(&before, &listed, &after);
        if differences.is_empty() {
            return;
        }
    }
    panic!("they differ in {}:\n{}", differences.len(), differences.join("\n"));
}

fn options(owners: OwnersWanted) -> Options {
    let mut options = Options::default();
    options.owners = owners;
    options.process_states = true;
    options.memory = true;
    options
}

/// The command, the user and the start of a process.
type Identity = (OsString, Option<u32>, Option<u64>);

/// A socket and its owners, in a form that is comparable between snapshots.
#[derive(Debug, PartialEq)]
struct Seen {
    ino: SocketIno,
    state: State,
    namespace: NamespaceIno,
    peer: Option<u64>,
    /// What the kernel's table has of it.
    table: String,
    waiting: Vec<Option<u64>>,
    owners: Vec<Owner>,
    /// The process of each owner.
    processes: Vec<Option<Identity>>,
}

impl Seen {
    fn is_of(&self, pid: Pid) -> bool {
        self.owners.iter().any(|owner| owner.pid == pid)
    }
}

/// Returns the sockets of a snapshot by cookie.
fn seen(snapshot: &Snapshot) -> BTreeMap<u64, Seen> {
    snapshot.sockets.iter().filter_map(|socket| Some((socket.cookie?, seen_of(snapshot, socket)))).collect()
}

fn seen_of(snapshot: &Snapshot, socket: &Socket) -> Seen {
    let mut owners = socket.owners.clone();
    owners.sort_unstable();
    let process = |owner: &Owner| {
        let process = snapshot.processes.get(&owner.pid)?;
        Some((process.command.clone(), process.uid, process.start))
    };
    Seen {
        ino: socket.ino,
        state: socket.state,
        namespace: socket.namespace,
        peer: socket.peer.and_then(|peer| snapshot[peer].cookie),
        table: format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            socket.kind, socket.name, socket.file, socket.queue, socket.memory, socket.uid, socket.shutdown
        ),
        waiting: socket.waiting.iter().map(|&client| snapshot[client].cookie).collect(),
        processes: owners.iter().map(process).collect(),
        owners,
    }
}

/// Returns the sockets that both walks show alike, and the program differently or not at all.
fn differing(
    before: &BTreeMap<u64, Seen>,
    listed: &BTreeMap<u64, Seen>,
    after: &BTreeMap<u64, Seen>,
) -> Vec<String> {
    let still = before.iter().filter(|(cookie, seen)| after.get(cookie) == Some(seen));
    let other = still.filter(|(cookie, seen)| listed.get(cookie) != Some(seen));
    other.map(|(cookie, seen)| format!("walk {seen:?}\nprogram {:?}", listed.get(cookie))).collect()
}

/// Holds sockets of every kind and state until stdin is closed.
fn live(role: &str) {
    if role == HEADLESS {
        // The thread that runs a test need not be a first thread, but that of a forked child is.
        in_child(|| {
            let _pair = pair(STREAM);
            for _ in 0..3 {
                thread::spawn(|| stdin().read_to_end(&mut Vec::new()));
            }
            println!("ready");
            end_this_thread()
        });
        return;
    }
    let limit = Rlimit { current: Some(FAR as u64 + 1), ..getrlimit(Resource::Nofile) };
    let _ = setrlimit(Resource::Nofile, limit);
    let pairs = [pair(STREAM), pair(DATAGRAM), pair(SEQPACKET)];
    let _same = pairs.each_ref().map(|(one, _)| one.try_clone().unwrap());
    let _far = fcntl_dupfd_cloexec(&pairs[0].1, FAR).unwrap();
    let _served = serve(&Name::unique(&format!("{TEST}-{role}")));
    let directory = tempdir();
    let _at_a_path = serve(&Name::path(directory.path().join("served")));
    let _mixed = mixed(role.len() as u64);
    let _halves: Vec<OwnedFd> = [STREAM, DATAGRAM].map(|kind| pair(kind).0).into();
    let sent = pair(STREAM);
    let flying = pair(DATAGRAM);
    send_message(&sent.0, b"x", &[Control::Rights(&[flying.0.as_fd()])], 0, None).unwrap();
    drop(flying.0);
    // No process is in the namespace any more, and only a file descriptor refers to it.
    let _elsewhere = in_new_network(|| pair(STREAM));
    // Another owner of a socket: it reads the same stdin, and exits when that is closed.
    fcntl_setfd(&pairs[2].0, FdFlags::empty()).unwrap();
    let mut heir = Command::new("cat").stdin(Stdio::inherit()).stdout(Stdio::null()).spawn().unwrap();
    thread::spawn(|| {
        with_own_descriptors(|| {
            let _own = pair(STREAM);
            println!("ready");
            let _ = stdin().read_to_end(&mut Vec::new());
        });
    })
    .join()
    .unwrap();
    heir.wait().unwrap();
}

/// Creates pairs with anything in their queues, some of which was read, or shut down.
fn mixed(seed: u64) -> Vec<(OwnedFd, OwnedFd)> {
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut make = || {
        let (one, other) = pair([STREAM, DATAGRAM, SEQPACKET][random(3)]);
        for _ in 0..random(5) {
            send(&one, &vec![b'x'; 1 + random(300)]).unwrap();
        }
        if random(2) == 0 {
            let _ = recv_with(&other, 1 + random(200), libc::MSG_DONTWAIT);
        }
        if random(4) == 0 {
            shutdown(&one, random(3) as i32);
        }
        (one, other)
    };
    (0..40).map(|_| make()).collect()
}

/// Creates a listener with accepted and waiting clients, and one without clients.
fn serve(name: &Name) -> Vec<OwnedFd> {
    let listener = listener(STREAM, name, 8);
    let mut sockets = Vec::new();
    for _ in 0..2 {
        sockets.push(client(STREAM, name));
        sockets.push(accept(&listener).unwrap());
    }
    sockets.extend([client(STREAM, name), client(STREAM, name), listener]);
    sockets
}
