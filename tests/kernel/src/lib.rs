//! Raw calls on local sockets, thin enough that a test of them is a test of the kernel.
//!
//! Holds one safe function for each system call the facts of KERNEL.md are about. Never interprets,
//! retries or repairs anything, and never uses the stoop library: results are the kernel's own,
//! errors its errno. What fails only when the test itself is wrong (no descriptors, no memory)
//! panics.
//!
//! The facts are the tests in `tests/`, one file a theme.
#![expect(unsafe_code, reason = "raw kernel calls are the point of this crate")]

mod diag;
mod message;
mod name;
mod process;

pub use diag::{DiagSocket, ask_for_dump, dump, dump_through, netlink};
pub use libc;
pub use message::{Control, Received, control_space, receive, receive_message, send_message};
pub use name::Name;
pub use process::{
    Blocked, become_user, blocked, die_of_sigpipe, end_this_thread, fail_next_calls, fake_call, forbid_call,
    in_child, in_new_network, kernel_at_least, leave_room_for, on_interrupt, process_umask, ring_of, unshare,
    with_own_descriptors, with_umask, without_outer_abstract_sockets,
};
pub use rustix::io::Errno;

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use libc::{MSG_DONTWAIT, SOL_SOCKET};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// A system call's answer or its errno.
pub type Result<T> = std::result::Result<T, Errno>;

/// The kind of a stream socket.
pub const STREAM: c_int = libc::SOCK_STREAM;
/// The kind of a datagram socket.
pub const DATAGRAM: c_int = libc::SOCK_DGRAM;
/// The kind of a sequenced-packet socket.
pub const SEQPACKET: c_int = libc::SOCK_SEQPACKET;

/// Long enough for anything that happens at all, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(20);

/// Turns the return value of a system call into its answer or `errno`.
fn checked(returned: isize) -> Result<usize> {
    usize::try_from(returned).map_err(|_| {
        let error = std::io::Error::last_os_error();
        Errno::from_io_error(&error).expect("last_os_error has an errno")
    })
}

/// Takes a descriptor that the kernel has made for us.
fn owned(returned: c_int) -> Result<OwnedFd> {
    let fd = checked(returned as isize)?;
    // SAFETY: the kernel made this descriptor for us, in the call just before or at the start of the
    // program, so nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// socket(2): a new blocking, close-on-exec local socket.
pub fn socket(kind: c_int) -> OwnedFd {
    // SAFETY: takes and returns numbers only.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) };
    owned(fd).expect("make a socket")
}

/// socketpair(2): two connected local sockets.
pub fn pair(kind: c_int) -> (OwnedFd, OwnedFd) {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two numbers and lives through the call.
    let done = unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
    checked(done as isize).expect("make a pair");
    (owned(fds[0]).expect("a descriptor"), owned(fds[1]).expect("a descriptor"))
}

/// A new socket bound to `name`.
#[track_caller]
pub fn bound(kind: c_int, name: &Name) -> OwnedFd {
    let fd = socket(kind);
    bind(&fd, name).expect("bind");
    fd
}

/// A new listener bound to `name`.
#[track_caller]
pub fn listener(kind: c_int, name: &Name, backlog: c_int) -> OwnedFd {
    let fd = bound(kind, name);
    listen(&fd, backlog).expect("listen");
    fd
}

/// A new socket and what connecting it to `name` gave: a blocking call, bounded by [`SOON`].
pub fn try_client(kind: c_int, name: &Name) -> Result<OwnedFd> {
    let fd = socket(kind);
    set_timeout(&fd, libc::SO_SNDTIMEO, SOON);
    connect(&fd, name)?;
    Ok(fd)
}

/// A new socket connected to `name`.
#[track_caller]
pub fn client(kind: c_int, name: &Name) -> OwnedFd {
    try_client(kind, name).expect("connect")
}

/// A listener at `name`, a client of it and the accepted socket.
#[track_caller]
pub fn connection(kind: c_int, name: &Name) -> (OwnedFd, OwnedFd, OwnedFd) {
    let listener = listener(kind, name, 8);
    let client = client(kind, name);
    let accepted = accept(&listener).expect("accept");
    (listener, client, accepted)
}

/// bind(2), with exactly the length of `name`.
pub fn bind(fd: &impl AsFd, name: &Name) -> Result<()> {
    let address = name.sockaddr();
    // SAFETY: `address` lives through the call and its length is given.
    let done = unsafe { libc::bind(raw(fd), address.as_ptr().cast(), address.len() as u32) };
    checked(done as isize).map(drop)
}

/// connect(2), with exactly the length of `name`.
pub fn connect(fd: &impl AsFd, name: &Name) -> Result<()> {
    connect_to(fd, &name.sockaddr())
}

/// connect(2) to `AF_UNSPEC`.
pub fn disconnect(fd: &impl AsFd) -> Result<()> {
    connect_to(fd, &(libc::AF_UNSPEC as u16).to_ne_bytes())
}

fn connect_to(fd: &impl AsFd, address: &[u8]) -> Result<()> {
    // SAFETY: `address` lives through the call and its length is given.
    let done = unsafe { libc::connect(raw(fd), address.as_ptr().cast(), address.len() as u32) };
    checked(done as isize).map(drop)
}

/// listen(2).
pub fn listen(fd: &impl AsFd, backlog: c_int) -> Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::listen(raw(fd), backlog) } as isize).map(drop)
}

