//! What the tests share: deadlines, polling, descriptor counts, temp directories, honest skips and
//! real child processes.
//!
//! Holds nothing about sockets, and never depends on the library under test: a fault there must not
//! bend the ruler.
//!
//! - [`deadline`] and [`eventually`] see to it that no test hangs.
//! - [`Role`] and [`spawn_self`] run part of a test in a process of its own, perhaps as another
//!   user. Whatever a process has only one of (umask, limits, signal handlers, uid, a descriptor
//!   table worth counting) belongs there.
//! - [`close`] drops descriptors for good, although children may be starting in other threads.
//! - [`Injector`] watches the system calls of a child: counts them, fails one of them, or kills the
//!   child there.
//! - [`skip!`] leaves a test that lacks something, and leaves a record of it.

pub mod inject;
mod role;
mod skip;
mod wait;

pub use inject::Injector;
pub use role::{KillOnDrop, Role, close, role, spawn, spawn_self};
pub use skip::record_skip;
pub use tempfile::TempDir;
pub use wait::{deadline, eventually};

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The user nobody, for tests that need a second, unprivileged user. The group of the same number
/// goes with it.
pub const NOBODY: u32 = 65534;

/// A new directory only this user may enter; removed with everything in it when the value is
/// dropped.
#[track_caller]
pub fn tempdir() -> TempDir {
    directory(0o700)
}

/// Like [`tempdir`], but everyone may enter and create files in it: for tests with a second user.
#[track_caller]
pub fn public_tempdir() -> TempDir {
    directory(0o777)
}

#[track_caller]
fn directory(mode: u32) -> TempDir {
    let dir = tempfile::Builder::new().prefix("stoop-").tempdir().expect("create a temporary directory");
    // After creation, because the umask cuts what is asked for at creation.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("set the directory's mode");
    dir
}

/// How many times slower than a real one this machine's processor is: 1, unless `STOOP_SLOWNESS`
/// says otherwise, as `cargo xtask vm` does for its emulated ones. Divide processor time by it
/// before comparing with what a wait may cost.
#[track_caller]
pub fn slowness() -> f64 {
    std::env::var("STOOP_SLOWNESS").map_or(1.0, |times| times.parse().expect("STOOP_SLOWNESS is a number"))
}

/// How many descriptors this process has open, not counting the one used to count.
///
/// Tests of one file run as threads of one process: count in a child of your own ([`Role`]), or
/// hold a lock.
#[track_caller]
pub fn open_descriptors() -> usize {
    entries(Path::new("/proc/self/fd")) - 1
}

/// How many descriptors the process `pid` has open. Panics when there is no such process or it may
/// not be looked at.
#[track_caller]
pub fn descriptors_of(pid: u32) -> usize {
    let mine = usize::from(pid == std::process::id());
    entries(&Path::new("/proc").join(pid.to_string()).join("fd")) - mine
}

#[track_caller]
fn entries(dir: &Path) -> usize {
    match fs::read_dir(dir) {
        Ok(listing) => listing.count(),
        Err(error) => panic!("cannot list {}: {error}", dir.display()),
    }
}

/// Whether this process has root's effective uid.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether an executable file of this name is found through `PATH`.
pub fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| {
        fs::metadata(dir.join(name))
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_directories_are_open_and_private_ones_are_not() {
        let mode = |dir: &TempDir| fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&tempdir()), 0o700);
        assert_eq!(mode(&public_tempdir()), 0o777);
    }

    #[test]
    fn descriptors_are_counted_without_the_counting_one() {
        const TEST: &str = "tests::descriptors_are_counted_without_the_counting_one";
        if role().is_none() {
            return Role::new(TEST, "count").run();
        }
        let before = open_descriptors();
        let held = fs::File::open("/dev/null").unwrap();
        assert_eq!(open_descriptors(), before + 1);
        assert_eq!(descriptors_of(std::process::id()), before + 1);
        drop(held);
        assert_eq!(open_descriptors(), before);
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(has_program("sh"));
        assert!(!has_program("no-such-program-anywhere"));
    }
}
