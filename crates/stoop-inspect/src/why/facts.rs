//! What was seen: plain data, made by [`gather`] or by hand. Where a field is an `Option` and says
//! nothing else, `None` means that it could not be seen.

use std::collections::BTreeMap;
use std::path::PathBuf;

use stoop::{Address, Kind};

pub use super::gather::gather;
use super::{Errno, Question};

/// Everything that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What was asked.
    pub question: Question,
    /// Who would make the call; `None` where there is no such user or process.
    pub subject: Option<Subject>,
    /// Who asks, and would run what is advised: the effective user of this process.
    pub asker_uid: u32,
    /// How the path is looked up, without regard to permissions; `None` for other addresses.
    pub walk: Option<Walk>,
    /// The sockets that are bound to the file reached, or that have the abstract name in the
    /// subject's network namespace.
    pub sockets: Option<Vec<Endpoint>>,
    /// Whether any socket is bound to the file reached, asked of the kernel's table of files, which
    /// all namespaces share.
    pub alive: Option<bool>,
    /// Sockets that are not the one, and may have been meant.
    pub near: Vec<Near>,
    /// The kernel's limits, as the subject has them.
    pub limits: Limits,
    /// What else has a say.
    pub security: Security,
    /// Names for ids, for texts.
    pub names: Names,
}

/// Who makes the call, as the kernel's permission checks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its process, where it has one.
    pub pid: Option<u32>,
    /// Its command name, where it has a process.
    pub command: Option<String>,
    /// When its process began, in clock ticks since the machine did: with the number it tells it
    /// from any later one.
    pub began: Option<u64>,
    /// The user id for files.
    pub uid: u32,
    /// The group id for files.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// `CAP_DAC_OVERRIDE` in effect, in its own user namespace.
    pub dac_override: bool,
    /// `CAP_DAC_READ_SEARCH` in effect, in its own user namespace.
    pub dac_read_search: bool,
    /// The user ids that its user namespace maps, in our numbers; `None`: all.
    pub mapped_uids: Option<Vec<IdRange>>,
    /// The group ids that its user namespace maps, in our numbers; `None`: all.
    pub mapped_gids: Option<Vec<IdRange>>,
    /// Whether its root, mounts and network namespace are those of this process.
    pub view: View,
}

/// Whether the subject sees what this process sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// It has another root or another mount namespace.
    pub other_files: bool,
    /// It has another network namespace.
    pub other_network: bool,
}

/// Ids from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// A lookup, component by component. It goes as far as the files lead: whether the subject may go
/// there is judged later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The components in the order of the kernel, those of symbolic links in the place of the link.
    pub steps: Vec<Step>,
    /// Where it arrived; for a bind what has the last name, links not followed. `None` where it did
    /// not arrive.
    pub reached: Option<File>,
    /// The path, or the link followed last, ends in a slash.
    pub trailing_slash: bool,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The directory it is looked up in.
    pub directory: File,
    /// Its name; `.` and `..` too.
    pub name: Vec<u8>,
    /// It is the last component of the path, or of a link that is the last component.
    pub last: bool,
    /// Components follow, or a slash: it has to be a directory.
    pub wants_directory: bool,
    /// The symbolic link whose target it is part of; `None` for the path itself.
    pub via: Option<PathBuf>,
    /// What is there.
    pub found: Found,
}

/// What a component's name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Something that is no symbolic link, or one that is not followed.
    File(File),
    /// A symbolic link, whose target's components come next.
    Link {
        /// The link itself.
        link: File,
        /// Where it points.
        target: Vec<u8>,
    },
    /// One of `/proc`'s links, which lead to a file itself and not to a name.
    Magic {
        /// The link itself.
        link: File,
        /// The file, where it can be seen.
        to: Option<File>,
    },
    /// This process may not look, or cannot.
    Hidden(Errno),
}

/// A file, and what the kernel asks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// A name for it in the subject's view, for texts.
    pub path: PathBuf,
    /// Its device and inode.
    pub id: (u64, u64),
    /// What it is.
    pub kind: FileKind,
    /// The permission bits of its mode, `0o7777` at most.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its access control list; no entries where it has none beyond its mode.
    pub acl: Option<Vec<AclEntry>>,
    /// What the kernel grants the subject: search 1, write 2. Asked where the list cannot be read
    /// and the subject is this process.
    pub granted: Option<u8>,
    /// It has the immutable flag.
    pub immutable: bool,
    /// It has no name any more.
    pub deleted: bool,
    /// The mount it is seen through.
    pub mount: Mount,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A socket.
    Socket,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A regular file.
    Regular,
    /// A FIFO.
    Fifo,
    /// A character or block device.
    Device,
}

