//! The private directory `.NAME.stoop` next to a socket: the lock for changes of its name, and the
//! place where they are prepared.
//!
//! A free name is taken by `bind`, which needs no lock. Everything else (removing a stale file,
//! replacing a live server, unlinking this process's own file) checks first and acts then. It
//! therefore runs under a lock that all processes of the user share, inside this directory:
//!
//! - The directory belongs to the user and has mode 0700. No other user can replace, open or hold
//!   what is inside.
//! - `flock` on it is the lock, so no other user can hold it, and a killed process releases it
//!   ([K-LOCK-2], [K-LOCK-4]).
//! - A marker in it records the name it is for. Without the marker nothing inside is touched,
//!   whichever directory was moved here.
//! - What a killed process leaves inside is recovered by the next one: a live socket gets its name
//!   back, a dead one is removed.
//!
//! Only `rmdir` removes the directory, and that never removes anything in it. `publish` binds
//! sockets in here and gives them their name.
//!
//! [K-LOCK-2]: crate::kernel_facts#K-LOCK-2
//! [K-LOCK-4]: crate::kernel_facts#K-LOCK-4

mod publish;

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::location::{Location, descriptor_path};
use super::private_dir::{self, NotPrivate};
use super::probe::is_alive;
use super::stat::{self, Stat};
use super::{binding, stale};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;

/// The marker: a symbolic link in the directory whose target is the name of the socket.
pub(super) const MARKER: &str = ".for";

/// The name in the directory of a file that was moved out of the way.
const ASIDE: &str = "old";

/// The name of a new directory in here until its mode is set.
const DIRECTORY: &str = "directory";

/// How often to retry while another process holds the lock.
const RETRY: Duration = Duration::from_millis(1);

/// How long to wait if the name is taken by something that is not this user's. A process of another
/// user takes a moment for the same operation.
const FOREIGN_WAIT: Duration = Duration::from_secs(1);

/// The locked directory. Dropping it removes it, unless it contains something that must be kept.
pub(super) struct Staging<'p> {
    location: &'p Location,
    name: OsString,
    /// Open for reading, since it carries the lock.
    directory: OwnedFd,
}

/// The outcome of an attempt to lock.
enum Attempt {
    Locked(OwnedFd),
    /// Another process of this user holds the lock.
    Held,
    /// The name is taken by something else, for this reason.
    Foreign(String),
}

impl<'p> Staging<'p> {
    /// Returns whether the directory exists. If so, another process of this user is changing the
    /// name, or was killed while doing so.
    pub(super) fn is_there(location: &Location) -> bool {
        private_dir::open(&location.directory, &location.staging_name())
            .is_ok_and(|directory| is_marked(&directory, location) == Ok(true))
    }

