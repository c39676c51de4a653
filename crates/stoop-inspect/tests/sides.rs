//! Which end of a connection is the client, while hundreds are made and closed each second: both
//! ends have names, and the listener is closed at once.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, accept, bind, connect, listen, socket};
use stoop_inspect::{Inspector, Options, OwnersFrom};
use stoop_testkit::tempdir;

/// How many connections each thread keeps open.
const OPEN: usize = 50;
const SNAPSHOTS: usize = 10;
/// How many connections have to be made meanwhile.
const MADE_MIN: usize = 1000;

/// For each socket's inode, whether it is a client.
type Known = Mutex<HashMap<u64, bool>>;

fn inode(socket: &impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

/// Makes connections at paths, or at abstract names.
fn churn(directory: Option<&Path>, number: usize, known: &Known, made: &AtomicUsize, ends: &AtomicBool) {
    let mut open: VecDeque<(OwnedFd, OwnedFd)> = VecDeque::new();
    while !ends.load(Ordering::Relaxed) {
        let count = made.fetch_add(1, Ordering::Relaxed);
        let name = |side: &str| {
            let name = format!("{side}-{number}-{count}");
            match directory {
                Some(directory) => SocketAddrUnix::new(directory.join(name)).unwrap(),
                None => {
                    let name = format!("stoop-sides-{}-{name}", std::process::id());
                    SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()
                }
            }
        };
        let stream = || socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        let (listener, client) = (stream(), stream());
        bind(&listener, &name("server")).unwrap();
        listen(&listener, 1).unwrap();
        bind(&client, &name("client")).unwrap();
        connect(&client, &name("server")).unwrap();
        let accepted = accept(&listener).unwrap();
        known.lock().unwrap().extend([(inode(&client), true), (inode(&accepted), false)]);
        drop(listener);
        // The first one closes first: sometimes this, sometimes that end.
        open.push_back(if count.is_multiple_of(2) { (client, accepted) } else { (accepted, client) });
        if open.len() > OPEN {
            open.pop_front();
        }
    }
}

#[test]
fn ends_are_never_exchanged() {
    let directory = tempdir();
    let (known, made, ends) = (Known::default(), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _end = End(&ends);
        let start = |directory, number| {
            let (known, made, ends) = (&known, &made, &ends);
            scope.spawn(move || churn(directory, number, known, made, ends))
        };
        let threads = [start(Some(directory.path()), 0), start(None, 1)];
        let mut inspector = Inspector::new(Options::default());
        let (mut seen, mut distinguished, mut taken, mut is_told) = (0, 0, 0, false);
        while taken < SNAPSHOTS || made.load(Ordering::Relaxed) < MADE_MIN {
            assert!(threads.iter().all(|thread| !thread.is_finished()));
            let snapshot = inspector.snapshot();
            taken += 1;
            let known = known.lock().unwrap();
            let is_client = |id| known.get(&u64::from(snapshot[id].ino.0)).copied();
            for connection in snapshot.connections() {
                let Some(ends) = is_client(connection.client).zip(connection.server.and_then(is_client))
                else {
                    continue;
                };
                seen += 1;
                if connection.is_client_known {
                    distinguished += 1;
                    assert_eq!(ends, (true, false), "{connection:?}");
                }
            }
            is_told = snapshot.owners_from == OwnersFrom::Bpf && since_linux_6_0();
        }
        assert!(seen > 0);
        // An end that was closed while the owners were listed is not known.
        assert!(!is_told || distinguished > seen / 2, "{distinguished} of {seen}");
    });
}

/// Ends the threads, also if the test fails: it waits for them.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn since_linux_6_0() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').next().and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 6)
}
