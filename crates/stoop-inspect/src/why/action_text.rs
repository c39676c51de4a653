//! Words actions in one sentence each, without the command that follows them. Pure.

use std::fmt;
use std::path::Path;

use super::action::{Action, FileFlag, ModeClass, Permission, Program, Renewal, Site};
use super::messages::quoted;
use crate::file_location::ViewDifference;
use stoop::internal::file_system::is_fuse;

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
            Action::WaitForOwner { at, program, exhausted } => {
                let room = if exhausted.is_some() { "make room on the file system, then " } else { "" };
                write!(f, "{room}{} and wait at {at}", start_owner(program.as_deref()))
            }
            Action::StartOwner { program } => f.write_str(&start_owner(program.as_deref())),
            Action::UseAnotherName(at) => write!(f, "bind another name, such as {at}"),
            Action::ReplaceStale(at) => {
                write!(f, "start the server again that replaces the stale socket file at {at}")
            }
            Action::GiveNameBack(at) => {
                write!(f, "give {at} back to its server, which a killed relay stood in front of")
            }
            Action::AssumeStale(at) => {
                write!(
                    f,
                    "start a server at {at} that replaces the file, if no other machine or mount serves there"
                )
            }
            Action::BindByLongPath(at) => write!(f, "start a server at {at} by way of its directory"),
            Action::EnterDirectory { directory, name } => {
                write!(f, "bind {} from the directory {}", quoted(Path::new(name)), quoted(directory))
            }
            Action::TakeOver(at) => write!(f, "take {at} over from the live server"),
            Action::AllowGroup(at) => write!(f, "let the server at {at} allow a group of users"),
            Action::OmitSlash { at, .. } => write!(f, "use {at}, without the slash"),
            Action::AddName(path) => write!(f, "name a file in {}", shown(path)),
            Action::UsePrivateDirectory => {
                f.write_str("bind in a private directory, such as $XDG_RUNTIME_DIR")
            }
            Action::UseDirectoryOf(user) => {
                write!(f, "bind in a directory of the user {}", stoop::escaped(user))
            }
            Action::Connect { at, kind: Some(kind) } => write!(f, "connect to {at} with a {kind} socket"),
            Action::Connect { at, kind: None } => write!(f, "connect to {at}"),
            Action::ConnectByLongPath(at) => write!(f, "connect to {at} by way of its directory"),
            Action::WaitForServer { at, .. } => write!(f, "wait until a server listens at {at}"),
            Action::TryAgain { .. } => f.write_str("try again"),
            Action::PredictConnect { kind, .. } => write!(f, "connect the {kind} socket first"),
            Action::PredictAsRoot(_) => f.write_str("ask as root, who sees more"),
            Action::PredictAs { user, .. } => write!(f, "ask as {}, who sees it", stoop::escaped(user)),
            Action::AllowOthers(path) => write!(
                f,
                "mount the file system with {} with the option allow_other; for a user other than root, \
                 /etc/fuse.conf must have user_allow_other",
                shown(path)
            ),
            Action::ReachFileSystem { point, file_system, .. } if is_fuse(file_system) => write!(
                f,
                "find the program that serves the file system at {}, and see why it does not answer",
                shown(point)
            ),
            Action::ReachFileSystem { point, source, .. } => write!(
                f,
                "check whether the server of the file system at {} can be reached: {}",
                shown(point),
                stoop::escaped(source)
            ),
            Action::MountFileSystemAgain(path) => write!(
                f,
                "mount the file system with {} again, in the way it was mounted: its server has exited",
                shown(path)
            ),
            Action::FindFile { mount, inode, .. } => write!(f, "find inode {inode} below {}", shown(mount)),
            Action::ShowSocket(inode) => write!(f, "check the socket with inode {inode}"),
            Action::ShowPath { address, .. } => write!(f, "check the components of '{address}'"),
            Action::CorrectAddress => f.write_str("correct the address"),
            Action::Restart { program, renewal, .. } => match (program, renewal) {
                (Program::Signal { .. }, _) => write!(f, "{program}"),
                (_, Renewal::SocketFile) => write!(f, "restart {program}"),
                (_, Renewal::Groups) => write!(f, "restart {program}, which then has the group"),
                (_, Renewal::Directory) => write!(f, "restart {program}, in a directory that exists"),
            },
            Action::UseNewGroup { group, .. } => {
                write!(f, "log in again, which adds the group {}", stoop::escaped(group))
            }
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
            Action::MountAgain { path, is_directory: true } => write!(
                f,
                "restart the container, which mounts {} again; to survive restarts of the server, let that keep its \
                 directory (RuntimeDirectoryPreserve=)",
                shown(path)
            ),
            Action::MountAgain { path, .. } => write!(
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
            Action::RemoveFile { path, .. } => write!(f, "remove {}", shown(path)),
            Action::RemoveDirectory { path, .. } => {
                write!(f, "remove the empty directory {}", shown(path))
            }
            Action::ChangeBeneathMount(path) => {
                write!(f, "change the permissions of {} outside of its read-only mount", shown(path))
            }
            Action::CreateDirectory { path, .. } => write!(f, "create the directory {}", shown(path)),
            Action::AllowCall(call) => write!(
                f,
                "let the filter allow {call}, in what started the process, or run it outside of that sandbox"
            ),
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
            Action::ClearFlag { path, flag: FileFlag::Immutable, .. } => {
                write!(f, "clear the immutable flag of {}", shown(path))
            }
            Action::ClearFlag { path, flag: FileFlag::AppendOnly, .. } => {
                write!(f, "clear the append-only flag of {}", shown(path))
            }
            Action::AskWhereItRuns(at) => {
                write!(f, "ask about {at} where its server runs: on the host, or in its container")
            }
            Action::ServeElsewhere { unit } => f.write_str(&serve_elsewhere(unit.as_deref())),
            Action::MakeMountWritable(path) => write!(
                f,
                "have the mount of {} made writable (remount,rw) by who owns it, if it is meant to be",
                shown(path)
            ),
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
            Action::StartNamedUnit { unit, .. } => write!(f, "start {}", stoop::escaped(&unit.name)),
            Action::RestartUnit { service, .. } => write!(f, "restart {}", service.what),
            Action::SeeElsewhere { address, .. } => write!(f, "check '{address}', which may have been meant"),
            Action::ShowJournal(service) => write!(f, "check the log of {}", service.what),
            Action::UseService { service, .. } => write!(f, "use a client of {}", service.what),
        }
    }
}

