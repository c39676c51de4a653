//! The processes and addresses of ends, from snapshots.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use stoop::Address;
use stoop_inspect::{Inspector, Options, Snapshot, State, Workload};
use stoop_tap::{End, Endpoint};

use crate::sockets::Row;

/// How often to look again for sockets that are not known.
const EVERY: Duration = Duration::from_millis(250);

/// How long after a look at the sockets events of before it may still come.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// What is known of an end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    /// The process, and the name of its first thread.
    pub(super) process: Option<(u32, Vec<u8>)>,
    /// The name of the socket, if it has one.
    pub(super) address: Option<Address>,
    /// The container, unit or session of the process.
    pub(super) workload: Option<String>,
    /// Whether that is a container.
    pub(super) is_container: bool,
}

pub(super) fn is_container(workload: &Workload) -> bool {
    matches!(workload, Workload::Container { .. })
}

impl Label {
    /// Adds what another source knows.
    pub(super) fn or(self, other: Option<Label>) -> Label {
        let other = other.unwrap_or_default();
        Label {
            process: self.process.or(other.process),
            address: self.address.or(other.address),
            is_container: if self.workload.is_some() { self.is_container } else { other.is_container },
            workload: self.workload.or(other.workload),
        }
    }
}

/// Remembers the sockets of all snapshots.
#[derive(Debug)]
pub(super) struct Names {
    /// `None`: nothing is looked up.
    inspector: Option<Inspector>,
    by_inode: HashMap<u32, Label>,
    by_cookie: HashMap<u64, Label>,
    /// The sockets that were connected when the capture began, or after events were lost.
    connected: HashSet<u32>,
    /// Whether events were lost, and these sockets were not looked for since.
    has_lost: bool,
    /// Until when connections may come up whose begin was lost, though they are closed already.
    unclear_until: Option<Instant>,
    taken: Option<Instant>,
}

impl Names {
    /// Takes the first snapshot.
    pub(super) fn new() -> (Names, Snapshot) {
        let mut options = Options::default();
        options.sure = false;
        options.workloads = true;
        let mut inspector = Inspector::new(options);
        let snapshot = inspector.snapshot();
        let connected = connected(&snapshot);
        let mut names = Names { inspector: Some(inspector), connected, ..Names::of_file() };
        names.remember(&snapshot);
        (names, snapshot)
    }

    /// For a file, which has its own names.
    pub(super) fn of_file() -> Names {
        Names {
            inspector: None,
            by_inode: HashMap::new(),
            by_cookie: HashMap::new(),
            connected: HashSet::new(),
            has_lost: false,
            unclear_until: None,
            taken: None,
        }
    }

    /// Takes note of lost events: the begin of any connection may be among them.
    pub(super) fn lose(&mut self) {
        self.has_lost = self.inspector.is_some();
    }

    /// Returns whether the begin of a connection between these ends may not have been captured.
    pub(super) fn is_older(&self, ends: &[Endpoint; 2]) -> bool {
        let is_unclear = || self.unclear_until.is_some_and(|until| Instant::now() < until);
        if self.has_lost || is_unclear() {
            return true;
        }
        ends.iter().filter_map(|end| end.socket.inode).any(|inode| self.connected.contains(&inode))
    }

    fn take(&mut self) {
        if let Some(snapshot) = self.inspector.as_mut().map(Inspector::snapshot) {
            self.remember(&snapshot);
            if std::mem::take(&mut self.has_lost) {
                self.connected = connected(&snapshot);
                self.unclear_until = Some(Instant::now() + DELAY_MAX);
            }
        }
    }

    fn remember(&mut self, snapshot: &Snapshot) {
        for (id, socket) in snapshot.iter() {
            let process = Row::process(snapshot, id).and_then(|pid| snapshot.processes.get(&pid));
            let label = Label {
                process: process.map(|process| (process.pid.0, process.command.as_bytes().to_vec())),
                address: Some(socket.name.clone()).filter(|name| !name.is_unnamed()),
                workload: process.map(|process| process.workload.to_string()).filter(|text| text != "-"),
                is_container: process.is_some_and(|process| is_container(&process.workload)),
            };
            if let Some(cookie) = socket.cookie {
                self.by_cookie.insert(cookie, label.clone());
            }
            self.by_inode.insert(socket.ino.0, label);
        }
        self.taken = Some(Instant::now());
    }

    /// Takes another snapshot if neither end of a connection is known from one, or if events were
    /// lost, and the last is old.
    pub(super) fn refresh(&mut self, ends: &[Endpoint; 2]) {
        let is_old = self.taken.is_none_or(|taken| taken.elapsed() > EVERY);
        if is_old && (self.has_lost || ends.iter().any(|end| self.found(end.socket).is_none())) {
            self.take();
        }
    }

    fn found(&self, end: End) -> Option<&Label> {
        let by_cookie = end.cookie.and_then(|cookie| self.by_cookie.get(&cookie));
        by_cookie.or_else(|| end.inode.and_then(|inode| self.by_inode.get(&inode)))
    }

    /// Describes an end: the process that was seen using it, else one that has it open.
    pub(super) fn label(&self, end: &Endpoint) -> Label {
        let mut label = self.found(end.socket).cloned().unwrap_or_default();
        if let Some(process) = &end.process {
            let is_same = label.process.as_ref().is_some_and(|(pid, _)| *pid == process.0);
            if !is_same {
                label.process = Some(process.clone());
                (label.workload, label.is_container) = (None, false);
            }
        }
        label
    }

    /// Describes a socket.
    pub(super) fn socket(&self, end: End) -> Label {
        self.found(end).cloned().unwrap_or_default()
    }
}

fn connected(snapshot: &Snapshot) -> HashSet<u32> {
    let is_connected = |socket: &&stoop_inspect::Socket| socket.state == State::Connected;
    snapshot.sockets.iter().filter(is_connected).map(|socket| socket.ino.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    fn pair() -> ([UnixStream; 2], [Endpoint; 2]) {
        let (one, other) = UnixStream::pair().unwrap();
        let end = |socket: &UnixStream| {
            let file = std::fs::File::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()));
            let inode = Some(file.metadata().unwrap().ino() as u32);
            let mut end = Endpoint::default();
            end.socket.inode = inode;
            end
        };
        let ends = [end(&one), end(&other)];
        ([one, other], ends)
    }

    #[test]
    fn connections_may_have_begun_among_lost_events() {
        let (_open, before) = pair();
        let mut names = Names::new().0;
        assert!(names.is_older(&before));
        let (_open, during) = pair();
        assert!(!names.is_older(&during));
        names.lose();
        assert!(names.is_older(&during));
        names.taken = None;
        names.refresh(&during);
        let (_open, after) = pair();
        assert!(names.is_older(&after), "events of before may still come");
        names.unclear_until = Some(Instant::now());
        assert!(names.is_older(&during) && !names.is_older(&after));
    }
}
