//! The data of a snapshot and queries on it. No I/O.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Index;
use std::path::PathBuf;
use std::time::SystemTime;

use stoop::diag::{FileId, Memory};
use stoop::{Address, Kind};

use crate::Workload;

/// The inode of a socket, as in `socket:[N]` of `/proc/PID/fd`.
///
/// This is not the inode of the file the socket is bound to. The kernel's counter has 32 bits and
/// wraps: two sockets may share an inode ([K-DIAG-10]).
///
/// [K-DIAG-10]: stoop::kernel_facts#K-DIAG-10
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketIno(pub u32);

/// A process id, in the pid namespace of the process that took the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// A namespace, by the inode of its file: `net:[N]` of `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceIno(pub u64);

/// Identifies a socket within one [`Snapshot`]. It is meaningless in any other snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub(crate) u32);

macro_rules! shown_as_a_number {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

shown_as_a_number!(SocketIno, Pid, NamespaceIno);

/// The Unix domain sockets of a machine at one time, joined with the processes that have them open.
///
/// The tables are read one after the other while the machine keeps running: a socket that was
/// created or closed meanwhile may be missing at one end of a connection. Sockets are joined by
/// inode and checked by namespace, kind and cookie, and never joined by name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Every socket, ordered by namespace (the own one first) and inode.
    pub sockets: Vec<Socket>,
    /// The processes that own sockets, and no others.
    pub processes: HashMap<Pid, Process>,
    /// The network namespaces, the own one first.
    pub namespaces: Vec<Namespace>,
    /// What could not be read. If empty, the snapshot is complete.
    pub missing: Vec<Missing>,
    /// The source of the owners.
    pub owners_from: OwnersFrom,
    /// When the snapshot was started.
    pub taken: SystemTime,
}

/// The source from which the owners of sockets were read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnersFrom {
    /// A BPF program that walks all file descriptors.
    Bpf,
    /// The links in `/proc/PID/fd`.
    Proc {
        /// Why the BPF program could not be used, as readable text. `None` if it was not wanted.
        why_not_bpf: Option<String>,
    },
    /// No owners were requested.
    NotRead,
}

/// A Unix domain socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// The socket's inode.
    pub ino: SocketIno,
    /// The kernel's socket cookie, unique since boot. `None` if only `/proc/net/unix` could be
    /// read.
    pub cookie: Option<u64>,
    /// The socket's kind, or `None` if this library does not know it.
    pub kind: Option<Kind>,
    /// The socket's state.
    pub state: State,
    /// The network namespace the socket was created in. An accepted socket is in that of its
    /// *client*.
    pub namespace: NamespaceIno,
    /// The address that was given to bind, or to its listener's bind. It says where the file was at
    /// that time, and nothing about where it is now.
    pub name: Address,
    /// The file that the socket, or its listener, is bound to.
    ///
    /// The table holds only the low 32 bits of the inode, and on some file systems a device other
    /// than the one `stat` returns: compare with [`FileId::may_be`].
    pub file: Option<FileId>,
    /// The other end. The peer of a datagram socket may itself have no peer, or a different one.
    pub peer: Option<SocketId>,
    /// For a listener: the clients not yet accepted, in the order in which they will be.
    pub waiting: Vec<SocketId>,
    /// For a client not yet accepted: the listener in whose backlog it waits.
    pub waits_for: Option<SocketId>,
    /// For an accepted socket: the listener it came from, if that still exists.
    pub listener: Option<SocketId>,
    /// For a socket accepted at an abstract name, if [`Socket::listener`] cannot be determined: the
    /// socket that listens at that name now.
    ///
    /// It may not be the listener that accepted the connection. For a path address the listener is
    /// always known, for an abstract name only with the BPF program.
    pub namesake: Option<SocketId>,
    /// The file descriptors that refer to the socket, ordered by pid and descriptor.
    pub owners: Vec<Owner>,
    /// What is queued at the socket.
    pub queue: Option<Queue>,
    /// For a datagram socket: the messages in its queue. Only the BPF program reports them.
    pub messages: Option<Messages>,
    /// The kernel memory charged to the socket, if requested.
    pub memory: Option<Memory>,
    /// The user who created the socket.
    pub uid: Option<u32>,
    /// Whether the socket is shut down for reading, and for writing.
    pub shutdown: (bool, bool),
    /// How many file descriptors are queued to be received at the socket (Linux 5.6).
    ///
    /// `None` if not requested, if there is nothing to receive, or if it may not be read.
    pub in_flight: Option<u32>,
    /// Whether the socket was bound itself, if that is known: an accepted socket has the name of
    /// its listener.
    pub(crate) is_bound_itself: Option<bool>,
}

