//! A snapshot that is being put together. No I/O: it takes what was read, and joins it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::SystemTime;

use crate::join::{ByInode, Links, join};
use crate::model::{
    Missing, Namespace, NamespaceIno, OwnersFrom, Pid, Process, Snapshot, Socket, SocketIno, What,
};
use crate::owners::{self, Holding};
use crate::table::Row;

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pub(crate) sockets: Vec<Socket>,
    /// As many as there are sockets.
    links: Vec<Links>,
    pub(crate) processes: HashMap<Pid, Process>,
    pub(crate) namespaces: BTreeMap<NamespaceIno, Namespace>,
    /// The namespace of this process.
    pub(crate) own: NamespaceIno,
    /// The inode and the cookie of a socket that was made before anything was read.
    pub(crate) newest: Option<(SocketIno, u64)>,
    /// Namespaces that could not be entered, and why.
    pub(crate) unopened: BTreeMap<NamespaceIno, io::Error>,
    pub(crate) missing: Vec<Missing>,
}

impl Assembly {
    pub(crate) fn add(&mut self, rows: impl IntoIterator<Item = Row>) {
        for (socket, links) in rows {
            self.sockets.push(socket);
            self.links.push(links);
        }
    }

    /// Notes that something is missing.
    pub(crate) fn lacks(&mut self, what: What, error: &io::Error) {
        self.missing.push(Missing::new(what, error));
    }

    /// The value, or its default and a note that it is missing.
    pub(crate) fn or_missing<T: Default>(&mut self, what: &str, result: io::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.lacks(What::Other(what.to_owned()), &error);
            T::default()
        })
    }

    /// Gives each socket its owners. Holdings of no socket that is known are returned.
    pub(crate) fn assign(&mut self, holdings: Vec<Holding>) -> Vec<Holding> {
        let by_inode = ByInode::of(&self.sockets);
        owners::assign(&mut self.sockets, &mut self.links, &by_inode, holdings)
    }

    /// Where the sockets are that nobody has open.
    pub(crate) fn ownerless(&self) -> Vec<usize> {
        (0..self.sockets.len()).filter(|&index| self.sockets[index].owners.is_empty()).collect()
    }

    /// Whether the socket may have been made since the snapshot was begun, by its inode or by its
    /// cookie. Either may mislead where a processor has slept: each takes a thousand numbers at
    /// a time from the counter of inodes for the sockets that are made on it, and more for the
    /// cookies of those that are listed on it for the first time. Both do not, at once.
    pub(crate) fn may_be_new(&self, index: usize) -> bool {
        const HELD_BACK: u32 = 1 << 18;
        let socket = &self.sockets[index];
        self.newest.is_none_or(|(ino, cookie)| {
            socket.ino.0.wrapping_sub(ino.0.wrapping_sub(HELD_BACK)) < u32::MAX / 2
                || socket.cookie.is_none_or(|own| own > cookie)
        })
    }

    /// Takes these sockets out again; `gone` is in order.
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

    /// Joins the sockets with each other; none may be added or removed after it.
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
