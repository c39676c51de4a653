//! Creating the parent directories of a socket with an exact mode, without changing the mode of any
//! other directory.
//!
//! `mkdir` applies the umask. A process that may write to the parent can replace the new directory
//! by another directory of this user before a `chmod` takes effect. So no mode is ever changed
//! under a name that others can replace. If nothing narrows the mode, `mkdir` suffices. Otherwise
//! the directory is created inside a private one, gets its mode there, and is moved into place.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::location::{Location, descriptor_path, open_directory};
use super::staging::Staging;
use super::{LOCK_WAIT, binding, stat};
use crate::error::{Error, Result};

/// Creates the missing parent directories of `path`, each with exactly `mode`.
pub(super) fn create_parents(path: &Path, mode: u32) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match create_directory(parent, Mode::from_raw_mode(mode)) {
        Err(error) if error.errno() == Some(libc::ENOENT) => {
            create_parents(parent, mode)?;
            // Retry once only: behind a dangling symbolic link it stays missing.
            create_directory(parent, Mode::from_raw_mode(mode))
        }
        result => result,
    }
}

fn create_directory(path: &Path, mode: Mode) -> Result<()> {
    // A path that ends in `..`, or the root, cannot be created.
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return open_directory(path).map(drop).map_err(failed);
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let directory = open_directory(above).map_err(failed)?;
    if !is_narrowed(&directory, mode) {
        return none_if_there(rustix::fs::mkdirat(&directory, name, mode));
    }
    let location = Location { directory, name: name.to_owned(), path: path.to_owned(), relative: None };
    match stat::at(&location.directory, name) {
        Ok(_) => Ok(()),
        Err(_) => create_moved(&location, mode),
    }
}

/// Creates the directory in a private one, and moves it to its name.
fn create_moved(location: &Location, mode: Mode) -> Result<()> {
    match Staging::enter(location, LOCK_WAIT)?.create_directory(mode) {
        // The file system has no RENAME_NOREPLACE. The mode is then narrower than requested, but no
        // other directory is changed.
        Err(Errno::INVAL | Errno::NOSYS) => {
            none_if_there(rustix::fs::mkdirat(&location.directory, &location.name, mode))
        }
        created => none_if_there(created),
    }
}

fn none_if_there(result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result.map_err(failed),
    }
}

fn failed(errno: Errno) -> Error {
    binding(errno.into())
}

/// Returns whether the umask or a default access control list would change the mode of a directory
/// created in this one.
fn is_narrowed(parent: &OwnedFd, mode: Mode) -> bool {
    let list = rustix::fs::getxattr(descriptor_path(parent), "system.posix_acl_default", &mut [0; 0]);
    mode.intersects(umask()) || list.is_ok()
}

/// Returns this thread's umask, which can be read without changing it only from `/proc` (Linux
/// 4.7). Returns all bits if it cannot be read.
fn umask() -> Mode {
    std::fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| parse_umask(&status))
        .unwrap_or(Mode::from_raw_mode(0o7777))
}

fn parse_umask(status: &str) -> Option<Mode> {
    let octal = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(octal.trim(), 8).ok().map(Mode::from_raw_mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags};

    #[test]
    fn the_umask_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse_umask("Name:\tx\nUmask:\t0022\nState:\tR\n"), Some(Mode::from_raw_mode(0o22)));
        assert_eq!(parse_umask("Name:\tx\n"), None);
        assert_eq!(parse_umask("Umask:\tnine\n"), None);
    }

    /// A process that may write to the parent replaces the new directory by a private one of this
    /// user, which keeps its mode.
    #[test]
    fn no_other_directory_gets_the_mode() {
        let parent = stoop_testkit::tempdir();
        let [private, wanted] = ["private", "wanted"].map(|name| parent.path().join(name));
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
        let swapping = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while swapping.load(Ordering::Relaxed) {
                    let swap =
                        || rustix::fs::renameat_with(CWD, &private, CWD, &wanted, RenameFlags::EXCHANGE);
                    if swap().is_ok() {
                        swap().unwrap();
                        std::fs::remove_dir(&wanted).unwrap();
                    }
                }
            });
            let location = Location::open(&wanted).unwrap();
            for _ in 0..2000 {
                create_moved(&location, Mode::from_raw_mode(0o777)).unwrap();
            }
            swapping.store(false, Ordering::Relaxed);
        });
        assert_eq!(std::fs::metadata(&private).unwrap().mode() & 0o7777, 0o700);
    }
}
