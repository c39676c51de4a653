//! The facts a verdict is based on: plain data, created by `gather` or by a test. Unless the
//! documentation of a field differs, `None` means that the fact could not be determined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
pub use stoop::internal::Doubt;
use stoop::{Address, Kind};

use super::question::Question;
use crate::file_location::FileLocation;
use crate::hindrance::Hindrance;
use crate::model::Messages;
use crate::workload::Workload;

/// Everything that a verdict is based on, as [`gather`](super::gather::gather()) observed it.
///
/// The command shows the contents, and tests construct them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The question.
    pub question: Question,
    /// The subject that would make the call, or `None` if the user or process does not exist.
    pub subject: Option<Subject>,
    /// The effective user id of this process, which would run the suggested commands.
    pub asker_uid: u32,
    /// How the path is looked up, without regard to permissions. `None` for other addresses.
    pub walk: Option<Walk>,
    /// The sockets that are bound to the file reached, or that have the abstract name in the
    /// subject's network namespace.
    pub sockets: Option<Vec<Endpoint>>,
    /// Whether any socket is bound to the file reached, determined from the kernel's table of bound
    /// files, which all namespaces share.
    pub alive: Option<bool>,
    /// What other paths of the file reached lead to, if no socket is bound to it by this one.
    pub other_server: OtherServer,
    /// Other sockets that may have been meant.
    pub near: Vec<Near>,
    /// The kernel's limits for the subject.
    pub limits: Limits,
    /// Whether there may be network namespaces whose sockets are not visible.
    pub hidden_networks: bool,
    /// Security mechanisms that may affect the call.
    pub security: Security,
    /// Names of users and groups, for texts.
    pub names: Names,
    /// Traces of the program that the address belongs to.
    pub traces: Traces,
}

/// What the machine reveals about the program that an address belongs to, whether that runs or not,
/// and about the place of the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The container, unit or session of the subject, if that is a process.
    pub subject_workload: Workload,
    /// Whether systemd manages the services of this machine.
    pub has_systemd: bool,
    /// Whether systemd or OpenRC manages them.
    pub has_manager: bool,
    /// The systemd units that name the path, those of sockets first.
    pub units: Vec<Unit>,
    /// The lock or pid file that a program left next to the socket.
    pub lock: Option<Lock>,
    /// Whether a server of `stoop` was here: its private directory is next to the socket.
    pub is_of_stoop: bool,
    /// The private directory for sockets of the user of this process (`$XDG_RUNTIME_DIR`), if that
    /// exists.
    pub runtime_dir: Option<PathBuf>,
    /// Whether what the path leads to is an empty directory.
    pub is_empty_directory: bool,
    /// What the file system of the last directory has no more of.
    pub exhausted: Option<Exhausted>,
    /// The home directory of the user of this process.
    pub home: Option<PathBuf>,
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Its name, such as `app.socket`.
    pub name: String,
    /// Whether it is one of the user's own service manager.
    pub of_user: bool,
}

/// A file by which a program marks that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its path.
    pub path: PathBuf,
    /// The program that it names, or that names such files.
    pub program: Option<String>,
}

/// What a file system may lack for another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// Free inodes.
    Inodes,
    /// Free blocks.
    Blocks,
}

impl Exhausted {
    /// Returns what it lacks, in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Exhausted::Inodes => "inode",
            Exhausted::Blocks => "block",
        }
    }
}

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

/// The process or user that makes the call, as the kernel's permission checks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The process id, if the subject is a process.
    pub pid: Option<u32>,
    /// The command name, if the subject is a process.
    pub command: Option<String>,
    /// When the process was started, in clock ticks since boot. With the pid it identifies the
    /// process even if the pid is reused.
    pub began: Option<u64>,
    /// The user id for file access (`fsuid`).
    pub uid: u32,
    /// The group id for file access (`fsgid`).
    pub gid: u32,
    /// The supplementary group ids.
    pub groups: Vec<u32>,
    /// The group ids that the group database lists for its user. A process has those of the time of
    /// its login. `None` if the user has no account.
    pub account_groups: Option<Vec<u32>>,
    /// Whether `CAP_DAC_OVERRIDE` is effective, in the subject's user namespace.
    pub dac_override: bool,
    /// Whether `CAP_DAC_READ_SEARCH` is effective, in the subject's user namespace.
    pub dac_read_search: bool,
    /// The user ids that the subject's user namespace maps, as seen from the user namespace of this
    /// process. `None` means all.
    pub mapped_uids: Option<Vec<IdRange>>,
    /// The group ids that the subject's user namespace maps, as seen from the user namespace of
    /// this process. `None` means all.
    pub mapped_gids: Option<Vec<IdRange>>,
    /// Its open file descriptors, if it is a process and they may be counted.
    pub descriptors: Option<Descriptors>,
    /// How the subject's root, mounts and network namespace differ from those of this process.
    pub view: View,
}

