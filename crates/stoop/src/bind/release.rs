//! Taking a socket file away again, if it is still ours.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::lock::Lock;
use super::place::Place;
use super::{LOCK_WAIT, binding, stale};
use crate::error::{Error, Operation, Result};
use crate::file_id::FileId;

/// How long a drop waits for the lock beside the socket; an explicit release waits longer.
const DROP_WAIT: Duration = Duration::from_secs(1);

/// A socket file that we made. Dropping it removes the file, unless a successor has taken the name since, or the process is a
/// fork of the one that made it.
#[derive(Debug)]
pub struct SocketFile {
    place: Place,
    /// An `O_PATH` descriptor: keeps the inode, so that its number is not given to another file while we compare.
    file: OwnedFd,
    id: FileId,
    maker: u32,
    kept: bool,
}

impl SocketFile {
    pub(super) fn new(place: &Place, file: OwnedFd) -> Result<SocketFile> {
        let stat = rustix::fs::fstat(&file).map_err(|errno| binding(errno.into()))?;
        let place = place.try_clone().map_err(binding)?;
        Ok(SocketFile { place, file, id: FileId::of(&stat), maker: std::process::id(), kept: false })
    }

    /// Where it was put, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
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
        rustix::fs::statat(&self.place.directory, &self.place.name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileId::of(&stat) == self.id)
    }

    /// Removes the file, if it is still ours. It takes the lock that every server with this library takes. A server of another
    /// make that takes the name in that very moment keeps its file, though it may be out of sight for an instant.
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

    /// Removes a file that was not finished, by the one who holds its lock already.
    pub(super) fn discard(mut self) {
        self.kept = true;
        let _ = self.unlink();
    }

    fn remove(&mut self, wait: Duration) -> Result<()> {
        if std::mem::replace(&mut self.kept, true) || std::process::id() != self.maker || !self.is_in_place()
        {
            return Ok(());
        }
        let releasing = |error: Error| error.during_release(&self.place.path);
        let _lock = Lock::acquire(&self.place, wait).map_err(releasing)?;
        self.unlink().map_err(releasing)
    }

    /// A server that does not use our lock may take the name at any instant, and no call removes a name only while it leads to a
    /// certain file. So the file is moved aside and looked at before it goes, and what was moved by mistake is put back: for an
    /// instant such a server is not to be found, where otherwise it would have lost its name for good.
    fn unlink(&self) -> Result<()> {
        if !self.is_in_place() {
            return Ok(());
        }
        // What cannot be moved aside (the file system lacks that kind of move, or something has that name) is removed as it stands.
        let removed = stale::remove(&self.place, self.id).or_else(|_| match self.is_in_place() {
            true => rustix::fs::unlinkat(&self.place.directory, &self.place.name, AtFlags::empty()),
            false => Ok(()),
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::system(Operation::Release, errno.into())),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = self.remove(DROP_WAIT);
    }
}
