//! File descriptors that this process was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::check;

/// The number of the first file descriptor passed (`SD_LISTEN_FDS_START`).
pub(crate) const FIRST_PASSED: RawFd = 3;

/// Whether this process has taken what was passed to it. It can be owned only once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes ownership of the `count` file descriptors that a service manager passed to this process,
/// and makes them close-on-exec. Returns `None` after the first call.
///
/// A file descriptor that is not open is `EBADF`. So is one that the environment does not declare
/// for this process (`LISTEN_PID`, `LISTEN_FDS`).
pub(crate) fn take_passed(count: u32) -> Option<Vec<io::Result<OwnedFd>>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    let is_declared = is_variable("LISTEN_PID", std::process::id()) && is_variable("LISTEN_FDS", count);
    let take = |number| match is_declared {
        // SAFETY: the service manager declares in our environment that it passed this number for us
        // to own, and only unsafe code can change the environment. `TAKEN` ensures that it is taken
        // once. Code that opened or closed the number before us breaks the service manager's
        // contract with the process.
        true => unsafe { take_inherited(number) },
        false => Err(io::Error::from_raw_os_error(libc::EBADF)),
    };
    Some((FIRST_PASSED..).take(count as usize).map(take).collect())
}

fn is_variable(name: &str, value: u32) -> bool {
    std::env::var(name).is_ok_and(|text| text.parse() == Ok(value))
}

/// Takes ownership of an inherited file descriptor by its number, and makes it close-on-exec.
///
/// Returns `EBADF` if no such file descriptor is open.
///
/// # Safety
/// The parent process has declared that it passed this number for us to own, and it is taken once
/// in the life of the process. No system call can show that nothing else owns the number.
unsafe fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, as the call above has just shown. That nothing else owns it
    // is the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates the file descriptor with this number, close-on-exec. The original stays as it is.
/// Returns `EBADF` if it is not open.
pub(crate) fn copy_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers. The owner of the number keeps it: at worst its file stays open
    // a little longer, as it would for any reader of /proc/self/fd.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    // SAFETY: the call above has just created this file descriptor, close-on-exec.
    unsafe { super::own(copy) }
}
