//! `kcmp`: what two threads share.

use std::cmp::Ordering;
use std::io;

use libc::{c_int, c_long, c_ulong};

/// `KCMP_FILES`.
const FILES: c_int = 2;

/// Compares the file descriptor tables of two threads. They are equal if shared; otherwise the
/// order is one of the kernel's, stable while both exist.
#[doc(alias = "kcmp")]
pub(crate) fn compare_descriptor_tables(one: i32, other: i32) -> io::Result<Ordering> {
    // SAFETY: takes plain numbers; the last two are ignored.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, one, other, FILES, 0 as c_ulong, 0 as c_ulong) };
    ordering(order)
}

fn ordering(order: c_long) -> io::Result<Ordering> {
    match order {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        _ => Ok(Ordering::Greater),
    }
}
