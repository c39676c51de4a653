//! One at a time: a lock file beside the socket, held while its name changes hands and not a moment longer.
//!
//! The file `.NAME.lock` is made by whoever comes first and removed by whoever holds it, so nothing stays behind. After a
//! `kill -9` it may stay; the kernel has dropped the lock, and the next holder removes the file.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::binding;
use super::place::Place;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;

const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The lock of one socket's name. Released, and its file removed, when dropped.
pub(super) struct Lock {
    directory: OwnedFd,
    name: OsString,
    // Held for its lock, which goes with the last descriptor of the file (K-LOCK-2).
    _file: OwnedFd,
}

impl Lock {
    /// Waits for the lock, but not longer than `wait`.
    pub(super) fn acquire(place: &Place, wait: Duration) -> Result<Lock> {
        let name = place.sibling(".lock");
        let started = Instant::now();
        loop {
            if let Some(file) = try_lock(place, &name).map_err(binding)? {
                let directory = place.directory.try_clone().map_err(binding)?;
                return Ok(Lock { directory, name, _file: file });
            }
            if started.elapsed() >= wait {
                let lock = place.path.with_file_name(&name);
                let detail = format!("another process has held the lock '{}' for {wait:?}", lock.display());
                return Err(Error::new(Operation::Bind, ErrorKind::TimedOut, detail));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// The locked file, or `None` where somebody else has it now.
fn try_lock(place: &Place, name: &OsString) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |flags| rustix::fs::openat(&place.directory, name, flags, Mode::RUSR | Mode::WUSR);
    let file = match open(flags) {
        // Another user's: in a shared directory even root may open such a file only without `CREATE`.
        Err(Errno::ACCESS) if exists(place, name) => match open(flags - OFlags::CREATE) {
            // One that we may not open at all is one that is held.
            Err(Errno::ACCESS | Errno::NOENT) => return Ok(None),
            file => file?,
        },
        file => file?,
    };
    open_to_us(&file)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
        result => result?,
    }
    // The last holder may have removed the file between our open and our lock (K-LOCK-1).
    match rustix::fs::statat(&place.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) if FileId::of(&named) == FileId::of(&rustix::fs::fstat(&file)?) => Ok(Some(file)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Adds what the umask may have cut and the next of our user needs to open the lock. Only ever adds, and only to a file of our
/// own: in a shared directory the name may be somebody's hard link to anything.
fn open_to_us(file: &OwnedFd) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(file)?;
    let (mode, wanted) = (Mode::from_raw_mode(stat.st_mode & 0o7777), Mode::RUSR | Mode::WUSR);
    if stat.st_uid == rustix::process::geteuid().as_raw() && !mode.contains(wanted) {
        rustix::fs::fchmod(file, mode | wanted)?;
    }
    Ok(())
}

fn exists(place: &Place, name: &OsString) -> bool {
    rustix::fs::statat(&place.directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only the holder removes it, and it still holds it here. Where that fails the file stays, which harms nobody.
        let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time_and_nothing_left() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let place = Place::open(&path).unwrap();
                        let _lock = Lock::acquire(&place, Duration::from_secs(20)).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_hard_link_under_the_name_keeps_its_permissions() {
        let directory = stoop_testkit::tempdir();
        let (other, link) = (directory.path().join("other"), directory.path().join(".app.sock.lock"));
        std::fs::write(&other, "precious").unwrap();
        std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::hard_link(&other, link).unwrap();
        let place = Place::open(&directory.path().join("app.sock")).unwrap();
        drop(Lock::acquire(&place, Duration::ZERO).unwrap());
        let stat = rustix::fs::stat(&other).unwrap();
        assert_eq!((stat.st_mode & 0o7777, stat.st_nlink), (0o644, 1));
    }

    #[test]
    fn a_lock_that_is_held_is_reported_by_name() {
        let directory = stoop_testkit::tempdir();
        let place = Place::open(&directory.path().join("app.sock")).unwrap();
        let _held = Lock::acquire(&place, Duration::ZERO).unwrap();
        let error = Lock::acquire(&place, Duration::from_millis(20)).err().unwrap();
        assert!(error.is_timed_out());
        assert!(error.to_string().contains(".app.sock.lock"), "{error}");
    }
}
