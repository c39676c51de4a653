//! What is at a name already, and how a **stale** socket file is removed.
//!
//! A socket file is stale when no socket is bound to its inode any more. That is asked of the kernel by connecting a datagram
//! socket to it: a dead file answers `ECONNREFUSED`; a living one answers `EPROTOTYPE` or takes the connection, even before
//! it listens and from any network namespace, and a server of streams notices nothing (K-PROBE-1 … K-PROBE-5).

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, FileType, RenameFlags, Stat};
use rustix::io::Errno;

use super::binding;
use super::place::{Place, descriptor_path};
use crate::Kind;
use crate::error::{Result, words};
use crate::file_id::FileId;
use crate::sys::{self, RawAddress};

/// `bind` makes the file a moment before it enters the socket into its table; a file younger than this gets a second look.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// The name of a stale file that is about to be removed.
const ASIDE: &str = ".stale";

/// What has the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nothing.
    Nothing,
    /// A socket file that no socket is bound to, and that is ours to remove.
    Stale(FileId),
    /// A socket file with a socket behind it.
    Live(FileId),
    /// Something to leave alone, for this reason.
    Unknown(String),
}

/// Looks at the name, and asks the kernel whether a socket file there is alive.
pub(super) fn examine(place: &Place) -> Result<Occupant> {
    let file = match place.look(&place.name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        file => file.map_err(binding)?,
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| binding(errno.into()))?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::Socket {
        let detail = format!("the name is taken by {}, which is never removed", describe(kind));
        return Ok(Occupant::Unknown(detail));
    }
    let id = FileId::of(&stat);
    match settled(&file, &stat) {
        Ok(true) => Ok(Occupant::Live(id)),
        Ok(false) => Ok(removable(place, &stat).map_or_else(Occupant::Unknown, |()| Occupant::Stale(id))),
        Err(error) => {
            let detail = format!(
                "a socket file is there, and whether it is alive cannot be found out: {}",
                words(&error)
            );
            Ok(Occupant::Unknown(detail))
        }
    }
}

/// [`is_alive`], asked again where the file is so young that its server may be about to appear.
fn settled(file: &OwnedFd, stat: &Stat) -> io::Result<bool> {
    if is_alive(file)? {
        return Ok(true);
    }
    let born = SystemTime::UNIX_EPOCH + Duration::new(stat.st_ctime.max(0) as u64, stat.st_ctime_nsec as u32);
    match SETTLED_AFTER.checked_sub(born.elapsed().unwrap_or(SETTLED_AFTER)) {
        None | Some(Duration::ZERO) => Ok(false),
        Some(rest) => {
            std::thread::sleep(rest);
            is_alive(file)
        }
    }
}

/// Whether any socket is bound to this file's inode. `file` is an `O_PATH` descriptor, so the answer is about that very inode.
pub(crate) fn is_alive(file: &OwnedFd) -> io::Result<bool> {
    let probe = sys::socket(Kind::Datagram, sys::Blocking::Waits)?;
    let target = RawAddress::path(&descriptor_path(file))?;
    match sys::connect(probe.as_fd(), &target) {
        Ok(()) => {
            // Or the receiver would look connected for ever (K-PROBE-9).
            let _ = rustix::net::connect_unspec(&probe);
            Ok(true)
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Ok(false),
            Some(libc::EPROTOTYPE | libc::EPERM) => Ok(true),
            _ => Err(error),
        },
    }
}

/// In a directory that everybody may write to, a stale file of somebody else is theirs to remove.
fn removable(place: &Place, file: &Stat) -> std::result::Result<(), String> {
    let ours = rustix::process::geteuid().as_raw();
    let sticky = rustix::fs::fstat(&place.directory).is_ok_and(|stat| stat.st_mode & 0o1000 != 0);
    match sticky && file.st_uid != ours {
        true => {
            Err(format!("a stale socket of user {} in a shared directory is theirs to remove", file.st_uid))
        }
        false => Ok(()),
    }
}

/// Clears what a killed process had moved aside: a stale file goes, a live server's is put back. Called under the lock, so
/// nobody else is at it. Where that fails it stays, which harms nobody.
pub(super) fn clear(place: &Place) {
    let aside = place.sibling(ASIDE);
    let Ok(file) = place.look(&aside) else { return };
    let is_socket =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
    let _ = match is_alive(&file) {
        Ok(false) if is_socket => rustix::fs::unlinkat(&place.directory, &aside, AtFlags::empty()),
        Ok(true) => put_back(place, &aside),
        _ => Ok(()),
    };
}

fn put_back(place: &Place, aside: &OsStr) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(&place.directory, aside, &place.directory, &place.name, RenameFlags::NOREPLACE)
}

/// Removes this file, and nothing else: it is moved aside first and looked at again, for a server that does not use our lock
/// may have taken the name meanwhile; such a one is put back.
pub(super) fn remove(place: &Place, file: FileId) -> rustix::io::Result<()> {
    let aside = place.sibling(ASIDE);
    // Never over anything that is there: what `clear` has left is not ours.
    let free = RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(&place.directory, &place.name, &place.directory, &aside, free) {
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    }
    let moved = rustix::fs::statat(&place.directory, &aside, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileId::of(&moved) == file {
        true => rustix::fs::unlinkat(&place.directory, &aside, AtFlags::empty()),
        false => put_back(place, &aside),
    }
}

fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something that is not a socket",
    }
}
