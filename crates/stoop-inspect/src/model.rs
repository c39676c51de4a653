//! What a snapshot holds. Plain data and questions about it; no I/O.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Index;
use std::path::PathBuf;
use std::time::SystemTime;

use stoop::diag::{FileId, Memory};
use stoop::{Address, Kind};

use crate::Place;

/// The inode of a socket, as in `socket:[N]` of `/proc/PID/fd`. Not that of the file it is bound
/// to. The kernel's counter has 32 bits and wraps: two sockets may share one (K-DIAG-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketIno(pub u32);

/// A process, by its number in the pid namespace of whoever took the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub u32);

/// A namespace, by the inode of its file: `net:[N]` of `/proc/PID/ns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamespaceIno(pub u64);

/// A socket in one [`Snapshot`]; means nothing in another one.
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

/// The local sockets of a machine at one time, joined with the processes that have them open.
///
/// The tables are read one after the other, while the machine goes on: a socket that came or went
/// meanwhile may be missing at one end. What is joined is joined by inode, checked by namespace,
/// kind and cookie, and never by a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Every socket, in the order of namespace (the own one first) and inode.
    pub sockets: Vec<Socket>,
    /// The owners of sockets, and only those.
    pub processes: HashMap<Pid, Process>,
    /// The network namespaces, the own one first.
    pub namespaces: Vec<Namespace>,
    /// What could not be read. Empty: the snapshot is whole.
    pub missing: Vec<Missing>,
    /// Where the owners come from.
    pub owners_from: OwnersFrom,
    /// When it was begun.
    pub taken: SystemTime,
}

/// Where the owners of sockets were found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnersFrom {
    /// A kernel program that walks all descriptors.
    Bpf,
    /// The links of `/proc/PID/fd`, and why not a kernel program, where one was wanted.
    Proc {
        /// What stood in the way, for a person.
        why_not_bpf: Option<String>,
    },
    /// Nobody asked for them.
    Nowhere,
}

/// One local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Socket {
    /// Its inode.
    pub ino: SocketIno,
    /// What tells it from every other socket since the machine was started. `None` where only
    /// `/proc/net/unix` was there.
    pub cookie: Option<u64>,
    /// Its kind; `None` for one this library does not know.
    pub kind: Option<Kind>,
    /// What it is doing.
    pub state: State,
    /// The network namespace it was made in. An accepted socket is in that of its *client*.
    pub namespace: NamespaceIno,
    /// The string that was given to bind, or to its listener's bind. It says where the file was
    /// then, and no more.
    pub name: Address,
    /// The file it is bound to, or its listener is. The table knows the low 32 bits of the inode,
    /// and on some file systems another device than `stat` gives: compare with
    /// [`FileId::may_be`].
    pub file: Option<FileId>,
    /// The other end. A datagram socket may have a peer that has none, or another one.
    pub peer: Option<SocketId>,
    /// Of a listener: the clients that nobody has accepted yet, the first to be accepted first.
    pub waiting: Vec<SocketId>,
    /// Of such a client: the listener it waits for.
    pub waits_for: Option<SocketId>,
    /// Of an accepted socket: the listener it came from, where that is still there.
    pub listener: Option<SocketId>,
    /// Of a socket that was accepted at an abstract name, where [`Socket::listener`] cannot be
    /// told: the one that listens at that name now. It may be another one than at the time; of
    /// a file this is always known, of an abstract name by a kernel program alone.
    pub namesake: Option<SocketId>,
    /// Who has it open: one entry a descriptor, by pid and descriptor.
    pub owners: Vec<Owner>,
    /// What is queued at it.
    pub queue: Option<Queue>,
    /// The memory it accounts for, where asked for.
    pub memory: Option<Memory>,
    /// The user who made it.
    pub uid: Option<u32>,
    /// Whether it is shut down for reading, and for writing.
    pub shutdown: (bool, bool),
    /// Descriptors that wait to be received at it (Linux 5.6). `None`: not looked for, nothing to
    /// be received, or not to be seen.
    pub in_flight: Option<u32>,
}

/// What a socket is doing, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum State {
    /// It accepts connections.
    Listening,
    /// It has a peer. The kernel calls *both* ends of a datagram "connection" connected; here only
    /// the one that has a peer is.
    Connected,
    /// A client that has connected and waits in the backlog: nobody has accepted it yet.
    Waiting,
    /// It was connected and its peer has gone.
    PeerGone,
    /// It has a name, and neither listens nor is connected: a datagram receiver, or a server before
    /// `listen`.
    Bound,
    /// It has neither name nor peer.
    Unconnected,
}

/// What is queued at a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Of a listener.
    Backlog {
        /// Clients waiting to be accepted.
        waiting: u32,
        /// The limit given to `listen`; one more than that fit (K-CONNECT-1).
        limit: u32,
    },
    /// Of any other socket.
    Bytes {
        /// Bytes that arrived and were not read; of a datagram socket, those of its next message
        /// alone (K-LIMIT-2).
        unread: u32,
        /// Memory of what it sent and its peer has not read, as the kernel accounts it.
        unsent: u32,
    },
}

/// One descriptor that refers to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Owner {
    /// The process.
    pub pid: Pid,
    /// The descriptor's number in it.
    pub fd: u32,
    /// The thread in whose table the descriptor is, where that thread has left the table of its
    /// process, or outlived the first thread (K-PROC-3).
    pub thread: Option<Pid>,
}

