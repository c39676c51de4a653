//! What goes wrong between a server and its clients, seen twice: clients that are not accepted,
//! connections that a server keeps although the client has closed, and ends that do not read. Pure.

use std::collections::HashMap;

use stoop_inspect::{Queue, Snapshot, Socket, SocketId, SocketIno, State};

use super::detail::{Client, Traffic};

/// Identifies a socket in both snapshots.
type Key = (SocketIno, Option<u64>);

fn key(socket: &Socket) -> Key {
    (socket.ino, socket.cookie)
}

/// Two snapshots.
pub(super) struct Twice<'a> {
    first: &'a Snapshot,
    later: Option<(&'a Snapshot, HashMap<Key, SocketId>)>,
}

impl<'a> Twice<'a> {
    pub(super) fn new(first: &'a Snapshot, later: Option<&'a Snapshot>) -> Twice<'a> {
        let later = later.map(|later| (later, later.iter().map(|(id, socket)| (key(socket), id)).collect()));
        Twice { first, later }
    }

    /// Returns whether a second snapshot would show more about one of these sockets.
    pub(super) fn is_needed(
        snapshot: &Snapshot,
        found: &[SocketId],
        clients: &HashMap<SocketId, Vec<Client>>,
    ) -> bool {
        let twice = Twice::new(snapshot, Some(snapshot));
        let clients = |id| clients.get(id).map(Vec::as_slice).unwrap_or_default();
        found.iter().any(|id| twice.traffic(*id, clients(id)) != Traffic::default())
    }

    /// Returns what is so in both.
    pub(super) fn traffic(&self, id: SocketId, clients: &[Client]) -> Traffic {
        let server_ends = || clients.iter().filter_map(|client| client.server);
        Traffic {
            is_nobody_accepted: self.is_nobody_accepted(id),
            leaked: self.leaked(id),
            blocked_clients: clients.iter().filter(|client| self.is_full(client.client)).count(),
            unread_by_clients: server_ends().filter(|&end| self.is_full(end)).count(),
            is_blocked: self.is_full(id),
        }
    }

    /// Returns the same socket in the second snapshot.
    fn later(&self, id: SocketId) -> Option<(&'a Snapshot, &'a Socket)> {
        let (later, by_key) = self.later.as_ref()?;
        Some((later, &later[*by_key.get(&key(&self.first[id]))?]))
    }

    fn is_nobody_accepted(&self, id: SocketId) -> bool {
        let longest =
            |snapshot: &Snapshot, socket: &Socket| socket.waiting.first().map(|&id| key(&snapshot[id]));
        let first = longest(self.first, &self.first[id]);
        first.is_some() && self.later(id).is_some_and(|(later, socket)| longest(later, socket) == first)
    }

    fn leaked(&self, listener: SocketId) -> usize {
        let is_left = |socket: &Socket| socket.state == State::PeerClosed && !socket.owners.is_empty();
        let left =
            self.first.iter().filter(|(_, socket)| socket.listener == Some(listener) && is_left(socket));
        left.filter(|(id, _)| self.later(*id).is_some_and(|(_, socket)| is_left(socket))).count()
    }

    /// Returns whether a blocking write would wait ([K-STUCK-5]), and nothing was read meanwhile.
    ///
    /// [K-STUCK-5]: stoop::kernel_facts#K-STUCK-5
    fn is_full(&self, id: SocketId) -> bool {
        let socket = &self.first[id];
        let (Some(Queue::Bytes { unsent, .. }), Some(memory), State::Connected) =
            (socket.queue, socket.memory, socket.state)
        else {
            return false;
        };
        let is_same = |(_, later): (_, &Socket)| later.queue == socket.queue && later.state == socket.state;
        u64::from(unsent) >= u64::from(memory.send_limit_bytes) && self.later(id).is_some_and(is_same)
    }
}
