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
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::mounts::{Mount, Mounts};
use super::probe::is_alive;
use super::stat::{self, Stat};

/// What is known of servers that this file's own inode does not show.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// There is none.
    Nowhere,
    /// A socket is bound to the file by this path.
    Bound(PathBuf),
    /// There may be one, for this reason.
    Possible(String),
}

/// How many paths of one file are examined at most.
const MAX_VIEWS: usize = 64;

/// Looks for a server of the file that is bound to it by another path. `path` is without symbolic
/// links, and `file` has no server of its own.
pub(super) fn find(path: &Path, file: &Stat) -> Elsewhere {
    let mounts = Mounts::read();
    let Some(own) = mounts.of(path) else {
        return Elsewhere::Possible("its mount cannot be determined".into());
    };
    let mut search = Search { mounts: &mounts, seen: HashSet::from([path.to_owned()]), unknown: None };
    if let Some(bound) = search.bound(path) {
        return Elsewhere::Bound(bound);
    }
    match search.unknown {
        Some(view) => Elsewhere::Possible(format!(
            "'{}' may be the same file, and cannot be examined",
            crate::escaped(view.as_os_str().as_bytes())
        )),
        None if own.is_confined() || is_passed_through(&mounts, path, file) => Elsewhere::Nowhere,
        None => Elsewhere::Possible(format!(
            "other machines or mounts may share its file system ({})",
            own.fs_type
        )),
    }
}

/// Returns whether the mount only passes a file of this machine through: it is the same file, by
/// its inode number and time of change, on a file system that this machine alone has mounted.
fn is_passed_through(mounts: &Mounts, path: &Path, file: &Stat) -> bool {
    let is_same = |other: &PathBuf| {
        let is_file = |there: Stat| (there.id.ino, there.changed) == (file.id.ino, file.changed);
        mounts.of(other).is_some_and(Mount::is_confined) && open(other).and_then(stat::of).is_ok_and(is_file)
    };
    mounts.below(path).iter().any(is_same)
}

/// A search through all paths of a file.
struct Search<'m> {
    mounts: &'m Mounts,
    seen: HashSet<PathBuf>,
    /// A path of which it is not known whether a socket is bound there.
    unknown: Option<PathBuf>,
}

impl Search<'_> {
    /// Returns the first other path to which a socket is bound.
    fn bound(&mut self, path: &Path) -> Option<PathBuf> {
        let mut views = self.mounts.below(path);
        views.extend(self.mounts.above(path, rustix::process::geteuid().as_raw()));
        views.into_iter().find_map(|view| {
            if self.seen.len() >= MAX_VIEWS || !self.seen.insert(view.clone()) {
                return None;
            }
            match is_bound(&view) {
                Ok(true) => return Some(view),
                Ok(false) => {}
                Err(_) => self.unknown = Some(view.clone()),
            }
            self.bound(&view)
        })
    }
}

/// Returns whether a socket is bound to the file with this path, if there is one.
fn is_bound(path: &Path) -> io::Result<bool> {
    let file = match open(path) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
        file => file?,
    };
    Ok(stat::of(&file)?.kind == FileType::Socket && is_alive(&file)?)
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}
