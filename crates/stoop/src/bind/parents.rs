//! Creating the directories above a socket, each with an exact mode, without giving a mode to any
//! other directory.
//!
//! `mkdir` applies the umask, and whoever may write to the parent can exchange the new directory
//! for another one of ours before a `chmod` arrives. So nothing is changed under a name that others
//! can exchange: if the umask leaves the mode alone, `mkdir` is all there is to do; if it does not,
//! the directory is made inside a private one, gets its mode there, and is moved into place.

use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::place::{Place, open_directory};
use super::private_dir::umask;
use super::staging::Staging;
use super::{LOCK_WAIT, binding, seen};
use crate::error::{Error, Result};

/// Creates the directories that are missing above `path`, each with exactly `mode`.
pub(super) fn create_parents(path: &Path, mode: u32) -> Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match create_directory(parent, Mode::from_raw_mode(mode)) {
        Err(error) if error.errno() == Some(libc::ENOENT) => {
            create_parents(parent, mode)?;
            // Once more and not again: behind a symbolic link to nothing it stays missing.
            create_directory(parent, Mode::from_raw_mode(mode))
        }
        result => result,
    }
}

fn create_directory(path: &Path, mode: Mode) -> Result<()> {
    // A path that ends in `..`, or the root: there or not, but not to be created.
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return open_directory(path).map(drop).map_err(failed);
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let directory = open_directory(above).map_err(failed)?;
    if !mode.intersects(umask()) {
        return none_if_there(rustix::fs::mkdirat(&directory, name, mode));
    }
    let place = Place { directory, name: name.to_owned(), path: path.to_owned() };
    match seen::at(&place.directory, name) {
        Ok(_) => Ok(()),
        Err(_) => create_moved(&place, mode),
    }
}

/// Creates the directory out of others' reach, and moves it to its name.
fn create_moved(place: &Place, mode: Mode) -> Result<()> {
    match Staging::enter(place, LOCK_WAIT)?.create_directory(mode) {
        // A file system without that kind of move: narrower than asked for, but never another directory.
        Err(Errno::INVAL | Errno::NOSYS) => {
            none_if_there(rustix::fs::mkdirat(&place.directory, &place.name, mode))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags};

    /// Whoever may write to the parent exchanges the new directory for a private one of ours: that
    /// one keeps its mode.
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
            let place = Place::open(&wanted).unwrap();
            for _ in 0..2000 {
                create_moved(&place, Mode::from_raw_mode(0o777)).unwrap();
            }
            swapping.store(false, Ordering::Relaxed);
        });
        assert_eq!(std::fs::metadata(&private).unwrap().mode() & 0o7777, 0o700);
    }
}
