//! `sendmsg` and `recvmsg` with control messages.
//!
//! Every received file descriptor is owned before anything else can fail. Control messages that the
//! codec does not know are reported, and their file descriptors closed.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{RawAddress, check_len, max_result, total_len};
use crate::control::{self, Item};

/// Space for everything that one message can carry: 253 file descriptors, credentials, a pidfd, and
/// a label of one page.
const CONTROL_BUFFER_BYTES: usize = control::space(control::DESCRIPTORS_MAX * 4)
    + control::space(size_of::<libc::ucred>())
    + control::space(4)
    + control::space(4096);

/// A buffer aligned as the kernel aligns control messages.
#[repr(C, align(8))]
struct ControlBuffer([u8; CONTROL_BUFFER_BYTES]);

/// A received message.
pub(crate) struct ReceivedMessage {
    /// The length of the message in bytes. It exceeds the buffer's if the message was truncated and
    /// `MSG_TRUNC` was requested.
    pub(crate) len: usize,
    /// `MSG_TRUNC`, `MSG_CTRUNC`, `MSG_EOR`, … as the kernel set them.
    pub(crate) flags: i32,
    /// The sender's address.
    pub(crate) from: RawAddress,
    /// Its ancillary data.
    pub(crate) incoming: Incoming,
}

/// Received ancillary data, with every file descriptor owned.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) pidfd: Option<OwnedFd>,
    pub(crate) credentials: Option<control::Credentials>,
    pub(crate) label: Option<Vec<u8>>,
    pub(crate) unknown: Vec<(i32, i32)>,
    pub(crate) malformed: bool,
}

/// Sends a message (`sendmsg` with `MSG_NOSIGNAL`). `control` holds encoded control messages (see
/// [`control::Encoder`]).
pub(crate) fn send_message(
    fd: BorrowedFd<'_>,
    buffers: &[IoSlice<'_>],
    to: Option<&RawAddress>,
    control: &[u8],
) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    if let Some(to) = to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
    }
    header.msg_iov = buffers.as_ptr().cast_mut().cast();
    header.msg_iovlen = buffers.len().min(libc::UIO_MAXIOV as usize) as _;
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len() as _;
    }
    let len_bytes = total_len(buffers);
    // SAFETY: every pointer in `header` is into something borrowed for the whole call, with its own
    // length, and `sendmsg` only reads. `IoSlice` has the layout of `iovec`.
    check_len(unsafe { libc::sendmsg(fd.as_raw_fd(), &header, libc::MSG_NOSIGNAL) }, len_bytes)
}

/// Receives a message (`recvmsg`) with space for every control message. File descriptors are
/// close-on-exec.
pub(crate) fn receive_message(
    fd: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    flags: i32,
) -> io::Result<ReceivedMessage> {
    let capacity_bytes = total_len(buffers);
    // SAFETY: `IoSliceMut` has the layout of `iovec`, and each is exclusively borrowed for the call.
    unsafe {
        receive_into(
            fd,
            buffers.as_mut_ptr().cast(),
            buffers.len().min(libc::UIO_MAXIOV as usize),
            capacity_bytes,
            flags,
        )
    }
}

/// Looks at the messages at the front of a stream's queue, as they were sent: those that fit into
/// `buffer` whole, up to the first with file descriptors.
///
/// The kernel gets an address without memory as well: a message that reaches it is left out
/// ([K-FD-19]).
///
/// [K-FD-19]: crate::kernel_facts#K-FD-19
pub(crate) fn peek_sends(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<ReceivedMessage> {
    let nowhere = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 };
    let mut parts = [libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() }, nowhere];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the first part is exclusively borrowed for the call; the second is no memory of this
    // process, so the kernel can only fail there (EFAULT).
    unsafe { receive_into(fd, parts.as_mut_ptr(), parts.len(), buffer.len(), flags) }
}

/// Receives a message into `count` parts of memory.
///
/// # Safety
/// `parts` points to so many, and each is exclusively borrowed for the call, or no memory.
unsafe fn receive_into(
    fd: BorrowedFd<'_>,
    parts: *mut libc::iovec,
    count: usize,
    capacity_bytes: usize,
    flags: i32,
) -> io::Result<ReceivedMessage> {
    let mut from = RawAddress::empty();
    let mut control_buffer = ControlBuffer([0; CONTROL_BUFFER_BYTES]);
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_namelen = from.len();
    header.msg_name = from.as_mut_parts().0.cast();
    header.msg_iov = parts;
    header.msg_iovlen = count as _;
    header.msg_control = control_buffer.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BUFFER_BYTES as _;
    // SAFETY: every pointer in `header` is into something that is owned here or, by the caller's word,
    // exclusively borrowed for the whole call, with its own length.
    let result = unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags | libc::MSG_CMSG_CLOEXEC) };
    let len = check_len(result, usize::MAX)?;
    let control_len_bytes = CONTROL_BUFFER_BYTES.min(header.msg_controllen as _);
    // SAFETY: what `recvmsg` has just written there, walked once.
    let incoming = unsafe { take_ownership(&control_buffer.0[..control_len_bytes]) };
    // This check comes last, so that received file descriptors are closed if it fails.
    check_len(result, max_result(capacity_bytes, flags))?;
    let (flags, name_len) = (header.msg_flags, header.msg_namelen);
    from.set_len(name_len);
    Ok(ReceivedMessage { len, flags, from, incoming })
}

/// Walks the control messages and takes ownership of every file descriptor in them.
///
/// # Safety
/// `control` is what a receiving call has just written, and is walked once: its numbers are file
/// descriptors that nothing else owns.
pub(super) unsafe fn take_ownership(control: &[u8]) -> Incoming {
    let mut incoming = Incoming::default();
    for item in control::decode(control) {
        match item {
            Item::Descriptors(numbers) => {
                let numbers = numbers.filter(|&number| number >= 0);
                // SAFETY: these bytes come from `recvmsg`, which has just installed each number as
                // a new descriptor of this process, and each is visited once.
                incoming.descriptors.extend(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
            Item::Pidfd(number) if number >= 0 => {
                // SAFETY: as above: a descriptor that the kernel has just installed for this
                // message.
                incoming.pidfd = Some(unsafe { OwnedFd::from_raw_fd(number) });
            }
            // The kernel reports here why it created no pidfd. The credentials are still valid.
            Item::Pidfd(_) => {}
            Item::Credentials(credentials) => incoming.credentials = Some(credentials),
            Item::Label(label) => incoming.label = Some(label.to_vec()),
            Item::Unknown { level, kind } => incoming.unknown.push((level, kind)),
            Item::Malformed => incoming.malformed = true,
        }
    }
    incoming
}
