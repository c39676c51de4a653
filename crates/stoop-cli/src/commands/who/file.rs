//! The file that a socket is bound to, and whether it was moved, replaced or removed. Only
//! inspects.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use stoop::diag::{self, FileId};
use stoop::internal::responding;
use stoop_inspect::internal::{FileLocation, FileLocator, FileSearch, NameTarget, ViewDifference};
use stoop_inspect::{Snapshot, SocketId};

use crate::sockets::ResolvedSelector;

/// What is known of a socket's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileFacts {
    /// The path that leads to it from here, if one does. Otherwise the path to which its name
    /// resolves through the root directory of its owner, or the name itself.
    pub(super) path: PathBuf,
    /// The name given to bind, if the path differs from it.
    pub(super) bound_as: Option<PathBuf>,
    /// The file that it was bound to: the low 32 bits of the inode.
    pub(super) bound: Option<FileId>,
    pub(super) fate: FileState,
    /// The status of the file itself, if it could be reached.
    pub(super) status: Option<Status>,
    /// The file's current path, if the kernel was queried and it differs from the name.
    pub(super) moved_to: Option<PathBuf>,
    /// How the view of its process differs from ours, if the file is seen in it.
    pub(super) view: Option<ViewDifference>,
    /// The path that was asked for, if another file than the socket's is there.
    pub(super) asked: Option<PathBuf>,
}

/// What has happened to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// The path still leads to it.
    There,
    /// The path no longer exists, and no other leads to the file.
    Gone,
    /// The path no longer exists: the file was removed or moved.
    NotThere,
    /// The path leads to another file: a socket, or something else.
    Replaced { by_socket: bool },
    /// The file was moved, and its path is free or leads to another file.
    Moved,
    /// The path is what it was, and a mount covers the file there.
    Covered,
    /// The file system with the file was unmounted.
    Unmounted,
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
/// `is_by_name` is whether the socket was found by its name alone.
pub(super) fn facts(
    snapshot: &Snapshot,
    id: SocketId,
    copy: Option<&OwnedFd>,
    wanted: &ResolvedSelector,
    is_by_name: bool,
) -> Option<FileFacts> {
    let socket = &snapshot[id];
    // An accepted socket has the name and the file of its listener.
    let name = socket.name.as_pathname().filter(|_| socket.listener.is_none())?;
    let mut locator = FileLocator::new();
    let location = locator.locate(snapshot, id).unwrap_or(FileLocation::UNKNOWN);
    let asked = match wanted {
        ResolvedSelector::Path(path, Ok(_)) => Some(path.as_path()),
        _ => None,
    };
    let leads_there = asked.filter(|path| !is_by_name && locator.leads_to(path, socket));
    let found = Whereabouts::of(name, &location, leads_there);
    let path = found.path.unwrap_or_else(|| name.to_owned());
    // The file itself, whatever its current path. Requires CAP_NET_ADMIN.
    let very = copy.and_then(|copy| diag::bound_file_of(copy).ok()).map(File::from);
    let seen = very.or_else(|| open(None, found.moved_to.as_ref().unwrap_or(&path), OFlags::NOFOLLOW).ok());
    let seen = seen.filter(|_| found.fate != FileState::Unknown);
    let may_enter = match (&found.moved_to, &location.here, &location.view) {
        (Some(path), ..) | (None, Some(path), _) => others_may_enter(None, path),
        (None, None, Some(view)) => {
            others_may_enter(Some(format!("/proc/{}/root", view.pid).as_ref()), &view.path)
        }
        _ => others_may_enter(None, &path),
    };
    Some(FileFacts {
        bound_as: (path != name).then(|| name.to_owned()),
        path,
        bound: socket.file,
        fate: found.fate,
        status: seen.and_then(|file| status_of(&file, may_enter)),
        moved_to: found.moved_to,
        view: location.view.map(|view| view.difference),
        asked: asked.filter(|_| is_by_name).map(Path::to_owned),
    })
}

/// The place of the file, in terms of its name.
struct Whereabouts {
    fate: FileState,
    /// The path to show, if that is not the name.
    path: Option<PathBuf>,
    moved_to: Option<PathBuf>,
}

impl Whereabouts {
    /// Evaluates a location. `leads_there` is a path that the user asked for and that leads to the
    /// file.
    fn of(name: &Path, location: &FileLocation, leads_there: Option<&Path>) -> Whereabouts {
        let through = location.view.as_ref().map(|view| view.through_proc());
        let now = location.here.clone().or(through.clone());
        let at = |fate, path| Whereabouts { fate, path, moved_to: None };
        if let Some(path) = leads_there {
            return at(FileState::There, Some(path.to_owned()));
        }
        // Only the program knew what a relative name was relative to.
        let is_named = name.is_absolute() && !name.starts_with("/proc");
        match (location.name, now) {
            (NameTarget::SameFile, now) => at(FileState::There, now),
            (_, Some(now)) if !is_named => at(FileState::There, Some(now)),
            (_, Some(now)) => Whereabouts { fate: FileState::Moved, path: None, moved_to: Some(now) },
            _ if location.covered.is_some() => at(FileState::Covered, location.covered.clone()),
            (NameTarget::OtherFile { is_socket }, None) if location.is_removed != Some(false) => {
                at(FileState::Replaced { by_socket: is_socket }, None)
            }
            _ if location.search == FileSearch::Unmounted => at(FileState::Unmounted, None),
            _ if location.is_removed == Some(true) => at(FileState::Gone, None),
            _ if location.is_removed == Some(false) => at(FileState::Moved, None),
            (NameTarget::Nothing, None) => at(FileState::NotThere, None),
            _ => at(FileState::Unknown, None),
        }
    }
}

fn link(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Resolves a path below a root directory with `O_PATH`, so that nothing is opened. Absolute links
/// resolve to that root (`RESOLVE_IN_ROOT`, Linux 5.6).
fn open(root: Option<&Path>, name: &Path, more: OFlags) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let Some(root) = root else {
        responding::check(name)?;
        return Ok(openat(CWD, name, flags | more, Mode::empty())?.into());
    };
    let root = openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty())?;
    responding::check_below(root.as_fd(), root.as_fd(), name, true)?;
    Ok(openat2(root, name, flags | more, Mode::empty(), ResolveFlags::IN_ROOT)?.into())
}

fn status_of(file: &File, others_may_enter: Option<bool>) -> Option<Status> {
    responding::check_file(file.as_fd()).ok()?;
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
