//! Actions: what may remedy a cause, or shows more of it, as data. Pure.
//!
//! An action has what a command that follows it needs: addresses and paths as this process reaches
//! them, even if the subject sees other files, and whether root is required. How it is worded, and
//! quoted for a shell, is up to the program that shows it.

use std::fmt;
use std::path::{Path, PathBuf};

use stoop::{Address, Kind};

use super::messages::quoted;
use super::question::{Operation, Who};
use crate::endpoints::Service;
use crate::file_location::ViewDifference;
use crate::hindrance::{FrozenGroup, Tracer};

/// An address as this process reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The address. A path of a process with another root, other mounts or another working
    /// directory leads through its directory in `/proc`.
    pub address: Address,
    /// The process whose network namespace has the abstract name, if it is not that of this
    /// process.
    pub netns_of: Option<u32>,
    /// Whether root is required.
    pub as_root: bool,
}

/// A class of users in a file's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeClass {
    /// The file's owner.
    Owner,
    /// The file's group.
    Group,
    /// All other users.
    Other,
}

/// A permission that a subject lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Write permission, on a socket file or a directory.
    Write,
    /// Search permission, on a directory.
    Search,
}

/// A step that may remedy the cause of a failure, or that shows more of it.
///
/// Paths are as this process reaches them. `as_root` says whether the user of this process lacks
/// the permission for the step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Start a server.
    StartServer {
        /// The address.
        at: Site,
        /// The process in whose view of the files it has to be, if that differs from ours.
        in_view_of: Option<u32>,
    },
    /// Start a receiver of datagrams.
    StartReceiver(Site),
    /// Start a server at the address of a stale socket file, which it replaces.
    ReplaceStale(Site),
    /// Start a server that replaces a socket file though its server may be elsewhere.
    AssumeStale(Site),
    /// Start a server that takes the address over from the live one.
    TakeOver(Site),
    /// Start the server such that a group of users may connect.
    AllowGroup(Site),
    /// Start the server at this path, without the slash at the end.
    OmitSlash(Site),
    /// Start the server in a directory that is private to the user.
    UsePrivateDirectory,
    /// Connect to the address, with a socket of this kind if there is one.
    Connect {
        /// The address.
        at: Site,
        /// The kind of the socket there, if another one was tried.
        kind: Option<Kind>,
    },
    /// Connect by a path that is too long for an address.
    ConnectByLongPath(Site),
    /// Wait until a server listens at the address.
    WaitForServer {
        /// The address.
        at: Site,
        /// Whether a process has bound the socket already.
        is_bound: bool,
    },
    /// Make the call again: its cause no longer exists, or is not visible.
    TryAgain {
        /// The call.
        operation: Operation,
        /// The address.
        at: Site,
    },
    /// Predict a connect with a socket of this kind, instead of a send.
    PredictConnect {
        /// The address.
        address: Address,
        /// The kind.
        kind: Kind,
    },
    /// Predict the call as root, who sees more.
    PredictAsRoot {
        /// The address.
        address: Address,
        /// The subject of the call.
        subject: Who,
    },
    /// Show the components of the path with their permissions.
    ShowPath {
        /// The address.
        address: Address,
        /// The call.
        operation: Operation,
    },
    /// Use a valid address.
    CorrectAddress,
    /// End a server, and start it again: its new socket file has the path.
    RestartServer {
        /// A process of the server.
        pid: u32,
        /// Whether root is required.
        as_root: bool,
    },
    /// Resume a process that a signal has stopped.
    Resume {
        /// The process.
        pid: u32,
        /// Whether root is required.
        as_root: bool,
    },
    /// Let the tracer of a process release it.
    Detach {
        /// The process.
        pid: u32,
        /// Its tracer.
        tracer: Tracer,
        /// Whether root is required.
        as_root: bool,
    },
    /// Thaw a frozen control group.
    Thaw {
        /// The group.
        group: FrozenGroup,
        /// Whether root is required.
        as_root: bool,
    },
    /// Raise the limit of open file descriptors of a running process.
    RaiseLimitOf {
        /// The process.
        pid: u32,
        /// The new limit.
        to: u32,
        /// Whether it is higher than the process may set itself.
        is_beyond_hard: bool,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show the processes and clients of a server.
    ShowServer(Site),
    /// Show what a process that neither accepts nor reads waits for in the kernel.
    ShowWaitChannel {
        /// The process.
        pid: u32,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show type, mode and owner of a file.
    ShowFile(PathBuf),
    /// Show the file in the view of a process, and mount the socket's directory into that view.
    ShowFileInView {
        /// The path, through the directory of the process in `/proc`.
        path: PathBuf,
        /// Whether root is required.
        as_root: bool,
    },
    /// Let client and server use a directory that both see.
    ShareDirectory {
        /// A process of the server.
        pid: u32,
        /// How its view of the files differs.
        difference: ViewDifference,
    },
    /// Mount a socket file again, or the directory instead of the file.
    MountAgain {
        /// The file that is mounted, in the view of the subject.
        path: PathBuf,
    },
    /// Show the private directory next to a socket, which this user does not own alone.
    ShowStagingDirectory(PathBuf),
    /// Show the target of a symbolic link.
    ShowLink(PathBuf),
    /// Show where a dangling symbolic link leads.
    ShowDangling(PathBuf),
    /// Use the path without this symbolic link.
    AvoidLink(PathBuf),
    /// Use an absolute path, which means the same to both processes.
    UseAbsolutePath(PathBuf),
    /// Remove a stale socket file.
    RemoveFile(PathBuf),
    /// Create the missing directories of a path.
    CreateDirectory {
        /// The last of them.
        path: PathBuf,
        /// The user who must own it, if that is not who creates it.
        owner: Option<String>,
        /// Whether root is required.
        as_root: bool,
    },
    /// Change to a directory that exists.
    ChangeDirectory,
    /// Grant a permission by a file's mode.
    ChangeMode {
        /// The file.
        path: PathBuf,
        /// To whom.
        class: ModeClass,
        /// What is granted.
        permission: Permission,
        /// The file's group, by name or number.
        group: String,
        /// Whether root is required.
        as_root: bool,
    },
    /// Grant a permission to one user by an entry of the access control list.
    AddAclEntry {
        /// The file.
        path: PathBuf,
        /// The user, by name or number.
        user: String,
        /// The permissions, such as `rw`.
        permissions: &'static str,
        /// Whether root is required.
        as_root: bool,
    },
    /// Widen the mask of an access control list, which excludes the permission of an entry.
    WidenAclMask {
        /// The file.
        path: PathBuf,
        /// Whether root is required.
        as_root: bool,
    },
    /// Add a user to a group that has the permission.
    JoinGroup {
        /// The user, by name or number.
        user: String,
        /// The group, by name or number.
        group: String,
        /// Whether members of the group have the power of root, as with a container runtime.
        is_root: bool,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show the flags of a file.
    ShowFlags(PathBuf),
    /// Clear the immutable flag of a directory.
    ClearImmutable {
        /// The directory.
        path: PathBuf,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show the mount of a directory, and its options.
    ShowMount(PathBuf),
    /// Show the free inodes of the file system of a directory.
    ShowInodes(PathBuf),
    /// Show the open file descriptors of a process.
    ShowDescriptors {
        /// The process.
        pid: u32,
        /// Whether root is required.
        as_root: bool,
    },
    /// List the users.
    ListUsers,
    /// List the processes.
    ListProcesses,
    /// Check whether `/proc` is mounted.
    CheckProc,
    /// Show the largest send buffer that a program may set, or use a stream socket.
    ShowSendBufferLimit,
    /// Show how many messages a receiver's queue holds.
    ShowQueueLimit,
    /// Raise the limit of open file descriptors.
    RaiseDescriptorLimit,
    /// Start the unit of a well-known service.
    StartUnit {
        /// The service.
        service: &'static Service,
        /// Whether it is a unit of the user's service manager.
        of_user: bool,
    },
    /// Restart the unit of a well-known service.
    RestartUnit {
        /// The service.
        service: &'static Service,
        /// Whether it is a unit of the user's service manager.
        of_user: bool,
    },
    /// Show the log of a well-known service.
    ShowJournal(&'static Service),
    /// Check a live socket that may have been meant instead.
    SeeElsewhere {
        /// Its address.
        address: Address,
    },
    /// Use a client of a well-known service.
    UseService {
        /// The service.
        service: &'static Service,
        /// The address in question.
        address: Address,
    },
}

impl Action {
    /// Returns whether it concerns a server or client of the user's own, as opposed to that of a
    /// well-known service.
    pub(super) fn is_about_own_server(&self) -> bool {
        match self {
            Action::StartServer { at, .. }
            | Action::StartReceiver(at)
            | Action::ReplaceStale(at)
            | Action::AssumeStale(at)
            | Action::TakeOver(at)
            | Action::AllowGroup(at)
            | Action::Connect { at, .. }
            | Action::WaitForServer { at, .. } => !at.as_root,
            Action::UsePrivateDirectory => true,
            _ => false,
        }
    }

    /// Returns whether it ends what keeps a process from answering.
    pub(super) fn is_relief(&self) -> bool {
        matches!(
            self,
            Action::Resume { .. } | Action::Detach { .. } | Action::Thaw { .. } | Action::RaiseLimitOf { .. }
        )
    }

    /// Returns whether root is required.
    pub(super) fn as_root(&self) -> bool {
        match self {
            Action::RestartServer { as_root, .. }
            | Action::Resume { as_root, .. }
            | Action::Detach { as_root, .. }
            | Action::Thaw { as_root, .. }
            | Action::RaiseLimitOf { as_root, .. }
            | Action::ShowWaitChannel { as_root, .. }
            | Action::ShowFileInView { as_root, .. }
            | Action::CreateDirectory { as_root, .. }
            | Action::ChangeMode { as_root, .. }
            | Action::AddAclEntry { as_root, .. }
            | Action::WidenAclMask { as_root, .. }
            | Action::JoinGroup { as_root, .. }
            | Action::ClearImmutable { as_root, .. } => *as_root,
            Action::PredictAsRoot { .. } => true,
            other => other.site().is_some_and(|at| at.as_root),
        }
    }

    fn site(&self) -> Option<&Site> {
        match self {
            Action::StartServer { at, .. }
            | Action::StartReceiver(at)
            | Action::ReplaceStale(at)
            | Action::TakeOver(at)
            | Action::AllowGroup(at)
            | Action::OmitSlash(at)
            | Action::Connect { at, .. }
            | Action::ConnectByLongPath(at)
            | Action::ShowServer(at)
            | Action::WaitForServer { at, .. }
            | Action::TryAgain { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Returns the address it is about.
    pub(super) fn address(&self) -> Option<&Address> {
        match self {
            Action::PredictConnect { address, .. }
            | Action::PredictAsRoot { address, .. }
            | Action::ShowPath { address, .. }
            | Action::SeeElsewhere { address }
            | Action::UseService { address, .. } => Some(address),
            other => other.site().map(|at| &at.address),
        }
    }

    /// Returns the file it is about.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Action::ShowFile(path)
            | Action::ShowFileInView { path, .. }
            | Action::ShowStagingDirectory(path)
            | Action::ShowLink(path)
            | Action::ShowDangling(path)
            | Action::AvoidLink(path)
            | Action::UseAbsolutePath(path)
            | Action::RemoveFile(path)
            | Action::CreateDirectory { path, .. }
            | Action::ChangeMode { path, .. }
            | Action::AddAclEntry { path, .. }
            | Action::WidenAclMask { path, .. }
            | Action::ShowFlags(path)
            | Action::ClearImmutable { path, .. }
            | Action::ShowInodes(path)
            | Action::ShowMount(path) => Some(path),
            Action::Thaw { group, .. } => Some(&group.switch),
            _ => None,
        }
    }

    /// Returns the process it is about.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Action::RestartServer { pid, .. }
            | Action::Resume { pid, .. }
            | Action::Detach { pid, .. }
            | Action::RaiseLimitOf { pid, .. }
            | Action::ShareDirectory { pid, .. }
            | Action::ShowWaitChannel { pid, .. } => Some(*pid),
            _ => None,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.address)?;
        match self.netns_of {
            Some(pid) => write!(f, ", in the network namespace of process {pid}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Action {
    /// Writes the step in words, without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| quoted(path);
        match self {
            Action::StartServer { at, .. } => write!(f, "start a server at {at}"),
            Action::StartReceiver(at) => write!(f, "start a receiver at {at}"),
            Action::ReplaceStale(at) => {
                write!(f, "start a server that replaces the stale socket file at {at}")
            }
            Action::AssumeStale(at) => {
                write!(
                    f,
                    "start a server at {at} that replaces the file, if no other machine or mount serves there"
                )
            }
            Action::TakeOver(at) => write!(f, "take {at} over from the live server"),
            Action::AllowGroup(at) => write!(f, "let the server at {at} allow a group of users"),
            Action::OmitSlash(at) => write!(f, "bind {at}, without the slash"),
            Action::UsePrivateDirectory => {
                f.write_str("bind in a private directory, such as $XDG_RUNTIME_DIR")
            }
            Action::Connect { at, kind: Some(kind) } => write!(f, "connect to {at} with a {kind} socket"),
            Action::Connect { at, kind: None } => write!(f, "connect to {at}"),
            Action::ConnectByLongPath(at) => write!(f, "connect to {at} by way of its directory"),
            Action::WaitForServer { at, .. } => write!(f, "wait until a server listens at {at}"),
            Action::TryAgain { .. } => f.write_str("try again"),
            Action::PredictConnect { kind, .. } => write!(f, "connect the {kind} socket first"),
            Action::PredictAsRoot { .. } => f.write_str("ask as root, who sees more"),
            Action::ShowPath { address, .. } => write!(f, "check the components of '{address}'"),
            Action::CorrectAddress => f.write_str("correct the address"),
            Action::RestartServer { pid, .. } => write!(f, "restart the server, process {pid}"),
            Action::Resume { pid, .. } => write!(f, "resume process {pid}, which a signal has stopped"),
            Action::Detach { pid, tracer, .. } => write!(
                f,
                "let process {} ({}), which traces process {pid}, continue it or detach from it",
                tracer.pid,
                stoop::escaped(&tracer.command)
            ),
            Action::Thaw { group, .. } => {
                write!(f, "thaw the control group that {} freezes", shown(&group.switch))
            }
            Action::RaiseLimitOf { pid, to, .. } => {
                write!(f, "raise the limit of open file descriptors of process {pid} to {to}")
            }
            Action::ShowServer(at) => write!(f, "check the processes and clients of the server at {at}"),
            Action::ShowWaitChannel { pid, .. } => write!(f, "check what process {pid} waits for"),
            Action::ShowFile(path) => write!(f, "check the file {}", shown(path)),
            Action::ShowFileInView { path, .. } => {
                write!(f, "mount the socket's directory into the view of the process, at {}", shown(path))
            }
            Action::ShareDirectory { difference: ViewDifference::PrivateTmp, .. } => f.write_str(
                "use a directory that both see, such as /run/NAME (RuntimeDirectory=), or disable PrivateTmp= in its unit, or \
                 join its namespace (JoinsNamespaceOf=)",
            ),
            Action::ShareDirectory { difference: ViewDifference::Root, .. } => {
                f.write_str("let the server bind in a directory that is inside both root directories")
            }
            Action::ShareDirectory { difference: ViewDifference::Mounts, .. } => f.write_str(
                "let the server bind in a directory that both see: mount one into the container (BindPaths= for a unit)",
            ),
            Action::MountAgain { path } => write!(
                f,
                "restart the container, which mounts {} again; to survive restarts of the server, let it mount the \
                 socket's directory instead of the file",
                shown(path)
            ),
            Action::ShowStagingDirectory(path) => write!(f, "move {} away, or check its owner", shown(path)),
            Action::ShowLink(path) | Action::ShowDangling(path) => {
                write!(f, "check the symbolic link {}", shown(path))
            }
            Action::AvoidLink(path) => write!(f, "use a path without the symbolic link {}", shown(path)),
            Action::UseAbsolutePath(path) => write!(f, "use an absolute path for {}", shown(path)),
            Action::RemoveFile(path) => write!(f, "remove {}", shown(path)),
            Action::CreateDirectory { path, .. } => write!(f, "create the directory {}", shown(path)),
            Action::ChangeDirectory => f.write_str("change to a directory that exists"),
            Action::ChangeMode { path, class, permission, .. } => {
                let class = match class {
                    ModeClass::Owner => "its owner",
                    ModeClass::Group => "its group",
                    ModeClass::Other => "all users",
                };
                let permission = match permission {
                    Permission::Write => "write",
                    Permission::Search => "search",
                };
                write!(f, "grant {class} {permission} permission on {}", shown(path))
            }
            Action::AddAclEntry { path, user, permissions, .. } => {
                write!(f, "grant {} the permissions {permissions} on {}", stoop::escaped(user), shown(path))
            }
            Action::WidenAclMask { path, .. } => {
                write!(f, "widen the mask of the access control list of {}", shown(path))
            }
            Action::JoinGroup { user, group, .. } => {
                write!(f, "add {} to the group {}", stoop::escaped(user), stoop::escaped(group))
            }
            Action::ShowFlags(path) => write!(f, "check the flags of {}", shown(path)),
            Action::ClearImmutable { path, .. } => write!(f, "clear the immutable flag of {}", shown(path)),
            Action::ShowMount(path) => write!(f, "check the mount options of {}", shown(path)),
            Action::ShowInodes(path) => write!(f, "check the free inodes at {}", shown(path)),
            Action::ShowDescriptors { pid, .. } => write!(f, "list what process {pid} has open"),
            Action::ListUsers => f.write_str("check the name of the user"),
            Action::ListProcesses => f.write_str("check the process id"),
            Action::CheckProc => f.write_str("mount /proc"),
            Action::ShowSendBufferLimit => {
                f.write_str("raise the send buffer up to net.core.wmem_max, or use a stream socket")
            }
            Action::ShowQueueLimit => f.write_str("check net.unix.max_dgram_qlen"),
            Action::RaiseDescriptorLimit => f.write_str("raise the limit of open file descriptors"),
            Action::StartUnit { service, .. } => write!(f, "start {}", service.what),
            Action::RestartUnit { service, .. } => write!(f, "restart {}", service.what),
            Action::ShowJournal(service) => write!(f, "check the log of {}", service.what),
            Action::SeeElsewhere { address } => write!(f, "check '{address}', which may have been meant"),
            Action::UseService { service, .. } => write!(f, "use a client of {}", service.what),
        }
    }
}
