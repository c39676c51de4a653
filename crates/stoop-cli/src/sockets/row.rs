//! Lines made of a snapshot: each socket is in exactly one, but for a datagram receiver, which is
//! in its own line and in those of its senders. Pure.

use stoop::Kind;
use stoop_inspect::{Pid, Queue, Snapshot, Socket, SocketId, State};

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// What it is about.
    pub(crate) shape: Shape,
    /// The end that serves: a listener, the accepted end, the receiver. `None` where a socket
    /// serves nobody, and where nobody has accepted the client.
    pub(crate) server: Option<SocketId>,
    /// The end that uses.
    pub(crate) client: Option<SocketId>,
    /// The listener that the server's end came from, or that the client waits for.
    pub(crate) listener: Option<SocketId>,
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shape {
    /// A socket that takes connections.
    Listener,
    /// A socket by itself.
    Socket,
    /// Two sockets, of which nobody may have accepted one yet.
    Connection,
}

/// All lines of a snapshot, in its order.
pub(crate) fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let mut in_connection = vec![false; snapshot.sockets.len()];
    let mut connections = Vec::new();
    for connection in snapshot.connections() {
        in_connection[connection.client.index()] = true;
        if let Some(server) = connection.server {
            // A datagram receiver is a socket of its own, whoever sends to it.
            let is_mutual = snapshot[server].peer == Some(connection.client);
            in_connection[server.index()] |= is_mutual;
        }
        connections.push(Row {
            shape: Shape::Connection,
            server: connection.server,
            client: Some(connection.client),
            listener: connection.listener,
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
        Row { shape, server, client, listener: socket.listener }
    }

    /// The socket that the line is about: the client of a connection.
    pub(crate) fn subject(&self) -> SocketId {
        self.client.or(self.server).expect("a line is about a socket")
    }

    /// The socket whose owners serve: of a client that waits, the listener.
    pub(crate) fn serving(&self) -> Option<SocketId> {
        self.server.or(self.listener)
    }

    /// The sockets whose name, file and owners count as the line's.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = SocketId> {
        let [server, client] = [self.serving(), self.client];
        server.into_iter().chain(client)
    }

    /// The sockets at its ends.
    pub(crate) fn ends(&self) -> impl Iterator<Item = SocketId> {
        let [server, client] = [self.server, self.client];
        server.into_iter().chain(client)
    }

    /// The socket whose name is the line's: the server's side where it has one.
    pub(crate) fn named(&self, snapshot: &Snapshot) -> SocketId {
        self.sockets().find(|&id| !snapshot[id].name.is_unnamed()).unwrap_or(self.subject())
    }

    /// What the line's subject is doing.
    pub(crate) fn state(&self, snapshot: &Snapshot) -> State {
        snapshot[self.subject()].state
    }

    /// The kind of its sockets.
    pub(crate) fn kind(&self, snapshot: &Snapshot) -> Option<Kind> {
        snapshot[self.subject()].kind
    }

    /// Whether it is an address that others use: a listening socket, or a datagram socket with a
    /// name.
    pub(crate) fn is_served(&self, snapshot: &Snapshot) -> bool {
        let is_receiver = self.shape == Shape::Socket
            && self.server.is_some()
            && self.kind(snapshot) == Some(Kind::Datagram);
        self.shape == Shape::Listener || is_receiver
    }

    /// How much is queued, for an order: clients or bytes.
    pub(crate) fn queued(&self, snapshot: &Snapshot) -> u64 {
        let amount = |id: SocketId| match snapshot[id].queue {
            Some(Queue::Backlog { waiting, .. }) => u64::from(waiting),
            Some(Queue::Bytes { unread, .. }) => u64::from(unread),
            None => 0,
        };
        self.server.map_or(0, amount) + self.client.map_or(0, amount)
    }

    /// The process to name for the side that serves, or for the one that uses.
    pub(crate) fn process(snapshot: &Snapshot, id: SocketId) -> Option<Pid> {
        // A service manager keeps a copy of what it has passed on: whoever got it is the one that serves.
        let owners = &snapshot[id].owners;
        let passed_on = owners.iter().find(|owner| owner.pid != Pid(1));
        passed_on.or(owners.first()).map(|owner| owner.pid)
    }

    /// Whether it only concerns those who look for it: a pair without a name within one process, or
    /// a socket that is nothing yet.
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
