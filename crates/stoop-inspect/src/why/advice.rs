//! Advice as data: what may remedy a cause, or shows more of it. Pure.
//!
//! An advice has what a command that follows it needs: addresses and paths as this process reaches
//! them, even if the subject sees other files, and whether root is required. How it is worded, and
//! quoted for a shell, is up to the program that shows it.

use std::fmt;
use std::path::{Path, PathBuf};

use stoop::{Address, Kind};

use super::facts::{Endpoint, Facts, File, FileKind, Owner, Step};
use super::messages::quoted;
use super::permission::{By, SEARCH};
use super::{Operation, Who};
use crate::endpoints::Service;

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
pub enum Advice {
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
    /// Use a client of a well-known service.
    UseService {
        /// The service.
        service: &'static Service,
        /// The address in question.
        address: Address,
    },
}

impl Advice {
    /// Returns whether it concerns a server or client of the user's own, as opposed to that of a
    /// well-known service.
    pub(super) fn is_about_own_server(&self) -> bool {
        match self {
            Advice::StartServer { at, .. }
            | Advice::StartReceiver(at)
            | Advice::ReplaceStale(at)
            | Advice::TakeOver(at)
            | Advice::AllowGroup(at)
            | Advice::Connect { at, .. }
            | Advice::WaitForServer { at, .. } => !at.as_root,
            Advice::UsePrivateDirectory => true,
            _ => false,
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

impl fmt::Display for Advice {
    /// Writes the step in words, without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| quoted(path);
        match self {
            Advice::StartServer { at, .. } => write!(f, "start a server at {at}"),
            Advice::StartReceiver(at) => write!(f, "start a receiver at {at}"),
            Advice::ReplaceStale(at) => {
                write!(f, "start a server that replaces the stale socket file at {at}")
            }
            Advice::TakeOver(at) => write!(f, "take {at} over from the live server"),
            Advice::AllowGroup(at) => write!(f, "let the server at {at} allow a group of users"),
            Advice::OmitSlash(at) => write!(f, "bind {at}, without the slash"),
            Advice::UsePrivateDirectory => {
                f.write_str("bind in a private directory, such as $XDG_RUNTIME_DIR")
            }
            Advice::Connect { at, kind: Some(kind) } => write!(f, "connect to {at} with a {kind} socket"),
            Advice::Connect { at, kind: None } => write!(f, "connect to {at}"),
            Advice::ConnectByLongPath(at) => write!(f, "connect to {at} by way of its directory"),
            Advice::WaitForServer { at, .. } => write!(f, "wait until a server listens at {at}"),
            Advice::TryAgain { .. } => f.write_str("try again"),
            Advice::PredictConnect { kind, .. } => write!(f, "connect the {kind} socket first"),
            Advice::PredictAsRoot { .. } => f.write_str("ask as root, who sees more"),
            Advice::ShowPath { address, .. } => write!(f, "check the components of '{address}'"),
            Advice::CorrectAddress => f.write_str("correct the address"),
            Advice::RestartServer { pid, .. } => write!(f, "restart the server, process {pid}"),
            Advice::Resume { pid, .. } => write!(f, "resume process {pid}, which a signal has stopped"),
            Advice::ShowWaitChannel { pid, .. } => write!(f, "check what process {pid} waits for"),
            Advice::ShowFile(path) => write!(f, "check the file {}", shown(path)),
            Advice::ShowFileInView { path, .. } => {
                write!(f, "mount the socket's directory into the view of the process, at {}", shown(path))
            }
            Advice::ShowStagingDirectory(path) => write!(f, "move {} away, or check its owner", shown(path)),
            Advice::ShowLink(path) | Advice::ShowDangling(path) => {
                write!(f, "check the symbolic link {}", shown(path))
            }
            Advice::AvoidLink(path) => write!(f, "use a path without the symbolic link {}", shown(path)),
            Advice::UseAbsolutePath(path) => write!(f, "use an absolute path for {}", shown(path)),
            Advice::RemoveFile(path) => write!(f, "remove {}", shown(path)),
            Advice::CreateDirectory { path, .. } => write!(f, "create the directory {}", shown(path)),
            Advice::ChangeDirectory => f.write_str("change to a directory that exists"),
            Advice::ChangeMode { path, class, permission, .. } => {
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
            Advice::AddAclEntry { path, user, permissions, .. } => {
                write!(f, "grant {} the permissions {permissions} on {}", stoop::escaped(user), shown(path))
            }
            Advice::WidenAclMask { path, .. } => {
                write!(f, "widen the mask of the access control list of {}", shown(path))
            }
            Advice::JoinGroup { user, group, .. } => {
                write!(f, "add {} to the group {}", stoop::escaped(user), stoop::escaped(group))
            }
            Advice::ShowFlags(path) => write!(f, "check the flags of {}", shown(path)),
            Advice::ClearImmutable { path, .. } => write!(f, "clear the immutable flag of {}", shown(path)),
            Advice::ShowMount(path) => write!(f, "check the mount options of {}", shown(path)),
            Advice::ListUsers => f.write_str("check the name of the user"),
            Advice::ListProcesses => f.write_str("check the process id"),
            Advice::CheckProc => f.write_str("mount /proc"),
            Advice::ShowSendBufferLimit => {
                f.write_str("raise the send buffer up to net.core.wmem_max, or use a stream socket")
            }
            Advice::ShowQueueLimit => f.write_str("check net.unix.max_dgram_qlen"),
            Advice::RaiseDescriptorLimit => f.write_str("raise the limit of open file descriptors"),
            Advice::StartUnit { service, .. } => write!(f, "start {}", service.unit),
            Advice::RestartUnit { service, .. } => write!(f, "restart {}", service.unit),
            Advice::ShowJournal(service) => write!(f, "check the log of {}", service.unit),
            Advice::UseService { service, .. } => write!(f, "use a client of {}", service.what),
        }
    }
}

/// Returns the address in question, as this process reaches it.
pub(super) fn site(facts: &Facts) -> Site {
    let question = &facts.question;
    let address = match question.address.as_pathname() {
        Some(path) => Address::path(reached(facts, path)).unwrap_or_else(|_| question.address.clone()),
        None => question.address.clone(),
    };
    let away = facts.subject.as_ref().is_some_and(|subject| subject.view.other_network);
    let netns_of = match &question.subject {
        Who::Process(pid) if away && address.as_abstract_name().is_some() => Some(*pid),
        _ => None,
    };
    Site { address, netns_of, as_root: netns_of.is_some() && needs_root(facts, None) }
}

/// Returns another address of a socket in this network namespace.
pub(super) fn other_site(address: &Address) -> Site {
    Site { address: address.clone(), netns_of: None, as_root: false }
}

/// Returns a path in the subject's view as this process reaches it.
pub(super) fn reached(facts: &Facts, path: &Path) -> PathBuf {
    match &facts.question.subject {
        Who::Process(pid) if path.is_relative() => PathBuf::from(format!("/proc/{pid}/cwd")).join(path),
        Who::Process(pid) if has_other_files(facts) => {
            PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
        }
        _ => path.to_owned(),
    }
}

fn has_other_files(facts: &Facts) -> bool {
    facts.subject.as_ref().is_some_and(|subject| subject.view.other_files)
}

/// Returns whether the user of this process is neither root nor `owner`.
pub(super) fn needs_root(facts: &Facts, owner: Option<u32>) -> bool {
    facts.asker_uid != 0 && owner != Some(facts.asker_uid)
}

/// Returns the name of the subject's user, or its number.
fn user(facts: &Facts, uid: u32) -> String {
    facts.names.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
}

fn group(facts: &Facts, gid: u32) -> String {
    facts.names.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
}

/// Advises to start a server at the address in question.
pub(super) fn start_server(facts: &Facts) -> Advice {
    let in_view_of = match &facts.question.subject {
        Who::Process(pid) if has_other_files(facts) => Some(*pid),
        _ => None,
    };
    Advice::StartServer { at: site(facts), in_view_of }
}

/// Advises to create all missing directories of the path, of which `first` is the first. If the
/// bind is made by a user other than the one of this process, that user must own the last one.
pub(super) fn create_directory(facts: &Facts, step: &Step, first: &Path) -> Advice {
    let whole = facts.question.address.as_pathname().and_then(Path::parent);
    let path = reached(facts, whole.filter(|_| !step.last).unwrap_or(first));
    let owner = if step.directory.mode & 0o002 != 0 { facts.asker_uid } else { step.directory.uid };
    let as_root = needs_root(facts, Some(owner));
    let creator = if as_root { 0 } else { facts.asker_uid };
    let binds = facts.question.operation == Operation::Bind;
    match facts.subject.as_ref().filter(|subject| binds && subject.uid != creator) {
        Some(subject) => {
            let owner = Some(user(facts, subject.uid));
            // Changing the owner of a directory requires root.
            Advice::CreateDirectory { path, owner, as_root: needs_root(facts, None) }
        }
        None => Advice::CreateDirectory { path, owner: None, as_root },
    }
}

/// Returns what would grant the subject `want` on the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Option<Advice> {
    let subject = facts.subject.as_ref()?;
    let (permission, bit) = if want == SEARCH { (Permission::Search, 1) } else { (Permission::Write, 2) };
    let path = reached(facts, &file.path);
    let as_root = needs_root(facts, Some(file.uid));
    let group_has = file.mode >> 3 & bit != 0 && file.acl.as_ref().is_some_and(Vec::is_empty);
    let permissions = match (want, file.kind) {
        (SEARCH, _) => "rx",
        (_, FileKind::Directory) => "rwx",
        _ => "rw",
    };
    let mode = |class| {
        let (path, group) = (path.clone(), group(facts, file.gid));
        Advice::ChangeMode { path, class, permission, group, as_root }
    };
    Some(match by {
        By::Owner => mode(ModeClass::Owner),
        By::Group => mode(ModeClass::Group),
        By::Other if group_has && file.gid != 0 => {
            join_group(facts, subject.uid, group(facts, file.gid), false)
        }
        By::Other if want == SEARCH => mode(ModeClass::Other),
        By::AclMask => Advice::WidenAclMask { path, as_root },
        By::Other | By::AclUser | By::AclGroups | By::AclOther => {
            Advice::AddAclEntry { path, user: user(facts, subject.uid), permissions, as_root }
        }
    })
}

/// Advises to add the user to a group.
pub(super) fn join_group(facts: &Facts, uid: u32, group: String, is_root: bool) -> Advice {
    Advice::JoinGroup { user: user(facts, uid), group, is_root, as_root: needs_root(facts, None) }
}

/// Advises how to see what the subject sees, or how to name the file in a way that works for both.
pub(super) fn other_view(facts: &Facts, is_elsewhere: bool) -> Option<Advice> {
    let path = facts.question.address.as_pathname()?;
    if !is_elsewhere {
        return Some(Advice::UseAbsolutePath(path.to_owned()));
    }
    let Who::Process(_) = facts.question.subject else { return None };
    let as_root = needs_root(facts, facts.subject.as_ref().map(|subject| subject.uid));
    Some(Advice::ShowFileInView { path: reached(facts, path), as_root })
}

/// Advises to ask as root, if that would show more.
pub(super) fn with_more_privileges(facts: &Facts) -> Option<Advice> {
    let question = &facts.question;
    needs_root(facts, None).then(|| Advice::PredictAsRoot {
        address: question.address.clone(),
        subject: match &question.subject {
            Who::CurrentProcess => Who::User(facts.asker_uid.to_string()),
            subject => subject.clone(),
        },
    })
}

/// Advises to restart a server whose socket file was lost.
pub(super) fn restart(facts: &Facts, socket: &Endpoint) -> Option<Advice> {
    let owner = socket.owners.as_deref()?.first()?;
    Some(Advice::RestartServer { pid: owner.pid, as_root: needs_root(facts, owner.uid) })
}

/// Advises to resume a stopped process.
pub(super) fn resume(facts: &Facts, owner: &Owner) -> Option<Advice> {
    let is_stopped = matches!(owner.state, Some('T' | 't'));
    is_stopped.then(|| Advice::Resume { pid: owner.pid, as_root: needs_root(facts, owner.uid) })
}
