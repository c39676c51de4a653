//! Utilities shared by the tests: deadlines, polling, file descriptor counts, temporary
//! directories, recorded skips and child processes.
//!
//! Contains nothing about sockets, and never depends on the library under test: a bug there must
//! not affect these utilities.
//!
//! - [`deadline`] and [`eventually`] ensure that no test hangs.
//! - [`Role`] and [`spawn_self`] run part of a test in a process of its own, optionally as another
//!   user. Use them for process-wide state: umask, limits, signal handlers, uid, a descriptor table
//!   to be counted.
//! - [`close`] and [`closing`] close file descriptors, and ensure that they are closed even if
//!   other threads are starting children.
//! - [`Injector`] watches the system calls of a child: counts them, fails one of them, or kills the
//!   child there.
//! - [`Profile`] confines a child with AppArmor.
//! - [`skip!`] leaves a test whose requirements are missing, and records the skip.

mod apparmor;
pub mod inject;
mod role;
mod skip;
mod wait;

pub use apparmor::Profile;
pub use inject::Injector;
pub use role::{KillOnDrop, Role, close, closing, role, spawn, spawn_self};
pub use skip::record_skip;
pub use tempfile::TempDir;
pub use wait::{deadline, eventually};

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The id of the user `nobody`, for tests that need a second, unprivileged user, and of the group
/// of the same number.
pub const NOBODY: u32 = 65534;

/// Returns how many cases a test of random ones has: as `STOOP_CASES` says, or else `usual`.
pub fn cases(usual: u32) -> u32 {
    std::env::var("STOOP_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// Creates a new directory that only this user may enter. It is removed with its contents when the
/// value is dropped.
#[track_caller]
pub fn tempdir() -> TempDir {
    directory(0o700)
}

/// Creates a new directory that every user may enter and create files in, for tests with a second
/// user.
#[track_caller]
pub fn public_tempdir() -> TempDir {
    directory(0o777)
}

/// Raises this process's limit on file descriptors to `wanted`, or else as far as it may go, and
/// returns it. Only root may exceed the hard limit. A limit is never lowered.
pub fn allow_descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < wanted) {
        let enough = Rlimit { current: Some(wanted), maximum: limit.maximum.map(|hard| hard.max(wanted)) };
        let most = Rlimit { current: limit.maximum, ..limit };
        let _ = setrlimit(Resource::Nofile, enough).or_else(|_| setrlimit(Resource::Nofile, most));
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[track_caller]
fn directory(mode: u32) -> TempDir {
    let dir = tempfile::Builder::new().prefix("stoop-").tempdir().expect("create a temporary directory");
    // After creation, because the umask clears bits of a mode that is given at creation.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("set the directory's mode");
    dir
}

/// Returns how many times slower than real hardware this machine's processor is: 1, unless
/// `STOOP_SLOWNESS` says otherwise, as `cargo xtask vm` sets it for emulated ones. Every time limit
/// of these utilities is multiplied by it. Divide processor time by it before comparing it with the
/// allowed cost of a wait.
#[track_caller]
pub fn slowness() -> f64 {
    std::env::var("STOOP_SLOWNESS").map_or(1.0, |times| times.parse().expect("STOOP_SLOWNESS is a number"))
}

/// Returns whether this machine is a guest of `cargo xtask vm`, in which a test may change what
/// concerns all processes.
pub fn is_guest() -> bool {
    std::env::var_os("STOOP_GUEST").is_some()
}

/// Returns the number of open file descriptors of this process, without the one used for counting.
///
/// Tests of one file run as threads of one process: count in a child of your own ([`Role`]), or
/// hold a lock.
#[track_caller]
pub fn open_descriptors() -> usize {
    entries(Path::new("/proc/self/fd")) - 1
}

/// Returns the number of open file descriptors of process `pid`. Panics if the process does not
/// exist or may not be inspected.
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

/// Returns whether this process has root's effective uid.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns whether an executable file of this name is found through `PATH`.
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
