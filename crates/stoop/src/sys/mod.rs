//! System calls on Unix domain sockets, one function per call, with owned or borrowed file
//! descriptors.
//!
//! The only `unsafe` code of this crate is here. Nothing here sets policy: no retries, no defaults.
//! What rustix offers safely (files, clocks, polling, processes) is used from rustix directly and
//! not wrapped again.

#![expect(unsafe_code, reason = "the system-call layer; every block says why it is sound")]

mod address;
mod batch;
mod inherited;
mod lookup_process;
mod message;
mod option;
pub mod query;
mod socket;
mod thread;
#[cfg(feature = "tokio")]
mod tokio;

pub(crate) use address::RawAddress;
pub(crate) use batch::{BATCH_MAX, BatchEntry, receive_batch, send_batch};
pub(crate) use inherited::{FIRST_PASSED, copy_inherited, take_passed};
pub(crate) use lookup_process::{LookupProcess, LookupState};
pub(crate) use message::{Incoming, ReceivedMessage, peek_sends, receive_message, send_message};
pub(crate) use option::*;
pub(crate) use socket::*;
pub(crate) use thread::compare_descriptor_tables;
#[cfg(feature = "tokio")]
pub(crate) use tokio::{ReadResult, Registered, append, receive_into, register};

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// A type that owns its file descriptor: `as_fd` returns the same one, open, as long as the value
/// exists, whatever is called on it.
///
/// The registration with a reactor relies on it. The trait cannot be named outside of this crate,
/// so each type that implements it is one of this crate's, or an `OwnedFd`.
pub trait OwnsFd: AsFd {}

impl OwnsFd for OwnedFd {}

/// Returns whether a receive or an accept would return immediately.
pub(crate) fn is_readable(fd: std::os::fd::BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut entry = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    Ok(poll(&mut entry, Some(&Timespec::default()))? > 0)
}

/// Converts a system call's `-1` into its errno.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Does the same for calls that return a length, which is at most the buffer's or the number of
/// bytes to send.
fn check_len(result: libc::ssize_t, most: usize) -> io::Result<usize> {
    match usize::try_from(result) {
        Err(_) => Err(io::Error::last_os_error()),
        Ok(len) if len > most => Err(unanswered()),
        Ok(len) => Ok(len),
    }
}

/// Returns the maximum result of a receive into this much space. With `MSG_TRUNC` it may be the
/// length of a longer message.
fn max_result(capacity_bytes: usize, flags: i32) -> usize {
    if flags & libc::MSG_TRUNC == 0 { capacity_bytes } else { usize::MAX }
}

/// Returns the total length of these buffers.
fn total_len(buffers: &[impl std::ops::Deref<Target = [u8]>]) -> usize {
    buffers.iter().fold(0, |total, buffer| total.saturating_add(buffer.len()))
}

/// Returns the error of a call that reports success without having written its result. A sandbox
/// (seccomp(2), ptrace(2)) may answer in the kernel's place. What was not written is unknown, and
/// must not be taken for the zeros in the buffer.
fn unanswered() -> io::Error {
    io::Error::from_raw_os_error(libc::EPROTO)
}

/// Takes ownership of a file descriptor that a system call has returned with close-on-exec set.
///
/// A sandbox that lets a call succeed without making it usually returns 0. The numbers of the
/// standard streams are rarely free, so only those are checked. One that lacks the close-on-exec
/// flag is not a new file descriptor: it is left alone, and the call is an error.
///
/// # Safety
/// A successful system call has just created `number` for this process, close-on-exec, and nothing
/// else owns it.
unsafe fn own(number: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes plain integers; a number that is not open is an error and changes nothing.
    if number < 0 || number <= 2 && unsafe { libc::fcntl(number, libc::F_GETFD) } != libc::FD_CLOEXEC {
        return Err(unanswered());
    }
    // SAFETY: the caller's promise: the file descriptor is new, and this is its first owner.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
