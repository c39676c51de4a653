//! The standard streams.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::color;
use crate::failure::Failure;

/// Whether status messages are suppressed.
pub(super) static QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses status messages for the rest of the process.
pub(crate) fn set_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Prints a report on standard error, in color on a terminal.
pub(crate) fn complain_of(report: String) {
    // If standard error is closed, there is nowhere to report this.
    let _ = io::stderr().write_all(color::report(report).as_bytes());
}

/// Prints a status message on standard error, unless they are suppressed.
pub(crate) fn status(text: &str) {
    if QUIET.load(Ordering::Relaxed) {
        return;
    }
    // If standard error is closed, there is nowhere to report this.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes all bytes to standard output at once, without line buffering.
pub(super) fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let out = io::stdout().lock();
    write_all(out.as_fd(), bytes).map_err(|error| Failure::output(&error))
}

/// Writes all bytes to standard error. If that is closed, there is nowhere to report it.
pub(crate) fn complain(bytes: &[u8]) -> Result<(), Failure> {
    let err = io::stderr().lock();
    let _ = write_all(err.as_fd(), bytes);
    Ok(())
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