/// accept4(2) with `SOCK_CLOEXEC`; blocks if the listener does.
pub fn accept(fd: &impl AsFd) -> Result<OwnedFd> {
    accept_with(fd, libc::SOCK_CLOEXEC)
}

/// accept4(2) with flags.
pub fn accept_with(fd: &impl AsFd, flags: c_int) -> Result<OwnedFd> {
    // SAFETY: null asks for no address; the rest are numbers.
    owned(unsafe { libc::accept4(raw(fd), std::ptr::null_mut(), std::ptr::null_mut(), flags) })
}

/// shutdown(2).
pub fn shutdown(fd: &impl AsFd, how: c_int) {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::shutdown(raw(fd), how) } as isize).expect("shut down");
}

/// send(2) with `MSG_NOSIGNAL`, blocking if the socket does.
pub fn send(fd: &impl AsFd, data: &[u8]) -> Result<usize> {
    send_with(fd, data, libc::MSG_NOSIGNAL)
}

/// send(2) with `MSG_NOSIGNAL | MSG_DONTWAIT`.
pub fn send_now(fd: &impl AsFd, data: &[u8]) -> Result<usize> {
    send_with(fd, data, libc::MSG_NOSIGNAL | MSG_DONTWAIT)
}

/// send(2) with flags.
pub fn send_with(fd: &impl AsFd, data: &[u8], flags: c_int) -> Result<usize> {
    // SAFETY: `data` lives through the call and its length is given.
    checked(unsafe { libc::send(raw(fd), data.as_ptr().cast(), data.len(), flags) })
}

/// sendto(2) with `MSG_DONTWAIT`.
pub fn send_to(fd: &impl AsFd, data: &[u8], name: &Name) -> Result<usize> {
    send_message(fd, data, &[], MSG_DONTWAIT, Some(name))
}

/// recv(2) with `MSG_DONTWAIT`: what a read of at most `room` bytes gives now.
///
/// What was sent to a local socket is there when the send returns, so tests need not wait for it.
pub fn recv(fd: &impl AsFd, room: usize) -> Result<Vec<u8>> {
    recv_with(fd, room, MSG_DONTWAIT).map(|(data, _)| data)
}

/// recv(2) with flags: the bytes, and the value it returned (longer than the bytes with
/// `MSG_TRUNC`).
pub fn recv_with(fd: &impl AsFd, room: usize, flags: c_int) -> Result<(Vec<u8>, usize)> {
    let mut data = vec![0; room];
    // SAFETY: `data` has `room` bytes and lives through the call.
    let length = checked(unsafe { libc::recv(raw(fd), data.as_mut_ptr().cast(), room, flags) })?;
    data.truncate(length);
    Ok((data, length))
}

