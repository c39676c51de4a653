//! Socket options, one function each. The C name is the doc alias.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::{check, own, unanswered};

// Newer than the libc crate's table. The asm-generic numbers are the same on x86-64 and aarch64.
const SO_PASSPIDFD: i32 = 76;
const SO_PEERPIDFD: i32 = 77;
const SO_PASSRIGHTS: i32 = 83;

/// Types that `getsockopt` may fill and `setsockopt` may read: plain old data, valid for every bit
/// pattern.
///
/// # Safety
/// Implementors have no padding, no invalid bit patterns and no pointers.
unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: three integers of four bytes.
unsafe impl Plain for libc::ucred {}
// SAFETY: two integers of eight bytes on every 64-bit Linux.
unsafe impl Plain for libc::timeval {}

/// A value with extra space behind it, so that the length of a real answer cannot equal the
/// buffer's.
#[repr(C)]
struct Padded<T> {
    value: MaybeUninit<T>,
    spare: [u8; 8],
}

/// Returns an option of a fixed size. An answer of another length is not an answer ([K-CRED-19]).
///
/// [K-CRED-19]: crate::kernel_facts#K-CRED-19
fn option<T: Plain>(fd: BorrowedFd<'_>, name: i32) -> io::Result<T> {
    let mut buffer = Padded { value: MaybeUninit::<T>::zeroed(), spare: [0; 8] };
    let mut len = (size_of::<T>() + buffer.spare.len()) as libc::socklen_t;
    // SAFETY: the pointers are to `buffer`, which has at least `len` bytes, and to that length; the
    // kernel writes no more than that.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut buffer).cast(), &mut len)
    })?;
    if len as usize != size_of::<T>() {
        return Err(unanswered());
    }
    // SAFETY: zeroed, and `T: Plain` is valid for whatever the kernel wrote over it.
    Ok(unsafe { buffer.value.assume_init() })
}

fn set_option<T: Plain>(fd: BorrowedFd<'_>, name: i32, value: T) -> io::Result<()> {
    // SAFETY: the pointer and the size describe `value`, which outlives the call; the kernel only
    // reads it.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw const value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// The maximum length of an option of variable length: 65,536 groups (`NGROUPS_MAX`) fit.
const OPTION_MAX_BYTES: usize = 65_536 * 4;

/// Returns an option whose value is a string of bytes: groups, labels.
///
/// Retries while the kernel reports that more space is needed. Retries once more if the answer
/// fills the buffer, because its length may be the buffer's, which a sandbox left unwritten
/// ([K-CRED-19]).
///
/// [K-CRED-19]: crate::kernel_facts#K-CRED-19
fn option_bytes(fd: BorrowedFd<'_>, name: i32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; 256];
    let mut has_filled = false;
    loop {
        let mut len = bytes.len() as libc::socklen_t;
        // SAFETY: the pointer and the length describe `bytes`; the kernel writes at most that many,
        // and the length needed.
        let result = check(unsafe {
            libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, bytes.as_mut_ptr().cast(), &mut len)
        });
        let len_bytes = len as usize;
        match result {
            Ok(_) if len_bytes < bytes.len() => {
                bytes.truncate(len_bytes);
                return Ok(bytes);
            }
            Ok(_) if has_filled || len_bytes > bytes.len() => return Err(unanswered()),
            Ok(_) => has_filled = true,
            Err(error) if error.raw_os_error() != Some(libc::ERANGE) => return Err(error),
            Err(error) if len_bytes <= bytes.len() || len_bytes > OPTION_MAX_BYTES => return Err(error),
            Err(_) => {}
        }
        bytes = vec![0; len_bytes + 64];
    }
}

/// Returns the socket type, as the kernel's number (`SO_TYPE`).
#[doc(alias = "SO_TYPE")]
pub(crate) fn socket_type(fd: BorrowedFd<'_>) -> io::Result<i32> {
    option(fd, libc::SO_TYPE)
}

/// Returns the address family, as the kernel's number (`SO_DOMAIN`).
#[doc(alias = "SO_DOMAIN")]
pub(crate) fn socket_domain(fd: BorrowedFd<'_>) -> io::Result<i32> {
    option(fd, libc::SO_DOMAIN)
}

