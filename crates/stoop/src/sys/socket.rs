//! Creating, binding and connecting sockets, and transferring plain bytes.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::zeroed;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{RawAddress, check, check_len, max_result, own, total_len, unanswered};
use crate::Kind;

/// Whether calls on a new socket block. Setting this at creation costs no system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    Waits,
    Never,
}

impl Blocking {
    /// Returns the flags for a new socket, which is close-on-exec from creation.
    fn flags(self) -> libc::c_int {
        match self {
            Blocking::Waits => libc::SOCK_CLOEXEC,
            Blocking::Never => libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        }
    }
}

/// Creates a socket (`socket(AF_UNIX, kind)`), close-on-exec from creation.
pub(crate) fn socket(kind: Kind, blocking: Blocking) -> io::Result<OwnedFd> {
    // SAFETY: takes and returns plain integers.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind.to_raw() | blocking.flags(), 0) })?;
    // SAFETY: the call above has just created this file descriptor, close-on-exec.
    unsafe { own(fd) }
}

/// Returns a file descriptor of the network namespace in which a socket of any family was created.
/// It is close-on-exec.
#[doc(alias = "SIOCGSKNS")]
pub(crate) fn network_namespace_of(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    super::socket_domain(fd)?;
    // SAFETY: `fd` is a socket, for which the request takes no argument, touches no memory of ours
    // and returns a descriptor.
    let fd = check(unsafe { libc::ioctl(fd.as_raw_fd(), 0x894c) })?;
    // SAFETY: the call above has just created this file descriptor, close-on-exec.
    unsafe { own(fd) }
}

/// Returns an `O_PATH` file descriptor of the file to which a Unix socket is bound. It is
/// close-on-exec.
#[doc(alias = "SIOCUNIXFILE")]
pub(crate) fn bound_file_of(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // The request number is private to each protocol: for another family it is another request.
    if super::socket_domain(fd)? != libc::AF_UNIX {
        return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
    }
    // SAFETY: `fd` is a Unix domain socket, for which the request takes no argument, touches no
    // memory of ours and returns a descriptor.
    let fd = check(unsafe { libc::ioctl(fd.as_raw_fd(), 0x89e0) })?;
    // SAFETY: the call above has just created this file descriptor, close-on-exec.
    unsafe { own(fd) }
}

/// Creates a socket pair (`socketpair(AF_UNIX, kind)`), close-on-exec from creation.
pub(crate) fn socket_pair(kind: Kind) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two integers that the call writes.
    check(unsafe {
        libc::socketpair(libc::AF_UNIX, kind.to_raw() | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr())
    })?;
    // SAFETY: the call above has just created both file descriptors, close-on-exec.
    let (one, other) = unsafe { (own(fds[0]), own(fds[1])) };
    Ok((one?, other?))
}

/// Binds a socket to an address.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &RawAddress) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `address`, which outlives the call; the kernel
    // only reads it.
    check(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr(), address.len()) })?;
    Ok(())
}

/// Marks a socket as listening.
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: takes plain integers.
    check(unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(())
}

/// Connects a socket. `EINTR` is not retried.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &RawAddress) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `address`, which outlives the call; the kernel
    // only reads it.
    check(unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr(), address.len()) })?;
    Ok(())
}

/// Accepts a connection (`accept4`), close-on-exec from creation, and returns the peer's address.
pub(crate) fn accept(fd: BorrowedFd<'_>, blocking: Blocking) -> io::Result<(OwnedFd, RawAddress)> {
    let mut address = RawAddress::empty();
    let (to, len) = address.as_mut_parts();
    // SAFETY: both pointers are into `address`; the kernel writes at most the length it finds
    // there.
    let fd = check(unsafe { libc::accept4(fd.as_raw_fd(), to, len, blocking.flags()) })?;
    // SAFETY: the call above has just created this file descriptor, close-on-exec.
    let fd = unsafe { own(fd) }?;
    Ok((fd, address))
}

/// Shuts down one or both directions.
pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: takes plain integers.
    check(unsafe { libc::shutdown(fd.as_raw_fd(), how) })?;
    Ok(())
}

/// Returns the socket's own address (`getsockname`).
pub(crate) fn local_address(fd: BorrowedFd<'_>) -> io::Result<RawAddress> {
    let mut address = RawAddress::empty();
    let (to, len) = address.as_mut_parts();
    // SAFETY: both pointers are into `address`; the kernel writes at most the length it finds
    // there.
    check(unsafe { libc::getsockname(fd.as_raw_fd(), to, len) })?;
    if address.is_written() { Ok(address) } else { Err(unanswered()) }
}

/// Returns the peer's address (`getpeername`).
pub(crate) fn peer_address(fd: BorrowedFd<'_>) -> io::Result<RawAddress> {
    let mut address = RawAddress::empty();
    let (to, len) = address.as_mut_parts();
    // SAFETY: both pointers are into `address`; the kernel writes at most the length it finds
    // there.
    check(unsafe { libc::getpeername(fd.as_raw_fd(), to, len) })?;
    if address.is_written() { Ok(address) } else { Err(unanswered()) }
}

/// Receives plain bytes (`recv`). The kernel discards file descriptors ([K-FD-7]).
///
/// [K-FD-7]: crate::kernel_facts#K-FD-7
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the pointer and the length describe `buffer`, which outlives the call.
    let result = unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
    check_len(result, max_result(buffer.len(), flags))
}

/// Receives plain bytes into several buffers (`recvmsg`), without space for control messages.
pub(crate) fn receive_vectored(
    fd: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    flags: i32,
) -> io::Result<usize> {
    // SAFETY: all-zero is a valid `msghdr`: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = buffers.as_mut_ptr().cast();
    header.msg_iovlen = buffers.len().min(libc::UIO_MAXIOV as usize) as _;
    let capacity_bytes = total_len(buffers);
    // SAFETY: `IoSliceMut` has the layout of `iovec`; the slices outlive the call, and the count is
    // not beyond them.
    check_len(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut header, flags) }, max_result(capacity_bytes, flags))
}

/// Receives bytes and the sender's address (`recvfrom`). With `MSG_TRUNC` the length may exceed the
/// buffer's.
pub(crate) fn receive_from(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: i32,
) -> io::Result<(usize, RawAddress)> {
    let mut address = RawAddress::empty();
    let (to, len) = address.as_mut_parts();
    // SAFETY: the buffer's pointer and length describe `buffer`; the address pointers are into
    // `address`, and the kernel writes at most the length it finds there.
    let result =
        unsafe { libc::recvfrom(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags, to, len) };
    Ok((check_len(result, max_result(buffer.len(), flags))?, address))
}

/// Sends bytes (`send` with `MSG_NOSIGNAL`). If the peer has closed, this is an error, never a
/// signal ([K-END-6]).
///
/// [K-END-6]: crate::kernel_facts#K-END-6
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and the length describe `bytes`, which outlives the call; the kernel only
    // reads it.
    let result =
        unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    check_len(result, bytes.len())
}

/// Sends bytes to an address (`sendto` with `MSG_NOSIGNAL`).
pub(crate) fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], to: &RawAddress) -> io::Result<usize> {
    // SAFETY: pointers and lengths describe `bytes` and `to`, which outlive the call; the kernel
    // only reads them.
    let result = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
            to.as_ptr(),
            to.len(),
        )
    };
    check_len(result, bytes.len())
}

/// Sends several buffers (`sendmsg` with `MSG_NOSIGNAL`, a flag that `writev` does not take;
/// [K-END-6]).
///
/// [K-END-6]: crate::kernel_facts#K-END-6
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    super::send_message(fd, buffers, None, &[])
}
