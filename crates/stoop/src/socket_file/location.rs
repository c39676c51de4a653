//! The location of a socket file: its directory, held open, and its name there.
//!
//! All other operations are relative to that directory. Renaming a parent, changing the working
//! directory, or replacing a symbolic link in the middle of the path cannot redirect a later step.
//! `bind` itself is the exception: it gets the path, which the kernel shows to tools from then on.
//! [`Location::bound_file`] detects if that path led elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::{binding, stat};
use crate::address::DIRECT_PATH_MAX_BYTES;
use crate::diag;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::socket::Socket;
use crate::sys::RawAddress;

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    /// The absolute path, for messages and for the kernel's record of the name.
    pub(crate) path: PathBuf,
    /// The path as it was given, if it was relative to the working directory.
    pub(crate) relative: Option<PathBuf>,
}

/// An address for `bind`.
pub(crate) struct Bindable {
    pub(crate) raw: RawAddress,
    /// Whether it is the file's own path, absolute and without symbolic links: what a program that
    /// compares the kernel's table with the files of a directory looks for.
    pub(crate) is_own_path: bool,
}

/// The file of a socket.
#[derive(Debug)]
pub(crate) struct BoundFile {
    /// An `O_PATH` file descriptor of it.
    pub(crate) file: OwnedFd,
    /// Whether the kernel has confirmed that it is the socket's, or no other user could have
    /// replaced it.
    pub(crate) proven: bool,
}

impl Location {
    pub(crate) fn open(path: &Path) -> Result<Location> {
        let relative = path.is_relative().then(|| path.to_owned());
        let path = std::path::absolute(path).map_err(binding)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new(
                Operation::Bind,
                ErrorKind::InvalidAddress,
                "the path does not end in a file name",
            ));
        };
        let directory = open_directory(parent).map_err(|errno| binding(errno.into()))?;
        Ok(Location { directory, name: name.to_owned(), path, relative })
    }

    /// Returns an independent copy, for an owner that outlives this one.
    pub(crate) fn try_clone(&self) -> io::Result<Location> {
        Ok(Location {
            directory: self.directory.try_clone()?,
            name: self.name.clone(),
            path: self.path.clone(),
            relative: self.relative.clone(),
        })
    }

    /// Returns the address for `bind`: the absolute path if it fits, else the relative one, else
    /// the name below the directory's `/proc` path ([K-NAME-11]). `None` if even that is too long.
    ///
    /// Peers can send to the first two. The third leads each process to another file.
    ///
    /// [K-NAME-11]: crate::kernel_facts#K-NAME-11
    pub(crate) fn bindable(&self) -> Option<Bindable> {
        let fits = |path: &&PathBuf| path.as_os_str().len() <= DIRECT_PATH_MAX_BYTES;
        let direct = [Some(&self.path), self.relative.as_ref()].into_iter().flatten().find(fits);
        let through_directory = || descriptor_path(&self.directory).join(&self.name);
        let path = direct.cloned().unwrap_or_else(through_directory);
        let is_own_path = self.real_path().is_ok_and(|real| real == path);
        RawAddress::path(&path).ok().map(|raw| Bindable { raw, is_own_path })
    }

    /// Returns the path without symbolic links, as it is now.
    pub(super) fn real_path(&self) -> io::Result<PathBuf> {
        Ok(std::fs::read_link(descriptor_path(&self.directory))?.join(&self.name))
    }

    /// Reserves file descriptors for the steps after a bind, to be closed right before them.
    /// Without any left, the process could neither examine nor remove the new file.
    pub(super) fn reserve(&self) -> Result<[OwnedFd; 3]> {
        // For the file, for the netlink socket of the kernel's table, and for the directory that
        // the removal needs.
        let one = || self.directory.try_clone().map_err(binding);
        Ok([one()?, one()?, one()?])
    }

    /// Returns the name of the private directory next to this name.
    pub(super) fn staging_name(&self) -> OsString {
        staging_name(&self.name)
    }

    /// Returns an `O_PATH` file descriptor of the file that has this name now.
    pub(crate) fn open_entry(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.directory, name, flags, Mode::empty())?)
    }

    /// Returns whether the name refers to this file now.
    pub(crate) fn refers_to(&self, file: FileId) -> bool {
        stat::at(&self.directory, &self.name).is_ok_and(|there| there.id == file)
    }

    /// Returns whether only this user and root can replace this user's files here: no other user
    /// may write to the directory, or its sticky bit protects the files.
    pub(crate) fn protects_our_files(&self) -> bool {
        let ours = rustix::process::geteuid().as_raw();
        stat::of(&self.directory).is_ok_and(|directory| {
            let sticky = directory.mode & 0o1000 != 0;
            (directory.uid == ours || directory.uid == 0) && (sticky || directory.mode & 0o022 == 0)
        })
    }

    /// Returns the file to which `socket` has just been bound under this name, after checking that
    /// it is that file. A process that does not use the lock may have replaced it.
    pub(crate) fn bound_file(&self, socket: &Socket) -> Result<BoundFile> {
        let lost = || super::in_use().with_detail("the file was replaced while it was being set up");
        let file = match self.open_entry(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            file => file.map_err(binding)?,
        };
        let there = stat::of(&file).map_err(|errno| binding(errno.into()))?;
        if there.kind != FileType::Socket {
            return Err(lost());
        }
        // The table has inode numbers of 32 bits, and on some file systems another device than
        // stat: only the inode decides.
        match diag::file_of(socket.as_fd()) {
            Some(bound) if bound.ino as u32 != there.id.ino as u32 => Err(lost()),
            bound => Ok(BoundFile { file, proven: bound.is_some() || self.protects_our_files() }),
        }
    }
}

/// Returns `.NAME.stoop`. A long name is shortened and made unique with a hash, so that the result
/// fits into a directory entry.
fn staging_name(name: &OsStr) -> OsString {
    const NAME_KEPT_BYTES: usize = 200;
    let name = name.as_bytes();
    let mut staging = b".".to_vec();
    staging.extend_from_slice(&name[..name.len().min(NAME_KEPT_BYTES)]);
    if name.len() > NAME_KEPT_BYTES {
        staging.extend_from_slice(format!("~{:016x}", fnv1a(name)).as_bytes());
    }
    staging.extend_from_slice(b".stoop");
    OsString::from_vec(staging)
}

/// Returns a path that leads to an open file descriptor's file, whatever its name is.
pub(crate) fn descriptor_path(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Opens a directory for `*at` calls.
pub(super) fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// Returns a hash that is the same in every process and version, because names of files depend on
/// it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staging_names_always_fit_and_differ() {
        assert_eq!(staging_name("a".as_ref()), ".a.stoop");
        let long = ["x".repeat(255), "x".repeat(254) + "y"].map(|name| staging_name(name.as_ref()));
        assert!(long.iter().all(|name| name.len() <= 255));
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn a_path_without_a_file_name_is_rejected() {
        assert_eq!(Location::open(Path::new("/")).unwrap_err().kind(), ErrorKind::InvalidAddress);
        assert_eq!(Location::open(Path::new("/tmp/..")).unwrap_err().kind(), ErrorKind::InvalidAddress);
    }
}
