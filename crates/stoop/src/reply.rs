//! Answering a datagram: to its sender, or to no one.
//!
//! What the kernel gives as a message's address is the string that its sender once bound to. Where
//! that leads *now*, and for *us*, is up to whoever may write to a directory on the way. So the
//! name is looked up once, without following a link at its end, and what is found is held by a
//! descriptor and compared with what the kernel says of the sender; the answer goes through that
//! descriptor, past the name (K-DGRAM-21). Never sends anything itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::connect::ConnectTarget;
use crate::control::Credentials;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::{Address, Kind, sys};

/// The source of a message: what is needed to answer it.
/// [`Received::origin`](crate::Received::origin) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The address the sender is bound to, as the sender gave it; unnamed if it never bound.
    pub address: Address,
    /// Who sent the message, if the socket passed credentials and the kernel knows.
    pub credentials: Option<Credentials>,
}

impl Origin {
    /// Creates an origin from what a receiving call reported.
    pub fn new(address: Address, credentials: Option<Credentials>) -> Origin {
        Origin { address, credentials }
    }
}

/// Where the answers of a server of datagrams go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplyTo {
    /// To the socket that sent the message, or to none: see
    /// [`Datagram::reply`](crate::Datagram::reply).
    #[default]
    Sender,
    /// To whatever socket the sender's address leads to when the answer is sent, as `sendto` does:
    /// see [`Datagram::send_to`](crate::Datagram::send_to).
    ///
    /// A sender that may write to a directory on that path (with a symbolic link, a rename, or a
    /// mount namespace of its own) then chooses the receiver among all sockets that *this
    /// server* may write to, and with an echo the bytes as well; the receiver sees this server'
    /// s credentials. Use it only if every sender is trusted with that.
    Name,
}

/// Finds the socket that a message came from.
///
/// `network` is the network namespace of the socket that answers, if that is known.
pub(crate) fn target(to: &Origin, network: impl FnOnce() -> Option<FileId>) -> Result<ConnectTarget> {
    let found = match to.address.as_path() {
        Some(path) => by_path(path, to),
        None => by_name(to, network),
    };
    found.map_err(|error| error.on(&to.address).of_kind(Kind::Datagram))
}

/// An abstract name belongs to a network namespace: another's names are not ours (K-NAME-6).
fn by_name(to: &Origin, network: impl FnOnce() -> Option<FileId>) -> Result<ConnectTarget> {
    if let Some(pid) = to.credentials.and_then(another_process)
        && let Some(ours) = network()
    {
        match rustix::fs::stat(format!("/proc/{pid}/ns/net")) {
            Ok(theirs) if FileId::of(&theirs) == ours => {}
            Ok(_) => {
                return refuse("the sender is in another network namespace, where the name is another's");
            }
            Err(errno) => cannot_look(pid, errno)?,
        }
    }
    ConnectTarget::new(&to.address).map_err(failed)
}

fn by_path(path: &Path, to: &Origin) -> Result<ConnectTarget> {
    if path.is_relative() {
        let detail = "a relative path leads to the sender only from the sender's working directory";
        return Err(Error::new(Operation::Send, ErrorKind::InvalidAddress, detail));
    }
    let Some(sender) = to.credentials.filter(|sender| sender.known_uid().is_some()) else {
        return refuse(
            "the kernel does not say who sent the message, so that the socket there may be another's; \
             credentials have to be on (SO_PASSCRED) when it is sent, and the user known here",
        );
    };
    let file = open(path).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(failed)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return refuse("no socket is there, and a symbolic link is not followed to answer");
    }
    if sender.uid != stat.st_uid && sender.uid != 0 {
        let (owner, uid) = (stat.st_uid, sender.uid);
        return refuse(format!("the socket there belongs to user {owner}, and user {uid} sent the message"));
    }
    let target = ConnectTarget::of_file(file.into()).map_err(failed)?;
    check_name(&target, &to.address)?;
    if let Some(pid) = another_process(sender) {
        check_view(pid, path, FileId::of(&stat))?;
    }
    Ok(target)
}

/// Opens what is there, without following a symbolic link at the end, nor what leads elsewhere for
/// each process.
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    const FLAGS: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    match rustix::fs::openat2(CWD, path, FLAGS, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        // Before Linux 5.6, or in a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(CWD, path, FLAGS, Mode::empty()),
        result => result,
    }
}

/// A socket is bound once, under one name, which it keeps (K-NAME-1): one with another name has
/// sent nothing under this one.
fn check_name(target: &ConnectTarget, name: &Address) -> Result<()> {
    let probe = sys::socket(Kind::Datagram, sys::Blocking::Waits).map_err(failed)?;
    match sys::connect(probe.as_fd(), &target.raw) {
        Ok(()) => {}
        // It takes messages only from the socket it is connected to (K-PROBE-4): from us, or the answer fails
        // as well.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(failed(error).with_detail("answering at a path takes /proc, which is not there"));
        }
        Err(error) => return Err(failed(error)),
    }
    let found = sys::peer_address(probe.as_fd());
    // Or the receiver would look connected for ever (K-PROBE-9).
    let _ = rustix::net::connect_unspec(&probe);
    match found.map_err(failed)?.to_address() {
        found if found == *name => Ok(()),
        found => refuse(format!("another socket is there, which was bound to '{found}'")),
    }
}

/// Whether the sender's own root directory and mounts lead to the same file, if we may look
/// (K-PROC-1).
fn check_view(pid: i32, path: &Path, seen: FileId) -> Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = match rustix::fs::open(format!("/proc/{pid}/root"), flags | OFlags::DIRECTORY, Mode::empty()) {
        Ok(root) => root,
        Err(errno) => return cannot_look(pid, errno),
    };
    let flags = flags | OFlags::NOFOLLOW;
    match rustix::fs::openat2(&root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(file) if rustix::fs::fstat(&file).is_ok_and(|stat| FileId::of(&stat) == seen) => Ok(()),
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(failed(errno)),
        _ => refuse("the path leads elsewhere in the sender's mount namespace"),
    }
}

/// The process that sent a message, if it is another one and has an id here.
fn another_process(sender: Credentials) -> Option<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    Some(sender.pid).filter(|&pid| pid > 0 && pid != own)
}

/// What follows from a process that cannot be looked into: nothing if we may not, but one that has
/// exited gets no answer, for its name may be another's by now.
fn cannot_look(pid: i32, errno: Errno) -> Result<()> {
    match errno {
        Errno::NOENT | Errno::SRCH if has_exited(pid) => {
            refuse("the process that sent the message has exited")
        }
        Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM => Ok(()),
        errno => Err(failed(errno)),
    }
}

/// Whether there is no such process, or a zombie. One that `/proc` hides from us (`hidepid`) has
/// not exited.
fn has_exited(pid: i32) -> bool {
    let is_there = Pid::from_raw(pid)
        .is_some_and(|pid| !matches!(rustix::process::test_kill_process(pid), Err(Errno::SRCH)));
    let shown = || rustix::fs::statat(CWD, format!("/proc/{pid}"), AtFlags::empty()).is_ok();
    !is_there || shown()
}

fn failed(cause: impl Into<io::Error>) -> Error {
    Error::system(Operation::Send, cause.into())
}

fn refuse<T>(detail: impl Into<String>) -> Result<T> {
    Err(Error::new(Operation::Send, ErrorKind::NotPermitted, format!("not answered: {}", detail.into())))
}
