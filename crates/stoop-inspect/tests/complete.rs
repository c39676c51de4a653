//! Completeness: with many sockets, processes and network namespaces, a snapshot has everything
//! that `ss -xap`, `lsof -U` and `lsfd` show and what these cannot see, and nothing else.
//!
//! Uses 1,000 sockets of 20 processes. `STOOP_MACHINE=200` uses 10,000 of 200.

use std::collections::BTreeSet;
use std::io::{Read, stdin};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use rustix::fs::fstat;
use stoop_inspect::{Inspector, Options, OwnersWanted, Pid, Snapshot, Socket};
use stoop_kernel_facts::*;
use stoop_testkit::{KillOnDrop, Role, has_program, is_root, role, skip, tempdir};

const TEST: &str = "everything_that_ss_and_lsof_show_and_what_they_miss";
const LIMIT: Duration = Duration::from_secs(60);
const SOCKETS: usize = 50;
/// One in this many processes is in its own network namespace.
const ELSEWHERE: usize = 5;

/// A process, a file descriptor of it, and the inode of its socket.
type Held = (u32, u32, u32);

#[test]
fn everything_that_ss_and_lsof_show_and_what_they_miss() {
    if let Some(role) = role() {
        return hold(role == "elsewhere");
    }
    if !is_root() {
        skip!("lacks root");
    }
    if !has_program("ss") || !has_program("lsof") {
        skip!("lacks ss or lsof");
    }
    let directory = tempdir();
    let count: usize = std::env::var("STOOP_MACHINE").map_or(20, |text| text.parse().expect("a number"));
    let mut processes: Vec<KillOnDrop> = (0..count).map(|index| start(index, directory.path())).collect();
    let held: BTreeSet<Held> = processes.iter_mut().flat_map(listed).collect();
    assert_eq!(held.len(), count * SOCKETS);
    let pids: BTreeSet<u32> = processes.iter().map(|process| process.id()).collect();

    let of_ours = |shown: BTreeSet<Held>| -> BTreeSet<Held> {
        shown.into_iter().filter(|(pid, ..)| pids.contains(pid)).collect()
    };
    let ss = of_ours(shown_by_ss());
    let lsof = of_ours(shown_by_lsof());
    let here = count - count / ELSEWHERE;
    assert_eq!((ss.len(), lsof.len()), (here * SOCKETS, here * SOCKETS), "they see what is here");
    if has_program("lsfd") {
        assert_eq!(of_ours(shown_by_lsfd()), held, "it looks at descriptors, wherever their sockets are");
    }
    for owners in [OwnersWanted::Auto, OwnersWanted::Proc] {
        let mut options = Options::default();
        options.owners = owners;
        let snapshot = Inspector::new(options).snapshot();
        let shown = of_ours(shown_by(&snapshot));
        assert!(ss.is_subset(&shown) && lsof.is_subset(&shown));
        let lacking: Vec<_> = held.difference(&shown).collect();
        let invented: Vec<_> = shown.difference(&held).collect();
        assert_eq!((lacking, invented), (vec![], vec![]), "{owners:?}");
        joined(&snapshot, &pids);
    }
}

/// Asserts that every socket of these processes is joined with its peer, listener and clients.
fn joined(snapshot: &Snapshot, pids: &BTreeSet<u32>) {
    let is_ours = |socket: &Socket| socket.owners.first().is_some_and(|owner| pids.contains(&owner.pid.0));
    let ours: Vec<_> = snapshot.sockets.iter().filter(|socket| is_ours(socket)).collect();
    let count = |has: &dyn Fn(&Socket) -> bool| ours.iter().filter(|socket| has(socket)).count();
    let each = pids.len();
    // All except the listener, its waiting client, the datagram socket, and one if the number is odd.
    assert_eq!(count(&|socket| socket.peer.is_some()), each * (SOCKETS - 4));
    assert_eq!(count(&|socket| socket.waits_for.is_some()), each);
    assert_eq!(count(&|socket| socket.listener.is_some()), each * ACCEPTED);
    assert!(ours.iter().all(|socket| socket.cookie.is_some() && socket.uid == Some(0)));
    let networks: BTreeSet<_> = ours.iter().map(|socket| socket.namespace).collect();
    assert_eq!(networks.len(), 1 + each / ELSEWHERE);
    assert!(pids.iter().all(|&pid| snapshot.processes.contains_key(&Pid(pid))));
}

fn start(index: usize, directory: &std::path::Path) -> KillOnDrop {
    let part = if index.is_multiple_of(ELSEWHERE) { "elsewhere" } else { "here" };
    let path = directory.join(format!("{index}.sock"));
    Role::new(TEST, part).env("SOCKET", path.to_str().unwrap()).spawn()
}

