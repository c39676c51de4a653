//! Queries about mounts, namespaces and security modules that rustix does not offer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use super::{check, own};

// Newer than the libc crate's table. System calls added since 5.1 have one number everywhere.
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LSM_LIST_MODULES: libc::c_long = 461;
/// `NS_GET_USERNS`.
const NS_GET_USERNS: libc::Ioctl = 0xb701 as libc::Ioctl;
/// `NS_GET_MNTNS_ID`.
const NS_GET_MNTNS_ID: libc::Ioctl = 0x8008_b705_u32 as libc::Ioctl;

/// `struct mnt_id_req`.
#[repr(C)]
struct MountRequest {
    size: u32,
    spare: u32,
    mount: u64,
    mask: u64,
    namespace: u64,
}

/// Fills the buffer with what `statmount` (Linux 6.8) returns for a mount: these fields, of the
/// mount with this unique id, in this mount namespace (0: the caller's).
#[doc(alias = "statmount")]
pub fn stat_mount(mount: u64, namespace: u64, mask: u64, buffer: &mut [u8]) -> io::Result<()> {
    let size = size_of::<MountRequest>() as u32;
    let request = MountRequest { size, spare: 0, mount, mask, namespace };
    // SAFETY: the kernel reads `size` bytes of the request, and writes at most the buffer's length.
    let done =
        unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, buffer.as_mut_ptr(), buffer.len(), 0) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns how many bytes any socket has accepted and not yet delivered (`SIOCOUTQ`): of a TCP
/// connection, those that its peer has not acknowledged.
#[doc(alias = "SIOCOUTQ")]
pub fn unsent_bytes(fd: BorrowedFd<'_>) -> io::Result<usize> {
    super::unsent_bytes(fd)
}

/// Returns the id of a mount namespace, as `statmount` takes it (`NS_GET_MNTNS_ID`, Linux 6.11).
pub fn mount_namespace_id(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    let mut id = 0_u64;
    // SAFETY: this request writes a number of eight bytes.
    check(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_MNTNS_ID, &raw mut id) })?;
    Ok(id)
}

/// Returns the user namespace that owns a namespace (`NS_GET_USERNS`, Linux 4.9). Fails with
/// `EPERM` if that is not the caller's own or one below it.
pub fn owning_user_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: this request takes no argument and returns a new file descriptor.
    let fd = check(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) })?;
    // SAFETY: the kernel has just returned it, and nothing else owns it.
    unsafe { own(fd) }
}

/// Returns the ids of the security modules in use (`lsm_list_modules`, Linux 6.8), in their order.
#[doc(alias = "lsm_list_modules")]
pub fn security_modules() -> io::Result<Vec<u64>> {
    let mut ids = vec![0_u64; 64];
    let mut size = size_of_val(&ids[..]) as u32;
    // SAFETY: the kernel writes at most `size` bytes, which is the length of the buffer.
    let count = unsafe { libc::syscall(SYS_LSM_LIST_MODULES, ids.as_mut_ptr(), &raw mut size, 0_u32) };
    match usize::try_from(count) {
        Ok(count) => {
            ids.truncate(count);
            Ok(ids)
        }
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// A system call that a filter may refuse.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `connect`.
    Connect,
    /// `bind`.
    Bind,
    /// `sendto`.
    Send,
}

/// Makes the call with the file descriptor -1, which the kernel answers with `EBADF`. Returns any
/// other error: that of a system call filter.
pub fn refused_call(call: Call) -> Option<i32> {
    let address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
    let (address, length) = (&raw const address, size_of::<libc::sockaddr_un>() as libc::socklen_t);
    // SAFETY: the address is valid for its length, and no message is read: its length is 0.
    let result = unsafe {
        match call {
            Call::Connect => libc::connect(-1, address.cast(), length) as isize,
            Call::Bind => libc::bind(-1, address.cast(), length) as isize,
            Call::Send => libc::sendto(-1, address.cast(), 0, libc::MSG_NOSIGNAL, address.cast(), length),
        }
    };
    let errno = io::Error::last_os_error().raw_os_error();
    errno.filter(|errno| result == -1 && *errno != libc::EBADF)
}
