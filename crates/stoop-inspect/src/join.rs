//! Joins sockets with each other: peers, waiting clients, and the listeners that accepted sockets
//! came from. Pure.
//!
//! The tables refer to other sockets by inode, and an inode alone does not identify a socket: the
//! counter wraps, and the tables were read one after the other. Two sockets are joined only if both
//! sides agree. If there is more than one match, they are not joined.

use std::collections::HashMap;

use stoop::diag::FileId;
use stoop::{Address, Kind};
use stoop_bpf::NameKey;

use crate::model::{Messages, NamespaceIno, Socket, SocketId, SocketIno, State};

/// The relations of a socket as a table lists them, by inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) peer: Link,
    /// The clients waiting at a listener.
    pub(crate) waiting: Vec<u32>,
    /// Whether the kernel reports the socket as connected.
    pub(crate) is_established: bool,
    /// Identifies the socket's name, if the source of the owners reports it.
    pub(crate) name: Option<NameKey>,
    /// What no table lists, if the source of the owners reports it.
    pub(crate) inner: Option<Inner>,
}

/// What only the kernel's own structures say of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inner {
    /// Whether it was bound to a path itself.
    pub(crate) is_bound_to_path: bool,
    /// Its slot of the hash table.
    pub(crate) slot: u32,
    /// Its receive queue.
    pub(crate) queue: stoop_bpf::Queue,
}

/// A socket's peer, according to its table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    /// The socket has no peer.
    #[default]
    None,
    /// The peer has no inode: it was not accepted yet, or was closed ([K-DIAG-7]).
    ///
    /// [K-DIAG-7]: stoop::kernel_facts#K-DIAG-7
    WithoutInode,
    /// The peer has this inode.
    To(SocketIno),
    /// This table does not list peers.
    NotListed,
}

/// An index of sockets by inode.
#[derive(Debug)]
pub(crate) struct ByInode(Vec<(SocketIno, SocketId)>);

impl ByInode {
    pub(crate) fn of(sockets: &[Socket]) -> ByInode {
        let mut pairs: Vec<_> = sockets.iter().map(|socket| socket.ino).zip((0..).map(SocketId)).collect();
        // Each table is already sorted, so this merges sorted runs.
        pairs.sort();
        ByInode(pairs)
    }

    /// Returns every socket with this inode: nearly always one, or none.
    pub(crate) fn all(&self, ino: SocketIno) -> impl Iterator<Item = SocketId> + '_ {
        let first = self.0.partition_point(|&(other, _)| other < ino);
        self.0[first..].iter().take_while(move |&&(other, _)| other == ino).map(|&(_, id)| id)
    }
}

/// Fills in the peer, waiting, waits_for, listener, namesake and state of every socket. `links` has
/// one entry per socket.
pub(crate) fn join(sockets: &mut [Socket], links: &[Links], by_inode: &ByInode) {
    let at = |id: SocketId| id.0 as usize;
    for index in 0..sockets.len() {
        if let Link::To(ino) = links[index].peer {
            sockets[index].peer = peer_of(index, ino, sockets, links, by_inode);
        }
        for &ino in &links[index].waiting {
            if let Some(client) = client_of(index, SocketIno(ino), sockets, links, by_inode) {
                sockets[index].waiting.push(client);
                sockets[at(client)].waits_for = Some(SocketId(index as u32));
            }
        }
    }
    add_inner(sockets, links);
    complete_peers(sockets, links);
    drop_one_sided(sockets);
    let listeners = Listeners::of(sockets);
    for index in 0..sockets.len() {
        sockets[index].state = state(&sockets[index], &links[index]);
        let origin = listeners.of_accepted(&sockets[index], &links[index], links);
        (sockets[index].listener, sockets[index].namesake) = origin;
    }
    for index in 0..sockets.len() {
        if is_client_with_a_name(&sockets[index], sockets) {
            sockets[index].is_bound_itself = Some(true);
        }
    }
}

/// Returns whether a socket has a name and is the client of a connection: it waits to be accepted,
/// or its peer was accepted by a listener that still has its name. So nothing but its own bind
/// named it.
fn is_client_with_a_name(socket: &Socket, sockets: &[Socket]) -> bool {
    let is_of_a_listener = |peer: SocketId| sockets[peer.0 as usize].may_be_from().is_some();
    let is_client = socket.waits_for.is_some() || socket.peer.is_some_and(is_of_a_listener);
    let is_connected = socket.kind.is_some_and(Kind::is_connected);
    is_connected && is_client && !socket.name.is_unnamed() && socket.may_be_from().is_none()
}

