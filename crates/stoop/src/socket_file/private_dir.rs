//! Private directories: owned by this user with mode 0700, so that only this user and root can look
//! up, replace or open what is inside.
//!
//! A directory is identified by its owner and mode, through an `O_PATH` file descriptor, which does
//! not open the file. A name in a shared directory may refer to a FIFO, a device, a file under a
//! lease, or another user's mount point, and opening those can block.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::location::descriptor_path;
use super::stale::describe;
use super::stat;

/// The reason why a directory is not a private one of this user.
#[derive(Debug)]
pub(super) enum NotPrivate {
    /// It has this type, owner or mode.
    Foreign(String),
    /// The kernel's error; `NOENT` if the name is free by now.
    Failed(Errno),
}

impl From<Errno> for NotPrivate {
    fn from(errno: Errno) -> NotPrivate {
        NotPrivate::Failed(errno)
    }
}

impl fmt::Display for NotPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotPrivate::Foreign(why) => f.write_str(why),
            NotPrivate::Failed(errno) => errno.fmt(f),
        }
    }
}

/// Creates a private directory.
///
/// The umask and a default access control list can only narrow its mode. Permissions that they
/// removed from the owner are restored here and nowhere else: a directory that was there before
/// keeps its mode.
pub(super) fn create(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, NotPrivate> {
    rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
    let (directory, mode) = find(parent, name)?;
    if !mode.contains(Mode::RWXU) {
        rustix::fs::chmodat(CWD, descriptor_path(&directory), mode | Mode::RWXU, AtFlags::empty())?;
    }
    Ok(directory)
}

/// Opens a private directory for `*at` calls, or returns why it is not one.
pub(super) fn open(parent: impl AsFd, name: &OsStr) -> Result<OwnedFd, NotPrivate> {
    let (directory, mode) = find(parent, name)?;
    match mode.contains(Mode::RWXU) {
        true => Ok(directory),
        false => Err(NotPrivate::Foreign(format!("its mode is {:04o}", mode.as_raw_mode()))),
    }
}

/// Finds a directory that belongs to this user and that others have no permission on. Also returns
/// its mode.
fn find(parent: impl AsFd, name: &OsStr) -> Result<(OwnedFd, Mode), NotPrivate> {
    let parent = parent.as_fd();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let there = stat::of(&directory)?;
    if there.kind != FileType::Directory {
        return Err(NotPrivate::Foreign(format!("it is {}", describe(there.kind))));
    }
    // This check comes first: as long as a file system has not answered, its files appear to be
    // owned by root (K-LOCK-6).
    if there.id.dev != stat::of(parent)?.id.dev {
        return Err(NotPrivate::Foreign("another file system is mounted there".into()));
    }
    // In a user namespace, another user's file may appear to be owned by this user if that is the
    // overflow id. Using the directory then fails because of its mode.
    if there.uid != rustix::process::geteuid().as_raw() {
        return Err(NotPrivate::Foreign(format!("it belongs to user {}", there.uid)));
    }
    // A set-group-ID bit is inherited from the parent directory and kept: sockets inside get that
    // group.
    let mode = Mode::from_raw_mode(there.mode);
    if mode.intersects(Mode::RWXG | Mode::RWXO) {
        return Err(NotPrivate::Foreign("other users have permissions on it".into()));
    }
    Ok((directory, mode))
}

/// Opens a private directory for reading, which `flock` also needs.
pub(super) fn reopen_for_reading(directory: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, ".", flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_our_private_directory_is_opened() {
        let parent = stoop_testkit::tempdir();
        let directory = std::fs::File::open(parent.path()).unwrap();
        let foreign = |name: &str| open(&directory, name.as_ref()).unwrap_err().to_string();
        assert_eq!(foreign("none"), Errno::NOENT.to_string());

        std::fs::write(parent.path().join("file"), "precious").unwrap();
        assert_eq!(foreign("file"), "it is a regular file");
        rustix::fs::mknodat(&directory, "fifo", FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(foreign("fifo"), "it is a FIFO");
        std::os::unix::fs::symlink(parent.path(), parent.path().join("link")).unwrap();
        assert_eq!(foreign("link"), "it is a symbolic link");

        create(&directory, "ours".as_ref()).unwrap();
        open(&directory, "ours".as_ref()).unwrap();
        let path = parent.path().join("ours");
        assert!(matches!(create(&directory, "ours".as_ref()), Err(NotPrivate::Failed(Errno::EXIST))));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o500)).unwrap();
        assert_eq!(foreign("ours"), "its mode is 0500");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o500);
        for mode in [0o750, 0o707, 0o710] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(foreign("ours"), "other users have permissions on it");
        }
    }
}
