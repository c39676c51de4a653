//! Whether this process has enough free file descriptors to inspect the machine. What cannot be
//! opened for lack of them looks as if it did not exist or were hidden.

use std::io;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// The number of file descriptors that an inspection may have open at the same time, besides the
/// socket tables of other network namespaces.
const NEEDED: usize = 32;

/// Checks that this process has enough of them.
///
/// # Errors
/// Returns `EMFILE` if its limit is reached, `ENFILE` if that of the machine is.
pub(crate) fn check() -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let open = |_| openat(CWD, c"/", flags, Mode::empty());
    let opened: Result<Vec<_>, _> = (0..NEEDED).map(open).collect();
    match opened.map_err(io::Error::from) {
        Err(error) if is_lack(error.raw_os_error()) => Err(error),
        // Whatever else is wrong with the root directory is found later.
        _ => Ok(()),
    }
}

/// Returns whether an error is that no file descriptor was free.
pub(crate) fn is_lack(errno: Option<i32>) -> bool {
    let all = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    all.iter().any(|lack| errno == Some(lack.raw_os_error()))
}