/// Adds what only the kernel's own structures say.
fn add_inner(sockets: &mut [Socket], links: &[Links]) {
    /// The first slot of the upper half ([K-BPF-10]).
    ///
    /// [K-BPF-10]: stoop::kernel_facts#K-BPF-10
    const UPPER: u32 = 256;
    // Before Linux 6.0 the upper half has the sockets that were not bound: unnamed ones, of which
    // every machine has some.
    let unnamed = sockets.iter().zip(links).filter(|(socket, _)| socket.name.is_unnamed());
    let highest = unnamed.filter_map(|(_, link)| Some(link.inner?.slot)).max();
    let is_for_names = highest.is_some_and(|slot| slot < UPPER);
    for (socket, link) in sockets.iter_mut().zip(links) {
        socket.is_bound_itself = match socket.name.as_abstract_name() {
            Some(_) => link.inner.filter(|_| is_for_names).map(|inner| inner.slot >= UPPER),
            None => link.inner.map(|inner| inner.is_bound_to_path),
        };
        let queue = link.inner.filter(|_| socket.kind == Some(Kind::Datagram)).map(|inner| inner.queue);
        socket.messages = queue.map(|queue| Messages::new(queue.len, queue.bytes, queue.limit));
    }
}

/// Returns the only socket with this inode that can be the peer of this one.
fn peer_of(
    index: usize,
    ino: SocketIno,
    sockets: &[Socket],
    links: &[Links],
    by_inode: &ByInode,
) -> Option<SocketId> {
    let own = &sockets[index];
    let is_mutual = |id: &SocketId| links[id.0 as usize].peer == Link::To(own.ino);
    let may_be = |id: &SocketId| {
        let (other, link) = (&sockets[id.0 as usize], &links[id.0 as usize]);
        // The other end may have been read before it was accepted. A datagram socket's peer need
        // not refer back to it.
        let fits = own.kind == Some(Kind::Datagram) || is_mutual(id) || link.peer == Link::WithoutInode;
        other.kind == own.kind && link.waiting.is_empty() && fits
    };
    only(by_inode.all(ino).filter(|id| may_be(id) && is_mutual(id)))
        .or_else(|| only(by_inode.all(ino).filter(may_be)))
}

/// Returns the only client with this inode that can be waiting at this listener.
fn client_of(
    index: usize,
    ino: SocketIno,
    sockets: &[Socket],
    links: &[Links],
    by_inode: &ByInode,
) -> Option<SocketId> {
    let may_wait = |id: &SocketId| {
        let (client, link) = (&sockets[id.0 as usize], &links[id.0 as usize]);
        client.kind == sockets[index].kind && link.peer == Link::WithoutInode && client.waits_for.is_none()
    };
    only(by_inode.all(ino).filter(may_wait))
}

fn only(mut found: impl Iterator<Item = SocketId>) -> Option<SocketId> {
    found.next().filter(|_| found.next().is_none())
}

/// Completes connections accepted between the reading of their two ends: those are known from one
/// end only.
fn complete_peers(sockets: &mut [Socket], links: &[Links]) {
    for index in 0..sockets.len() {
        let Some(peer) = sockets[index].peer else { continue };
        let other = peer.0 as usize;
        if sockets[other].kind != Some(Kind::Datagram)
            && sockets[other].peer.is_none()
            && links[other].peer == Link::WithoutInode
        {
            sockets[other].peer = Some(SocketId(index as u32));
            if let Some(listener) = sockets[other].waits_for.take() {
                sockets[listener.0 as usize].waiting.retain(|client| *client != peer);
            }
        }
    }
}

/// If two sockets claim the same peer, as may be seen while inodes are being reused, at most one is
/// right.
fn drop_one_sided(sockets: &mut [Socket]) {
    for index in 0..sockets.len() {
        let Some(peer) = sockets[index].peer else { continue };
        let is_mutual = sockets[peer.0 as usize].peer == Some(SocketId(index as u32));
        if sockets[index].kind != Some(Kind::Datagram) && !is_mutual {
            sockets[index].peer = None;
        }
    }
}

fn state(socket: &Socket, link: &Links) -> State {
    if socket.state == State::Listening {
        return State::Listening;
    }
    let is_connection = link.is_established && socket.kind != Some(Kind::Datagram);
    match link.peer {
        _ if socket.waits_for.is_some() => State::Waiting,
        _ if socket.peer.is_some() => State::Connected,
        Link::To(_) => State::Connected,
        Link::NotListed if link.is_established => State::Connected,
        Link::WithoutInode if is_connection && socket.shutdown != (true, true) => State::Waiting,
        Link::WithoutInode => State::PeerClosed,
        Link::None if is_connection => State::PeerClosed,
        Link::None | Link::NotListed if !socket.name.is_unnamed() => State::Bound,
        Link::None | Link::NotListed => State::Unconnected,
    }
}

