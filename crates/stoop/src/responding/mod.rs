//! File systems that do not respond: a FUSE server that is stopped, another machine that is not
//! reached. A lookup there waits indefinitely, and no signal ends the wait ([K-FUSE-3]).
//!
//! So a path is checked before it is used on somebody's behalf. As long as the mounts of this
//! process, and those that it has learned of, are all of this machine's kernel, that costs nothing.
//! Otherwise, a path that the kernel has cached as a whole, and that does not end in such a mount,
//! is known without a question ([K-FUSE-5]): nearly every path of this machine. Any other one is
//! followed component by component. The first component in a mount that may not respond is
//! looked up by a process of its own, which this one waits for no longer than two seconds.
//!
//! | file | what |
//! | --- | --- |
//! | `walk` | follows a path |
//! | `mounts` | which mounts may not respond, and which did |
//! | `error` | the result |
//!
//! [K-FUSE-3]: crate::kernel_facts#K-FUSE-3
//! [K-FUSE-5]: crate::kernel_facts#K-FUSE-5

mod error;
mod mounts;
mod walk;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat, openat2};

pub use error::NotResponding;
pub use mounts::learn;

/// Checks a path in the view of this process, with all its links.
///
/// # Errors
/// Returns an error if a lookup of the path would not return. One that finds nothing, or is not
/// permitted, has returned.
pub fn check(path: &Path) -> Result<(), NotResponding> {
    check_own(path, true)
}

fn check_own(path: &Path, follows: bool) -> Result<(), NotResponding> {
    if mounts::are_all_local() || is_at_hand(CWD, path, follows, ResolveFlags::empty()) {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // Not through `.`, which may require the permission of a file system that does not respond.
    let open = |path| rustix::fs::openat(CWD, path, flags, Mode::empty());
    let Ok(root) = open("/") else { return Ok(()) };
    let Ok(start) = (if path.is_absolute() { open("/") } else { open("/proc/thread-self/cwd") }) else {
        return Ok(());
    };
    walk::walk(root.as_fd(), start.as_fd(), path, follows)
}

/// Checks a path in another view: below this root directory, from this one on.
///
/// # Errors
/// See [`check`].
pub fn check_below(
    root: BorrowedFd<'_>,
    start: BorrowedFd<'_>,
    path: &Path,
    follows: bool,
) -> Result<(), NotResponding> {
    let is_at_hand = || path.is_absolute() && is_at_hand(root, path, follows, ResolveFlags::IN_ROOT);
    if mounts::are_all_local() || is_at_hand() { Ok(()) } else { walk::walk(root, start, path, follows) }
}

/// Returns whether the kernel has cached a whole path, which ends where no lookup has to wait.
fn is_at_hand(start: BorrowedFd<'_>, path: &Path, follows: bool, resolve: ResolveFlags) -> bool {
    let last = if follows { OFlags::empty() } else { OFlags::NOFOLLOW };
    let flags = OFlags::PATH | OFlags::CLOEXEC | last;
    let file = openat2(start, path, flags, Mode::empty(), resolve | ResolveFlags::CACHED);
    file.is_ok_and(|file| !mounts::may_wait(file.as_fd()))
}

/// Checks the lookup of one name in a directory.
///
/// # Errors
/// See [`check`].
pub fn check_name(directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), NotResponding> {
    if mounts::are_all_local() { Ok(()) } else { mounts::check(directory, name) }
}

/// Checks an open file itself: whether its attributes can be read.
///
/// # Errors
/// See [`check`].
pub fn check_file(file: BorrowedFd<'_>) -> Result<(), NotResponding> {
    check_name(file, b"")
}

/// Returns the status of a file, following links.
///
/// # Errors
/// Returns an error if there is none, or its file system does not respond.
pub fn stat(path: &Path) -> io::Result<Stat> {
    check_own(path, true)?;
    Ok(rustix::fs::stat(path)?)
}

/// Returns the metadata of a file, following links.
///
/// # Errors
/// See [`stat`].
pub fn metadata(path: &Path) -> io::Result<std::fs::Metadata> {
    check_own(path, true)?;
    std::fs::metadata(path)
}

/// Returns the status of a file without following a link at the end.
///
/// # Errors
/// See [`stat`].
pub fn lstat(path: &Path) -> io::Result<Stat> {
    check_own(path, false)?;
    Ok(rustix::fs::lstat(path)?)
}
