//! The file that a socket is bound to, and whether it was moved, replaced or removed. Only
//! inspects.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use stoop::diag::{self, FileId};
use stoop_inspect::{NamespaceIno, Snapshot, Socket};

use crate::sockets::ResolvedSelector;

/// What is known of a socket's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// The path to which its name resolves from here, or through the root directory of its owner.
    pub(super) path: PathBuf,
    /// The file that it was bound to: the low 32 bits of the inode.
    pub(super) bound: Option<FileId>,
    pub(super) fate: FileState,
    /// The status of the file itself, if it could be reached.
    pub(super) status: Option<Status>,
    /// The file's current path, if the kernel was queried and it differs from the name.
    pub(super) moved_to: Option<PathBuf>,
    /// Whether it is seen from another mount namespace.
    pub(super) is_elsewhere: bool,
    /// The path that was asked for, if another file than the socket's is there.
    pub(super) asked: Option<PathBuf>,
}

/// What has happened to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// The path still leads to it.
    There,
    /// The path no longer exists.
    Gone,
    /// The path leads to another file: a socket, or something else.
    Replaced { by_socket: bool },
    /// The file was moved, and its path is free or leads to another file.
    Moved,
    /// The path is relative to a directory that only the program knew, or may not be inspected.
    Unknown,
}

/// The owner and the permissions of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) has_acl: bool,
    pub(super) made: Option<SystemTime>,
    /// Whether other users may search every directory of the path. `None` if unknown.
    pub(super) others_may_enter: Option<bool>,
}

/// Gathers these facts, using a duplicate of the socket's file descriptor if there is one.
pub(super) fn facts(
    snapshot: &Snapshot,
    socket: &Socket,
    copy: Option<&OwnedFd>,
    looked_at: Option<&ResolvedSelector>,
) -> Option<FileFacts> {
    // An accepted socket has the name and the file of its listener.
    let name = socket.name.as_pathname().filter(|_| socket.listener.is_none())?;
    let root = foreign_root(snapshot, socket);
    // The file itself, whatever its current path. Requires CAP_NET_ADMIN.
    let very = copy.and_then(|copy| diag::bound_file_of(copy).ok()).map(File::from);
    // Only the program knew what a relative name was relative to, but the kernel knows where the
    // file is.
    let now = || very.as_ref().filter(|very| has_name(very)).and_then(|very| fs::read_link(link(very)).ok());
    let name = if name.is_relative() { now().unwrap_or(name.to_owned()) } else { name.to_owned() };
    let named = match name.is_absolute() {
        true => open(root.as_deref(), &name, OFlags::NOFOLLOW),
        false => Err(io::ErrorKind::Other.into()),
    };
    let fate = fate(socket, &named, very.as_ref());
    let moved_to = now().filter(|_| fate == FileState::Moved);
    let seen = very.as_ref().or(named.as_ref().ok().filter(|_| fate == FileState::There));
    let may_enter = || match &moved_to {
        Some(now) => others_may_enter(None, now),
        None => others_may_enter(root.as_deref(), &name),
    };
    let status = seen.and_then(|file| status_of(file, may_enter()));
    Some(FileFacts {
        path: match &root {
            Some(root) => root.join(name.strip_prefix("/").unwrap_or(&name)),
            None => name,
        },
        bound: socket.file,
        fate,
        status,
        moved_to,
        is_elsewhere: root.is_some(),
        asked: match looked_at {
            Some(ResolvedSelector::Path(path, Ok(_))) => Some(path.clone()),
            _ => None,
        },
    })
}

fn link(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn has_name(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// Resolves a path below a root directory with `O_PATH`, so that nothing is opened. Absolute links
/// resolve to that root (`RESOLVE_IN_ROOT`, Linux 5.6).
fn open(root: Option<&Path>, name: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Some(root) = root else { return Ok(openat(CWD, name, flags | more, Mode::empty())?.into()) };
    let root = openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty())?;
    Ok(openat2(root, name, flags | more, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
}

/// Returns the root directory of the socket's owner, if that sees other files than this process.
fn foreign_root(snapshot: &Snapshot, socket: &Socket) -> Option<PathBuf> {
    let own = fs::metadata("/proc/self/ns/mnt").ok().map(|file| NamespaceIno(file.ino()))?;
    let owner = socket.owners.iter().find(|owner| owner.pid.0 != 1).or(socket.owners.first())?;
    let process = snapshot.processes.get(&owner.pid)?;
    let root = PathBuf::from(format!("/proc/{}/root", owner.pid));
    let id = |root: &Path| fs::metadata(root).ok().map(|root| (root.dev(), root.ino()));
    let is_foreign = process.namespaces.mnt.is_some_and(|mnt| mnt != own)
        || id(&root).is_some_and(|theirs| id(Path::new("/")) != Some(theirs));
    is_foreign.then_some(root)
}

fn fate(socket: &Socket, named: &io::Result<File>, very_file: Option<&File>) -> FileState {
    let very = very_file.and_then(|very| very.metadata().ok());
    let named = named.as_ref().map(File::metadata);
    let is_it = |metadata: &Metadata| match &very {
        Some(very) => (very.dev(), very.ino()) == (metadata.dev(), metadata.ino()),
        None => socket.file.is_some_and(|bound| bound.may_be(FileId::from(metadata))),
    };
    let is_alive = very_file.is_some_and(has_name);
    match named {
        Ok(Ok(metadata)) if is_it(&metadata) => FileState::There,
        Ok(Ok(_)) if is_alive => FileState::Moved,
        Ok(Ok(metadata)) => FileState::Replaced { by_socket: metadata.file_type().is_socket() },
        Err(error) if is_nothing(error) && is_alive => FileState::Moved,
        Err(error) if is_nothing(error) => FileState::Gone,
        _ if very.is_some() && !is_alive => FileState::Gone,
        _ => FileState::Unknown,
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn status_of(file: &File, others_may_enter: Option<bool>) -> Option<Status> {
    let metadata = file.metadata().ok()?;
    // Extended attributes cannot be read through an `O_PATH` descriptor, but through its link in
    // `/proc`.
    let acl = rustix::fs::getxattr(link(file), "system.posix_acl_access", &mut [0u8; 0]);
    Some(Status {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        has_acl: acl.is_ok_and(|len| len > 0),
        made: metadata.created().ok(),
        others_may_enter,
    })
}

/// Returns whether all users may search the directories above a file, according to their modes.
fn others_may_enter(root: Option<&Path>, path: &Path) -> Option<bool> {
    let mut directories = path.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty());
    directories.try_fold(true, |so_far, directory| {
        let mode = open(root, directory, OFlags::empty()).ok()?.metadata().ok()?.mode();
        Some(so_far && mode & 0o001 != 0)
    })
}