/// A mount, as far as it decides something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The file system's name, `ext4`; empty where unknown.
    pub file_system: String,
    /// The mount is read-only.
    pub read_only: bool,
    /// The file system itself is read-only.
    pub file_system_read_only: bool,
    /// Symbolic links on it are not followed.
    pub no_links: bool,
    /// Owners of files are mapped to others (`mount_setattr(2)`, Linux 5.12); those that are told
    /// here are so already.
    pub maps_ids: bool,
}

/// An entry of a POSIX access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Whom it is about.
    pub who: AclWho,
    /// Read 4, write 2, search 1.
    pub permissions: u8,
}

/// Whom an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclWho {
    /// The file's owner.
    Owner,
    /// This user.
    User(u32),
    /// The file's group.
    OwningGroup,
    /// This group.
    Group(u32),
    /// The most that named users and groups may have.
    Mask,
    /// Everybody else.
    Other,
}

/// A socket of the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its inode, as in `/proc/PID/fd`; 0 where it is in no table that can be read, and only the
    /// socket itself was asked.
    pub inode: u32,
    /// Its kind.
    pub kind: Option<Kind>,
    /// What it does.
    pub state: EndpointState,
    /// It was shut down for reading.
    pub shut_down: bool,
    /// Connections that wait for an accept, and the limit that the server asked for. Of a listener
    /// only.
    pub backlog: Option<(u32, u32)>,
    /// Its queue of messages is full. Of a datagram socket only.
    pub queue_full: Option<bool>,
    /// The processes that have it open.
    pub owners: Option<Vec<Owner>>,
}

/// What a bound socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It accepts connections.
    Listening,
    /// It is bound: a server that does not listen yet, or a datagram socket without a peer.
    Bound,
    /// It was bound and has connected to somebody: a client with a name, or a datagram socket with
    /// a peer.
    Connected,
    /// It came out of an accept: it has its listener's name and answers to nobody else.
    Accepted,
}

/// A process that has a socket open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The process.
    pub pid: u32,
    /// Its command name.
    pub command: String,
    /// Its user.
    pub uid: Option<u32>,
    /// Its state in `/proc/PID/stat`: `R`, `S`, `D`, `T`, `Z`, ….
    pub state: Option<char>,
}

/// A socket that may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// How it differs from what was asked for.
    pub how: Nearness,
    /// Its address, as it was bound.
    pub address: Address,
    /// The socket.
    pub socket: Endpoint,
}

/// How a socket differs from what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearness {
    /// It was bound to that path, and the file is not there any more.
    Unlinked,
    /// It has that address in our view, which is not the subject's.
    OurView,
    /// The same abstract name, another kind of socket.
    OtherKind,
    /// The same abstract name in another network namespace.
    OtherNamespace,
    /// An abstract name that differs in NULs at its end alone.
    Padded,
    /// A name that looks alike.
    Alike,
}

/// The kernel's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `net.core.wmem_default`: the send buffer of a fresh socket, in bytes.
    pub wmem_default_bytes: Option<usize>,
    /// `net.core.somaxconn`: the longest backlog.
    pub somaxconn: Option<u32>,
    /// `net.unix.max_dgram_qlen`: messages that may wait, less one.
    pub max_dgram_qlen: Option<u32>,
    /// `fs.protected_symlinks`.
    pub protected_symlinks: Option<bool>,
}

/// What else has a say, and can be named at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The security modules in use, where the kernel lists them.
    pub modules: Option<Vec<String>>,
    /// The subject's label, where a module gives one.
    pub label: Option<String>,
    /// The subject's system calls are filtered.
    pub seccomp: Option<bool>,
    /// The subject can gain no privileges: so it is with whoever restricts itself with Landlock.
    pub no_new_privileges: Option<bool>,
}

/// Names for ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Users.
    pub users: BTreeMap<u32, String>,
    /// Groups.
    pub groups: BTreeMap<u32, String>,
}
