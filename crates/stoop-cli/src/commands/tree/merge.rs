//! Which processes are one node: those that serve one listener together, and those that differ in
//! nothing but their number. Pure.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;

use stoop_inspect::{Pid, Process, Snapshot, SocketId, Workload};

use crate::sockets::{Row, Shape};

/// The process that stands for each process: the first of those that are merged with it.
#[derive(Debug, Default)]
pub(super) struct Merged(HashMap<Pid, Pid>);

impl Merged {
    /// Determines which processes of these lines are merged.
    pub(super) fn of(snapshot: &Snapshot, rows: &[Row]) -> Merged {
        let mut merged = Merged::default();
        let servers = merged.share_listeners(snapshot, rows);
        merged.share_peers(snapshot, rows, &servers);
        merged
    }

    /// Returns the process that stands for this one.
    pub(super) fn first(&self, pid: Pid) -> Pid {
        let mut first = pid;
        while let Some(&other) = self.0.get(&first).filter(|&&other| other != first) {
            first = other;
        }
        first
    }

    fn join(&mut self, one: Pid, other: Pid) {
        let (one, other) = (self.first(one), self.first(other));
        self.0.insert(one.max(other), one.min(other));
    }

    /// Merges workers that accept from one listener, or have accepted from it. Returns all
    /// processes that serve a name.
    fn share_listeners(&mut self, snapshot: &Snapshot, rows: &[Row]) -> BTreeSet<Pid> {
        let mut first: HashMap<(SocketId, Key), Pid> = HashMap::new();
        let mut servers = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for row in rows.iter().filter(|row| !snapshot[row.named(snapshot)].name.is_unnamed()) {
            let Some(id) = row.serving() else { continue };
            let listener = snapshot[id].may_be_from().unwrap_or(id);
            let mut sharing: Vec<&Process> = snapshot.processes_of(id).collect();
            // All connections of a listener share it.
            if seen.insert(listener) {
                sharing.extend(snapshot.processes_of(listener));
            }
            for process in sharing {
                servers.insert(process.pid);
                let first = *first.entry((listener, Key::of(process))).or_insert(process.pid);
                self.join(first, process.pid);
            }
        }
        servers
    }

    /// Merges clients of one user with the same command, in the same unit or container or of the
    /// same parent, that are connected to the same processes. Two servers that share only their
    /// command (python3, java, socat) are not merged.
    fn share_peers(&mut self, snapshot: &Snapshot, rows: &[Row], servers: &BTreeSet<Pid>) {
        let mut peers: HashMap<Pid, BTreeSet<Peer>> = HashMap::new();
        for row in rows.iter().filter(|row| row.shape == Shape::Connection) {
            let ends =
                [row.serving(), row.client].map(|id| (id, id.and_then(|id| Row::process(snapshot, id))));
            for (one, other) in [(ends[0], ends[1]), (ends[1], ends[0])] {
                let (Some(pid), Some(id)) = (one.1, other.0) else { continue };
                let peer = other.1.map_or(Peer::Hidden(snapshot[id].uid), |pid| Peer::Seen(self.first(pid)));
                peers.entry(pid).or_default().insert(peer);
            }
        }
        let mut first: HashMap<Alike, Pid> = HashMap::new();
        let mut pids: Vec<Pid> = peers.keys().copied().filter(|pid| !servers.contains(pid)).collect();
        pids.sort_unstable();
        for pid in pids {
            let Some(process) = snapshot.processes.get(&pid) else { continue };
            let is_grouped = matches!(process.workload, Workload::Unit { .. } | Workload::Container { .. });
            let parent = process.parent.filter(|_| !is_grouped);
            let alike = (Key::of(process), process.uid, parent, peers[&pid].clone());
            let first = *first.entry(alike).or_insert(pid);
            self.join(first, pid);
        }
    }
}

/// The command and the group of a process.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a>(&'a OsStr, &'a Workload);

impl<'a> Key<'a> {
    fn of(process: &'a Process) -> Key<'a> {
        Key(&process.command, &process.workload)
    }
}

/// What merged clients have in common: command and group, user, parent, and peers.
type Alike<'a> = (Key<'a>, Option<u32>, Option<Pid>, BTreeSet<Peer>);

/// The other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Peer {
    Seen(Pid),
    /// A process that is not visible, of this user.
    Hidden(Option<u32>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{rows, sample};

    fn merged(snapshot: &Snapshot) -> impl Fn(u32, u32) -> bool + use<> {
        let merged = Merged::of(snapshot, &rows(snapshot));
        move |one, other| merged.first(Pid(one)) == merged.first(Pid(other))
    }

    #[test]
    fn workers_of_one_listener_are_merged() {
        let is_one = merged(&sample::web_site());
        assert!(is_one(2040, 2041), "gunicorn");
        assert!(!is_one(812, 910) && !is_one(700, 2040));
    }

    #[test]
    fn strangers_with_one_command_are_not_merged() {
        let mut site = sample::web_site();
        // Two programs of their own, with other clients, in the same container or in none.
        for workload in [Workload::Unknown, site.processes[&Pid(2100)].workload.clone()] {
            for pid in [812, 910] {
                let process = site.processes.get_mut(&Pid(pid)).unwrap();
                (process.command, process.workload) = ("socat".into(), workload.clone());
            }
            assert!(!merged(&site)(812, 910));
        }
    }

    #[test]
    fn clients_alike_are_merged_if_they_have_one_parent() {
        let mut site = sample::web_site();
        // Two clients of the cache, regardless of what else they do.
        let only_cache = |row: &Row, snapshot: &Snapshot| {
            row.serving().and_then(|id| Row::process(snapshot, id)) == Some(Pid(910))
        };
        for (pid, parent) in [(2041, 1), (2100, 1)] {
            let process = site.processes.get_mut(&Pid(pid)).unwrap();
            (process.command, process.workload, process.parent) =
                ("php".into(), Workload::Unknown, Some(Pid(parent)));
        }
        let chosen = |site: &Snapshot| -> Vec<Row> {
            rows(site).into_iter().filter(|row| only_cache(row, site)).collect()
        };
        let is_one = |site: &Snapshot| {
            let merged = Merged::of(site, &chosen(site));
            merged.first(Pid(2041)) == merged.first(Pid(2100))
        };
        assert!(is_one(&site));
        site.processes.get_mut(&Pid(2100)).unwrap().parent = Some(Pid(7));
        assert!(!is_one(&site), "of two parents");
        for pid in [2041, 2100] {
            site.processes.get_mut(&Pid(pid)).unwrap().workload =
                Workload::Unit { name: "php.service".into(), user: None };
        }
        assert!(is_one(&site), "in one unit");
        site.processes.get_mut(&Pid(2100)).unwrap().uid = Some(1001);
        assert!(!is_one(&site), "of two users");
    }
}