/// Listeners, indexed by what an accepted socket shares with the one it came from.
struct Listeners {
    // `None` if two listeners have the same key: the table holds only 32 bits of a file's inode.
    by_file: HashMap<(FileId, Kind), Option<SocketId>>,
    // Likewise `None` if one listener was closed and the next created while the table was read.
    by_name: HashMap<(Address, Kind, NamespaceIno), Option<SocketId>>,
}

impl Listeners {
    fn of(sockets: &[Socket]) -> Listeners {
        let mut listeners = Listeners { by_file: HashMap::new(), by_name: HashMap::new() };
        for (id, socket) in (0..).map(SocketId).zip(sockets) {
            let (State::Listening, Some(kind)) = (socket.state, socket.kind) else { continue };
            if let Some(file) = socket.file {
                listeners.by_file.entry((file, kind)).and_modify(|one| *one = None).or_insert(Some(id));
            } else if socket.name.as_abstract_name().is_some() {
                let name = (socket.name.clone(), kind, socket.namespace);
                listeners.by_name.entry(name).and_modify(|one| *one = None).or_insert(Some(id));
            }
        }
        listeners
    }

    /// Determines the listener that a connected socket was accepted from, or else the one it may
    /// have come from.
    ///
    /// A socket that shares a listener's file was accepted from it: no other socket can have that
    /// file. A socket that shares its abstract name may have been accepted from an earlier listener
    /// of that name. That is only certain if the source distinguishes names that read the same.
    fn of_accepted(
        &self,
        socket: &Socket,
        link: &Links,
        links: &[Links],
    ) -> (Option<SocketId>, Option<SocketId>) {
        let nothing = (None, None);
        let Some(kind) = socket.kind.filter(|kind| kind.is_connected() && link.is_established) else {
            return nothing;
        };
        if let Some(file) = socket.file {
            return (self.by_file.get(&(file, kind)).copied().flatten(), None);
        }
        if socket.name.as_abstract_name().is_none() {
            return nothing;
        }
        let Some(&Some(id)) = self.by_name.get(&(socket.name.clone(), kind, socket.namespace)) else {
            return nothing;
        };
        match (link.name, links[id.0 as usize].name) {
            (Some(own), Some(its)) if own == its => (Some(id), None),
            (Some(_), Some(_)) => nothing,
            _ => (None, Some(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stoop_bpf::{RECORD_BYTES, Record};

    /// Creates a socket with this inode and these links.
    fn row(ino: u32, kind: Kind, peer: Link, waiting: &[u32]) -> (Socket, Links) {
        let state = if waiting.is_empty() { State::Unconnected } else { State::Listening };
        let is_established = matches!(peer, Link::To(_) | Link::WithoutInode);
        let links = Links { peer, waiting: waiting.to_vec(), is_established, ..Links::default() };
        (Socket::new(SocketIno(ino), kind, state), links)
    }

    fn joined(rows: impl IntoIterator<Item = (Socket, Links)>) -> Vec<Socket> {
        let (mut sockets, links): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let by_inode = ByInode::of(&sockets);
        join(&mut sockets, &links, &by_inode);
        sockets
    }

    fn to(ino: u32) -> Link {
        Link::To(SocketIno(ino))
    }

    #[test]
    fn of_two_sockets_with_one_inode_the_one_that_fits_is_the_peer() {
        let sockets = joined([
            row(1, Kind::Stream, to(2), &[]),
            row(2, Kind::Stream, to(9), &[]),
            row(2, Kind::Datagram, to(1), &[]),
            row(2, Kind::Stream, to(1), &[]),
        ]);
        assert_eq!(sockets[0].peer, Some(SocketId(3)));
        assert_eq!((sockets[1].peer, sockets[2].peer, sockets[3].peer), (None, None, Some(SocketId(0))));
    }

    #[test]
    fn what_fits_twice_is_not_joined() {
        let sockets = joined([
            row(1, Kind::Stream, to(2), &[]),
            row(2, Kind::Stream, to(1), &[]),
            row(2, Kind::Stream, to(1), &[]),
        ]);
        assert_eq!(sockets[0].peer, None);
        assert_eq!(sockets[0].state, State::Connected, "the table says so all the same");
    }

    #[test]
    fn a_client_accepted_between_two_readings_is_not_waiting() {
        let sockets = joined([
            row(1, Kind::Stream, Link::None, &[2, 3]),
            row(2, Kind::Stream, Link::WithoutInode, &[]),
            row(3, Kind::Stream, Link::WithoutInode, &[]),
            row(4, Kind::Stream, to(2), &[]),
        ]);
        assert_eq!(sockets[0].waiting, [SocketId(2)]);
        assert_eq!((sockets[1].peer, sockets[1].state), (Some(SocketId(3)), State::Connected));
        assert_eq!((sockets[2].waits_for, sockets[2].state), (Some(SocketId(0)), State::Waiting));
    }

    /// Sets the name to `@server`, with this identity.
    fn named((mut socket, mut links): (Socket, Links), name: u8) -> (Socket, Links) {
        socket.name = Address::abstract_name("server").unwrap();
        links.name = Record::split(&[name; 2 * RECORD_BYTES]).unwrap().0.name;
        (socket, links)
    }

    #[test]
    fn an_abstract_name_that_reads_the_same_is_not_the_same() {
        let listener = || {
            let (mut socket, links) = row(1, Kind::Stream, Link::None, &[]);
            socket.state = State::Listening;
            (socket, links)
        };
        let accepted = || row(2, Kind::Stream, Link::WithoutInode, &[]);
        let of = |name, its| {
            let sockets = joined([named(listener(), its), named(accepted(), name)]);
            (sockets[1].listener, sockets[1].namesake)
        };
        assert_eq!(of(7, 7), (Some(SocketId(0)), None));
        assert_eq!(of(7, 8), (None, None), "that server was closed");
        assert_eq!(of(7, 0), (None, Some(SocketId(0))), "unknown");
        assert_eq!(of(0, 7), (None, Some(SocketId(0))));
    }

    /// Both ends of a connection have names, and its listener was closed.
    #[test]
    fn an_end_that_was_bound_itself_is_the_client() {
        let path = |(mut socket, links): (Socket, Links), name: &str, is_bound_to_path| {
            socket.name = Address::path(name).unwrap();
            (socket, Links { inner: Some(Inner { is_bound_to_path, ..Inner::default() }), ..links })
        };
        let side = |first: bool, second: bool| {
            let sockets = joined([
                path(row(1, Kind::Stream, to(2), &[]), "/a", first),
                path(row(2, Kind::Stream, to(1), &[]), "/b", second),
            ]);
            let snapshot = crate::Snapshot::of(sockets, []);
            let one = snapshot.connections().next().unwrap();
            (one.client.0, one.is_client_known)
        };
        assert_eq!(side(true, false), (0, true));
        assert_eq!(side(false, true), (1, true));
        assert_eq!((side(false, false).1, side(true, true).1), (false, false));
    }

    #[test]
    fn abstract_names_are_bound_in_the_upper_slots_if_unnamed_sockets_are_not() {
        let at = |(socket, links): (Socket, Links), slot| {
            (socket, Links { inner: Some(Inner { slot, ..Inner::default() }), ..links })
        };
        let is_bound = |slot, unnamed| {
            let bound = at(named(row(1, Kind::Stream, Link::None, &[]), 1), slot);
            joined([bound, at(row(2, Kind::Stream, Link::None, &[]), unnamed)])[0].is_bound_itself
        };
        assert_eq!(is_bound(256, 255), Some(true));
        assert_eq!(is_bound(255, 255), Some(false));
        assert_eq!(is_bound(256, 256), None, "before Linux 6.0");
        // Without an unnamed socket, the two are not distinguished.
        let alone = at(named(row(1, Kind::Stream, Link::None, &[]), 1), 255);
        assert_eq!(joined([alone])[0].is_bound_itself, None);
    }

    fn any_row() -> impl Strategy<Value = (Socket, Links)> {
        let link = prop_oneof![
            Just(Link::None),
            Just(Link::WithoutInode),
            Just(Link::NotListed),
            (0u32..6).prop_map(|ino| Link::To(SocketIno(ino))),
        ];
        let kind = prop::sample::select(Kind::ALL.to_vec());
        let waiting = proptest::collection::vec(0u32..6, 0..3);
        (0u32..6, kind, link, waiting).prop_map(|(ino, kind, link, waiting)| row(ino, kind, link, &waiting))
    }

    proptest! {
        /// Whatever the tables contain, with frequent inode collisions: sockets are joined from
        /// both sides.
        #[test]
        fn joins_hold_from_both_sides(rows in proptest::collection::vec(any_row(), 0..10)) {
            let sockets = joined(rows);
            for (id, socket) in (0..).map(SocketId).zip(&sockets) {
                if let Some(peer) = socket.peer {
                    let peer = &sockets[peer.0 as usize];
                    prop_assert_eq!(peer.kind, socket.kind);
                    prop_assert!(socket.kind == Some(Kind::Datagram) || peer.peer == Some(id));
                }
                for client in &socket.waiting {
                    prop_assert_eq!(sockets[client.0 as usize].waits_for, Some(id));
                }
                if let Some(listener) = socket.waits_for {
                    prop_assert!(sockets[listener.0 as usize].waiting.contains(&id));
                }
            }
        }
    }
}
