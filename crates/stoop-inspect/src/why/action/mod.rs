//! Actions: what may remedy a cause, or shows more of it, as data. Pure.
//!
//! An action has what a command that follows it needs: addresses and paths as this process reaches
//! them, even if the subject sees other files, and whether root is required. How it is worded, and
//! quoted for a shell, is up to the program that shows it.

mod about;
mod parts;

use std::ffi::OsString;
use std::path::PathBuf;

use stoop::{Address, Kind};

pub use parts::{FileFlag, ModeClass, Permission, Program, Renewal, Site};

use super::facts::{Exhausted, Unit};
use super::question::{Operation, Question};
use crate::endpoints::Service;
use crate::file_location::ViewDifference;
use crate::hindrance::{FrozenGroup, Tracer};

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
    /// Wait at the address, while the program that it belongs to is started by its user.
    WaitForOwner {
        /// The address.
        at: Site,
        /// The program, if that is known.
        program: Option<String>,
        /// What the file system must have first.
        exhausted: Option<Exhausted>,
    },
    /// Start the program that the address belongs to.
    StartOwner {
        /// The program, if that is known.
        program: Option<String>,
    },
    /// Start a server at another name, next to the one that is in use.
    UseAnotherName(Site),
    /// Start a server of `stoop` again, whose stale socket file it replaces.
    ReplaceStale(Site),
    /// Give the name back to the live server from which a relay took it that was killed since.
    GiveNameBack(Site),
    /// Start a server that replaces a socket file though its server may be elsewhere.
    AssumeStale(Site),
    /// Start a server that takes the address over from the live one.
    TakeOver(Site),
    /// Start the server at a path that is too long for an address.
    BindByLongPath(Site),
    /// Bind a path that is too long for an address by its name, from its directory.
    EnterDirectory {
        /// The directory.
        directory: PathBuf,
        /// The name in it.
        name: OsString,
    },
    /// Have the server create its file such that a group of users may connect.
    AllowGroup(Site),
    /// Use this path, without the slash at the end.
    OmitSlash {
        /// The path without it.
        at: Site,
        /// The call.
        operation: Operation,
    },
    /// Bind a file in this directory.
    AddName(PathBuf),
    /// Bind in a directory that is private to the user of this process.
    UsePrivateDirectory,
    /// Bind in a directory that this other user owns.
    UseDirectoryOf(String),
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
    PredictAsRoot(Box<Question>),
    /// Predict the call as the user who may look into a mount.
    PredictAs {
        /// The user, by name or number.
        user: String,
        /// The call.
        question: Box<Question>,
    },
    /// Mount a FUSE file system such that it lets other users in.
    AllowOthers(PathBuf),
    /// Find out why a file system does not respond.
    ReachFileSystem {
        /// The mount point.
        point: PathBuf,
        /// Its type.
        file_system: String,
        /// What is mounted.
        source: Vec<u8>,
    },
    /// Mount a file system again whose server has exited.
    MountFileSystemAgain(PathBuf),
    /// Find the present path of a file.
    FindFile {
        /// A mount of its file system.
        mount: PathBuf,
        /// Its inode.
        inode: u64,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show an open socket, by its inode.
    ShowSocket(u64),
    /// Show the components of the path with their permissions.
    ShowPath {
        /// The address.
        address: Address,
        /// The call.
        operation: Operation,
    },
    /// Use a valid address.
    CorrectAddress,
    /// Restart a program.
    Restart {
        /// The program.
        program: Program,
        /// What is renewed by that.
        renewal: Renewal,
        /// Whether root is required.
        as_root: bool,
    },
    /// Make the call with a group that the user has joined since this process was started.
    UseNewGroup {
        /// The group, by name or number.
        group: String,
        /// The address.
        at: Site,
        /// The call.
        operation: Operation,
    },
    /// Resume a process that a signal has stopped.
    Resume {
        /// The process.
        pid: u32,
        /// Whether root is required.
        as_root: bool,
    },
    /// Let the tracer of a process release it. To end the tracer is another step: the process may
    /// end with it ([K-STUCK-6]).
    ///
    /// [K-STUCK-6]: stoop::kernel_facts#K-STUCK-6
    Detach {
        /// The process.
        pid: u32,
        /// Its tracer.
        tracer: Tracer,
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
    /// Ask where the server runs: its processes are in another pid namespace, or hidden.
    AskWhereItRuns(Site),
    /// Let the server bind in another directory: none can create a file in this one.
    ServeElsewhere {
        /// The unit that the address belongs to, if that is known.
        unit: Option<String>,
    },
    /// Have a read-only mount made writable by who owns it.
    MakeMountWritable(PathBuf),
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
    /// Mount a socket file again, or the directory instead of the file; or a directory again.
    MountAgain {
        /// What is mounted, in the view of the subject.
        path: PathBuf,
        /// Whether it is a directory.
        is_directory: bool,
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
    RemoveFile {
        /// The file.
        path: PathBuf,
        /// Whether root is required.
        as_root: bool,
    },
    /// Remove an empty directory that has the name of a socket, as container runtimes create it for
    /// a mount whose source does not exist.
    RemoveDirectory {
        /// The directory.
        path: PathBuf,
        /// Whether root is required.
        as_root: bool,
    },
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
    /// Let the filter of system calls allow this one, or run the program without it.
    AllowCall(&'static str),
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
        /// The permissions of the mask: read 4, write 2, search 1.
        permissions: u8,
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
    /// Clear a flag of a file or a directory.
    ClearFlag {
        /// The file.
        path: PathBuf,
        /// The flag.
        flag: FileFlag,
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
    /// Have the permissions of a file changed where its mount is not read-only.
    ChangeBeneathMount(PathBuf),
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
        /// Whether a service manager runs on this machine.
        is_managed: bool,
        /// Whether root is required.
        as_root: bool,
    },
    /// Restart the unit of a well-known service.
    RestartUnit {
        /// The service.
        service: &'static Service,
        /// Whether it is a unit of the user's service manager.
        of_user: bool,
    },
    /// Start a unit of systemd, which creates the socket or starts its server.
    StartNamedUnit {
        /// The unit.
        unit: Unit,
        /// Whether root is required.
        as_root: bool,
    },
    /// Show the log of a well-known service.
    ShowJournal(&'static Service),
    /// Check a live socket that may have been meant instead.
    SeeElsewhere {
        /// Its address.
        address: Address,
        /// Whether only its name is similar.
        is_similar: bool,
    },
    /// Use a client of a well-known service.
    UseService {
        /// The service.
        service: &'static Service,
        /// The address in question.
        address: Address,
    },
}