    /// Creates and locks the directory, waiting at most `wait` for other processes of this user,
    /// and recovers what a killed process has left in it.
    pub(super) fn enter(location: &'p Location, wait: Duration) -> Result<Staging<'p>> {
        let name = location.staging_name();
        let started = Instant::now();
        loop {
            match try_lock(location, &name).map_err(failed)? {
                Attempt::Locked(directory) => {
                    let staging = Staging { location, name, directory };
                    return staging.recover().map(|()| staging);
                }
                Attempt::Held if started.elapsed() >= wait => {
                    return Err(lock_timeout(location, &name, wait));
                }
                Attempt::Foreign(why) if started.elapsed() >= wait.min(FOREIGN_WAIT) => {
                    return Err(unusable(location, &name, &why));
                }
                Attempt::Held | Attempt::Foreign(_) => std::thread::sleep(RETRY),
            }
        }
    }

    /// Recovers the contents. Nothing is touched before the marker has been checked.
    fn recover(&self) -> Result<()> {
        let left = self.entries().map_err(failed)?;
        match is_marked(&self.directory, self.location) {
            Ok(true) => {}
            Ok(false) => return Err(self.unusable("it is for another socket")),
            Err(Errno::NOENT) if left.is_empty() => {
                rustix::fs::symlinkat(&self.location.name, &self.directory, MARKER).map_err(failed)?;
            }
            Err(Errno::NOENT | Errno::INVAL) => return Err(self.unusable("it contains foreign files")),
            Err(errno) => return Err(failed(errno)),
        }
        left.iter().try_for_each(|entry| self.recover_entry(entry))
    }

    fn recover_entry(&self, entry: &OsStr) -> Result<()> {
        let inside = self.inside(entry.to_owned())?;
        let file = inside.open_entry(entry).map_err(binding)?;
        let there = stat::of(&file).map_err(failed)?;
        let recovered = match there.kind {
            FileType::Socket => match is_alive(&file) {
                Ok(false) => rustix::fs::unlinkat(&self.directory, entry, AtFlags::empty()),
                Ok(true) => self.restore(entry, there.uid),
                // It may be live, and stays.
                Err(_) => Ok(()),
            },
            // A directory that was being created; it is empty.
            FileType::Directory if entry == DIRECTORY => {
                rustix::fs::unlinkat(&self.directory, entry, AtFlags::REMOVEDIR)
            }
            // It had the name for an instant and was mistaken for a socket.
            _ => self.move_out(entry),
        };
        match recovered {
            // The name is taken by now, or the directory is in use: it stays.
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
            recovered => recovered.map_err(failed),
        }
    }

    /// Gives a live socket its name back if the name is free or refers to a dead one. Otherwise the
    /// socket stays here. `owner` is the user to whom its file belongs.
    fn restore(&self, entry: &OsStr, owner: u32) -> rustix::io::Result<()> {
        match self.move_out(entry) {
            Err(Errno::EXIST) => {}
            result => return result,
        }
        let Some(there) = stale::removable_stale_file(self.location, owner) else { return Ok(()) };
        match self.exchange(entry).and_then(|()| self.dispose(entry, there)) {
            Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    /// Removes the file that an exchange has moved in here if it is the one that was seen.
    /// Otherwise undoes the exchange (`EXIST`).
    pub(super) fn dispose(&self, entry: &OsStr, seen: FileId) -> rustix::io::Result<()> {
        if self.id_of(entry)? != seen {
            self.exchange(entry)?;
            return Err(Errno::EXIST);
        }
        // If this fails, the next process to enter finds the file dead, or live with its name
        // taken. Neither changes anything.
        let _ = rustix::fs::unlinkat(&self.directory, entry, AtFlags::empty());
        Ok(())
    }

    /// Unlinks the name if and only if it refers to this file.
    ///
    /// No system call does that atomically. So the file is moved in here, checked once more, and
    /// moved back if it is another one: a server that does not use the lock may take the name at
    /// any time. Its file is absent for a moment; with a plain unlink it would be lost.
    pub(super) fn remove(&self, file: FileId) -> rustix::io::Result<()> {
        let (location, aside) = (self.location, self.free_name(ASIDE));
        if !location.refers_to(file) {
            return Ok(());
        }
        match rustix::fs::renameat(&location.directory, &location.name, &self.directory, &aside) {
            Err(Errno::NOENT) => return Ok(()),
            result => result?,
        }
        match self.id_of(&aside)? == file {
            true => rustix::fs::unlinkat(&self.directory, &aside, AtFlags::empty()),
            // If the name is taken again, the file stays here until the next process finds the name
            // free or dead.
            false => match self.move_out(&aside) {
                Err(Errno::EXIST) => Ok(()),
                moved => moved,
            },
        }
    }

    /// Creates a directory with exactly this mode, and moves it to the name if that is free
    /// (otherwise `EXIST`).
    pub(super) fn create_directory(&self, mode: Mode) -> rustix::io::Result<()> {
        rustix::fs::mkdirat(&self.directory, DIRECTORY, Mode::RWXU)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&self.directory, DIRECTORY, flags, Mode::empty())?;
        rustix::fs::chmodat(CWD, descriptor_path(&made), mode, AtFlags::empty())?;
        let moved = self.rename(OsStr::new(DIRECTORY), RenameFlags::NOREPLACE);
        if moved.is_err() {
            let _ = rustix::fs::unlinkat(&self.directory, DIRECTORY, AtFlags::REMOVEDIR);
        }
        moved
    }

    /// Returns the name that this is about.
    pub(super) fn location(&self) -> &'p Location {
        self.location
    }

    /// Moves an entry to the socket's name, which must be free (otherwise `EXIST`).
    fn move_out(&self, entry: &OsStr) -> rustix::io::Result<()> {
        let (from, location) = (&self.directory, self.location);
        match self.rename(entry, RenameFlags::NOREPLACE) {
            // The file system has no RENAME_NOREPLACE. A link never replaces anything either
            // (K-BIND-16).
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(from, entry, &location.directory, &location.name, AtFlags::empty())?;
                rustix::fs::unlinkat(from, entry, AtFlags::empty())
            }
            result => result,
        }
    }

    pub(super) fn exchange(&self, entry: &OsStr) -> rustix::io::Result<()> {
        self.rename(entry, RenameFlags::EXCHANGE)
    }

