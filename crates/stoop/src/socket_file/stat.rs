//! Examining a file without blocking: a name in a shared directory may be the mount point of a file
//! system that never answers. `statx` with `AT_STATX_DONT_SYNC` returns what the kernel has cached
//! ([K-LOCK-6]).
//!
//! [K-LOCK-6]: crate::kernel_facts#K-LOCK-6

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, StatxAttributes, StatxFlags, makedev};
use rustix::io::Errno;

use crate::file_id::FileId;

/// Metadata of a file.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) id: FileId,
    pub(super) kind: FileType,
    /// The permission bits, set-ID and sticky bits included.
    pub(super) mode: u32,
    pub(super) uid: u32,
    /// The number of names.
    pub(super) links: u64,
    /// The time of the last inode change.
    pub(super) changed: SystemTime,
    /// Whether the file itself is mounted there, over another file (Linux 5.8; [K-MOUNT-1]).
    ///
    /// [K-MOUNT-1]: crate::kernel_facts#K-MOUNT-1
    pub(super) is_mount_point: bool,
}

/// Examines the file with this name in a directory. Does not follow symbolic links.
pub(super) fn at(directory: impl AsFd, name: &OsStr) -> rustix::io::Result<Stat> {
    statx(directory, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Examines the file of a file descriptor, which may be an `O_PATH` one.
pub(super) fn of(file: impl AsFd) -> rustix::io::Result<Stat> {
    statx(file, OsStr::new(""), AtFlags::EMPTY_PATH)
}

/// Returns whether a file has the immutable flag, as far as its file system shows it.
pub(super) fn is_immutable(file: impl AsFd) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(file, "", flags, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::IMMUTABLE))
}

fn statx(directory: impl AsFd, name: &OsStr, flags: AtFlags) -> rustix::io::Result<Stat> {
    let directory = directory.as_fd();
    let wanted = StatxFlags::BASIC_STATS;
    match rustix::fs::statx(directory, name, flags | AtFlags::STATX_DONT_SYNC, wanted) {
        // A sandbox does not permit the system call.
        Err(Errno::NOSYS | Errno::PERM) => {
            let stat = rustix::fs::statat(directory, name, flags)?;
            let (seconds, nanoseconds) = (stat.st_ctime, stat.st_ctime_nsec as u32);
            #[allow(clippy::useless_conversion, reason = "the type depends on the architecture")]
            let links = stat.st_nlink.into();
            Ok(Stat {
                links,
                ..Stat::new(FileId::of(&stat), stat.st_mode, stat.st_uid, seconds, nanoseconds)
            })
        }
        stat => {
            let stat = stat?;
            let id = FileId { dev: makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino };
            let (changed, links) = (stat.stx_ctime, stat.stx_nlink.into());
            let is_mount_point = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
            let stat = Stat::new(id, stat.stx_mode.into(), stat.stx_uid, changed.tv_sec, changed.tv_nsec);
            Ok(Stat { is_mount_point, links, ..stat })
        }
    }
}

impl Stat {
    fn new(id: FileId, raw_mode: u32, uid: u32, seconds: i64, nanoseconds: u32) -> Stat {
        let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds.max(0) as u64, nanoseconds);
        let kind = FileType::from_raw_mode(raw_mode);
        Stat { id, kind, mode: raw_mode & 0o7777, uid, links: 1, changed, is_mount_point: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn it_sees_what_stat_sees() {
        let dir = stoop_testkit::tempdir();
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        let stat = rustix::fs::stat(&path).unwrap();
        let directory = File::open(dir.path()).unwrap();
        for found in [at(&directory, "file".as_ref()), of(File::open(&path).unwrap())].map(Result::unwrap) {
            assert_eq!((found.id, found.kind), (FileId::of(&stat), FileType::RegularFile));
            assert_eq!((found.mode, found.uid, found.links), (stat.st_mode & 0o7777, stat.st_uid, 1));
            assert_eq!(found.changed, std::fs::metadata(&path).unwrap().modified().unwrap());
        }
        assert_eq!(at(&directory, "none".as_ref()).unwrap_err(), Errno::NOENT);
    }
}
