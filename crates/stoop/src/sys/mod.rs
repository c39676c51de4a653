//! System calls on local sockets: one call, one function, each with owned or borrowed descriptors.
//!
//! The only `unsafe` of this crate lives here. Nothing here decides anything: no retry, no policy, no default. What
//! rustix offers safely (files, clocks, polling, processes) is used from rustix directly and not wrapped again.

#![expect(unsafe_code, reason = "the system-call layer; every block says why it is sound")]

mod address;
mod batch;
mod inherited;
mod message;
mod option;
mod socket;
mod thread;
#[cfg(feature = "tokio")]
mod tokio;

pub(crate) use address::RawAddress;
pub(crate) use batch::{BATCH_MAX, BatchEntry, receive_batch, send_batch};
pub(crate) use inherited::{copy_inherited, take_inherited};
pub(crate) use message::{Arrival, Incoming, receive_message, send_message};
pub(crate) use option::*;
pub(crate) use socket::*;
pub(crate) use thread::compare_descriptor_tables;
#[cfg(feature = "tokio")]
pub(crate) use tokio::{Piece, Registered, receive_into, register};

use std::io;

/// Whether a receive or an accept would return at once.
pub(crate) fn is_readable(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    Ok(poll(&mut entry, Some(&Timespec::default()))? > 0)
}

/// Turns a system call's `-1` into its errno.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that return a length.
fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
