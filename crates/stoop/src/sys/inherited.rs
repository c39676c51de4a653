//! File descriptors that this process was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::check;

/// Takes ownership of an inherited file descriptor by its number, and makes it close-on-exec.
///
/// Returns `EBADF` if no such file descriptor is open. The caller ensures that each number is taken
/// once in the life of the process, and that the parent process has declared that it passed it.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, as the call above has just shown. That nothing else in this
    // process owns it cannot be shown by any system call. It rests on the contract of the parent
    // process, which passed it for us to take, and on the caller, who takes it once. Code that
    // opened and closed the same number before us would break that contract.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates the file descriptor with this number, close-on-exec. The original stays as it is.
/// Returns `EBADF` if it is not open.
pub(crate) fn copy_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers. The owner of the number keeps it: at worst its file stays open
    // a little longer, as it would for any reader of /proc/self/fd.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    super::own(copy)
}