/// The state of a socket, as far as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// The socket accepts connections.
    Listening,
    /// The socket has a peer. The kernel reports *both* ends of a datagram "connection" as
    /// connected. Here only the end that has a peer is.
    Connected,
    /// A client that has connected and waits in the backlog: it has not been accepted yet.
    Waiting,
    /// The socket was connected and its peer has been closed.
    PeerClosed,
    /// The socket has a name, and neither listens nor is connected: a datagram receiver, or a
    /// server before `listen`.
    Bound,
    /// The socket has neither a name nor a peer.
    Unconnected,
}

/// What is queued at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The backlog of a listener.
    Backlog {
        /// Clients waiting to be accepted.
        waiting: u32,
        /// The limit given to `listen`. One more client than that fits ([K-CONNECT-1]).
        ///
        /// [K-CONNECT-1]: stoop::kernel_facts#K-CONNECT-1
        limit: u32,
    },
    /// The data queued at any other socket.
    Bytes {
        /// Bytes that arrived and have not been read. For a datagram socket, the size of the next
        /// message alone ([K-LIMIT-2]).
        ///
        /// [K-LIMIT-2]: stoop::kernel_facts#K-LIMIT-2
        unread: u32,
        /// Memory of what the socket sent and its peer has not read, as the kernel accounts for it.
        unsent: u32,
    },
}

/// The messages that a datagram socket has not received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Messages {
    /// How many there are.
    pub count: u32,
    /// The sum of their lengths. `None` if there are more than 65,536 (before Linux 6.4: 128), or
    /// if they changed while they were counted.
    pub bytes: Option<u32>,
    /// `net.unix.max_dgram_qlen` when the socket was created. Senders that are not its peer have to
    /// wait if there are more messages than this ([K-DGRAM-3]).
    ///
    /// [K-DGRAM-3]: stoop::kernel_facts#K-DGRAM-3
    pub limit: u32,
}

impl Messages {
    /// Creates the state of a queue.
    ///
    /// # Examples
    ///
    /// ```
    /// let messages = stoop_inspect::Messages::new(3, Some(1101), 10);
    /// assert_eq!(messages.count, 3);
    /// ```
    #[doc(hidden)]
    pub fn new(count: u32, bytes: Option<u32>, limit: u32) -> Messages {
        Messages { count, bytes, limit }
    }
}

/// A file descriptor that refers to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Owner {
    /// The process.
    pub pid: Pid,
    /// The number of the file descriptor in that process.
    pub fd: u32,
    /// The thread that has the file descriptor, if that thread does not share its process's
    /// descriptor table or outlived the thread group leader ([K-PROC-3]).
    ///
    /// [K-PROC-3]: stoop::kernel_facts#K-PROC-3
    pub thread: Option<Pid>,
}