/// The file descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many of its file descriptors have a number below the limit.
    pub open: u64,
    /// `RLIMIT_NOFILE`: every number of a new one is below.
    pub limit: u64,
}

/// Whether the subject sees the same files and network as this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether it has another root or another mount namespace.
    pub other_files: bool,
    /// Whether it has another network namespace.
    pub other_network: bool,
}

/// A range of ids that starts at `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// The number of ids.
    pub count: u32,
}

/// A path lookup, component by component. It goes as far as the files lead: whether the subject is
/// permitted to go there is decided later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The components in the kernel's order, with those of a symbolic link's target in place of the
    /// link.
    pub steps: Vec<Step>,
    /// The file reached, or `None` if the lookup fails. For a bind, the file that has the last
    /// name, without following links.
    pub reached: Option<File>,
    /// Whether the path, or the link followed last, ends in a slash.
    pub trailing_slash: bool,
    /// For a bind only: the space in the directory reached last.
    pub space: Option<Space>,
}

/// One component of a path lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The directory in which it is looked up.
    pub directory: File,
    /// The component's name, which may be `.` or `..`.
    pub name: Vec<u8>,
    /// Whether it is the last component of the path, or of a link that is the last component.
    pub last: bool,
    /// Whether it must be a directory: more components or a slash follow.
    pub wants_directory: bool,
    /// The symbolic link whose target it is part of, or `None` for the path itself.
    pub via: Option<PathBuf>,
    /// What the name refers to.
    pub found: Found,
}

/// What a component's name refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No file has this name.
    Nothing,
    /// A file that is not a symbolic link, or a link that is not followed.
    File(File),
    /// A symbolic link. The components of its target come next.
    Link {
        /// The link itself.
        link: File,
        /// The target of the link.
        target: Vec<u8>,
    },
    /// A magic link of `/proc`, which leads to a file itself instead of a name.
    Magic {
        /// The link itself.
        link: File,
        /// The file it leads to, if that is visible.
        to: Option<File>,
    },
    /// This process is not permitted, or not able, to look it up.
    Hidden(Errno),
}

/// A file, with the attributes that permission checks use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// A path of the file in the subject's view, for texts.
    pub path: PathBuf,
    /// Its device and inode.
    pub id: (u64, u64),
    /// The file type.
    pub kind: FileKind,
    /// The permission bits of its mode, at most `0o7777`.
    pub mode: u32,
    /// The owner's user id.
    pub uid: u32,
    /// The owning group's id.
    pub gid: u32,
    /// Whether `uid` is the owner's id.
    pub uid_is: ShownId,
    /// Whether `gid` is the group's id.
    pub gid_is: ShownId,
    /// Its access control list. Empty if it has none in addition to its mode.
    pub acl: Option<Vec<AclEntry>>,
    /// Whether its file system has no access control lists.
    pub lacks_acl: bool,
    /// What the kernel grants the subject: search 1, write 2. Queried if the list cannot be read
    /// and the subject is this process.
    pub granted: Option<u8>,
    /// Whether it has the immutable flag.
    pub immutable: bool,
    /// Whether it has been unlinked.
    pub deleted: bool,
    /// The mount through which it is seen.
    pub mount: Mount,
}

/// What the number stands for that the kernel shows as the id of a file's owner or group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownId {
    /// It is the id.
    #[default]
    Exact,
    /// It is the overflow id: the mount maps no id to the owner (an idmapped mount). No user is
    /// the owner, and no user may write to the file.
    UnmappedByMount,
    /// It is the overflow id: the owner has no id in the user namespace of this process.
    UnmappedHere,
    /// It is the overflow id, for one of these reasons, or because it is the owner's id.
    Uncertain,
}

/// The type of a file.
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

