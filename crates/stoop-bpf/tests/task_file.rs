//! The `task_file` iterator on the running kernel: which file descriptors it lists, and which
//! threads it visits.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rustix::fs::fstat;
use rustix::net::sockopt::socket_cookie;
use rustix::process::geteuid;
use rustix::thread::gettid;
use stoop_bpf::{Btf, Kind, Missing, Record, TaskFiles, Unavailable};
use stoop_kernel_facts::{
    Name, STREAM, accept, bind, client, in_new_network, libc, listen, listener, pair, recv, send, socket,
    with_own_descriptors,
};
use stoop_testkit::{Role, eventually, is_root, role, skip};

const DATAGRAM: i32 = libc::SOCK_DGRAM;
/// The first slot of the upper half of a network namespace's table.
const UPPER: u32 = 256;

/// Loads the program, or returns why it is unavailable. A rejection by the verifier is a bug in
/// this crate and panics.
fn program() -> Result<TaskFiles, String> {
    match TaskFiles::load() {
        Ok(program) => {
            assert!(program.has_details() || !is_root(), "what some kernels refuse was left out");
            Ok(program)
        }
        Err(Unavailable::No(missing @ (Missing::Verifier(_) | Missing::Type(_)))) if is_root() => {
            panic!("{missing}")
        }
        Err(unavailable) => Err(unavailable.to_string()),
    }
}

/// Loads the program into the variable, or skips the test.
macro_rules! loaded {
    () => {
        match program() {
            Ok(program) => program,
            Err(missing) => skip!("lacks the iterator: {missing}"),
        }
    };
}

fn inode(socket: &OwnedFd) -> u32 {
    fstat(socket).unwrap().st_ino as u32
}

/// Returns the records of one file descriptor of this process.
fn listed(program: &TaskFiles, socket: &OwnedFd) -> Vec<Record> {
    let (inode, fd) = (inode(socket), socket.as_raw_fd() as u32);
    let mine = |record: &Record| record.pid == std::process::id() && record.fd == fd && record.inode == inode;
    program.read().unwrap().into_iter().filter(mine).collect()
}

#[track_caller]
fn only(program: &TaskFiles, socket: &OwnedFd) -> Record {
    let found = listed(program, socket);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

/// K-BPF-1
#[test]
fn a_record_says_what_a_descriptor_is() {
    let program = loaded!();
    let network = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino() as u32;
    let (one, other) = pair(STREAM);
    let found = only(&program, &one);
    assert_eq!((found.inode, found.fd), (inode(&one), one.as_raw_fd() as u32));
    assert_eq!((found.network, found.user), (Some(network), geteuid().as_raw()));
    let cookie = socket_cookie(&other).unwrap();
    assert_eq!(only(&program, &other).cookie, Some(cookie));
}

/// K-BPF-1
#[test]
fn a_process_is_told_from_another_of_its_number() {
    let program = loaded!();
    let (one, _other) = pair(STREAM);
    let found = only(&program, &one);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind_the_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 = behind_the_name.split_whitespace().nth(19).unwrap().parse().unwrap();
    assert_eq!(found.started_ns / 10_000_000, ticks);
    let command = std::fs::read("/proc/self/comm").unwrap();
    assert_eq!(found.command.as_bytes(), command.trim_ascii_end());
}

/// K-BPF-1
#[test]
fn sockets_of_other_network_namespaces_are_listed() {
    let program = loaded!();
    let here = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino() as u32;
    let made = in_new_network(|| {
        let there = std::fs::metadata("/proc/thread-self/ns/net").unwrap().ino() as u32;
        (pair(STREAM).0, there)
    });
    let Some((socket, there)) = made else { skip!("lacks the right to make a network namespace") };
    assert_ne!(here, there);
    assert_eq!(only(&program, &socket).network, Some(there), "though no process is in it any more");
}

/// K-BPF-2
#[test]
fn threads_that_share_their_descriptors_are_visited_once() {
    const THREADS: usize = 64;
    let program = loaded!();
    let (one, _other) = pair(STREAM);
    let (begin, end) = (Arc::new(Barrier::new(THREADS + 1)), Arc::new(Barrier::new(THREADS + 1)));
    let waits = |_| {
        let (begin, end) = (begin.clone(), end.clone());
        thread::spawn(move || {
            begin.wait();
            end.wait();
        })
    };
    let threads: Vec<_> = (0..THREADS).map(waits).collect();
    begin.wait();
    let found = listed(&program, &one);
    end.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].tid, std::process::id());
}

