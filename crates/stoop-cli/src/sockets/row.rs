//! The lines of a snapshot. Each socket is in exactly one, except a datagram receiver, which is in
//! its own line and in those of its senders. Pure.

use stoop::Kind;
use stoop_inspect::{Pid, Queue, Snapshot, Socket, SocketId, State};

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What it is about.
    pub(crate) shape: Shape,
    /// The serving end: a listener, the accepted end, or the receiver. `None` if a socket serves no
    /// client, or if the client has not been accepted yet.
    pub(crate) server: Option<SocketId>,
    /// The client's end.
    pub(crate) client: Option<SocketId>,
    /// The listener that the server's end was accepted from, or in whose backlog the client waits.
    pub(crate) listener: Option<SocketId>,
    /// Whether server and client could be distinguished.
    pub(crate) is_client_known: bool,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shape {
    /// A socket that accepts connections.
    Listener,
    /// A single socket.
    Socket,
    /// Two sockets, or a client that has not been accepted yet.
    Connection,
}

/// Returns all lines of a snapshot, in its order.
pub(crate) fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let mut in_connection = vec![false; snapshot.sockets.len()];
    let mut connections = Vec::new();
    for connection in snapshot.connections() {
        in_connection[connection.client.index()] = true;
        if let Some(server) = connection.server {
            // A datagram receiver has a line of its own, whichever sockets send to it.
            let is_mutual = snapshot[server].peer == Some(connection.client);
            in_connection[server.index()] |= is_mutual;
        }
        connections.push(Row {
            shape: Shape::Connection,
            server: connection.server,
            client: Some(connection.client),
            listener: connection.listener,
            is_client_known: connection.is_client_known,
        });
    }
    let alone = snapshot.iter().filter(|(id, _)| !in_connection[id.index()]);
    let mut rows: Vec<Row> = alone.map(|(id, socket)| Row::alone(id, socket)).collect();
    rows.append(&mut connections);
    rows
}

impl Row {
    fn alone(id: SocketId, socket: &Socket) -> Row {
        let shape = if socket.state == State::Listening { Shape::Listener } else { Shape::Socket };
        let serves = !socket.name.is_unnamed();
        let (server, client) = if serves { (Some(id), None) } else { (None, Some(id)) };
        Row { shape, server, client, listener: socket.listener, is_client_known: true }
    }

    /// Returns the socket that the line is about: for a connection, the client.
    pub(crate) fn subject(&self) -> SocketId {
        self.client.or(self.server).expect("a line is about a socket")
    }

    /// Returns the socket whose owners serve: for a waiting client, the listener.
    pub(crate) fn serving(&self) -> Option<SocketId> {
        self.server.or(self.listener)
    }

    /// Returns the sockets whose name, file and owners are matched by flags.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = SocketId> {
        let [server, client] = [self.serving(), self.client];
        server.into_iter().chain(client)
    }

    /// Returns the sockets at its ends.
    pub(crate) fn ends(&self) -> impl Iterator<Item = SocketId> {
        let [server, client] = [self.server, self.client];
        server.into_iter().chain(client)
    }

    /// Returns the socket whose name the line shows: the server's end if there is one.
    pub(crate) fn named(&self, snapshot: &Snapshot) -> SocketId {
        self.sockets().find(|&id| !snapshot[id].name.is_unnamed()).unwrap_or(self.subject())
    }

    /// Returns the state of the line's subject.
    pub(crate) fn state(&self, snapshot: &Snapshot) -> State {
        snapshot[self.subject()].state
    }

    /// Returns whether it is a connection to a server of which it is not known which end is the
    /// server's. A pair has no server.
    pub(crate) fn has_unknown_sides(&self, snapshot: &Snapshot) -> bool {
        let has_name = |id: SocketId| !snapshot[id].name.is_unnamed();
        !self.is_client_known && self.kind(snapshot) != Some(Kind::Datagram) && self.ends().any(has_name)
    }

    /// Returns the kind of its sockets.
    pub(crate) fn kind(&self, snapshot: &Snapshot) -> Option<Kind> {
        snapshot[self.subject()].kind
    }

    /// Returns whether it is an address that clients use: a listening socket, or a datagram socket
    /// with a name.
    pub(crate) fn is_served(&self, snapshot: &Snapshot) -> bool {
        let is_receiver = self.shape == Shape::Socket
            && self.server.is_some()
            && self.kind(snapshot) == Some(Kind::Datagram);
        self.shape == Shape::Listener || is_receiver
    }

    /// Returns the queue length used for sorting: clients or bytes.
    pub(crate) fn queued(&self, snapshot: &Snapshot) -> u64 {
        let amount = |id: SocketId| match snapshot[id].queue {
            Some(Queue::Backlog { waiting, .. }) => u64::from(waiting),
            Some(Queue::Bytes { unread, .. }) => snapshot[id].unread_bytes().unwrap_or(unread).into(),
            None => 0,
        };
        self.server.map_or(0, amount) + self.client.map_or(0, amount)
    }

    /// Returns the process to name for a socket with several owners.
    pub(crate) fn process(snapshot: &Snapshot, id: SocketId) -> Option<Pid> {
        // A service manager keeps a duplicate of a socket it has passed on: the process that
        // received it serves it.
        let owners = &snapshot[id].owners;
        let passed_on = owners.iter().find(|owner| owner.pid != Pid(1));
        passed_on.or(owners.first()).map(|owner| owner.pid)
    }

    /// Returns whether it is hidden by default: an unnamed pair within one process, or a socket
    /// that is neither bound nor connected.
    pub(crate) fn is_minor(&self, snapshot: &Snapshot) -> bool {
        let socket = &snapshot[self.subject()];
        match (self.shape, self.server) {
            (Shape::Listener, _) => false,
            (Shape::Socket, _) => socket.state == State::Unconnected,
            (Shape::Connection, None) => false,
            (Shape::Connection, Some(server)) => {
                let other = &snapshot[server];
                let unnamed = socket.name.is_unnamed() && other.name.is_unnamed();
                unnamed && is_of_one_process(socket, other)
            }
        }
    }
}

fn is_of_one_process(one: &Socket, other: &Socket) -> bool {
    let mut pids = one.owners.iter().chain(&other.owners).map(|owner| owner.pid);
    let Some(first) = pids.next() else { return false };
    !one.owners.is_empty() && !other.owners.is_empty() && pids.all(|pid| pid == first)
}
