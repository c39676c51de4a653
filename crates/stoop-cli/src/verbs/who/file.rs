//! The file that a socket is bound to, and what has become of it. Looks; changes nothing.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use stoop::diag::{self, FileId};
use stoop_inspect::{NamespaceIno, Snapshot, Socket};

use crate::sockets::Wanted;

/// What is known of a socket's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// Where its name leads from here, or through the root of the process that has it.
    pub(super) path: PathBuf,
    /// Which file it was bound to: of the inode, the low 32 bits.
    pub(super) bound: Option<FileId>,
    pub(super) fate: Fate,
    /// Of the file itself, where it could be reached.
    pub(super) status: Option<Status>,
    /// Where it is now, where the kernel was asked and it is elsewhere than its name says.
    pub(super) moved_to: Option<PathBuf>,
    /// Whether it is seen from another mount namespace than ours.
    pub(super) is_elsewhere: bool,
    /// The path that was asked for, where another file is there than the socket's.
    pub(super) asked: Option<PathBuf>,
}

/// What has become of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The name still leads to it.
    There,
    /// Nothing has the name any more.
    Gone,
    /// The name leads to another file: a socket, or something else.
    Replaced { by_socket: bool },
    /// It was moved, and something else or nothing has the name.
    Moved,
    /// The name is relative to a directory that only the program knew, or may not be looked at.
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
    /// Whether others may pass every directory on the way. `None`: not known.
    pub(super) others_may_enter: Option<bool>,
}

/// Gathers them, with the help of a copy of the socket's descriptor where there is one.
pub(super) fn facts(
    snapshot: &Snapshot,
    socket: &Socket,
    copy: Option<&OwnedFd>,
    looked_at: Option<&Wanted>,
) -> Option<FileFacts> {
    // An accepted socket has the name and the file of its listener.
    let name = socket.name.as_path().filter(|_| socket.listener.is_none())?;
    let root = foreign_root(snapshot, socket);
    let path = match &root {
        Some(root) => root.join(name.strip_prefix("/").unwrap_or(name)),
        None => name.to_owned(),
    };
    // The very file, whatever its name is now; takes CAP_NET_ADMIN.
    let very = copy.and_then(|copy| diag::bound_file_of(copy).ok());
    let named =
        if name.is_absolute() { fs::symlink_metadata(&path) } else { Err(io::ErrorKind::Other.into()) };
    let fate = fate(socket, &named, very.as_ref());
    let moved_to =
        very.as_ref().filter(|_| fate == Fate::Moved).and_then(|very| fs::read_link(link(very)).ok());
    let status = match (&very, &named) {
        (Some(very), _) => fs::metadata(link(very)).ok().map(|metadata| (link(very), metadata)),
        (None, Ok(metadata)) if fate == Fate::There => Some((path.clone(), metadata.clone())),
        _ => None,
    };
    let status = status.map(|(at, metadata)| status_of(&at, moved_to.as_deref().unwrap_or(&path), &metadata));
    Some(FileFacts {
        path,
        bound: socket.file,
        fate,
        status,
        moved_to,
        is_elsewhere: root.is_some(),
        asked: match looked_at {
            Some(Wanted::Path(path, Ok(_))) => Some(path.clone()),
            _ => None,
        },
    })
}

fn link(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// The root directory of a process that has the socket, where it sees other files than we do.
fn foreign_root(snapshot: &Snapshot, socket: &Socket) -> Option<PathBuf> {
    let own = fs::metadata("/proc/self/ns/mnt").ok().map(|file| NamespaceIno(file.ino()))?;
    let owner = socket.owners.iter().find(|owner| owner.pid.0 != 1).or(socket.owners.first())?;
    let process = snapshot.processes.get(&owner.pid)?;
    let is_foreign = process.namespaces.mnt.is_some_and(|mnt| mnt != own);
    is_foreign.then(|| format!("/proc/{}/root", owner.pid).into())
}

fn fate(socket: &Socket, named: &io::Result<Metadata>, very: Option<&OwnedFd>) -> Fate {
    let very = very.and_then(|very| fs::metadata(link(very)).ok());
    let is_it = |metadata: &Metadata| match &very {
        Some(very) => (very.dev(), very.ino()) == (metadata.dev(), metadata.ino()),
        None => socket.file.is_some_and(|bound| bound.may_be(FileId::from(metadata))),
    };
    let is_alive = very.as_ref().is_some_and(|very| very.nlink() > 0);
    match named {
        Ok(metadata) if is_it(metadata) => Fate::There,
        _ if is_alive => Fate::Moved,
        Ok(metadata) => Fate::Replaced { by_socket: metadata.file_type().is_socket() },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fate::Gone,
        Err(_) if very.is_some() => Fate::Gone,
        Err(_) => Fate::Unknown,
    }
}

fn status_of(at: &Path, path: &Path, metadata: &Metadata) -> Status {
    let acl = rustix::fs::getxattr(at, "system.posix_acl_access", &mut [0u8; 0]);
    Status {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        has_acl: acl.is_ok_and(|len| len > 0),
        made: metadata.created().ok(),
        others_may_enter: others_may_enter(path),
    }
}

/// Whether everybody may pass the directories above a file, as far as their modes tell.
fn others_may_enter(path: &Path) -> Option<bool> {
    let mut directories = path.ancestors().skip(1).filter(|directory| !directory.as_os_str().is_empty());
    directories.try_fold(true, |so_far, directory| {
        let mode = fs::metadata(directory).ok()?.mode();
        Some(so_far && mode & 0o001 != 0)
    })
}
