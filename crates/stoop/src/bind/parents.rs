//! Creating the directories above a socket, each with an exact mode, without giving a mode to any other directory.
//!
//! `mkdir` applies the umask, and whoever may write to the parent can exchange the new directory for another one of ours before
//! a `chmod` arrives. So nothing is changed under a name that others can exchange: if the umask leaves the mode alone, `mkdir`
//! is all there is to do; if it does not, the directory is made inside a private one, gets its mode there, and is moved into place.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::place::{descriptor_path, open_directory};
use super::private_dir::{self, NotPrivate, umask};
use super::seen;

/// The name of a directory while it is inside its private one.
const INSIDE: &str = "d";

/// How many names for a private directory are tried, should they be taken.
const NAMES_TRIED: u32 = 16;

/// Creates the directories that are missing above `path`, each with exactly `mode`.
pub(super) fn create_parents(path: &Path, mode: u32) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match create_directory(parent, Mode::from_raw_mode(mode)) {
        Err(Errno::NOENT) => {
            create_parents(parent, mode)?;
            // Once more and not again: behind a symbolic link to nothing it stays missing.
            Ok(create_directory(parent, Mode::from_raw_mode(mode))?)
        }
        result => Ok(result?),
    }
}

fn create_directory(path: &Path, mode: Mode) -> rustix::io::Result<()> {
    // A path that ends in `..`, or the root: there or not, but not to be created.
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return open_directory(path).map(drop);
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let above = open_directory(above)?;
    match mode.intersects(umask()) {
        false => none_if_there(rustix::fs::mkdirat(&above, name, mode)),
        true => create_moved(&above, name, mode),
    }
}

/// Makes the directory out of others' reach, and moves it to its name.
fn create_moved(above: &OwnedFd, name: &OsStr, mode: Mode) -> rustix::io::Result<()> {
    if seen::at(above, name).is_ok() {
        return Ok(());
    }
    let room = create_private(above)?;
    let result = match private_dir::open(above, &room) {
        Ok(private) => create_in(&private, above, name, mode),
        Err(NotPrivate::Failed(errno)) => Err(errno),
        // Exchanged for another directory meanwhile.
        Err(NotPrivate::Foreign(_)) => Err(Errno::PERM),
    };
    // Fails, and does nothing, if the name leads to anything but an empty directory.
    let _ = rustix::fs::unlinkat(above, &room, AtFlags::REMOVEDIR);
    result
}

fn create_in(private: &OwnedFd, above: &OwnedFd, name: &OsStr, mode: Mode) -> rustix::io::Result<()> {
    rustix::fs::mkdirat(private, INSIDE, Mode::RWXU)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(private, INSIDE, flags, Mode::empty())?;
    rustix::fs::chmodat(CWD, descriptor_path(&made), mode, AtFlags::empty())?;
    let moved = rustix::fs::renameat_with(private, INSIDE, above, name, RenameFlags::NOREPLACE);
    if moved.is_err() {
        let _ = rustix::fs::unlinkat(private, INSIDE, AtFlags::REMOVEDIR);
    }
    match moved {
        // A file system without that kind of move: narrower than asked for, but never another directory.
        Err(Errno::INVAL | Errno::NOSYS) => none_if_there(rustix::fs::mkdirat(above, name, mode)),
        moved => none_if_there(moved),
    }
}

fn none_if_there(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Creates a private directory under a name of its own.
fn create_private(above: &OwnedFd) -> rustix::io::Result<OsString> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let mut result = Err(Errno::EXIST);
    for _ in 0..NAMES_TRIED {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = OsString::from(format!(".{}-{number}.stoop", std::process::id()));
        result = private_dir::create(above, &name).map(|()| name);
        if result != Err(Errno::EXIST) {
            break;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    /// Whoever may write to the parent exchanges the new directory for a private one of ours: that one keeps its mode.
    #[test]
    fn no_other_directory_gets_the_mode() {
        let parent = stoop_testkit::tempdir();
        let [private, wanted] = ["private", "wanted"].map(|name| parent.path().join(name));
        std::fs::create_dir(&private).unwrap();
        std::fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).unwrap();
        let swapping = std::sync::atomic::AtomicBool::new(true);
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
            let above = open_directory(parent.path()).unwrap();
            for _ in 0..2000 {
                create_moved(&above, "wanted".as_ref(), Mode::from_raw_mode(0o777)).unwrap();
            }
            swapping.store(false, Ordering::Relaxed);
        });
        assert_eq!(std::fs::metadata(&private).unwrap().mode() & 0o7777, 0o700);
    }
}