/// A process that has local sockets open. What [`Options`](crate::Options) did not ask for, or may
/// not be seen, is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// When it was started, in clock ticks since the machine was: with the pid, what tells it from
    /// its successors.
    pub start: Option<u64>,
    /// Its command name, as `ps` shows it; any bytes, at most 15 of them.
    pub command: OsString,
    /// Its arguments.
    pub command_line: Option<Vec<OsString>>,
    /// Its effective user.
    pub uid: Option<u32>,
    /// Whether it runs.
    pub state: ProcessState,
    /// The container, unit or session it runs in.
    pub place: Place,
    /// The path of its control group (that of systemd's hierarchy on a machine with several).
    pub cgroup: Option<OsString>,
    /// The namespaces it runs in.
    pub namespaces: ProcessNamespaces,
}

/// The namespaces of a process, where they were asked for and may be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessNamespaces {
    /// Network.
    pub net: Option<NamespaceIno>,
    /// Mount.
    pub mnt: Option<NamespaceIno>,
    /// Process numbers.
    pub pid: Option<NamespaceIno>,
}

/// Whether a process gets on with its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessState {
    /// It runs, or could.
    Running,
    /// It waits for something.
    Sleeping,
    /// It waits in the kernel and cannot be interrupted.
    Blocked,
    /// It was stopped by a signal, or by a debugger: it answers nobody.
    Stopped,
    /// It has ended, and its parent has not noticed.
    Zombie,
    /// Not asked for, not to be seen, or a state unknown here.
    #[default]
    Unknown,
}

/// One network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// Its inode.
    pub ino: NamespaceIno,
    /// Whether it is the one this process is in.
    pub is_own: bool,
    /// Files that name it: `/run/netns/blue`.
    pub names: Vec<PathBuf>,
    /// A process that is in it: the first found.
    pub process: Option<Pid>,
    /// Whether its table of sockets was read.
    pub is_read: bool,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The end that called connect. Of a socket pair, and where it cannot be told (both ends have
    /// names, and the listener has gone), the one with the lower inode, which as a rule was
    /// made first.
    pub client: SocketId,
    /// The other end. `None` while nobody has accepted the client.
    pub server: Option<SocketId>,
    /// The listener that the server's end came from, or at which the client waits.
    pub listener: Option<SocketId>,
    /// The [`Socket::namesake`] of the server's end.
    pub namesake: Option<SocketId>,
}

/// Something that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// What.
    pub what: What,
    /// Why, for a person: a fragment such as `permission denied (EACCES)`.
    pub why: String,
    /// The kernel's error number, where it gave one.
    pub errno: Option<i32>,
}

/// What can be missing from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The kernel's table of sockets in a network namespace; nothing, or less, is known of the
    /// sockets there.
    Table(NamespaceIno),
    /// The table changed on every attempt to read it: a socket in it may be missing.
    Unsteady(NamespaceIno),
    /// The descriptors of these processes: sockets of theirs are shown without them.
    Descriptors(Vec<Pid>),
    /// The namespaces of these processes: there may be network namespaces of which nothing is
    /// shown.
    Namespaces(Vec<Pid>),
    /// Sockets that processes have open and no table shows: they are in network namespaces that no
    /// process is in.
    Sockets(Vec<SocketIno>),
    /// Processes that `/proc` does not show: of other namespaces of process ids, or of other users.
    /// Sockets of theirs are shown without owners.
    Processes,
    /// Anything else, named.
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
                write!(f, "sockets of network namespace {ino} that came or went meanwhile")?
            }
            What::Descriptors(pids) => {
                f.write_str("the descriptors of ")?;
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
            What::Processes => f.write_str("processes that are not to be seen from here")?,
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
    /// The listener it came from, or the one that may be it: [`Socket::listener`], else
    /// [`Socket::namesake`].
    pub fn may_be_from(&self) -> Option<SocketId> {
        self.listener.or(self.namesake)
    }
}

impl Connection {
    /// The same for a connection.
    pub fn may_be_from(&self) -> Option<SocketId> {
        self.listener.or(self.namesake)
    }
}

impl Index<SocketId> for Snapshot {
    type Output = Socket;

    /// The socket. Panics for an id of another snapshot, where that had more sockets.
    fn index(&self, id: SocketId) -> &Socket {
        &self.sockets[id.0 as usize]
    }
}

impl Snapshot {
    /// Every socket with its id.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &Socket)> {
        (0..).map(SocketId).zip(&self.sockets)
    }

    /// The namespace with this inode.
    pub fn namespace(&self, ino: NamespaceIno) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.ino == ino)
    }

    /// The processes that have the socket open, each once, by pid.
    pub fn processes_of(&self, id: SocketId) -> impl Iterator<Item = &Process> {
        let owners = &self[id].owners;
        let first_of_process = |&(at, owner): &(usize, &Owner)| at == 0 || owners[at - 1].pid != owner.pid;
        owners
            .iter()
            .enumerate()
            .filter(first_of_process)
            .filter_map(|(_, owner)| self.processes.get(&owner.pid))
    }

    /// Each connection once: accepted ones, those still waiting, socket pairs, and datagram sockets
    /// with a peer.
    pub fn connections(&self) -> impl Iterator<Item = Connection> {
        self.iter().filter_map(|(id, socket)| {
            if let Some(listener) = socket.waits_for {
                let listener = Some(listener);
                return Some(Connection { client: id, server: None, listener, namesake: None });
            }
            let peer = socket.peer?;
            let is_client = self[peer].peer != Some(id) || self.is_client(id, peer);
            let Socket { listener, namesake, .. } = self[peer];
            is_client.then_some(Connection { client: id, server: Some(peer), listener, namesake })
        })
    }

    /// Which of two sockets connected with each other is to be called the client.
    fn is_client(&self, one: SocketId, other: SocketId) -> bool {
        let rank = |id: SocketId| {
            let socket = &self[id];
            (socket.may_be_from().is_some(), !socket.name.is_unnamed(), id)
        };
        rank(one) < rank(other)
    }
}