impl fmt::Display for Program {
    /// Writes which program is restarted, or what brings its socket file back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Program::Units { names, .. } => write!(f, "{}", stoop::escaped(&names.join(" "))),
            Program::Container { runtime, id } => {
                write!(f, "the container {} of {}", stoop::escaped(id), stoop::escaped(runtime))
            }
            Program::Signal { pid, signal, name } => {
                write!(f, "send process {pid} ({name}) SIG{signal}, at which it creates its socket file")
            }
            Program::Process { pid, command } => {
                write!(f, "process {pid} ({}) in the way it was started", stoop::escaped(command))
            }
        }
    }
}

/// Returns an instruction to let a server bind elsewhere, and where its clients look for it.
fn serve_elsewhere(unit: Option<&str>) -> String {
    let whose = match unit {
        Some(unit) => format!(" of {}", stoop::escaped(unit)),
        None => " of its unit".to_owned(),
    };
    format!(
        "let the server bind in a directory that it may write to, such as the RuntimeDirectory={whose}, and its clients use that path"
    )
}

/// Returns an instruction to start the program that an address belongs to.
pub(super) fn start_owner(program: Option<&str>) -> String {
    match program {
        Some(program) => format!("start {}", stoop::escaped(program)),
        None => "start the program that the socket belongs to".to_owned(),
    }
}