/// The attributes of a mount that affect these calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// The file system's name, such as `ext4`. Empty if unknown.
    pub file_system: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// Whether the file system itself is read-only.
    pub file_system_read_only: bool,
    /// Whether symbolic links on it are not followed (`nosymfollow`).
    pub no_links: bool,
    /// Whether file owners are mapped (an idmapped mount: `mount_setattr(2)`, Linux 5.12). The
    /// owners in these facts are mapped already.
    pub maps_ids: bool,
    /// The ids that such a mount maps. `None` also if it maps none.
    pub id_maps: Option<IdMaps>,
    /// Whether the file system may have been mounted in a user namespace that does not map every
    /// id.
    pub may_be_foreign: bool,
    /// Whether the file system has quotas.
    pub has_quota: bool,
    /// Whether a single file is mounted, and this is that file.
    pub is_of_file: bool,
    /// Whether what is mounted has been unlinked: its name belongs to another file, or to none.
    pub is_unlinked: bool,
}

/// The ids that a mount maps, as its users see them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMaps {
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
}

/// The space that a file system has for a new file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Whether it counts its inodes, and none is free.
    pub no_inodes: bool,
    /// Whether no block is free.
    pub no_blocks: bool,
}

/// An entry of a POSIX access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// The users the entry applies to.
    pub who: AclWho,
    /// The permissions: read 4, write 2, search 1.
    pub permissions: u8,
}

/// The users an entry applies to.
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
    /// The maximum permissions of named users and groups.
    Mask,
    /// All other users.
    Other,
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
    /// Whether it is certain that the socket was bound itself, and has its name from no listener.
    pub is_bound_itself: bool,
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
    /// It was bound to that path, which does not lead to its file. The file has this location now.
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
    /// Its path is the beginning of this one, as long as an address holds.
    Truncated,
    /// It is in the directory that has the address.
    Inside,
}

/// Kernel limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `net.core.wmem_default`: the default send buffer of a socket, in bytes.
    pub wmem_default_bytes: Option<usize>,
    /// `net.core.somaxconn`: the maximum backlog.
    pub somaxconn: Option<u32>,
    /// `net.unix.max_dgram_qlen`: the number of messages that may be queued, less one.
    pub max_dgram_qlen: Option<u32>,
    /// `fs.protected_symlinks`.
    pub protected_symlinks: Option<bool>,
}

/// Security mechanisms that may affect the call. At most they can be named: their decision is
/// unknown, except that of a system call filter of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The security modules in use, or `None` if they are unknown.
    pub modules: Option<Vec<String>>,
    /// The subject's security label, if a module assigns one.
    pub label: Option<String>,
    /// Whether the subject's system calls are filtered.
    pub seccomp: Option<bool>,
    /// Whether the subject can gain no privileges (`no_new_privs`), as is the case for a process
    /// that restricts itself with Landlock.
    pub no_new_privileges: Option<bool>,
    /// The system call that the filter of this process answers itself, and its error.
    pub refusal: Option<Refusal>,
    /// Recent records of denied calls.
    pub denials: Vec<Denial>,
    /// Whether there may be such records, and they may not be read.
    pub denials_hidden: bool,
    /// When they were read, since 1970.
    pub read_at: Duration,
}

/// A mechanism that denies calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SELinux.
    Selinux,
    /// AppArmor.
    AppArmor,
    /// A system call filter.
    Seccomp,
    /// Landlock.
    Landlock,
}

/// A record of a denied call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// When it was denied, since 1970.
    pub at: Duration,
    /// The mechanism.
    pub by: Mechanism,
    /// The process.
    pub pid: Option<u32>,
    /// Its command name.
    pub command: Option<String>,
    /// The operation, permission, system call or right that was denied.
    pub what: String,
    /// The file, by its path or by its name alone, or the abstract name after its NUL or `@`.
    pub path: Option<Vec<u8>>,
    /// The inode of the file.
    pub ino: Option<u64>,
    /// The profile, or the labels, that the rule is about.
    pub rule: Option<String>,
}

/// A system call that a filter answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the call.
    pub call: &'static str,
    /// The error.
    pub errno: Errno,
}

/// Names of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// User names.
    pub users: BTreeMap<u32, String>,
    /// Group names.
    pub groups: BTreeMap<u32, String>,
}
