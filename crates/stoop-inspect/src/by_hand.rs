//! Snapshots made by hand: for tests of what reads them. Every field that is not asked for here can
//! be set afterwards.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::SystemTime;

use stoop::{Address, Kind};

use crate::{
    Missing, Namespace, NamespaceIno, Owner, OwnersFrom, Pid, Place, Process, ProcessNamespaces,
    ProcessState, Snapshot, Socket, SocketId, SocketIno, State, What,
};

impl SocketId {
    /// The id of the socket at this position of [`Snapshot::sockets`].
    ///
    /// # Panics
    /// From 2³² on: there are no more inodes.
    pub fn new(index: usize) -> SocketId {
        SocketId(u32::try_from(index).expect("no more sockets than inodes"))
    }

    /// Its position in [`Snapshot::sockets`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Snapshot {
    /// A snapshot of these, in one network namespace, with nothing missing.
    pub fn of(sockets: Vec<Socket>, processes: impl IntoIterator<Item = Process>) -> Snapshot {
        let ino = sockets.first().map_or(NamespaceIno(0), |socket| socket.namespace);
        Snapshot {
            sockets,
            processes: processes.into_iter().map(|process| (process.pid, process)).collect::<HashMap<_, _>>(),
            namespaces: vec![Namespace {
                ino,
                is_own: true,
                names: Vec::new(),
                process: None,
                is_read: true,
            }],
            missing: Vec::new(),
            owners_from: OwnersFrom::Nowhere,
            taken: SystemTime::UNIX_EPOCH,
        }
    }
}

impl Socket {
    /// A socket without name, file, peer and owners.
    pub fn new(ino: SocketIno, kind: Kind, state: State) -> Socket {
        Socket::unjoined(ino, Some(kind), state)
    }

    /// The same for a kind that may be unknown: what every table begins with.
    pub(crate) fn unjoined(ino: SocketIno, kind: Option<Kind>, state: State) -> Socket {
        Socket {
            ino,
            cookie: None,
            kind,
            state,
            namespace: NamespaceIno(0),
            name: Address::UNNAMED,
            file: None,
            peer: None,
            waiting: Vec::new(),
            waits_for: None,
            listener: None,
            namesake: None,
            owners: Vec::new(),
            queue: None,
            memory: None,
            uid: None,
            shutdown: (false, false),
            in_flight: None,
        }
    }
}

impl Process {
    /// A process of which nothing else is known.
    pub fn new(pid: Pid, command: impl Into<OsString>) -> Process {
        Process {
            pid,
            start: None,
            command: command.into(),
            command_line: None,
            uid: None,
            state: ProcessState::Unknown,
            place: Place::Unknown,
            cgroup: None,
            namespaces: ProcessNamespaces::default(),
        }
    }
}

impl Owner {
    /// A descriptor in the table of its process.
    pub fn new(pid: Pid, fd: u32) -> Owner {
        Owner { pid, fd, thread: None }
    }
}

impl Missing {
    /// Something that could not be read.
    pub fn because(what: What, why: impl Into<String>, errno: Option<i32>) -> Missing {
        Missing { what, why: why.into(), errno }
    }
}
