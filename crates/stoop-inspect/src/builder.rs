//! Constructors of a snapshot and its parts, to test code that reads snapshots. Fields that are not
//! parameters can be set afterwards.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::SystemTime;

use stoop::{Address, Kind};

use crate::{
    Missing, Namespace, NamespaceIno, Owner, OwnersFrom, Pid, Process, ProcessNamespaces, ProcessState,
    Snapshot, Socket, SocketId, SocketIno, State, What, Workload,
};

impl SocketId {
    /// Creates the id of the socket at this position of [`Snapshot::sockets`].
    ///
    /// # Panics
    ///
    /// Panics if `index` is 2³² or more: inodes have 32 bits, so there cannot be more sockets.
    pub fn new(index: usize) -> SocketId {
        SocketId(u32::try_from(index).expect("no more sockets than inodes"))
    }

    /// Returns its position in [`Snapshot::sockets`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Snapshot {
    /// Creates a snapshot of these sockets and processes, in one network namespace, with nothing
    /// missing. For tests of code that reads snapshots.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop::Kind;
    /// use stoop_inspect::{Owner, Pid, Process, Snapshot, Socket, SocketId, SocketIno, State};
    ///
    /// let mut socket = Socket::new(SocketIno(7), Kind::Stream, State::Listening);
    /// socket.owners = vec![Owner::new(Pid(12), 3)];
    /// let snapshot = Snapshot::of(vec![socket], [Process::new(Pid(12), "app")]);
    /// let mut names = snapshot.processes_of(SocketId::new(0)).map(|process| &process.command);
    /// assert_eq!(names.next().unwrap(), "app");
    /// ```
    #[doc(hidden)]
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
            owners_from: OwnersFrom::NotRead,
            taken: SystemTime::UNIX_EPOCH,
        }
    }
}

impl Socket {
    /// Creates a socket without a name, file, peer or owners.
    #[doc(hidden)]
    pub fn new(ino: SocketIno, kind: Kind, state: State) -> Socket {
        Socket::unjoined(ino, Some(kind), state)
    }

    /// Creates the same for a kind that may be unknown. Every socket of a table starts as one of
    /// these.
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
            messages: None,
            memory: None,
            uid: None,
            shutdown: (false, false),
            in_flight: None,
            is_bound_itself: None,
        }
    }
}

impl Process {
    /// Creates a process of which nothing else is known.
    #[doc(hidden)]
    pub fn new(pid: Pid, command: impl Into<OsString>) -> Process {
        Process {
            pid,
            start: None,
            parent: None,
            command: command.into(),
            command_line: None,
            uid: None,
            state: ProcessState::Unknown,
            workload: Workload::Unknown,
            cgroup: None,
            namespaces: ProcessNamespaces::default(),
        }
    }
}

impl Owner {
    /// Creates an owner whose file descriptor is in the table of its process.
    #[doc(hidden)]
    pub fn new(pid: Pid, fd: u32) -> Owner {
        Owner { pid, fd, thread: None }
    }
}

impl Missing {
    /// Describes something that could not be read.
    pub fn because(what: What, why: impl Into<String>, errno: Option<i32>) -> Missing {
        Missing { what, why: why.into(), errno }
    }
}
