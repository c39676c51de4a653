//! Integration with tokio: registration with its reactor, and reading into its buffers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use ::tokio::io::unix::AsyncFd;
use ::tokio::io::{Interest, ReadBuf};
use bytes::BufMut;

use super::{OwnsFd, check_len};

/// Adapter that implements `AsRawFd` for `AsyncFd`.
pub(crate) struct Registered<S>(S);

impl<S> Registered<S> {
    pub(crate) fn get(&self) -> &S {
        &self.0
    }

    pub(crate) fn get_mut(&mut self) -> &mut S {
        &mut self.0
    }

    pub(crate) fn into_inner(self) -> S {
        self.0
    }
}

impl<S: AsFd> AsRawFd for Registered<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Registers a socket with the current runtime's reactor.
///
/// Readiness is edge-triggered: after an event, call until `WouldBlock` and only then clear the
/// readiness.
///
/// # Panics
/// Panics outside of a tokio runtime with I/O enabled.
#[track_caller]
pub(crate) fn register<S: OwnsFd>(socket: S, interest: Interest) -> io::Result<AsyncFd<Registered<S>>> {
    // SAFETY: `S` owns its file descriptor (`OwnsFd`, which only this crate implements) and never
    // swaps it for another, so it is open, and the same, until the `AsyncFd` returns or drops it.
    // `Registered::get_mut` is only used for state other than the file descriptor.
    let registered = unsafe { AsyncFd::register_with_interest(Registered(socket), interest) };
    registered.map_err(|error| error.into_parts().1)
}

/// The result of one read of a stream.
pub(crate) struct ReadResult {
    pub(crate) len_bytes: usize,
    /// Ancillary data was received and discarded. The read may have stopped there ([K-FD-5]).
    ///
    /// [K-FD-5]: crate::kernel_facts#K-FD-5
    pub(crate) had_control: bool,
}

/// Reads plain bytes into the unfilled part of a buffer, which need not be initialized. The kernel
/// discards file descriptors, as with [`super::receive`].
pub(crate) fn receive_into(
    fd: BorrowedFd<'_>,
    buffer: &mut ReadBuf<'_>,
    flags: i32,
) -> io::Result<ReadResult> {
    // SAFETY: only the kernel writes through this slice, and it never writes anything
    // uninitialized.
    let unfilled = unsafe { buffer.unfilled_mut() };
    let mut vector = libc::iovec { iov_base: unfilled.as_mut_ptr().cast(), iov_len: unfilled.len() };
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: `vector` describes `unfilled`, which is exclusively borrowed for the whole call.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) };
    let len_bytes = check_len(result, vector.iov_len)?;
    // SAFETY: the kernel has just written this many bytes to the start of the unfilled part, which
    // is at least that long.
    unsafe { buffer.assume_init(len_bytes) };
    buffer.advance(len_bytes);
    Ok(ReadResult { len_bytes, had_control: header.msg_flags & libc::MSG_CTRUNC != 0 })
}

/// Runs a read into the spare capacity of `buffer`, and appends what it has filled in. Returns the
/// number of bytes, and what the read returned. If it fails, the buffer is unchanged.
pub(crate) fn append<B: BufMut, T, E>(
    buffer: &mut B,
    read: impl FnOnce(&mut ReadBuf<'_>) -> Result<T, E>,
) -> Result<(usize, T), E> {
    // SAFETY: the slice is only written to through `ReadBuf`, which writes nothing uninitialized.
    let mut part = ReadBuf::uninit(unsafe { buffer.chunk_mut().as_uninit_slice_mut() });
    let start = part.filled().as_ptr();
    let value = read(&mut part)?;
    let len_bytes = part.filled().len();
    // A read could have put another `ReadBuf` in the place of this one.
    assert_eq!(part.filled().as_ptr(), start, "the read exchanged the buffer");
    // SAFETY: `part` still refers to the chunk, whose first `len_bytes` bytes are filled and so
    // initialized.
    unsafe { buffer.advance_mut(len_bytes) };
    Ok((len_bytes, value))
}
