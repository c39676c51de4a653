//! Unlinking a socket file if it is still the one that this process created.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::behind::Behind;
use super::location::{BoundFile, Location};
use super::staging::Staging;
use super::{LOCK_WAIT, binding, stat};
use crate::error::{Error, Operation, Result};
use crate::file_id::FileId;
use crate::socket::Socket;

/// How long a drop waits for the lock next to the socket. An explicit release waits longer.
const DROP_WAIT: Duration = Duration::from_secs(1);

/// A socket file that this process created.
///
/// Dropping it unlinks the file. The file is left alone if a successor has replaced it, or if this
/// process is a fork of the one that created it.
#[derive(Debug)]
pub struct SocketFile {
    location: Location,
    /// Its file descriptor pins the inode, so that the inode number is not reused while it is
    /// compared. A served file system reuses it all the same ([K-SERVED-2]).
    ///
    /// [K-SERVED-2]: crate::kernel_facts#K-SERVED-2
    bound: BoundFile,
    id: FileId,
    maker: u32,
    kept: bool,
    /// The server that this file stands in front of.
    behind: Option<Behind>,
}

impl SocketFile {
    pub(super) fn new(location: &Location, bound: BoundFile) -> Result<SocketFile> {
        let id = stat::of(&bound.file).map_err(|errno| binding(errno.into()))?.id;
        let location = location.try_clone().map_err(binding)?;
        Ok(SocketFile { location, bound, id, maker: std::process::id(), kept: false, behind: None })
    }

    /// Takes the file at this path over from the process that created it. Returns `None` if the
    /// path leads to another file, or the socket is not bound to this one.
    pub(crate) fn claim(path: &Path, id: FileId, socket: &Socket) -> Option<SocketFile> {
        let location = Location::open(path).ok()?;
        let bound = location.bound_file(socket).ok()?;
        // Compared before there is a `SocketFile`, whose drop would unlink another file.
        let same = stat::of(&bound.file).ok()?.id == id;
        if same { SocketFile::new(&location, bound).ok() } else { None }
    }

    /// Returns the absolute path at which the file was created.
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// assert_eq!(listener.file().map(|file| file.path()), Some(path.as_path()));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn path(&self) -> &Path {
        &self.location.path
    }

    /// Returns an `O_PATH` file descriptor of the file.
    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.bound.file.as_fd()
    }

    /// Returns whether the file is known to be the socket's own, and not one that another process
    /// has put in its place.
    pub(super) fn is_proven(&self) -> bool {
        self.bound.proven
    }

    /// Returns the file's name in its directory.
    pub(super) fn name(&self) -> &OsStr {
        &self.location.name
    }

    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// Returns the same file under the name to which it has been moved.
    pub(super) fn moved_to(mut self, location: Location) -> SocketFile {
        self.location = location;
        self
    }

    /// Returns the same file under another name in its directory.
    pub(super) fn renamed(mut self, name: OsString) -> SocketFile {
        self.location.path.set_file_name(&name);
        self.location.name = name;
        self
    }

    /// Returns the same file under the name of a server, whose file is in the private directory
    /// now.
    pub(super) fn moved_before(mut self, location: Location, behind: Behind) -> SocketFile {
        self.behind = Some(behind);
        self.moved_to(location)
    }

    /// Returns the server that this file stands in front of, if there is one.
    pub(crate) fn behind(&self) -> Option<&Behind> {
        self.behind.as_ref()
    }

    /// Returns whether the path still refers to this file.
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let old = Bind::new(&path).listen()?;
    /// let new = Bind::new(&path).replace(true).listen()?;
    /// assert_eq!(old.file().map(|file| file.is_in_place()), Some(false));
    /// assert_eq!(new.file().map(|file| file.is_in_place()), Some(true));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_in_place(&self) -> bool {
        self.location.refers_to(self.id) && self.has_name()
    }

    /// Returns whether the file, and not only its inode number, is still in a directory: on FUSE
    /// the number may be that of a successor.
    fn has_name(&self) -> bool {
        stat::of(&self.bound.file).is_ok_and(|file| file.links > 0)
    }

    /// Unlinks the file if it is still this one.
    ///
    /// The call holds the lock that every server of this library takes. If another program, which
    /// does not take the lock, binds the name at that very moment, its file is kept, though it may
    /// be absent from the directory for an instant.
    ///
    /// # Errors
    /// Returns an error if the directory does not permit the removal, or if another process of this
    /// user holds the lock for five seconds ([`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut)).
    /// A file that is already removed or replaced is not an error.
    pub fn release(mut self) -> Result<()> {
        self.remove(LOCK_WAIT)
    }

    /// Leaves the file in place.
    pub fn keep(mut self) {
        self.kept = true;
    }

    /// Unlinks a file whose setup failed. The caller already holds the lock.
    pub(super) fn discard(mut self, staging: &Staging<'_>) {
        self.kept = true;
        let _ = staging.remove(self.id);
    }

    fn remove(&mut self, wait: Duration) -> Result<()> {
        if std::mem::replace(&mut self.kept, true) || std::process::id() != self.maker {
            return Ok(());
        }
        if let Some(behind) = self.behind.take() {
            return self
                .give_back(behind.server, wait)
                .map_err(|error| error.during_release(&self.location.path));
        }
        if !self.is_in_place() {
            return Ok(());
        }
        let failed = |errno: Errno| Error::system(Operation::Release, errno.into());
        let removed = match Staging::enter(&self.location, wait) {
            // A successor may have replaced the file before this process had the lock.
            Ok(staging) if self.has_name() => staging.remove(self.id).map_err(failed),
            Ok(_) => Ok(()),
            // Another process of this user works on the name.
            Err(error) if error.is_timed_out() => Err(error),
            // No staging directory could be created (its name is taken, or the disk is full).
            // Checking and then unlinking is race-free here if no other user can change the
            // directory.
            Err(_) if self.location.protects_our_files() && self.is_in_place() => {
                rustix::fs::unlinkat(&self.location.directory, &self.location.name, AtFlags::empty())
                    .map_err(failed)
            }
            Err(error) => Err(error),
        };
        removed.map_err(|error| error.during_release(&self.location.path))
    }

    /// Gives the name back to the server behind. If the name is free or dead by now, entering the
    /// directory does that.
    fn give_back(&self, behind: FileId, wait: Duration) -> Result<()> {
        let staging = Staging::enter(&self.location, wait)?;
        staging.give_back(self.id, behind).map_err(|errno| Error::system(Operation::Release, errno.into()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = self.remove(DROP_WAIT);
    }
}
