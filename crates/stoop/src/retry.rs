//! System calls that a signal interrupts.

use std::io;

/// Repeats a system call that a signal interrupted before it had any effect.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
