//! What tokio needs of a descriptor: registration with its reactor, and reading into its buffers.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use ::tokio::io::unix::AsyncFd;
use ::tokio::io::{Interest, ReadBuf};

use super::check_len;

/// A socket, in the dress that tokio wants for it.
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

/// Tells the current runtime's reactor to watch a socket. `S` is one of this crate's sockets, or an
/// `OwnedFd`.
///
/// # Panics
/// Outside of a tokio runtime that drives I/O.
#[track_caller]
pub(crate) fn register<S: AsFd>(socket: S, interest: Interest) -> io::Result<AsyncFd<Registered<S>>> {
    // SAFETY: every `S` here owns its descriptor and never swaps it for another, so it is open, and the
    // same, until the `AsyncFd` gives it back or goes. `Registered::get_mut` is used for what is
    // beside the descriptor only.
    let registered = unsafe { AsyncFd::register_with_interest(Registered(socket), interest) };
    registered.map_err(|error| error.into_parts().1)
}

/// What one read of a stream brought.
pub(crate) struct Piece {
    pub(crate) len_bytes: usize,
    /// Something came beside the bytes and was dropped. The read may have stopped there (K-FD-5).
    pub(crate) had_control: bool,
}

/// Reads plain bytes into what is left of a buffer, which need not be initialized. As
/// [`super::receive`] otherwise.
pub(crate) fn receive_into(fd: BorrowedFd<'_>, buffer: &mut ReadBuf<'_>, flags: i32) -> io::Result<Piece> {
    // SAFETY: nothing is written through this slice but by the kernel, which never writes anything
    // uninitialized.
    let room = unsafe { buffer.unfilled_mut() };
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    // SAFETY: `part` describes `room`, which is exclusively borrowed for the whole call.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) };
    let len_bytes = check_len(result, part.iov_len)?;
    // SAFETY: the kernel has just written this many bytes to the start of the unfilled part, which is
    // that long at least.
    unsafe { buffer.assume_init(len_bytes) };
    buffer.advance(len_bytes);
    Ok(Piece { len_bytes, had_control: header.msg_flags & libc::MSG_CTRUNC != 0 })
}
