//! A snapshot under construction. No I/O: it is given what was read, and joins it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::SystemTime;

use stoop::diag::Entry;

use crate::join::{ByInode, Links, join};
use crate::listed;
use crate::model::{
    Missing, Namespace, NamespaceIno, OwnersFrom, Pid, Process, Snapshot, Socket, SocketIno, What,
};
use crate::owners::{self, Holding};
use crate::table::Row;

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) sockets: Vec<Socket>,
    /// One entry per socket.
    links: Vec<Links>,
    pub(crate) processes: HashMap<Pid, Process>,
    pub(crate) namespaces: BTreeMap<NamespaceIno, Namespace>,
    /// The network namespace of this process.
    pub(crate) own: NamespaceIno,
    /// The inode and the cookie of a socket that was created before anything was read.
    pub(crate) newest: Option<(SocketIno, u64)>,
    /// Namespaces that could not be entered, and why.
    pub(crate) unopened: BTreeMap<NamespaceIno, io::Error>,
    pub(crate) missing: Vec<Missing>,
    /// What the tables have if the program lists the sockets: which there are, by namespace.
    pub(crate) counted: BTreeMap<NamespaceIno, Vec<Entry>>,
    /// The same of namespaces whose table is unavailable.
    pub(crate) from_text: Vec<Row>,
}

impl Assembly {
    /// Makes room for as many more sockets.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.sockets.reserve(more);
        self.links.reserve(more);
    }

    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        for (socket, links) in rows {
            self.sockets.push(socket);
            self.links.push(links);
        }
    }

    /// Records that something is missing.
    pub(crate) fn lacks(&mut self, what: What, error: &io::Error) {
        self.missing.push(Missing::new(what, error));
    }

    /// Returns the value, or records that it is missing and returns its default.
    pub(crate) fn or_missing<T: Default>(&mut self, what: &str, result: io::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.lacks(What::Other(what.to_owned()), &error);
            T::default()
        })
    }

    /// Adds owners to their sockets. Returns the holdings whose socket is unknown.
    pub(crate) fn assign(&mut self, holdings: Vec<Holding>) -> Vec<Holding> {
        let by_inode = ByInode::of(&self.sockets);
        owners::assign(&mut self.sockets, &mut self.links, &by_inode, holdings)
    }

    /// Completes the sockets that the program listed with what was counted. Returns the sockets
    /// that it did not list, by namespace. The sockets must be ordered as it listed them.
    pub(crate) fn count(&mut self) -> Vec<(NamespaceIno, Vec<SocketIno>)> {
        let mut unseen = Vec::new();
        let mut counted = std::mem::take(&mut self.counted);
        let mut start = 0;
        for group in self.sockets.chunk_by(|one, other| one.namespace == other.namespace) {
            let keys: Vec<_> = group.iter().map(|socket| (socket.ino, socket.cookie)).collect();
            let namespace = group[0].namespace;
            let links = &mut self.links[start..];
            let table = counted.remove(&namespace).unwrap_or_default();
            unseen.push((
                namespace,
                listed::compare(&keys, table, |at, entry| links[at].waiting = entry.waiting),
            ));
            start += group.len();
        }
        let only_counted = counted.into_iter().map(|(namespace, entries)| {
            (namespace, entries.iter().map(|entry| SocketIno(entry.ino)).collect())
        });
        unseen.extend(only_counted);
        let has = |row: &Row| {
            let (ino, namespace) = (row.0.ino, row.0.namespace);
            self.sockets.iter().any(|socket| (socket.ino, socket.namespace) == (ino, namespace))
        };
        let rows: Vec<Row> =
            std::mem::take(&mut self.from_text).into_iter().filter(|row| !has(row)).collect();
        self.add(rows);
        unseen.retain(|(_, inos)| !inos.is_empty());
        unseen
    }

    /// Returns the positions of the sockets whose queue is unknown.
    pub(crate) fn uncounted(&self) -> Vec<usize> {
        (0..self.sockets.len()).filter(|&index| self.sockets[index].queue.is_none()).collect()
    }

    /// Returns the positions of the sockets that no process has open.
    pub(crate) fn ownerless(&self) -> Vec<usize> {
        (0..self.sockets.len()).filter(|&index| self.sockets[index].owners.is_empty()).collect()
    }

    /// Returns whether the socket may have been created since the snapshot was started, by its
    /// inode or by its cookie.
    ///
    /// Each processor reserves a thousand numbers at a time from the inode counter for the sockets
    /// created on it, and more for the cookies of those first listed on it. Either number alone can
    /// therefore mislead if a processor was idle, but not both at once.
    pub(crate) fn may_be_new(&self, index: usize) -> bool {
        const HELD_BACK: u32 = 1 << 18;
        let socket = &self.sockets[index];
        self.newest.is_none_or(|(ino, cookie)| {
            socket.ino.0.wrapping_sub(ino.0.wrapping_sub(HELD_BACK)) < u32::MAX / 2
                || socket.cookie.is_none_or(|own| own > cookie)
        })
    }

    /// Removes these sockets. `gone` must be sorted.
    pub(crate) fn remove(&mut self, gone: &[usize]) {
        if gone.is_empty() {
            return;
        }
        let stays = |index: &mut usize| {
            *index += 1;
            gone.binary_search(&(*index - 1)).is_err()
        };
        let (mut socket, mut link) = (0, 0);
        self.sockets.retain(|_| stays(&mut socket));
        self.links.retain(|_| stays(&mut link));
    }

    /// Joins the sockets with each other. None may be added or removed afterwards.
    pub(crate) fn join(&mut self) {
        let by_inode = ByInode::of(&self.sockets);
        join(&mut self.sockets, &self.links, &by_inode);
        for socket in &mut self.sockets {
            socket.owners.sort_unstable();
            socket.owners.dedup();
        }
    }

    pub(crate) fn finish(self, owners_from: OwnersFrom, taken: SystemTime) -> Snapshot {
        let (own, others): (Vec<_>, Vec<_>) =
            self.namespaces.into_values().partition(|namespace| namespace.is_own);
        Snapshot {
            sockets: self.sockets,
            processes: self.processes,
            namespaces: own.into_iter().chain(others).collect(),
            missing: self.missing,
            owners_from,
            taken,
        }
    }
}