/// Returns whether the socket listens (`SO_ACCEPTCONN`).
#[doc(alias = "SO_ACCEPTCONN")]
pub(crate) fn is_listening(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option::<i32>(fd, libc::SO_ACCEPTCONN)? != 0)
}

/// Returns and clears the pending error (`SO_ERROR`).
#[doc(alias = "SO_ERROR")]
pub(crate) fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let errno = option::<i32>(fd, libc::SO_ERROR)?;
    Ok((errno != 0).then(|| io::Error::from_raw_os_error(errno)))
}

/// Returns the send buffer limit in bytes, as the kernel counts it: twice the value set
/// (`SO_SNDBUF`).
#[doc(alias = "SO_SNDBUF")]
pub(crate) fn send_buffer_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    usize::try_from(option::<i32>(fd, libc::SO_SNDBUF)?).map_err(|_| unanswered())
}

/// Sets the send buffer limit (`SO_SNDBUF`). The kernel caps it at `net.core.wmem_max` and doubles
/// it.
#[doc(alias = "SO_SNDBUF")]
pub(crate) fn set_send_buffer_bytes(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_option(fd, libc::SO_SNDBUF, i32::try_from(bytes).unwrap_or(i32::MAX))
}

/// Sets the timeout of a blocking send or connect (`SO_SNDTIMEO`). `None` waits indefinitely.
#[doc(alias = "SO_SNDTIMEO")]
pub(crate) fn set_send_timeout(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
    set_option(fd, libc::SO_SNDTIMEO, to_timeval(timeout))
}

/// Returns the timeout of a blocking send (`SO_SNDTIMEO`). `None` waits indefinitely.
#[doc(alias = "SO_SNDTIMEO")]
pub(crate) fn send_timeout(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    Ok(from_timeval(option(fd, libc::SO_SNDTIMEO)?))
}

/// Sets the timeout of a blocking receive or accept (`SO_RCVTIMEO`). `None` waits indefinitely.
#[doc(alias = "SO_RCVTIMEO")]
pub(crate) fn set_receive_timeout(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<()> {
    set_option(fd, libc::SO_RCVTIMEO, to_timeval(timeout))
}

/// Returns the timeout of a blocking receive (`SO_RCVTIMEO`). `None` waits indefinitely.
#[doc(alias = "SO_RCVTIMEO")]
pub(crate) fn receive_timeout(fd: BorrowedFd<'_>) -> io::Result<Option<Duration>> {
    Ok(from_timeval(option(fd, libc::SO_RCVTIMEO)?))
}

/// Converts a timeout. The kernel takes zero as "no timeout", so one below a microsecond becomes a
/// microsecond.
fn to_timeval(timeout: Option<Duration>) -> libc::timeval {
    let timeout = timeout.map_or(Duration::ZERO, |wait| wait.max(Duration::from_micros(1)));
    libc::timeval {
        tv_sec: timeout.as_secs().min(i32::MAX as u64) as _,
        tv_usec: timeout.subsec_micros().into(),
    }
}

fn from_timeval(value: libc::timeval) -> Option<Duration> {
    let wait =
        Duration::from_secs(value.tv_sec.max(0) as u64) + Duration::from_micros(value.tv_usec.max(0) as u64);
    (!wait.is_zero()).then_some(wait)
}

/// Sets whether each message carries its sender's pid, uid and gid (`SO_PASSCRED`).
#[doc(alias = "SO_PASSCRED")]
pub(crate) fn set_pass_credentials(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(fd, libc::SO_PASSCRED, i32::from(on))
}

/// Sets whether each message carries a pidfd of its sender (`SO_PASSPIDFD`, Linux 6.5).
#[doc(alias = "SO_PASSPIDFD")]
pub(crate) fn set_pass_pidfd(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(fd, SO_PASSPIDFD, i32::from(on))
}

/// Sets whether each message carries its sender's security label (`SO_PASSSEC`).
#[doc(alias = "SO_PASSSEC")]
pub(crate) fn set_pass_label(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(fd, libc::SO_PASSSEC, i32::from(on))
}

/// Sets whether the kernel accepts file descriptors at all (`SO_PASSRIGHTS`, Linux 6.16).
#[doc(alias = "SO_PASSRIGHTS")]
pub(crate) fn set_pass_descriptors(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_option(fd, SO_PASSRIGHTS, i32::from(on))
}

/// Returns the setting of [`set_pass_credentials`].
#[doc(alias = "SO_PASSCRED")]
pub(crate) fn passes_credentials(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option::<i32>(fd, libc::SO_PASSCRED)? != 0)
}

