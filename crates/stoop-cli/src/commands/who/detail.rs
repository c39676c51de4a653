//! Gathers everything that is known of one socket. Formats nothing.

use std::collections::HashMap;
use std::fs;

use stoop::diag::{self, Settings};
use stoop::{Address, Kind};
use stoop_inspect::internal::{AskerRights, Hindrance, gather};
use stoop_inspect::why::{Operation, Question, Who};
use stoop_inspect::{Owner, Pid, Process, Queue, Snapshot, Socket, SocketId, State};

use super::file::{self, FileFacts, FileState};
use super::mounted::{MountedIn, mounted_in};
use super::render::hexdump::PEEK_BYTES;
use crate::sockets::opener::{self, Opener};
use crate::sockets::{Now, ResolvedSelector};

/// One socket, and everything related to it.
#[derive(Debug)]
pub(super) struct Detail<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) id: SocketId,
    pub(super) socket: &'a Socket,
    /// For a listener or a datagram receiver, its connections: the client and, if it is another
    /// socket, the server's end.
    pub(super) clients: Vec<Client>,
    /// What goes wrong between the socket and its clients.
    pub(super) traffic: Traffic,
    /// What keeps each of its processes from answering.
    pub(super) hindrances: Vec<(Pid, Hindrance)>,
    /// The user who asks, and what it may do to the processes of others.
    pub(super) asker: (u32, AskerRights),
    /// Whether a datagram receiver's queue has no space for another message, as far as that could
    /// be determined.
    pub(super) is_queue_full: bool,
    /// What has happened to its file, or `None` if it is not bound to one.
    pub(super) file: Option<FileFacts>,
    /// The containers and other views of the file system in which its file is, too.
    pub(super) mounted_in: Vec<MountedIn>,
    /// Its socket options, or why they are not available.
    pub(super) settings: Result<Settings, String>,
    /// Its first unread bytes, if requested and available.
    pub(super) peeked: Option<Result<Vec<u8>, String>>,
    /// The process that opened the connection, if that is known and it still runs.
    pub(super) opener: Option<Opener>,
    pub(super) limits: Limits,
    /// The current time, from which the age of each process is computed.
    pub(super) now: Now,
}

/// What was the same in two snapshots, a moment apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    /// Whether the client that has waited longest was not accepted meanwhile.
    pub(super) is_nobody_accepted: bool,
    /// How many accepted connections are still open although their clients have closed them.
    pub(super) leaked: usize,
    /// How many clients have a full send buffer, because the server does not read.
    pub(super) blocked_clients: usize,
    /// How many ends of the server have a full send buffer, because the client does not read.
    pub(super) unread_by_clients: usize,
    /// Whether the send buffer of the socket itself is full.
    pub(super) is_blocked: bool,
}

/// A client of the socket.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) client: SocketId,
    pub(super) server: Option<SocketId>,
    /// What it has sent and the server has not read, if requested.
    pub(super) peeked: Option<Result<Vec<u8>, String>>,
}

/// Limits of this network namespace. `None` if they cannot be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// `net.core.somaxconn`: the maximum backlog for `listen`.
    pub(super) somaxconn: Option<u32>,
    /// `net.unix.max_dgram_qlen`.
    pub(super) max_dgram_qlen: Option<u32>,
}

/// What is the same for all sockets, read once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    asker: (u32, AskerRights),
    limits: Limits,
    now: Now,
}

impl Common {
    pub(super) fn read() -> Common {
        let asker = (rustix::process::geteuid().as_raw(), AskerRights::read());
        Common { asker, limits: Limits::read(), now: Now::read() }
    }
}