/// K-BPF-2
#[test]
fn a_thread_with_descriptors_of_its_own_is_visited_too() {
    const TEST: &str = "a_thread_with_descriptors_of_its_own_is_visited_too";
    let program = loaded!();
    if role().is_none() {
        // In a process of its own: such a thread has copies of what other tests open.
        return Role::new(TEST, "alone").run();
    }
    let (one, _other) = pair(STREAM);
    let (mut tids, tid) = with_own_descriptors(|| {
        let tids: Vec<u32> = listed(&program, &one).iter().map(|record| record.tid).collect();
        let (own, _other) = pair(STREAM);
        assert_eq!(only(&program, &own).tid, gettid().as_raw_pid() as u32, "what only it has is there");
        (tids, gettid().as_raw_pid() as u32)
    });
    let mut expected = [std::process::id(), tid];
    expected.sort_unstable();
    tids.sort_unstable();
    assert_eq!(tids, expected);
    // A thread is joined shortly before its table is freed.
    eventually(Duration::from_secs(20), || listed(&program, &one).len() == 1);
}

/// K-BPF-3
#[test]
fn what_takes_many_reads_is_whole() {
    const SOCKETS: usize = 1500;
    let program = loaded!();
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(8192), maximum: Some(8192) },
    );
    let sockets: Vec<OwnedFd> = (0..SOCKETS).map(|_| pair(DATAGRAM).0).collect();
    let mut found: Vec<(u32, u32)> = program
        .read()
        .unwrap()
        .iter()
        .filter(|record| record.pid == std::process::id())
        .map(|record| (record.fd, record.inode))
        .collect();
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all, "nothing twice");
    for socket in &sockets {
        let one = (socket.as_raw_fd() as u32, inode(socket));
        assert!(found.binary_search(&one).is_ok(), "fd {} is missing", one.0);
    }
    assert!(sockets.iter().any(|socket| socket.as_raw_fd() > 1024));
}

/// K-BPF-5
#[test]
fn one_program_is_read_again_and_again() {
    let program = loaded!();
    let (one, _other) = pair(STREAM);
    let count = || listed(&program, &one).len();
    assert_eq!((count(), count()), (1, 1));
    let (later, _other) = pair(STREAM);
    assert_eq!(listed(&program, &later).len(), 1, "each read begins anew");
}