/// Returns the setting of [`set_pass_pidfd`].
#[doc(alias = "SO_PASSPIDFD")]
pub(crate) fn passes_pidfd(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option::<i32>(fd, SO_PASSPIDFD)? != 0)
}

/// Returns the setting of [`set_pass_label`].
#[doc(alias = "SO_PASSSEC")]
pub(crate) fn passes_label(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option::<i32>(fd, libc::SO_PASSSEC)? != 0)
}

/// Returns the setting of [`set_pass_descriptors`].
#[doc(alias = "SO_PASSRIGHTS")]
pub(crate) fn passes_descriptors(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option::<i32>(fd, SO_PASSRIGHTS)? != 0)
}

/// Returns the offset of the next `MSG_PEEK`; -1 if each begins at the first unread byte
/// (`SO_PEEK_OFF`).
#[doc(alias = "SO_PEEK_OFF")]
pub(crate) fn peek_offset(fd: BorrowedFd<'_>) -> io::Result<i32> {
    option(fd, libc::SO_PEEK_OFF)
}

/// Returns the credentials of the peer at connect or listen time (`SO_PEERCRED`).
#[doc(alias = "SO_PEERCRED")]
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    option(fd, libc::SO_PEERCRED)
}

/// Returns the supplementary groups of the peer (`SO_PEERGROUPS`, Linux 4.13).
#[doc(alias = "SO_PEERGROUPS")]
pub(crate) fn peer_groups(fd: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let bytes = option_bytes(fd, libc::SO_PEERGROUPS)?;
    Ok(bytes.chunks_exact(4).map(|id| u32::from_ne_bytes([id[0], id[1], id[2], id[3]])).collect())
}

/// Returns the security label of the peer, without the NUL that some kernels count (`SO_PEERSEC`).
#[doc(alias = "SO_PEERSEC")]
pub(crate) fn peer_label(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut label = option_bytes(fd, libc::SO_PEERSEC)?;
    if label.last() == Some(&0) {
        label.pop();
    }
    Ok(label)
}

/// Returns a pidfd of the peer, close-on-exec (`SO_PEERPIDFD`, Linux 6.5).
#[doc(alias = "SO_PEERPIDFD")]
pub(crate) fn peer_pidfd(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number: i32 = option(fd, SO_PEERPIDFD)?;
    // SAFETY: the option creates a file descriptor on each call, close-on-exec (K-CRED-5).
    unsafe { own(number) }
}

/// Returns the number of unread bytes (`SIOCINQ`). For a datagram socket this is the length of the
/// next message ([K-LIMIT-2]).
///
/// [K-LIMIT-2]: crate::kernel_facts#K-LIMIT-2
#[doc(alias = "SIOCINQ")]
pub(crate) fn unread_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    queue_bytes(fd, libc::FIONREAD)
}

/// Returns the memory of sent messages that the peer has not read, as the kernel accounts for it
/// (`SIOCOUTQ`).
#[doc(alias = "SIOCOUTQ")]
pub(crate) fn unsent_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    queue_bytes(fd, libc::TIOCOUTQ)
}

fn queue_bytes(fd: BorrowedFd<'_>, request: libc::Ioctl) -> io::Result<usize> {
    let mut bytes: libc::c_int = -1;
    // SAFETY: both requests write one `int` to the pointer, which is to `bytes`.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request, &mut bytes) })?;
    usize::try_from(bytes).map_err(|_| unanswered())
}
