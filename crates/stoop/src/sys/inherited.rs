//! Descriptors that this process was started with.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::check;

/// Takes ownership of an inherited descriptor by its number, and makes it close-on-exec.
///
/// `EBADF` where no such descriptor is open. The caller sees to it that each number is asked for
/// once in the life of the process, and that whoever started the process says that it passed it.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the descriptor is open, as the call above has just shown. That nobody else in this
    // process owns it cannot be shown by any system call: it rests on the contract of whoever
    // started us, which passed it for us to take, and on the caller, who asks once. Code that
    // opened and closed the same number before us would break that contract.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Another descriptor, close-on-exec, for what is open under a number; the number itself stays as
/// it is. `EBADF` where nothing is.
pub(crate) fn copy_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers. Whoever owns the number keeps it: at worst its file stays open a
    // little longer, as it would for any reader of /proc/self/fd.
    let copy = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) })?;
    super::own(copy)
}
