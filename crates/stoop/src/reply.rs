//! Replying to a datagram: to its sender, or not at all.
//!
//! The kernel reports a sender's address as the string it was once bound to. What that path refers
//! to *now*, and in *our* mount namespace, depends on every process that may write to a directory
//! on it. The path is therefore looked up once, without following a symbolic link at its end. The
//! result is held by a file descriptor and compared with what the kernel knows about the sender.
//! The reply is sent through that file descriptor, without another lookup of the name
//! ([K-DGRAM-21]). This module sends nothing itself.
//!
//! [K-DGRAM-21]: crate::kernel_facts#K-DGRAM-21

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::connect::attempt::ConnectTarget;
use crate::control::Credentials;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::{Address, Kind, Origin, sys};

/// The destination of a datagram server's replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyTo {
    /// To the socket that sent the message, or to none: see
    /// [`Datagram::reply`](crate::Datagram::reply).
    #[default]
    Sender,
    /// To the socket that the sender's address leads to when the reply is sent, like `sendto`: see
    /// [`Datagram::send_to`](crate::Datagram::send_to).
    ///
    /// A sender may be able to write to a directory on that path, with a symbolic link, a rename,
    /// or a mount namespace of its own. It then chooses the receiver among all sockets that *this
    /// server* may write to. If the server echoes, it chooses the bytes as well. The receiver sees
    /// the credentials of this server. Use this only if every sender is trusted with that.
    Name,
}

/// Finds the socket that a message came from.
///
/// `network` returns the network namespace of the replying socket, if it is known.
pub(crate) fn target(to: &Origin, network: impl FnOnce() -> Option<FileId>) -> Result<ConnectTarget> {
    let found = match to.address.as_pathname() {
        Some(path) => by_path(path, to),
        None => by_name(to, network),
    };
    found.map_err(|error| error.on(&to.address).of_kind(Kind::Datagram))
}

/// Checks an abstract name. It belongs to one network namespace, and the same name in another is
/// another socket's ([K-NAME-6]).
///
/// [K-NAME-6]: crate::kernel_facts#K-NAME-6
fn by_name(to: &Origin, network: impl FnOnce() -> Option<FileId>) -> Result<ConnectTarget> {
    if let Some(pid) = to.credentials.and_then(another_process)
        && let Some(ours) = network()
    {
        match rustix::fs::stat(format!("/proc/{pid}/ns/net")) {
            Ok(theirs) if FileId::of(&theirs) == ours => {}
            Ok(_) => {
                return refuse(
                    "the sender is in another network namespace, and the name is not its own here",
                );
            }
            Err(errno) => unavailable(pid, errno)?,
        }
    }
    ConnectTarget::new(&to.address).map_err(failed)
}

fn by_path(path: &Path, to: &Origin) -> Result<ConnectTarget> {
    if path.is_relative() {
        let detail = "a relative path is valid only in the sender's working directory";
        return Err(Error::new(Operation::Send, ErrorKind::InvalidAddress, detail));
    }
    let Some(sender) = to.credentials.filter(|sender| sender.known_uid().is_some()) else {
        return refuse(
            "the sender is unknown, so the socket at its path may not be its own; SO_PASSCRED must be set \
             when the message is sent, and the sender's user must have an id in our user namespace",
        );
    };
    let file = open(path).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return refuse("its path is not a socket, and symbolic links are not followed");
    }
    if sender.uid != stat.st_uid && sender.uid != 0 {
        let (owner, uid) = (stat.st_uid, sender.uid);
        return refuse(format!("the socket belongs to user {owner}, but user {uid} sent the message"));
    }
    let target = ConnectTarget::of_file(file.into()).map_err(failed)?;
    check_name(&target, &to.address)?;
    if let Some(pid) = another_process(sender) {
        check_view(pid, path, FileId::of(&stat))?;
    }
    Ok(target)
}

/// Opens the file at a path, without following a symbolic link at its end, nor links in `/proc`
/// that lead each process elsewhere (magic links).
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    const FLAGS: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    match rustix::fs::openat2(CWD, path, FLAGS, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        // Before Linux 5.6, or in a sandbox that does not know the system call.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(CWD, path, FLAGS, Mode::empty()),
        result => result,
    }
}

/// Checks that the socket was bound to this name. A socket is bound once, to one name, which it
/// keeps ([K-NAME-1]), so one with another name has sent nothing under this one.
///
/// [K-NAME-1]: crate::kernel_facts#K-NAME-1
fn check_name(target: &ConnectTarget, name: &Address) -> Result<()> {
    let probe = sys::socket(Kind::Datagram, sys::Blocking::Waits).map_err(failed)?;
    match sys::connect(probe.as_fd(), &target.raw) {
        Ok(()) => {}
        // It accepts messages only from the socket it is connected to (K-PROBE-4). Either that is
        // ours, or sending the reply fails as well.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed(error).with_detail("a reply to a path requires /proc, which is not mounted"));
        }
        Err(error) => return Err(failed(error)),
    }
    let found = sys::peer_address(probe.as_fd());
    // Disconnect before closing, or the receiver would look connected indefinitely (K-PROBE-9).
    let _ = rustix::net::connect_unspec(&probe);
    match found.map_err(failed)?.to_address() {
        found if found == *name => Ok(()),
        found => refuse(format!("the socket at its path was bound to '{found}'")),
    }
}

/// Checks that the path leads to the same file from the sender's own root directory and mounts, if
/// we may inspect the sender's process ([K-PROC-1]).
///
/// [K-PROC-1]: crate::kernel_facts#K-PROC-1
fn check_view(pid: u32, path: &Path, seen: FileId) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = match rustix::fs::open(format!("/proc/{pid}/root"), flags | OFlags::DIRECTORY, Mode::empty()) {
        Ok(root) => root,
        Err(errno) => return unavailable(pid, errno),
    };
    let flags = flags | OFlags::NOFOLLOW;
    match rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(file) if rustix::fs::fstat(&file).is_ok_and(|stat| FileId::of(&stat) == seen) => Ok(()),
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(failed(errno)),
        _ => refuse("its path is another file in the sender's mount namespace"),
    }
}

/// Returns the pid of the sender, if it is another process and has an id in our namespace.
fn another_process(sender: Credentials) -> Option<u32> {
    Some(sender.pid).filter(|&pid| pid > 0 && pid != std::process::id())
}

/// Decides whether to reply if the process cannot be inspected. A lack of permission proves
/// nothing. A process that has exited gets no reply, because its name may have a new owner.
fn unavailable(pid: u32, errno: Errno) -> Result<()> {
    match errno {
        Errno::NOENT | Errno::SRCH if has_exited(pid) => {
            refuse("the process that sent the message has exited")
        }
        Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM => Ok(()),
        errno => Err(failed(errno)),
    }
}

/// Returns whether the process does not exist, or is only a zombie. A process that `/proc` hides
/// from us (`hidepid`) has not exited.
fn has_exited(pid: u32) -> bool {
    let exists = Pid::from_raw(pid as i32)
        .is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(Errno::SRCH)));
    let is_shown = || rustix::fs::statat(CWD, format!("/proc/{pid}"), AtFlags::empty()).is_ok();
    !exists || is_shown()
}

fn failed(cause: impl Into<io::Error>) -> Error {
    Error::system(Operation::Send, cause.into())
}

fn refuse<T>(detail: impl Into<String>) -> Result<T> {
    Err(Error::new(Operation::Send, ErrorKind::NotPermitted, format!("no reply: {}", detail.into())))
}
