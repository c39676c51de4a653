//! What the kernel's table says about one socket, and which of it to request. Pure.

use std::ops::BitOr;

use crate::file_id::FileId;
use crate::{Address, Kind};

/// A socket in the kernel's table. Fields that were not requested are `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The socket's own inode, as in `/proc/PID/fd`. It is a counter of 32 bits that wraps; see
    /// [`Entry::cookie`].
    pub ino: u32,
    /// A number that is unique among all sockets since boot.
    pub cookie: u64,
    /// The socket type; `None` for one that is unknown to this library.
    pub kind: Option<Kind>,
    /// Whether it listens.
    pub is_listening: bool,
    /// Whether the kernel reports it as connected. For a datagram socket this may mean that another
    /// socket has it as its peer ([K-DIAG-8]).
    ///
    /// [K-DIAG-8]: crate::kernel_facts#K-DIAG-8
    pub is_established: bool,
    /// The address given to `bind`. An accepted socket has its listener's ([K-NAME-10]).
    ///
    /// [K-NAME-10]: crate::kernel_facts#K-NAME-10
    pub name: Address,
    /// The file to which it is bound: the low 32 bits of the inode, and the device of the file
    /// system itself. See [`FileId::may_be`].
    pub file: Option<FileId>,
    /// The inode of its peer. `Some(0)` means that the peer has not been accepted yet, or has been
    /// closed ([K-DIAG-7]).
    ///
    /// [K-DIAG-7]: crate::kernel_facts#K-DIAG-7
    pub peer: Option<u32>,
    /// For a listener: the inodes of the clients that wait to be accepted, the oldest first.
    ///
    /// A client that has closed meanwhile is 0. If more than about eight thousand wait, the list is
    /// empty ([K-DIAG-9]).
    ///
    /// [K-DIAG-9]: crate::kernel_facts#K-DIAG-9
    pub waiting: Vec<u32>,
    /// For a listener: the number of waiting clients, and the backlog. For other sockets: unread
    /// bytes, and sent bytes that the peer has not read, as the kernel accounts for them.
    pub queue: Option<(u32, u32)>,
    /// Its buffer memory.
    pub memory: Option<Memory>,
    /// The user who created it.
    pub uid: Option<u32>,
    /// Bit 0: shut down for reading. Bit 1: shut down for writing.
    pub shutdown: u8,
}

/// The state of a connected socket, and of one that listens.
const TCP_ESTABLISHED: u8 = 1;
pub(super) const TCP_LISTEN: u8 = 10;

impl Entry {
    /// Creates an entry of a socket with this kernel number of its type and of its state.
    pub fn new(ino: u32, cookie: u64, kind: i32, state: u8) -> Entry {
        Entry {
            ino,
            cookie,
            kind: Kind::from_raw(kind),
            is_listening: state == TCP_LISTEN,
            is_established: state == TCP_ESTABLISHED,
            name: Address::UNNAMED,
            file: None,
            peer: None,
            waiting: Vec::new(),
            queue: None,
            memory: None,
            uid: None,
            shutdown: 0,
        }
    }
}

/// Buffer memory of a socket as the kernel accounts for it, which is more than the bytes of the
/// messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// Memory charged to the socket for received data. Messages of a Unix socket are charged to
    /// their sender, so this is mostly 0.
    pub received_bytes: u32,
    /// The receive buffer limit (`SO_RCVBUF`), which has no effect on a Unix socket ([K-DGRAM-8]).
    ///
    /// [K-DGRAM-8]: crate::kernel_facts#K-DGRAM-8
    pub receive_limit_bytes: u32,
    /// Memory charged to the socket for sent data that has not been read yet.
    pub sent_bytes: u32,
    /// The send buffer limit (`SO_SNDBUF`).
    pub send_limit_bytes: u32,
    /// The number of messages that the kernel has dropped.
    pub drops: u32,
}

/// The set of fields to request. Inode, cookie, type, state and shutdown are always included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Show(pub(super) u32);

impl Show {
    /// Requests [`Entry::name`].
    pub const NAME: Show = Show(1);
    /// Requests [`Entry::file`].
    pub const FILE: Show = Show(2);
    /// Requests [`Entry::peer`].
    pub const PEER: Show = Show(4);
    /// Requests [`Entry::waiting`].
    pub const WAITING: Show = Show(8);
    /// Requests [`Entry::queue`].
    pub const QUEUE: Show = Show(0x10);
    /// Requests [`Entry::memory`].
    pub const MEMORY: Show = Show(0x20);
    /// Requests [`Entry::uid`] (Linux 5.3).
    pub const UID: Show = Show(0x40);
    /// Requests all fields.
    pub const ALL: Show = Show(0x7f);
}

impl Show {
    pub(super) fn has(self, other: Show) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn without(self, other: Show) -> Show {
        Show(self.0 & !other.0)
    }
}

impl BitOr for Show {
    type Output = Show;

    fn bitor(self, other: Show) -> Show {
        Show(self.0 | other.0)
    }
}
