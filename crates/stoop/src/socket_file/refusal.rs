//! Why a file system did not create a socket file, if that is known.

use std::io;

use rustix::io::Errno;

use super::file_system::{Sockets, sockets_on};
use super::location::Location;
use super::mounts::Mounts;
use super::other_views::OWN_PROC;
use super::{binding, stat};
use crate::error::{Error, ErrorKind};

/// Returns the error of a `bind` at this location, with the file system in it if that is the cause.
pub(super) fn refused(location: &Location, cause: io::Error) -> Error {
    let errno = cause.raw_os_error().map(Errno::from_raw_os_error);
    let detail = errno.and_then(|errno| by_file_system(location, errno));
    match detail {
        Some(detail) => binding(cause).with_kind(ErrorKind::Unsupported).with_detail(detail),
        None => binding(cause),
    }
}

fn by_file_system(location: &Location, errno: Errno) -> Option<String> {
    // proc has no entry that a bind could create ([K-BIND-21]).
    let is_about_type = [Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOENT, Errno::ACCESS];
    let is_odd = [Errno::IO, Errno::INVAL, Errno::NXIO, Errno::NODEV, Errno::REMOTEIO];
    if !is_about_type.contains(&errno) && !is_odd.contains(&errno) {
        return None;
    }
    let mounts = Mounts::read(OWN_PROC).ok()?;
    let mount = mounts.of(&location.real_path().ok()?)?;
    let fs_type = &mount.entry.file_system;
    match errno {
        _ if sockets_on(fs_type) == Sockets::Unsupported => {
            Some(format!("the file system ({fs_type}) does not support sockets"))
        }
        // A flag of the directory is the other cause of EPERM that can be seen.
        Errno::NOENT | Errno::ACCESS => None,
        _ if mount.is_confined() || stat::is_immutable(&location.directory) => None,
        _ => Some(format!("the file system ({fs_type}) did not create a socket")),
    }
}