/// A process that has Unix domain sockets open.
///
/// A field is `None` if [`Options`](crate::Options) did not request it, or if it may not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The process id.
    pub pid: Pid,
    /// When the process was started, in clock ticks since boot. Together with the pid it identifies
    /// the process even if the pid is reused.
    pub start: Option<u64>,
    /// The parent process. `None` unless process states were requested, and if it is not in this
    /// pid namespace.
    pub parent: Option<Pid>,
    /// The command name, as `ps` shows it: arbitrary bytes, at most 15 of them.
    pub command: OsString,
    /// The command-line arguments.
    pub command_line: Option<Vec<OsString>>,
    /// The effective user id.
    pub uid: Option<u32>,
    /// The scheduling state.
    pub state: ProcessState,
    /// The container, unit or login session that the process runs in.
    pub workload: Workload,
    /// The path of the cgroup (the one in systemd's hierarchy, on a machine with several
    /// hierarchies).
    pub cgroup: Option<OsString>,
    /// The namespaces the process runs in.
    pub namespaces: ProcessNamespaces,
}

/// The namespaces of a process. Each is `None` if it was not requested or may not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessNamespaces {
    /// The network namespace.
    pub net: Option<NamespaceIno>,
    /// The mount namespace.
    pub mnt: Option<NamespaceIno>,
    /// The pid namespace.
    pub pid: Option<NamespaceIno>,
}

/// The scheduling state of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// Running or runnable.
    Running,
    /// Waiting for an event.
    Sleeping,
    /// Waiting in the kernel, uninterruptible.
    Blocked,
    /// Stopped by a signal or a debugger: it answers no request.
    Stopped,
    /// Exited, and not yet reaped by its parent.
    Zombie,
    /// Not requested, not readable, or a state unknown to this library.
    #[default]
    Unknown,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// The namespace's inode.
    pub ino: NamespaceIno,
    /// Whether it is the network namespace of the calling process.
    pub is_own: bool,
    /// Files that name it, such as `/run/netns/blue`.
    pub names: Vec<PathBuf>,
    /// A process in the namespace: the first one found.
    pub process: Option<Pid>,
    /// Whether the namespace's socket table was read.
    pub is_read: bool,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The end that called connect.
    ///
    /// For a socket pair, this is the end with the lower inode, which is usually the one created
    /// first. The same holds if [`Connection::is_client_known`] is false.
    pub client: SocketId,
    /// The other end. `None` if the client has not been accepted yet.
    pub server: Option<SocketId>,
    /// The listener that the server's end was accepted from, or in whose backlog the client waits.
    pub listener: Option<SocketId>,
    /// Whether the two ends could be distinguished.
    ///
    /// They cannot if they are a socket pair. They may not be if both have names and the listener
    /// was closed: then only the BPF program can tell which of them was bound itself, on Linux 6.0.
    pub is_client_known: bool,
}

/// Something that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// What could not be read.
    pub what: What,
    /// The reason, as readable text: a fragment such as `permission denied (EACCES)`.
    pub why: String,
    /// The kernel's error number, if there is one.
    pub errno: Option<i32>,
}

/// What can be missing from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The kernel's socket table of a network namespace. Little or nothing is known of its sockets.
    Table(NamespaceIno),
    /// The table changed during every attempt to read it: a socket in it may be missing.
    Unsteady(NamespaceIno),
    /// The file descriptors of these processes. Their sockets are listed without these owners.
    Descriptors(Vec<Pid>),
    /// The namespaces of these processes. There may be network namespaces of which nothing is
    /// listed.
    Namespaces(Vec<Pid>),
    /// Sockets that processes have open and no table lists. They belong to network namespaces that
    /// no process is in.
    Sockets(Vec<SocketIno>),
    /// Processes that `/proc` hides: those of other pid namespaces, or of other users. Their
    /// sockets are listed without owners.
    Processes,
    /// Anything else, described by this text.
    Other(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processes = |f: &mut fmt::Formatter<'_>, pids: &[Pid]| match pids {
            [pid] => write!(f, "process {pid}"),
            pids => write!(f, "{} processes", pids.len()),
        };
        match &self.what {
            What::Table(ino) => write!(f, "the sockets of network namespace {ino}")?,
            What::Unsteady(ino) => {
                write!(f, "sockets of network namespace {ino} that were created or closed meanwhile")?
            }
            What::Descriptors(pids) => {
                f.write_str("the file descriptors of ")?;
                processes(f, pids)?;
            }
            What::Namespaces(pids) => {
                f.write_str("the namespaces of ")?;
                processes(f, pids)?;
            }
            What::Sockets(inos) => {
                let sockets = if inos.len() == 1 { "socket" } else { "sockets" };
                write!(f, "{} {sockets} in network namespaces that no process is in", inos.len())?
            }
            What::Processes => f.write_str("processes that are not visible from here")?,
            What::Other(what) => f.write_str(what)?,
        }
        write!(f, ": {}", self.why)
    }
}

