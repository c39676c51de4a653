//! The server that a socket file stands in front of, for as long as it does.
//!
//! The server's file has a name in the private directory that says which file stands in front of
//! it. A relay that is to replace another one thereby knows that it is one, and not a server that
//! has taken the name since; and one that was replaced knows by what. The identity in the name has
//! the time of the file's creation: an inode number is used again.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, StatxFlags, Timespec, Timestamps, UTIME_NOW};

use super::location::{Location, descriptor_path};
use super::staging::{MARKER, Staging};
use super::stat;
use crate::file_id::FileId;

/// How long a look at the private directory waits for others.
const LOOK_WAIT: Duration = Duration::from_secs(1);

/// The server that a socket file stands in front of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Behind {
    pub(super) server: FileId,
    /// The path of the server's file.
    pub path: PathBuf,
    /// An `O_PATH` file descriptor of it, which leads to the server whatever its name is.
    pub file: Arc<OwnedFd>,
    front: Arc<Front>,
}

/// The file in front.
#[derive(Debug)]
struct Front {
    location: Location,
    id: FileId,
    /// It keeps the inode number from being used again.
    file: OwnedFd,
}

impl Behind {
    /// Describes a server whose file has this name in the private directory.
    pub(super) fn new(
        location: Location,
        front: OwnedFd,
        name: &OsStr,
        server: (OwnedFd, FileId),
    ) -> rustix::io::Result<Behind> {
        let path = location.path.with_file_name(location.staging_name()).join(name);
        let id = stat::of(&front)?.id;
        let front = Arc::new(Front { location, id, file: front });
        Ok(Behind { server: server.1, path, file: Arc::new(server.0), front })
    }

    /// Returns the path of the file in front.
    pub fn front_path(&self) -> PathBuf {
        self.front.location.path.clone()
    }

    /// Returns whether the file in front still has its name.
    pub fn is_in_place(&self) -> bool {
        let has_name = || stat::of(&self.front.file).is_ok_and(|file| file.links > 0);
        self.front.location.refers_to(self.front.id) && has_name()
    }

    /// Returns whether another file that stands in front of the same server has the name now.
    pub fn is_handed_over(&self) -> bool {
        let location = &self.front.location;
        let Ok(staging) = Staging::enter(location, LOOK_WAIT) else { return false };
        let Ok(there) = location.open_entry(&location.name) else { return false };
        staging.behind(&there).is_some_and(|(_, server)| server == self.server)
    }

    /// Makes the server's file, and what is needed to give its name back, look as if they had just
    /// been used: programs that clean directories such as `/tmp` remove what is old, and know this
    /// socket by another path.
    pub fn keep_fresh(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let now = Timestamps { last_access: now, last_modification: now };
        // What cannot be touched is as old as before.
        let _ = rustix::fs::utimensat(CWD, descriptor_path(&self.file), &now, AtFlags::empty());
        let location = &self.front.location;
        let marker = PathBuf::from(location.staging_name()).join(MARKER);
        let _ = rustix::fs::utimensat(&location.directory, marker, &now, AtFlags::SYMLINK_NOFOLLOW);
    }
}

/// Returns the name in the private directory of the file of a server that this file stands in front
/// of. `None` if the file system does not keep the time of creation: without it, the name could be
/// that of another file.
pub(super) fn waiting_name(front: impl AsFd) -> Option<OsString> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let file = rustix::fs::statx(front, "", flags, StatxFlags::INO | StatxFlags::BTIME).ok()?;
    let has_born = file.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = file.stx_btime;
    has_born.then(|| format!("behind-{:x}-{:x}.{:x}", file.stx_ino, born.tv_sec, born.tv_nsec).into())
}