/// Returns the sockets that the process prints.
fn listed(process: &mut KillOnDrop) -> Vec<Held> {
    let line = process.line("held", LIMIT);
    let pid = process.id();
    let held = |word: &str| {
        let (fd, ino) = word.split_once(':').unwrap();
        (pid, fd.parse().unwrap(), ino.parse().unwrap())
    };
    line.split(' ').map(held).collect()
}

/// The number of connections that a process accepts.
const ACCEPTED: usize = 10;

/// Holds a listener, a client in its backlog, a datagram socket, connections, and pairs of every
/// kind.
fn hold(elsewhere: bool) {
    if elsewhere {
        unshare(libc::CLONE_NEWNET).unwrap();
    }
    let name = Name::path(std::env::var("SOCKET").unwrap());
    let listener = listener(STREAM, &name, 64);
    let mut sockets: Vec<OwnedFd> = Vec::new();
    for _ in 0..ACCEPTED {
        sockets.push(client(STREAM, &name));
        sockets.push(accept(&listener).unwrap());
    }
    sockets.extend([client(STREAM, &name), bound(DATAGRAM, &Name::unique("log")), listener]);
    let kinds = [STREAM, DATAGRAM, SEQPACKET].into_iter().cycle();
    for kind in kinds {
        if sockets.len() + 2 > SOCKETS {
            break;
        }
        sockets.extend(<[OwnedFd; 2]>::from(pair(kind)));
    }
    sockets.extend((sockets.len() < SOCKETS).then(|| socket(STREAM)));
    let words: Vec<String> = sockets
        .iter()
        .map(|socket| format!("{}:{}", socket.as_raw_fd(), fstat(socket).unwrap().st_ino))
        .collect();
    println!("held {}", words.join(" "));
    let _ = stdin().read_to_end(&mut Vec::new());
}

fn shown_by(snapshot: &Snapshot) -> BTreeSet<Held> {
    let of = |socket: &Socket| {
        let ino = socket.ino.0;
        socket.owners.iter().map(move |owner| (owner.pid.0, owner.fd, ino)).collect::<Vec<_>>()
    };
    snapshot.sockets.iter().flat_map(of).collect()
}

/// Parses lines `… INODE PEER-NAME PEER-INODE users:(("name",pid=1,fd=2),…)`.
fn shown_by_ss() -> BTreeSet<Held> {
    let mut shown = BTreeSet::new();
    for line in output("ss", &["-xap"]).lines() {
        let Some((socket, users)) = line.split_once(" users:((") else { continue };
        let Some(ino) = socket.split_whitespace().rev().nth(2).and_then(|word| word.parse().ok()) else {
            continue;
        };
        for user in users.split("pid=").skip(1) {
            let mut numbers = user.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
            if let (Some(pid), Some(fd)) = (numbers.next(), numbers.next()) {
                shown.insert((pid, fd, ino));
            }
        }
    }
    shown
}

/// Parses the output of `lsof -F`: one field per line, after a letter that identifies it.
fn shown_by_lsof() -> BTreeSet<Held> {
    let (mut pid, mut fd) = (0, 0);
    let mut shown = BTreeSet::new();
    for line in output("lsof", &["-nP", "-U", "-F", "pfi"]).lines() {
        let Some((letter, Ok(number))) = line.split_at_checked(1).map(|(l, n)| (l, n.parse())) else {
            continue;
        };
        match letter {
            "p" => pid = number,
            "f" => fd = number,
            "i" => drop(shown.insert((pid, fd, number))),
            _ => {}
        }
    }
    shown
}

/// Parses lines `PID FD INODE PROTOCOL`. util-linux 2.39 has renamed the last column.
fn shown_by_lsfd() -> BTreeSet<Held> {
    let held = |line: &str| {
        let mut words = line.split_whitespace();
        let mut number = || words.next()?.parse::<u32>().ok();
        let held = (number()?, number()?, number()?);
        words.next()?.starts_with("UNIX").then_some(held)
    };
    let shown = |protocol: &str| {
        let columns = format!("PID,FD,INODE,{protocol}");
        output("lsfd", &["--noheadings", "--raw", "--output", &columns])
    };
    let lines = Some(shown("SOCK.PROTONAME")).filter(|lines| !lines.is_empty());
    lines.unwrap_or_else(|| shown("PROTONAME")).lines().filter_map(held).collect()
}

fn output(program: &str, args: &[&str]) -> String {
    let output = stoop_testkit::spawn(
        Command::new(program)
            .args(args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null()),
    )
    .and_then(std::process::Child::wait_with_output)
    .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
