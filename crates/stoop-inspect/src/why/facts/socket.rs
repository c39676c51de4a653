//! Sockets in the kernel's table, and the processes that have them open. Plain data.

use std::path::PathBuf;

pub use stoop::internal::Doubt;
use stoop::{Address, Kind};

use crate::file_location::FileLocation;
use crate::hindrance::Hindrance;
use crate::model::Messages;
use crate::workload::Workload;

/// Whether a server is bound to a file by another path: in a layer of an overlay, in the directory
/// that a FUSE file system passes through, through such a mount, or on another machine. The kernel
/// knows it by that path alone ([K-PROBE-10]).
///
/// [K-PROBE-10]: stoop::kernel_facts#K-PROBE-10
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherServer {
    /// It was not looked for: a socket is bound to the file by this path.
    Unexamined,
    /// There is none.
    Nowhere,
    /// A socket is bound to the file by this path, as this process reaches it.
    Bound {
        /// The path.
        path: PathBuf,
        /// The sockets, or `None` if they are in no readable table.
        sockets: Option<Vec<Endpoint>>,
    },
    /// There may be one.
    Possible(Doubt),
}

/// A socket in the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its inode, as in `/proc/PID/fd`. 0 if it is in no readable table, and only the socket itself
    /// was queried.
    pub inode: u32,
    /// Its kind.
    pub kind: Option<Kind>,
    /// Its state.
    pub state: EndpointState,
    /// Whether the socket was bound itself, and has its name from no listener, if that is known.
    pub is_bound_itself: Option<bool>,
    /// Whether it was shut down for reading.
    pub shut_down: bool,
    /// For a listener only: the number of connections waiting to be accepted, and the limit given
    /// to `listen`.
    pub backlog: Option<(u32, u32)>,
    /// For a datagram socket only: whether its receive queue is full.
    pub queue_full: Option<bool>,
    /// For a datagram socket only: the messages in its queue.
    pub messages: Option<Messages>,
    /// The processes that have it open.
    pub owners: Option<Vec<Owner>>,
    /// For a listener: the process that called `listen`, if it no longer has the socket open. The
    /// owners have inherited or received it.
    pub listened: Option<u32>,
    /// For a client with a name: the address of the server that it is connected to.
    pub server: Option<Address>,
}

impl Endpoint {
    /// Returns whether it was only probed, since no table lists it: then its backlog has no
    /// figures, and only says whether it is full.
    pub(crate) fn is_probed(&self) -> bool {
        self.inode == 0
    }

    /// Returns the processes that serve its clients: not one that has passed the socket on to
    /// others, such as the parent of worker processes or a service manager. A parent that has
    /// clients of its own accepts, too.
    pub(crate) fn workers(&self) -> impl Iterator<Item = &Owner> {
        let owners = self.owners.as_deref().unwrap_or_default();
        let has_passed_it_on = |one: &Owner| {
            let has_children = owners.iter().any(|other| other.parent == Some(one.pid));
            owners.len() > 1 && one.clients == 0 && (one.pid == 1 || has_children)
        };
        owners.iter().filter(move |owner| !has_passed_it_on(owner))
    }

    /// Returns whether every worker process of several, or of one with a parent that supervises it,
    /// has a client while others wait, and how many workers there are.
    pub(crate) fn busy_workers(&self) -> Option<usize> {
        let is_waited_for = self.backlog.is_some_and(|(waiting, _)| waiting > 0);
        let count = self.workers().count();
        let are_workers = self.owners.as_ref().is_some_and(|owners| owners.len() > 1) && count > 0;
        let busy = is_waited_for && are_workers && self.workers().all(|worker| worker.clients > 0);
        busy.then_some(count)
    }
}

/// The state of a bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// The socket accepts connections.
    Listening,
    /// The socket is bound: a server that does not listen yet, or a datagram socket without a peer.
    Bound,
    /// The socket was bound and has connected: a client with a name, or a datagram socket with a
    /// peer.
    Connected,
    /// The socket was returned by accept. It has its listener's name and communicates only with its
    /// client.
    Accepted,
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The process id.
    pub pid: u32,
    /// Its command name.
    pub command: String,
    /// Its user id.
    pub uid: Option<u32>,
    /// Whether it is in an uninterruptible wait.
    pub is_blocked: bool,
    /// What keeps it from answering.
    pub hindrance: Option<Hindrance>,
    /// Its parent process.
    pub parent: Option<u32>,
    /// How many clients that were accepted from the listener it still serves.
    pub clients: usize,
    /// The container, unit or session it is part of.
    pub workload: Workload,
}

/// A socket that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// How it differs from what was asked for.
    pub how: Nearness,
    /// The address it was bound to.
    pub address: Address,
    /// The socket.
    pub socket: Endpoint,
}

/// How a socket differs from what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// It was bound to that path, which does not lead to its file, or its file has that path in the
    /// view of its process. The file has this location now.
    WasBoundTo(FileLocation),
    /// It has that address as this process sees it, but not as the subject does.
    OurView,
    /// It has the same abstract name, but is of another kind.
    OtherKind,
    /// It has the same abstract name in another network namespace.
    OtherNamespace,
    /// Its abstract name differs only in trailing NULs.
    Padded,
    /// Its name is similar.
    Alike,
    /// It is of the well-known service that has the address, at another path.
    SameService,
    /// It has the same file name in another directory.
    SameName,
    /// It is in the same directory, with a file name that differs little.
    SimilarName,
    /// Its path is the beginning of this one. Behind it is what belongs to no address: white space
    /// or a quotation mark, as from a file, or the options or the request of another notation.
    WithTail,
    /// Its path is the beginning of this one, as long as an address holds.
    Truncated,
    /// It is in the directory that has the address.
    Inside,
}
