//! Taking a socket file away again, if it is still ours.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::place::{BoundFile, Place};
use super::staging::Staging;
use super::{LOCK_WAIT, binding, seen};
use crate::error::{Error, Operation, Result};
use crate::file_id::FileId;

/// How long a drop waits for the lock beside the socket; an explicit release waits longer.
const DROP_WAIT: Duration = Duration::from_secs(1);

/// A socket file that we made. Dropping it removes the file, unless a successor has taken the name
/// since, or the process is a fork of the one that made it.
#[derive(Debug)]
pub struct SocketFile {
    place: Place,
    /// Its descriptor keeps the inode, so that its number is not given to another file while we
    /// compare.
    bound: BoundFile,
    id: FileId,
    maker: u32,
    kept: bool,
}

impl SocketFile {
    pub(super) fn new(place: &Place, bound: BoundFile) -> Result<SocketFile> {
        let id = seen::of(&bound.file).map_err(|errno| binding(errno.into()))?.id;
        let place = place.try_clone().map_err(binding)?;
        Ok(SocketFile { place, bound, id, maker: std::process::id(), kept: false })
    }

    /// Where it was put, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// An `O_PATH` descriptor of it.
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.bound.file.as_fd()
    }

    /// Whether it is certain that the file is the socket's own, and not one that a neighbour has
    /// put in its place.
    pub(super) fn is_proven(&self) -> bool {
        self.bound.proven
    }

    /// Its name in its directory.
    pub(super) fn name(&self) -> &OsStr {
        &self.place.name
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// The same file under another name, after it has been moved there.
    pub(super) fn moved_to(mut self, place: Place) -> SocketFile {
        self.place = place;
        self
    }

    /// Whether the name still leads to this file.
    pub fn is_in_place(&self) -> bool {
        self.place.leads_to(self.id)
    }

    /// Removes the file, if it is still ours. It takes the lock that every server with this library
    /// takes. A server of another make that takes the name in that very moment keeps its file,
    /// though it may be out of sight for an instant.
    ///
    /// # Errors
    /// Where the directory does not let us. A file that is gone already, or replaced, is no error.
    pub fn release(mut self) -> Result<()> {
        self.remove(LOCK_WAIT)
    }

    /// Leaves the file where it is.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Removes a file that was not finished, by the one who holds the lock already.
    pub(super) fn discard(mut self, staging: &Staging<'_>) {
        self.kept = true;
        let _ = staging.remove(self.id);
    }

    fn remove(&mut self, wait: Duration) -> Result<()> {
        if std::mem::replace(&mut self.kept, true) || std::process::id() != self.maker || !self.is_in_place()
        {
            return Ok(());
        }
        let failed = |errno: Errno| Error::system(Operation::Release, errno.into());
        let removed = match Staging::enter(&self.place, wait) {
            Ok(staging) => staging.remove(self.id).map_err(failed),
            // Another process of ours is at work on the name.
            Err(error) if error.is_timed_out() => Err(error),
            // Without a staging directory (something is in its way, or the disk is full) two steps will do if
            // nobody else can come in between.
            Err(_) if self.place.keeps_our_names() && self.is_in_place() => {
                rustix::fs::unlinkat(&self.place.directory, &self.place.name, AtFlags::empty())
                    .map_err(failed)
            }
            Err(error) => Err(error),
        };
        removed.map_err(|error| error.during_release(&self.place.path))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = self.remove(DROP_WAIT);
    }
}
