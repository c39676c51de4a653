//! Where a socket file goes: its directory, held open, and its name there.
//!
//! Everything else works relative to that directory, so a rename of a parent, a change of working
//! directory or a swapped symbolic link in the middle of the path cannot send a later step
//! elsewhere. All but `bind` itself: it is given the path, which the kernel shows to tools for
//! ever, and [`Place::bound_file`] notices where that led elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::{binding, seen};
use crate::address::DIRECT_PATH_MAX_BYTES;
use crate::diag;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::socket::Socket;
use crate::sys::RawAddress;

/// A name in a directory.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) directory: OwnedFd,
    pub(crate) name: OsString,
    /// The absolute path, for people and for the kernel's record of the name.
    pub(crate) path: PathBuf,
}

/// An address to bind to, and what keeps it meaningful until then.
pub(crate) struct Bindable {
    pub(crate) raw: RawAddress,
}

/// The file of a socket.
#[derive(Debug)]
pub(crate) struct BoundFile {
    /// An `O_PATH` descriptor of it.
    pub(crate) file: OwnedFd,
    /// Whether the kernel has said that it is the socket's, or nobody else could have replaced it.
    pub(crate) proven: bool,
}

impl Place {
    pub(crate) fn open(path: &Path) -> Result<Place> {
        let path = std::path::absolute(path).map_err(binding)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new(Operation::Bind, ErrorKind::InvalidAddress, "the path names no file"));
        };
        let directory = open_directory(parent).map_err(|errno| binding(errno.into()))?;
        Ok(Place { directory, name: name.to_owned(), path })
    }

    /// The same place again, for somebody who outlives this one.
    pub(crate) fn try_clone(&self) -> io::Result<Place> {
        Ok(Place { directory: self.directory.try_clone()?, name: self.name.clone(), path: self.path.clone() })
    }

    /// What to give to `bind`: the path itself where it fits, else the name behind the directory's
    /// descriptor (K-NAME-11). `None` where even the name alone is too long.
    pub(crate) fn bindable(&self) -> Option<Bindable> {
        let direct = if self.path.as_os_str().len() <= DIRECT_PATH_MAX_BYTES {
            self.path.clone()
        } else {
            descriptor_path(&self.directory).join(&self.name)
        };
        RawAddress::path(&direct).ok().map(|raw| Bindable { raw })
    }

    /// File descriptors for what comes after a bind, to be dropped right before that. A process
    /// that has none left would have a file that it can neither look at nor remove.
    pub(super) fn reserve(&self) -> Result<[OwnedFd; 3]> {
        // For the file, for the kernel's table of sockets, and for the directory that the file's removal
        // needs.
        let one = || self.directory.try_clone().map_err(binding);
        Ok([one()?, one()?, one()?])
    }

    /// The name of the private directory next to this name.
    pub(super) fn staging_name(&self) -> OsString {
        staging_name(&self.name)
    }

    /// A descriptor for whatever has this name now, without opening what is behind it.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.directory, name, flags, Mode::empty())?)
    }

    /// Whether the name leads to this file now.
    pub(crate) fn leads_to(&self, file: FileId) -> bool {
        seen::at(&self.directory, &self.name).is_ok_and(|there| there.id == file)
    }

    /// Whether only this user and root can replace what has a name here: nobody else may write to
    /// the directory, or its sticky bit keeps them from files of others.
    pub(crate) fn keeps_our_names(&self) -> bool {
        let ours = rustix::process::geteuid().as_raw();
        seen::of(&self.directory).is_ok_and(|directory| {
            let sticky = directory.mode & 0o1000 != 0;
            (directory.uid == ours || directory.uid == 0) && (sticky || directory.mode & 0o022 == 0)
        })
    }

    /// The file that `socket` has just been bound to under this name, once it is certain that it is
    /// that file: a process that does not use our lock may have replaced it since.
    pub(crate) fn bound_file(&self, socket: &Socket) -> Result<BoundFile> {
        let lost = || super::taken().with_detail("the file was replaced while it was being set up");
        let file = match self.look(&self.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(lost()),
            file => file.map_err(binding)?,
        };
        let there = seen::of(&file).map_err(|errno| binding(errno.into()))?;
        if there.kind != FileType::Socket {
            return Err(lost());
        }
        // The table has inode numbers of 32 bits, and on some file systems another device than stat: the
        // inode alone decides.
        match diag::file_of(socket.as_fd()) {
            Some(bound) if bound.ino as u32 != there.id.ino as u32 => Err(lost()),
            bound => Ok(BoundFile { file, proven: bound.is_some() || self.keeps_our_names() }),
        }
    }
}

/// Where the private directory for a socket with this path is, if the path names a file.
pub(crate) fn staging_path(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(staging_name(path.file_name()?)))
}

/// `.NAME.stoop`. Long names are shortened and distinguished by a hash, so that the result always
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

/// A path that leads to an open descriptor's file, whatever its name is.
pub(crate) fn descriptor_path(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Opens a directory for `*at` calls.
pub(super) fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

/// A hash that is the same in every process and version: names of files depend on it.
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
        assert_eq!(staging_path(Path::new("/run/a")).unwrap(), Path::new("/run/.a.stoop"));
        let long = ["x".repeat(255), "x".repeat(254) + "y"].map(|name| staging_name(name.as_ref()));
        assert!(long.iter().all(|name| name.len() <= 255));
        assert_ne!(long[0], long[1]);
    }

    #[test]
    fn a_directory_is_no_place_for_a_socket() {
        assert_eq!(Place::open(Path::new("/")).unwrap_err().kind(), ErrorKind::InvalidAddress);
        assert_eq!(Place::open(Path::new("/tmp/..")).unwrap_err().kind(), ErrorKind::InvalidAddress);
    }
}