impl Missing {
    pub(crate) fn new(what: What, error: &std::io::Error) -> Missing {
        let text = error.to_string();
        let why = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        Missing { what, why, errno: error.raw_os_error() }
    }
}

impl Socket {
    /// Returns how many bytes have arrived and were not received.
    ///
    /// `None` if that is not known: of a datagram socket the tables have only the first message's
    /// size, which [`Queue::Bytes`] has.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop::Kind;
    /// use stoop_inspect::{Messages, Queue, Socket, SocketIno, State};
    ///
    /// let mut receiver = Socket::new(SocketIno(7), Kind::Datagram, State::Bound);
    /// receiver.queue = Some(Queue::Bytes { unread: 1, unsent: 0 });
    /// assert_eq!(receiver.unread_bytes(), None);
    /// receiver.messages = Some(Messages::new(11, Some(11_001), 10));
    /// assert_eq!(receiver.unread_bytes(), Some(11_001));
    /// ```
    pub fn unread_bytes(&self) -> Option<u32> {
        match (self.messages, self.queue) {
            (Some(messages), _) => messages.bytes,
            (None, Some(Queue::Bytes { unread, .. })) if self.kind != Some(Kind::Datagram) => Some(unread),
            _ => None,
        }
    }

    /// Returns the listener that it was or may have been accepted from: [`Socket::listener`], or
    /// else [`Socket::namesake`].
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop::Kind;
    /// use stoop_inspect::{Socket, SocketId, SocketIno, State};
    ///
    /// let mut accepted = Socket::new(SocketIno(7), Kind::Stream, State::Connected);
    /// assert_eq!(accepted.may_be_from(), None);
    /// accepted.namesake = Some(SocketId::new(0));
    /// assert_eq!(accepted.may_be_from(), Some(SocketId::new(0)));
    /// // The listener is certain, a namesake is not.
    /// accepted.listener = Some(SocketId::new(1));
    /// assert_eq!(accepted.may_be_from(), Some(SocketId::new(1)));
    /// ```
    pub fn may_be_from(&self) -> Option<SocketId> {
        self.listener.or(self.namesake)
    }
}

impl Index<SocketId> for Snapshot {
    type Output = Socket;

    /// Returns the socket with this id.
    ///
    /// # Panics
    ///
    /// Panics if the index is out of range. An id of another snapshot may panic or return an
    /// unrelated socket.
    fn index(&self, id: SocketId) -> &Socket {
        &self.sockets[id.0 as usize]
    }
}