impl<'a> Detail<'a> {
    /// Gathers everything that concerns only this socket.
    pub(super) fn of(
        snapshot: &'a Snapshot,
        id: SocketId,
        mut clients: Vec<Client>,
        (wanted, is_by_name): (&ResolvedSelector, bool),
        Common { asker, limits, now }: Common,
        peek: bool,
    ) -> Detail<'a> {
        let socket = &snapshot[id];
        let copy = socket.dup_fd().map_err(|error| crate::failure::describe(&error));
        let settings = copy
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|copy| Settings::of(copy).map_err(|e| e.to_string()));
        if peek {
            for client in &mut clients {
                client.peeked = client.server.and_then(|server| unread(&snapshot[server]));
            }
        }
        let file = file::facts(snapshot, id, copy.as_ref().ok(), wanted, is_by_name);
        let is_there = |file: &&FileFacts| file.fate == FileState::There && file.view.is_none();
        let mounted_in = file.as_ref().filter(is_there).map(|file| mounted_in(&file.path));
        Detail {
            snapshot,
            id,
            socket,
            mounted_in: mounted_in.unwrap_or_default(),
            clients,
            traffic: Traffic::default(),
            hindrances: Vec::new(),
            asker,
            is_queue_full: is_queue_full(socket, file.as_ref()),
            file,
            settings,
            peeked: if peek { unread(socket) } else { None },
            opener: opener::of(snapshot, id, now),
            limits,
            now,
        }
    }

    /// Returns its owners, each with its file descriptors.
    pub(super) fn owners(&self) -> Vec<(&'a Process, Vec<u32>)> {
        let of_one = |owners: &[Owner]| {
            let process = self.snapshot.processes.get(&owners.first()?.pid)?;
            Some((process, owners.iter().map(|owner| owner.fd).collect()))
        };
        self.socket.owners.chunk_by(|one, other| one.pid == other.pid).filter_map(of_one).collect()
    }

    /// Returns the processes that serve clients, and how many each has: not one that has passed the
    /// listener on to others.
    pub(super) fn workers(&self) -> Vec<(&'a Process, usize)> {
        let owners = self.owners();
        let has_passed_it_on = |one: &Process| {
            let has_children = owners.iter().any(|(other, _)| other.parent == Some(one.pid));
            owners.len() > 1 && (one.pid == Pid(1) || has_children)
        };
        let clients = |process: &Process| {
            let ends = self.clients.iter().filter_map(|client| client.server);
            ends.filter(|&end| self.snapshot.processes_of(end).any(|one| one.pid == process.pid)).count()
        };
        let all = owners.iter().map(|(process, _)| (*process, clients(process)));
        all.filter(|(process, clients)| *clients > 0 || !has_passed_it_on(process)).collect()
    }

    /// Returns whether it serves clients: accepts connections, or receives messages at a name.
    pub(super) fn is_server(&self) -> bool {
        self.socket.state == State::Listening
            || (self.socket.kind == Some(Kind::Datagram) && !self.socket.name.is_unnamed())
    }
}

/// Returns the clients of each of these listeners or datagram receivers.
pub(super) fn clients(snapshot: &Snapshot, found: &[SocketId]) -> HashMap<SocketId, Vec<Client>> {
    let mut clients: HashMap<SocketId, Vec<Client>> = found.iter().map(|&id| (id, Vec::new())).collect();
    for connection in snapshot.connections() {
        let Some(server) = connection.server else { continue };
        // The socket that a receiver is connected to is its peer, and not a client.
        let receiver = Some(server).filter(|&id| snapshot[id].peer != Some(connection.client));
        for id in snapshot[server].may_be_from().into_iter().chain(receiver) {
            if let Some(clients) = clients.get_mut(&id) {
                let end = (server != id).then_some(server);
                clients.push(Client { client: connection.client, server: end, peeked: None });
            }
        }
    }
    clients
}

/// Returns whether a message sent to a datagram receiver would have to wait.
///
/// The kernel only reports this to a sender, so this connects as one without sending anything. A
/// queue whose first message is empty looks empty ([K-LIMIT-2]), and is not checked.
///
/// [K-LIMIT-2]: stoop::kernel_facts#K-LIMIT-2
fn is_queue_full(socket: &Socket, file: Option<&FileFacts>) -> bool {
    if let Some(messages) = socket.messages {
        return messages.count > messages.limit;
    }
    let has_some = matches!(socket.queue, Some(Queue::Bytes { unread: 1.., .. }));
    if socket.kind != Some(Kind::Datagram) || !has_some || socket.name.is_unnamed() {
        return false;
    }
    let now = file.and_then(|file| Address::path(file.moved_to.as_ref().unwrap_or(&file.path)).ok());
    // An abstract name is only valid in its own network namespace.
    let subject = match (&now, socket.owners.first()) {
        (None, Some(owner)) => Who::Process(owner.pid.0),
        _ => Who::CurrentProcess,
    };
    let address = now.unwrap_or_else(|| socket.name.clone());
    let operation = Operation::Send { len_bytes: 1 };
    let question = Question { operation, kind: socket.kind, address, subject };
    let sockets = gather(&question).ok().and_then(|facts| facts.sockets).unwrap_or_default();
    sockets.iter().any(|found| found.inode == socket.ino.0 && found.queue_full == Some(true))
}

/// Returns the first unread bytes of a socket, if there are any.
fn unread(socket: &Socket) -> Option<Result<Vec<u8>, String>> {
    let has_some = match socket.queue {
        Some(Queue::Bytes { unread, .. }) => unread > 0,
        _ => false,
    };
    has_some.then(|| {
        let mut buffer = vec![0; PEEK_BYTES];
        let copy = socket.dup_fd().map_err(|error| crate::failure::describe(&error))?;
        let len = diag::peek(copy, &mut buffer).map_err(|error| crate::failure::describe(&error))?;
        buffer.truncate(len);
        Ok(buffer)
    })
}

impl Limits {
    fn read() -> Limits {
        let number = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
        Limits {
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            max_dgram_qlen: number("/proc/sys/net/unix/max_dgram_qlen"),
        }
    }
}
