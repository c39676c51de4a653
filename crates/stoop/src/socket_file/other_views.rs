//! Whether the server of a socket file may be bound to it in another way: through another mount of
//! the same files, or on another machine.
//!
//! The kernel knows a server by the inode it is bound to. A FUSE file system, an overlay and a
//! network file system show the files of others under inodes of their own, so a file that looks
//! stale here may have a live server there ([K-PROBE-10]). What can be found of the other views is
//! probed; what cannot be found is not taken for stale.
//!
//! [K-PROBE-10]: crate::kernel_facts#K-PROBE-10

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::mounts::{InLayer, Mount, Mounts};
use super::probe::is_alive;
use super::stat::{self, Stat};
use crate::escaped;
use crate::file_id::FileId;
use crate::responding;

/// What is known of servers that this file's own inode does not show.
#[derive(Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// There is none.
    Nowhere,
    /// A socket is bound to the file by this path.
    Bound(PathBuf),
    /// There may be one, for this reason.
    Possible(Doubt),
}

/// Why there may be a server elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The mount that the file is on, or its path, is not known.
    NoMount,
    /// The file with this path may be the same one, and cannot be examined.
    Hidden(PathBuf),
    /// It may be in this layer of an overlay, which was named relative to a directory that is not
    /// known.
    Layer(PathBuf),
    /// Other machines or mounts may share the file system, which is of this type.
    Shared(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::NoMount => f.write_str("its mount cannot be determined"),
            Doubt::Hidden(path) => {
                write!(
                    f,
                    "'{}' may be the same file, and cannot be examined",
                    escaped(path.as_os_str().as_bytes())
                )
            }
            Doubt::Layer(layer) => write!(
                f,
                "its overlay was mounted with the relative layer '{}', and it is not known where that is",
                escaped(layer.as_os_str().as_bytes())
            ),
            Doubt::Shared(fs_type) => {
                write!(f, "other machines or mounts may share its file system ({})", escaped(fs_type))
            }
        }
    }
}

/// How many paths of one file are examined at most.
const MAX_VIEWS: usize = 64;

/// The directory of the calling thread in `/proc`.
pub(super) const OWN_PROC: &str = "/proc/thread-self";

/// Looks for a server of the file that is bound to it by another path. `path` is without symbolic
/// links, and `file` has no server of its own.
pub(super) fn find(path: &Path, file: &Stat) -> Elsewhere {
    match Mounts::read(OWN_PROC) {
        Ok(mounts) => Views { mounts: &mounts, root: None }.find(path, file),
        Err(_) => Elsewhere::Possible(Doubt::NoMount),
    }
}

/// The files as a process sees them.
#[derive(Clone, Copy, Debug)]
pub struct Views<'v> {
    /// Its mounts.
    pub mounts: &'v Mounts,
    /// Its root directory, if that is not the one of this process.
    pub root: Option<BorrowedFd<'v>>,
}