impl Snapshot {
    /// Returns an iterator over all sockets and their ids.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options, State};
    ///
    /// # let path = std::env::temp_dir().join(format!("stoop-doc-iter-{}", std::process::id()));
    /// let _server = stoop::Bind::new(&path).listen()?;
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let mut sockets = snapshot.iter();
    /// let (id, socket) = sockets.find(|(_, one)| one.name.as_pathname() == Some(&path)).unwrap();
    /// assert_eq!(socket.state, State::Listening);
    /// // The id is an index: it refers to the same socket, in this snapshot only.
    /// assert_eq!(snapshot[id].ino, socket.ino);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        (0..).map(SocketId).zip(&self.sockets)
    }

    /// Returns the network namespace with this inode, if it is part of the snapshot.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, NamespaceIno, Options};
    ///
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let own = &snapshot.namespaces[0];
    /// assert!(own.is_own);
    /// assert_eq!(snapshot.namespace(own.ino), Some(own));
    /// assert_eq!(snapshot.namespace(NamespaceIno(1)), None);
    /// ```
    pub fn namespace(&self, ino: NamespaceIno) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.ino == ino)
    }

    /// Returns an iterator over the processes that have the socket open, each once, ordered by pid.
    ///
    /// A process that has several file descriptors of the socket is returned once. An owner whose
    /// process could not be read is skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options, Pid};
    ///
    /// let (one, _other) = stoop::Stream::pair()?;
    /// let _duplicate = one.try_clone()?;
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let id = snapshot.socket_of(&one).unwrap();
    /// let own = Pid(std::process::id());
    /// // Two file descriptors, one process.
    /// assert_eq!(snapshot.processes_of(id).filter(|process| process.pid == own).count(), 1);
    /// assert!(snapshot[id].owners.len() >= 2);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn processes_of(&self, id: SocketId) -> impl Iterator<Item = &Process> {
        let owners = &self[id].owners;
        let first_of_process = |&(at, owner): &(usize, &Owner)| at == 0 || owners[at - 1].pid != owner.pid;
        owners
            .iter()
            .enumerate()
            .filter(first_of_process)
            .filter_map(|(_, owner)| self.processes.get(&owner.pid))
    }

    /// Returns an iterator over all connections, each once: accepted ones, those still in a
    /// backlog, socket pairs, and datagram sockets with a peer.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// # let path = std::env::temp_dir().join(format!("stoop-doc-both-{}", std::process::id()));
    /// let server = stoop::Bind::new(&path).listen()?;
    /// let client = stoop::Stream::connect(&path)?;
    /// let connection = || {
    ///     let snapshot = Inspector::new(Options::default()).snapshot();
    ///     let id = snapshot.socket_of(&client).unwrap();
    ///     snapshot.connections().find(|connection| connection.client == id).unwrap()
    /// };
    /// // There is no other end before the client is accepted, but there is a listener.
    /// let waiting = connection();
    /// assert!(waiting.server.is_none() && waiting.listener.is_some());
    /// let (_accepted, _) = server.accept()?;
    /// assert!(connection().server.is_some());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn connections(&self) -> impl Iterator<Item = Connection> {
        self.iter().filter_map(|(id, socket)| {
            if let Some(listener) = socket.waits_for {
                let listener = Some(listener);
                return Some(Connection { client: id, server: None, listener, is_client_known: true });
            }
            let peer = socket.peer?;
            let is_mutual = self[peer].peer == Some(id);
            let (one, other) = (self[id].side(), self[peer].side());
            let is_client = !is_mutual || (one, id) < (other, peer);
            // A server's end has a name.
            let is_client_known = !is_mutual || one != other && one.max(other) >= Side::Named;
            let (server, listener) = (Some(peer), self[peer].listener);
            is_client.then_some(Connection { client: id, server, listener, is_client_known })
        })
    }
}

/// What is known of the side of a connection that a socket is on. Of two ends, the client is the
/// one that is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// It has no name: an accepted socket has that of its listener.
    Unnamed,
    /// It was bound itself: an accepted socket cannot be.
    BoundItself,
    /// It has a name, by bind or from a listener.
    Named,
    /// It has the name of a listener.
    Accepted,
}

impl Socket {
    pub(crate) fn side(&self) -> Side {
        match () {
            () if self.is_bound_itself == Some(true) => Side::BoundItself,
            () if self.name.is_unnamed() => Side::Unnamed,
            () if self.may_be_from().is_some() => Side::Accepted,
            () => Side::Named,
        }
    }
}
