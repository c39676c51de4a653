//! Classifying what has a name already, and whether a socket file there is **stale**. Removes
//! nothing.
//!
//! A socket file is stale if no socket is bound to its inode any more: `probe` finds out. If the
//! file can be seen through other mounts or from other machines, `other_views` has a say too.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::FileType;

use super::binding;
use super::location::Location;
use super::other_views::{self, Doubt, Elsewhere};
use super::probe::is_alive;
use super::refusal::refused;
use super::stat::{self, Stat};
use crate::error::{Result, words};
use crate::file_id::FileId;

/// The kernel creates the file a moment before it enters the socket into its table. A file younger
/// than this is probed twice.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

/// Why a mounted socket file is left alone.
const MOUNTED: &str = "a socket file is mounted there: replacing it would detach the mount";

/// What has the name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// Nothing.
    Nothing,
    /// A socket file to which no socket is bound, and which this process may remove.
    Stale(FileId),
    /// A socket file to which no socket of this machine is bound by this path, for this reason not
    /// known to be stale. This process may remove it.
    MaybeStale(FileId, String),
    /// A socket file with a socket bound to it: by the given path, if it is not this one.
    Live(FileId, Option<PathBuf>),
    /// Something that must be left alone, for this reason.
    Unknown(String),
}

/// Examines the name, and probes whether a socket file there is live.
pub(super) fn examine(location: &Location) -> Result<Occupant> {
    examine_for(location, None)
}

fn examine_for(location: &Location, owner: Option<u32>) -> Result<Occupant> {
    let file = match location.open_entry(&location.name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupant::Nothing),
        // bpf does not even look a name with a dot up.
        file => file.map_err(|cause| refused(location, cause))?,
    };
    let there = stat::of(&file).map_err(|errno| binding(errno.into()))?;
    if there.kind != FileType::Socket {
        let detail = format!("the name is taken by {}, which is never removed", describe(there.kind));
        return Ok(Occupant::Unknown(detail));
    }
    if there.is_mount_point {
        // Removing or replacing a name on which another mount namespace has a mount succeeds, and
        // detaches that mount (K-MOUNT-2).
        return Ok(Occupant::Unknown(MOUNTED.to_owned()));
    }
    match is_alive_settled(&file, &there) {
        Ok(true) => Ok(Occupant::Live(there.id, None)),
        Ok(false) => Ok(removable(location, &there, owner)
            .map_or_else(Occupant::Unknown, |()| without_server(location, &there))),
        Err(error) => {
            let detail = format!("cannot determine whether the socket file is stale: {}", words(&error));
            Ok(Occupant::Unknown(detail))
        }
    }
}

/// Classifies a file to which no socket is bound by this path.
fn without_server(location: &Location, file: &Stat) -> Occupant {
    let elsewhere = match location.real_path() {
        Ok(path) => other_views::find(&path, file),
        Err(_) => Elsewhere::Possible(Doubt::NoMount),
    };
    match elsewhere {
        Elsewhere::Nowhere => Occupant::Stale(file.id),
        Elsewhere::Bound(path) => Occupant::Live(file.id, Some(path)),
        Elsewhere::Possible(why) => Occupant::MaybeStale(file.id, why.to_string()),
    }
}

/// Like [`is_alive`], but probes a young file again, because its server may be about to appear.
fn is_alive_settled(file: &OwnedFd, stat: &Stat) -> io::Result<bool> {
    if is_alive(file)? {
        return Ok(true);
    }
    match SETTLED_AFTER.checked_sub(stat.changed.elapsed().unwrap_or(SETTLED_AFTER)) {
        None | Some(Duration::ZERO) => Ok(false),
        Some(rest) => {
            std::thread::sleep(rest);
            is_alive(file)
        }
    }
}

/// Checks that the file may be removed: in a directory that everyone may write to, only its owner
/// may remove a stale file; or this process, in favour of a live socket of that `owner`.
fn removable(location: &Location, file: &Stat, owner: Option<u32>) -> std::result::Result<(), String> {
    let ours = rustix::process::geteuid().as_raw();
    let sticky = stat::of(&location.directory).is_ok_and(|directory| directory.mode & 0o1000 != 0);
    match sticky && file.uid != ours && owner != Some(file.uid) {
        true => Err(format!(
            "the stale socket file belongs to user {}, and the directory has the sticky bit",
            file.uid
        )),
        false => Ok(()),
    }
}

/// Returns the socket file under the name if it is stale and this process may remove it, in favour
/// of a live socket of this owner.
pub(super) fn removable_stale_file(location: &Location, owner: u32) -> Option<FileId> {
    match examine_for(location, Some(owner)) {
        Ok(Occupant::Stale(file)) => Some(file),
        _ => None,
    }
}

/// Returns the name of a file type, with its article.
pub(super) fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something that is not a socket",
    }
}
