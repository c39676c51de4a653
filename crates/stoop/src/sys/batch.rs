//! `sendmmsg` and `recvmmsg`: several messages with one system call.

use std::array;
use std::io::{self, IoSlice};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::take_ownership;
use super::{RawAddress, check, unanswered};
use crate::control::{self, Credentials};

/// The maximum number of messages per call. The kernel accepts 1,024, which gains nothing.
pub(crate) const BATCH_MAX: usize = 64;

/// Space for the sender's credentials and nothing else: not even one file descriptor fits behind
/// them.
const CREDENTIALS_BUFFER_BYTES: usize = control::space(size_of::<libc::ucred>());

/// A buffer aligned as the kernel aligns control messages.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct CredentialsBuffer([u8; CREDENTIALS_BUFFER_BYTES]);

/// A received message of a batch.
pub(crate) struct BatchEntry {
    /// The index of its buffer.
    pub(crate) slot: usize,
    /// Its length, which exceeds the buffer's if the message was truncated.
    pub(crate) len: usize,
    pub(crate) from: RawAddress,
    /// The sender's credentials, if requested and passed by the socket.
    pub(crate) credentials: Option<Credentials>,
}

/// Sends the first [`BATCH_MAX`] of these messages (`sendmmsg` with `MSG_NOSIGNAL`). Returns how
/// many were sent.
pub(crate) fn send_batch(
    fd: BorrowedFd<'_>,
    messages: &[IoSlice<'_>],
    to: Option<&RawAddress>,
) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `mmsghdr`: null pointers with zero lengths.
    let mut headers: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
    for (header, message) in headers.iter_mut().zip(messages) {
        if let Some(to) = to {
            header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = to.len();
        }
        header.msg_hdr.msg_iov = std::ptr::from_ref(message).cast_mut().cast();
        header.msg_hdr.msg_iovlen = 1;
    }
    let count = messages.len().min(BATCH_MAX) as libc::c_uint;
    // SAFETY: `count` headers are filled in; each points to one slice and to an address that are
    // borrowed for the whole call and only read. `IoSlice` has the layout of `iovec`. The kernel
    // writes to the headers' lengths alone.
    let sent = check(unsafe {
        libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_NOSIGNAL as _)
    })?;
    let count = count as usize;
    usize::try_from(sent).ok().filter(|&sent| sent <= count).ok_or_else(unanswered)
}

/// Receives messages (`recvmmsg`). On a blocking socket it waits for the first one, then takes what
/// else is queued.
///
/// Each message goes to the first `message_bytes` of a slot of `stride_bytes` in `bytes`. Received
/// file descriptors are closed.
pub(crate) fn receive_batch(
    fd: BorrowedFd<'_>,
    bytes: &mut [u8],
    stride_bytes: usize,
    message_bytes: usize,
    with_credentials: bool,
) -> io::Result<Vec<BatchEntry>> {
    // SAFETY: all-zero is a valid `mmsghdr` and a valid `iovec`: null pointers with zero lengths.
    let (mut headers, mut vectors): ([libc::mmsghdr; BATCH_MAX], [libc::iovec; BATCH_MAX]) =
        unsafe { zeroed() };
    let mut names: [RawAddress; BATCH_MAX] = array::from_fn(|_| RawAddress::empty());
    let mut control = [CredentialsBuffer([0; CREDENTIALS_BUFFER_BYTES]); BATCH_MAX];
    let mut count = 0;
    for (index, slot) in bytes.chunks_exact_mut(stride_bytes).take(BATCH_MAX).enumerate() {
        let slot = &mut slot[..message_bytes];
        vectors[index] = libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot.len() };
        let header = &mut headers[index].msg_hdr;
        header.msg_iov = &raw mut vectors[index];
        header.msg_iovlen = 1;
        header.msg_namelen = names[index].len();
        header.msg_name = names[index].as_mut_parts().0.cast();
        if with_credentials {
            header.msg_control = control[index].0.as_mut_ptr().cast();
            header.msg_controllen = CREDENTIALS_BUFFER_BYTES as _;
        }
        count += 1;
    }
    let flags = libc::MSG_WAITFORONE | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: `count` headers are filled in. Every pointer in them is into something that is
    // exclusively borrowed or owned here for the whole call, with its own length, and no two
    // overlap.
    let received = check(unsafe {
        libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags as _, std::ptr::null_mut())
    })?;
    let received = usize::try_from(received).ok().filter(|&received| received <= count as usize);
    let entries = (0..received.ok_or_else(unanswered)?).map(|slot| {
        let header = &headers[slot];
        names[slot].set_len(header.msg_hdr.msg_namelen);
        let control_len_bytes = if with_credentials {
            CREDENTIALS_BUFFER_BYTES.min(header.msg_hdr.msg_controllen as _)
        } else {
            0
        };
        // SAFETY: what `recvmmsg` has just written there, walked once.
        let incoming = unsafe { take_ownership(&control[slot].0[..control_len_bytes]) };
        BatchEntry {
            slot,
            len: header.msg_len as usize,
            from: names[slot],
            credentials: incoming.credentials,
        }
    });
    Ok(entries.collect())
}