impl Views<'_> {
    /// Looks for a server of the file that is bound to it by another path. `path` is without
    /// symbolic links, and no socket is bound to `file` itself, an `O_PATH` file descriptor.
    pub fn find_server(self, path: &Path, file: impl AsFd) -> Elsewhere {
        stat::of(file).map_or(Elsewhere::Possible(Doubt::NoMount), |file| self.find(path, &file))
    }

    fn find(self, path: &Path, file: &Stat) -> Elsewhere {
        let Some(own) = self.mounts.of(path) else { return Elsewhere::Possible(Doubt::NoMount) };
        let mut search = Search { views: self, seen: HashSet::from([path.to_owned()]), unknown: None };
        if let Some(bound) = search.beyond(path, file.id) {
            return Elsewhere::Bound(bound);
        }
        match search.unknown {
            Some(doubt) => Elsewhere::Possible(doubt),
            None if own.is_confined() || self.is_passed_through(path, file) => Elsewhere::Nowhere,
            None => Elsewhere::Possible(Doubt::Shared(own.entry.file_system.clone())),
        }
    }

    /// Returns whether the mount only passes a file of this machine through: it is the same file,
    /// by its inode number and time of change, on a file system that this machine alone has
    /// mounted.
    fn is_passed_through(self, path: &Path, file: &Stat) -> bool {
        let Ok(Some((below, there))) = self.layer(path) else { return false };
        let is_file = |there: Stat| (there.id.ino, there.changed) == (file.id.ino, file.changed);
        self.mounts.of(&below).is_some_and(Mount::is_confined) && stat::of(there).is_ok_and(is_file)
    }

    /// Returns the file that a mount shows with this path: the one in the topmost of its layers
    /// that has it, if any has. The error is what keeps it from being found.
    fn layer(self, path: &Path) -> Result<Option<(PathBuf, OwnedFd)>, Doubt> {
        let mut unknown = None;
        for layer in self.mounts.below(path) {
            let found = match layer {
                InLayer::At(below) => match self.open(&below) {
                    // It may be covered by that of a layer above it.
                    Ok(_) if unknown.is_some() => self.same_file(path, vec![below]),
                    Ok(file) => file.map(|file| (below, file)),
                    Err(_) => return Err(Doubt::Hidden(below)),
                },
                InLayer::Among { layer, paths } => {
                    let found = self.same_file(path, paths);
                    unknown = unknown.or(Some(Doubt::Layer(layer)).filter(|_| found.is_none()));
                    found
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        unknown.map_or(Ok(None), Err)
    }

    /// Returns the file that a mount shows with this path, if it is at one of these paths. An
    /// overlay shows the times of the file in its layer, and its inode number only if all layers
    /// are on one file system.
    fn same_file(self, path: &Path, below: Vec<PathBuf>) -> Option<(PathBuf, OwnedFd)> {
        let shown = stat::of(self.open(path).ok()??).ok()?;
        let is_same = |there: Stat| (there.kind, there.changed) == (shown.kind, shown.changed);
        below.into_iter().find_map(|path| {
            let file = self.open(&path).ok()??;
            stat::of(&file).is_ok_and(is_same).then_some((path, file))
        })
    }

    /// Returns whether a path on a mount above may show this file, and not that of a higher layer.
    fn may_show(self, path: &Path, id: FileId) -> bool {
        match self.layer(path) {
            Ok(Some((_, file))) => stat::of(file).is_ok_and(|stat| stat.id == id),
            // The layers are unknown if they were named relative to a directory.
            Ok(None) | Err(_) => true,
        }
    }

    /// Returns whether a socket is bound to the socket file with this path, if there is one, and
    /// its id.
    fn is_bound(self, path: &Path) -> io::Result<Option<(bool, FileId)>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let stat = stat::of(&file)?;
        Ok(match stat.kind {
            FileType::Socket => Some((is_alive(&file)?, stat.id)),
            _ => None,
        })
    }

    /// Opens a file, if there is one.
    fn open(self, path: &Path) -> rustix::io::Result<Option<OwnedFd>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let responds = match self.root {
            Some(root) => responding::check_below(root, root, path, false),
            None => responding::check(path),
        };
        responds.map_err(|_| Errno::TIMEDOUT)?;
        let file = match self.root {
            Some(root) => rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT),
            None => rustix::fs::openat(CWD, path, flags, Mode::empty()),
        };
        match file {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            file => file.map(Some),
        }
    }
}

/// A search through all paths of a file.
struct Search<'v> {
    views: Views<'v>,
    seen: HashSet<PathBuf>,
    /// Why it is not known whether a socket is bound to the file by another path.
    unknown: Option<Doubt>,
}

impl Search<'_> {
    /// Returns the first path to which a socket is bound, of those by which other mounts show the
    /// file with this path and id.
    fn beyond(&mut self, path: &Path, id: FileId) -> Option<PathBuf> {
        let views = self.views;
        let below = views.layer(path).unwrap_or_else(|doubt| {
            self.unknown = Some(doubt);
            None
        });
        let above = views.mounts.above(path, rustix::process::geteuid().as_raw());
        let above = above.into_iter().filter(|path| views.may_show(path, id));
        let paths: Vec<PathBuf> = below.into_iter().map(|(path, _)| path).chain(above).collect();
        paths.into_iter().find_map(|path| self.bound(path))
    }

    /// Returns the path if a socket is bound to its file, else another path of that file.
    fn bound(&mut self, path: PathBuf) -> Option<PathBuf> {
        if self.seen.len() >= MAX_VIEWS || !self.seen.insert(path.clone()) {
            return None;
        }
        match self.views.is_bound(&path) {
            Ok(Some((true, _))) => Some(path),
            Ok(Some((false, id))) => self.beyond(&path, id),
            Ok(None) => None,
            Err(_) => {
                self.unknown = Some(Doubt::Hidden(path));
                None
            }
        }
    }
}