/// Other processes start, exit, open and close sockets meanwhile. A socket that stays is listed
/// once by each reading.
#[test]
fn what_stays_is_seen_among_what_goes() {
    const READS: usize = 40;
    let program = loaded!();
    let stop = AtomicBool::new(false);
    let (one, other) = pair(STREAM);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(std::process::Command::new("true").status().unwrap().success());
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                drop((0..32).map(|_| pair(DATAGRAM)).collect::<Vec<_>>());
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                thread::spawn(|| ()).join().unwrap();
            }
        });
        for _ in 0..READS {
            only(&program, &one);
            only(&program, &other);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Binds `name` again after its listener was closed. A child that another test is starting holds a
/// copy of every file descriptor until it executes its program, so the name may be free only later.
fn listener_again(name: &Name) -> OwnedFd {
    let fd = socket(STREAM);
    eventually(Duration::from_secs(10), || bind(&fd, name).is_ok());
    listen(&fd, 7).unwrap();
    fd
}

/// K-BPF-8
#[test]
fn an_accepted_socket_has_the_very_name_of_its_listener() {
    let program = loaded!();
    let name = Name::unique("named");
    let connect = |listener: &OwnedFd| (client(STREAM, &name), accept(listener).unwrap());
    let first = listener(STREAM, &name, 7);
    let of_first = connect(&first);
    let key = |socket: &OwnedFd| only(&program, socket).name;
    if key(&first).is_none() {
        skip!("lacks the helper that makes a local socket of a socket (Linux 5.16)");
    }
    assert_eq!(key(&of_first.1), key(&first));
    assert_eq!(key(&of_first.0), None);
    drop(first);
    let second = listener_again(&name);
    let of_second = connect(&second);
    assert!(key(&second).is_some() && key(&of_second.1) == key(&second));
    assert_ne!(key(&of_first.1), key(&second), "it reads the same and is another one");
    let without = TaskFiles::load_without_details().unwrap();
    assert_eq!(only(&without, &second).name, None);
}

/// K-BPF-9
#[test]
fn only_a_socket_that_was_bound_has_the_link_of_its_path() {
    let program = loaded!();
    let directory = stoop_testkit::tempdir();
    let (served, named) = (directory.path().join("served"), directory.path().join("named"));
    let listening = listener(STREAM, &Name::path(&served), 1);
    if !only(&program, &listening).is_bound_to_path {
        skip!("needs Linux 6.0");
    }
    let client = socket(STREAM);
    assert!(!only(&program, &client).is_bound_to_path);
    bind(&client, &Name::path(&named)).unwrap();
    stoop_kernel_facts::connect(&client, &Name::path(&served)).unwrap();
    let accepted = accept(&listening).unwrap();
    assert!(only(&program, &client).is_bound_to_path);
    assert!(!only(&program, &accepted).is_bound_to_path);
    drop(listening);
    std::fs::remove_file(&served).unwrap();
    std::fs::remove_file(&named).unwrap();
    assert!(only(&program, &client).is_bound_to_path, "it has no file any more");
    assert!(!only(&program, &accepted).is_bound_to_path);
}

/// K-BPF-10
#[test]
fn the_upper_slots_are_for_abstract_names_that_were_bound() {
    let program = loaded!();
    let unnamed = socket(STREAM);
    if only(&program, &unnamed).slot >= UPPER {
        skip!("needs Linux 6.0");
    }
    let (served, named) = (Name::unique("served"), Name::unique("named"));
    let listening = listener(STREAM, &served, 1);
    let client = socket(STREAM);
    bind(&client, &named).unwrap();
    stoop_kernel_facts::connect(&client, &served).unwrap();
    let accepted = accept(&listening).unwrap();
    assert!(only(&program, &listening).slot >= UPPER && only(&program, &client).slot >= UPPER);
    assert!(only(&program, &accepted).slot < UPPER);
}

/// K-BPF-11
#[test]
fn a_queue_is_counted_and_its_limit_is_its_own() {
    let program = loaded!();
    let (receiver, sender) = (socket(DATAGRAM), socket(DATAGRAM));
    let name = Name::unique("receiver");
    bind(&receiver, &name).unwrap();
    for len in [1, 0, 1100] {
        stoop_kernel_facts::send_to(&sender, &vec![b'x'; len], &name).unwrap();
    }
    let queue = only(&program, &receiver).queue;
    assert_eq!((queue.len, queue.bytes), (3, Some(1101)));
    let limit = std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap();
    assert_eq!(queue.limit, limit.trim().parse().unwrap());
    stoop_kernel_facts::recv(&receiver, 1).unwrap();
    let queue = only(&program, &receiver).queue;
    assert_eq!((queue.len, queue.bytes), (2, Some(1100)));
    let listening = listener(STREAM, &Name::unique("listening"), 7);
    assert_eq!(only(&program, &listening).queue.limit, 7);
}

/// K-BPF-12, K-TAP-2
#[test]
fn a_long_queue_is_counted_to_its_end() {
    let program = loaded!();
    let (one, other) = pair(STREAM);
    for _ in 0..200 {
        send(&other, b"xy").unwrap();
    }
    recv(&one, 3).unwrap();
    let queue = only(&program, &one).queue;
    assert_eq!(queue.len, 199, "one of them was read in part");
    let types = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    let wanted = [(Kind::FUNC, "bpf_iter_num_new")];
    if Btf::scan(&types, &wanted).unwrap().type_id(wanted[0].0, wanted[0].1).is_err() {
        assert_eq!(queue.bytes, None, "the program stops before its end");
        skip!("lacks iterators over numbers (Linux 6.4)");
    }
    assert_eq!(queue.bytes, Some(2 * 200 - 3));
}