/// The lengths of the messages that one `recvmmsg` finds, for up to as many as `rooms`, without
/// waiting.
pub fn recv_many(fd: &impl AsFd, rooms: usize) -> Result<Vec<usize>> {
    let mut bytes = vec![[0u8; 64]; rooms];
    let mut vectors: Vec<libc::iovec> = bytes
        .iter_mut()
        .map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() })
        .collect();
    let mut headers: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: all-zero is a valid `mmsghdr`: null pointers with zero lengths.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    // SAFETY: the headers point to vectors and these to bytes that all outlive the call, each with its
    // own length.
    let count = unsafe {
        libc::recvmmsg(
            raw(fd),
            headers.as_mut_ptr(),
            rooms as u32,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = checked(count as isize)?;
    Ok(headers[..count].iter().map(|header| header.msg_len as usize).collect())
}

/// getsockname(2).
pub fn local_name(fd: &impl AsFd) -> Name {
    // SAFETY: `Name::filled` gives room for any address and its length, both living through the call.
    Name::filled(|address, length| unsafe { libc::getsockname(raw(fd), address, length) }).expect("a name")
}

/// getpeername(2).
pub fn peer_name(fd: &impl AsFd) -> Result<Name> {
    // SAFETY: `Name::filled` gives room for any address and its length, both living through the call.
    Name::filled(|address, length| unsafe { libc::getpeername(raw(fd), address, length) })
}

/// getsockopt(2) of a number at `SOL_SOCKET`.
pub fn option(fd: &impl AsFd, option: c_int) -> Result<c_int> {
    let bytes = option_bytes(fd, option, size_of::<c_int>())?;
    Ok(c_int::from_ne_bytes(bytes.try_into().expect("an option of four bytes")))
}

/// getsockopt(2) of anything at `SOL_SOCKET`, into a buffer of `room` bytes.
pub fn option_bytes(fd: &impl AsFd, option: c_int, room: usize) -> Result<Vec<u8>> {
    let mut value = vec![0; room];
    let (outcome, length) = option_into(fd, option, &mut value);
    value.truncate(length);
    outcome.map(|()| value)
}

/// getsockopt(2) of anything at `SOL_SOCKET`, and the length it left, which some errors use to say
/// what they need.
pub fn option_into(fd: &impl AsFd, option: c_int, value: &mut [u8]) -> (Result<()>, usize) {
    let mut length = value.len() as u32;
    // SAFETY: `value` has `length` bytes; both live through the call.
    let done =
        unsafe { libc::getsockopt(raw(fd), SOL_SOCKET, option, value.as_mut_ptr().cast(), &mut length) };
    (checked(done as isize).map(drop), length as usize)
}

/// setsockopt(2) of a number at `SOL_SOCKET`.
pub fn set_option(fd: &impl AsFd, option: c_int, value: c_int) -> Result<()> {
    set_option_bytes(fd, option, &value.to_ne_bytes())
}

/// setsockopt(2) of `SO_SNDTIMEO` or `SO_RCVTIMEO`.
pub fn set_timeout(fd: &impl AsFd, option: c_int, timeout: Duration) {
    let seconds = (timeout.as_secs() as i64).to_ne_bytes();
    let micros = i64::from(timeout.subsec_micros()).to_ne_bytes();
    set_option_bytes(fd, option, &[seconds, micros].concat()).expect("set a timeout");
}

fn set_option_bytes(fd: &impl AsFd, option: c_int, value: &[u8]) -> Result<()> {
    // SAFETY: `value` lives through the call and its length is given.
    let done =
        unsafe { libc::setsockopt(raw(fd), SOL_SOCKET, option, value.as_ptr().cast(), value.len() as u32) };
    checked(done as isize).map(drop)
}

/// Three numbers about a process, as the kernel keeps them (`struct ucred`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct Credentials {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

impl Credentials {
    /// This process's own.
    pub fn mine() -> Credentials {
        use rustix::process::{getgid, getuid};
        Credentials { pid: std::process::id() as i32, uid: getuid().as_raw(), gid: getgid().as_raw() }
    }

    fn from_bytes(bytes: &[u8]) -> Credentials {
        let part = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Credentials { pid: part(0) as i32, uid: part(4), gid: part(8) }
    }

    fn to_bytes(self) -> Vec<u8> {
        [self.pid as u32, self.uid, self.gid].map(u32::to_ne_bytes).concat()
    }
}

/// `SO_PEERCRED`.
pub fn peer_credentials(fd: &impl AsFd) -> Credentials {
    Credentials::from_bytes(&option_bytes(fd, libc::SO_PEERCRED, 12).expect("peer credentials"))
}

/// `SO_PEERPIDFD`.
pub fn peer_pidfd(fd: &impl AsFd) -> Result<OwnedFd> {
    owned(option(fd, libc::SO_PEERPIDFD)?)
}

/// `SIOCUNIXFILE`: an `O_PATH` descriptor of the inode the socket is bound to.
pub fn bound_file(fd: &impl AsFd) -> Result<OwnedFd> {
    const SIOCUNIXFILE: libc::Ioctl = 0x89E0;
    // SAFETY: this request has no argument.
    owned(unsafe { libc::ioctl(raw(fd), SIOCUNIXFILE, 0) })
}

/// `SIOCGSKNS`: a descriptor of the network namespace that the socket was made in.
pub fn network_of(fd: &impl AsFd) -> Result<OwnedFd> {
    const SIOCGSKNS: libc::Ioctl = 0x894C;
    // SAFETY: this request has no argument.
    owned(unsafe { libc::ioctl(raw(fd), SIOCGSKNS, 0) })
}

/// `SIOCINQ` (unread) or `SIOCOUTQ` (unsent).
pub fn queue_bytes(fd: &impl AsFd, request: libc::Ioctl) -> Result<usize> {
    let mut count: c_int = 0;
    // SAFETY: both requests write one int, which lives through the call.
    checked(unsafe { libc::ioctl(raw(fd), request, &mut count) } as isize)?;
    Ok(count as usize)
}

/// poll(2) for `events` without waiting: what is there now.
pub fn polled(fd: &impl AsFd, events: PollFlags) -> PollFlags {
    poll_for(fd, events, Duration::ZERO)
}

/// poll(2) for `events`, for at most `timeout`.
pub fn poll_for(fd: &impl AsFd, events: PollFlags, timeout: Duration) -> PollFlags {
    let mut fds = [PollFd::new(fd, events)];
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    poll(&mut fds, Some(&timeout)).expect("poll");
    fds[0].revents()
}

/// Takes a write lease on a regular file of ours: whoever opens it has to wait until the lease is
/// given up or broken. The signal that tells of an attempt is ignored from now on.
#[expect(clippy::disallowed_methods, reason = "the default action would end the test")]
pub fn set_lease(file: &impl AsFd) -> Result<()> {
    // SAFETY: the disposition is a constant, so no handler runs.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    // SAFETY: a call with integers alone.
    checked(unsafe { libc::fcntl(raw(file), libc::F_SETLEASE, libc::F_WRLCK) } as isize)?;
    Ok(())
}

/// Mounts a FUSE file system that never answers over a directory or a file, everybody let in.
/// Closing what is returned ends whoever waits for it. Needs root; to be called in a mount
/// namespace of its own, for others would wait as well.
pub fn mute_mount(at: &Path, root_mode: u32) -> Result<OwnedFd> {
    let server = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let options =
        format!("fd={},rootmode={root_mode:o},user_id=65534,group_id=65534,allow_other", raw(&server));
    let options = std::ffi::CString::new(options).expect("no NUL");
    rustix::mount::mount("mute", at, "fuse", rustix::mount::MountFlags::NOSUID, Some(&*options))?;
    Ok(server)
}

/// Makes the socket non-blocking.
pub fn nonblocking(fd: &impl AsFd) {
    rustix::io::ioctl_fionbio(fd, true).expect("make non-blocking");
}

/// An `O_PATH` descriptor of `path`, which may be a socket file; a symbolic link is not followed.
pub fn o_path(path: &Path) -> OwnedFd {
    // Not through `std`, which takes O_PATH for an access mode with musl, and replaces it.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).expect("open with O_PATH")
}

/// `/proc/self/fd/N` for a descriptor.
pub fn proc_path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", raw(fd))
}

/// A descriptor that was open when this program started; its environment variable `FD` has the
/// number.
pub fn inherited() -> OwnedFd {
    let number: c_int = std::env::var("FD").expect("FD is set").parse().expect("FD is a number");
    owned(number).expect("a descriptor")
}

/// The number of a descriptor.
pub fn raw(fd: &impl AsFd) -> c_int {
    fd.as_fd().as_raw_fd()
}