    /// Gives an entry another name in here.
    pub(super) fn rename_inside(&self, entry: &OsStr, name: &OsStr) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.directory, entry, &self.directory, name)
    }

    /// Renames an entry to the socket's name.
    fn rename(&self, entry: &OsStr, flags: RenameFlags) -> rustix::io::Result<()> {
        let location = self.location;
        rustix::fs::renameat_with(&self.directory, entry, &location.directory, &location.name, flags)
    }

    pub(super) fn id_of(&self, entry: &OsStr) -> rustix::io::Result<FileId> {
        Ok(stat::at(&self.directory, entry)?.id)
    }

    fn is_free(&self, entry: &OsStr) -> bool {
        matches!(self.id_of(entry), Err(Errno::NOENT))
    }

    /// Returns a name that is not in use in here: a live socket may have been left under the first
    /// one.
    fn free_name(&self, name: &str) -> OsString {
        let mut free = OsString::from(name);
        let mut number = 0;
        while !self.is_free(&free) {
            number += 1;
            free = OsString::from(format!("{name}{number}"));
        }
        free
    }

    pub(super) fn inside(&self, name: OsString) -> Result<Location> {
        let path = self.location.path.with_file_name(&self.name).join(&name);
        let directory = self.directory.try_clone().map_err(binding)?;
        Ok(Location { directory, name, path, relative: None })
    }

    /// Returns the names in here, without the marker.
    pub(super) fn entries(&self) -> rustix::io::Result<Vec<OsString>> {
        let directory = private_dir::reopen_for_reading(&self.directory)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") && name != MARKER.as_bytes() {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        Ok(names)
    }

    fn unusable(&self, why: &str) -> Error {
        unusable(self.location, &self.name, why)
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What is left inside keeps its marker, without which it could not be restored. After a
        // failure the next process to enter cleans up.
        if !self.entries().is_ok_and(|left| left.is_empty()) {
            return;
        }
        if is_marked(&self.directory, self.location) == Ok(true) {
            let _ = rustix::fs::unlinkat(&self.directory, MARKER, AtFlags::empty());
        }
        // In a shared directory, another one may have been put in its place.
        let is_ours = |there: Stat| stat::of(&self.directory).is_ok_and(|ours| ours.id == there.id);
        if stat::at(&self.location.directory, &self.name).is_ok_and(is_ours) {
            let _ = rustix::fs::unlinkat(&self.location.directory, &self.name, AtFlags::REMOVEDIR);
        }
    }
}

/// Returns whether the marker says that the directory is for this name; `NOENT` without a marker.
fn is_marked(directory: &OwnedFd, location: &Location) -> rustix::io::Result<bool> {
    let target = rustix::fs::readlinkat(directory, MARKER, Vec::new())?;
    Ok(target.as_bytes() == location.name.as_bytes())
}

/// Creates the directory if it does not exist, and locks it without blocking.
fn try_lock(location: &Location, name: &OsStr) -> rustix::io::Result<Attempt> {
    let (created, directory) = match private_dir::create(&location.directory, name) {
        Err(NotPrivate::Failed(Errno::EXIST)) => (false, private_dir::open(&location.directory, name)),
        created => (true, created),
    };
    let directory = match directory.map(|directory| private_dir::reopen_for_reading(&directory)) {
        Err(NotPrivate::Foreign(why)) => return Ok(Attempt::Foreign(why)),
        // The last holder has just removed it.
        Err(NotPrivate::Failed(Errno::NOENT)) | Ok(Err(Errno::NOENT)) => return Ok(Attempt::Held),
        Err(NotPrivate::Failed(errno)) => return Err(errno),
        Ok(directory) => directory?,
    };
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(Attempt::Held),
        // The file system does not support locks on directories: the process that created it holds
        // it.
        Err(Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) if created => {}
        Err(Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => {
            return Ok(Attempt::Held);
        }
        result => result?,
    }
    // The last holder may have removed the directory between this open and this lock (K-LOCK-1,
    // K-LOCK-4).
    let ours = stat::of(&directory)?.id;
    match stat::at(&location.directory, name) {
        Ok(named) if named.id == ours => Ok(Attempt::Locked(directory)),
        Ok(_) | Err(Errno::NOENT) => Ok(Attempt::Held),
        Err(errno) => Err(errno),
    }
}

fn failed(errno: Errno) -> Error {
    binding(errno.into())
}

fn lock_timeout(location: &Location, name: &OsStr, wait: Duration) -> Error {
    let path = location.path.with_file_name(name);
    let detail = format!("another process of this user has held the lock '{}' for {wait:?}", path.display());
    Error::new(Operation::Bind, ErrorKind::TimedOut, detail)
}

fn unusable(location: &Location, name: &OsStr, why: &str) -> Error {
    let path = location.path.with_file_name(name);
    let detail = format!("cannot use the private directory '{}': {why}", path.display());
    Error::new(Operation::Bind, ErrorKind::NotPermitted, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn location(directory: &Path) -> Location {
        Location::open(&directory.join("app.sock")).unwrap()
    }

    fn private(path: &Path) {
        let parent = std::fs::File::open(path.parent().unwrap()).unwrap();
        private_dir::create(parent, path.file_name().unwrap()).unwrap();
    }

    /// Creates a directory as a killed process leaves it, with these sockets in it, and a path for
    /// clients to each.
    fn left_over(directory: &Path, mark: &str) -> PathBuf {
        let left = directory.join(".app.sock.stoop");
        private(&left);
        std::os::unix::fs::symlink(mark, left.join(MARKER)).unwrap();
        left
    }

    fn is_empty(directory: &Path) -> bool {
        std::fs::read_dir(directory).unwrap().next().is_none()
    }

    #[test]
    fn one_at_a_time_and_nothing_left() {
        let directory = stoop_testkit::tempdir();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let location = location(directory.path());
                        let _lock = Staging::enter(&location, Duration::from_secs(20)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(is_empty(directory.path()));
    }

    #[test]
    fn a_lock_that_is_held_is_reported_by_name() {
        let directory = stoop_testkit::tempdir();
        let location = location(directory.path());
        let _held = Staging::enter(&location, Duration::ZERO).unwrap();
        let error = Staging::enter(&location, Duration::from_millis(20)).err().unwrap();
        assert!(error.is_timed_out());
        assert!(error.to_string().contains(".app.sock.stoop"), "{error}");
    }

    #[test]
    fn foreign_contents_are_left_alone() {
        let directory = stoop_testkit::tempdir();
        let (location, name) = (location(directory.path()), directory.path().join(".app.sock.stoop"));
        let refused = |why: &str| {
            let error = Staging::enter(&location, Duration::ZERO).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::NotPermitted);
            assert!(error.to_string().contains(why), "{error}");
        };
        std::fs::write(&name, "precious").unwrap();
        refused("it is a regular file");
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "precious");
        std::fs::remove_file(&name).unwrap();

        // A private directory of this user that was moved here, with a dead socket, an empty file,
        // or another socket's marker.
        for make in [
            (|path| drop(UnixListener::bind(path).unwrap())) as fn(&Path),
            |path| std::fs::write(path, "").unwrap(),
            |path| std::os::unix::fs::symlink("db.sock", path.with_file_name(MARKER)).unwrap(),
        ] {
            private(&name);
            make(&name.join("db.sock"));
            let before = std::fs::read_dir(&name).unwrap().count();
            refused("it ");
            assert_eq!(std::fs::read_dir(&name).unwrap().count(), before);
            std::fs::remove_dir_all(&name).unwrap();
        }
    }

    /// A file that had the name for an instant and is not a socket is moved back; a directory that
    /// was being created is removed.
    #[test]
    fn what_is_not_a_socket_is_put_back() {
        let directory = stoop_testkit::tempdir();
        let left = left_over(directory.path(), "app.sock");
        std::fs::write(left.join("old"), "precious").unwrap();
        std::fs::create_dir(left.join(DIRECTORY)).unwrap();
        drop(Staging::enter(&location(directory.path()), Duration::ZERO).unwrap());
        assert_eq!(std::fs::read_to_string(directory.path().join("app.sock")).unwrap(), "precious");
        assert!(!left.exists());
    }

    #[test]
    fn a_living_socket_gets_its_name_back() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        for dead in [false, true] {
            if dead {
                drop(UnixListener::bind(&path).unwrap());
            }
            let left = left_over(directory.path(), "app.sock");
            let alive = UnixListener::bind(left.join("app.sock")).unwrap();
            drop(UnixListener::bind(left.join("old")).unwrap());
            drop(Staging::enter(&location(directory.path()), Duration::ZERO).unwrap());
            std::os::unix::net::UnixStream::connect(&path).unwrap();
            alive.accept().unwrap();
            assert!(!left.exists());
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_living_socket_whose_name_is_taken_is_kept() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let _there = UnixListener::bind(&path).unwrap();
        let left = left_over(directory.path(), "app.sock");
        let alive = UnixListener::bind(left.join("app.sock")).unwrap();
        drop(Staging::enter(&location(directory.path()), Duration::ZERO).unwrap());
        assert!(left.join("app.sock").exists());
        drop(crate::Bind::new(&path).replace(true).listen().unwrap());
        assert!(left.join("app.sock").exists() && !path.exists());
        drop(Staging::enter(&location(directory.path()), Duration::ZERO).unwrap());
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        alive.accept().unwrap();
        assert!(!left.exists());
    }
}
