//! Raw system calls on Unix sockets, thin enough that a test of them is a test of the kernel.
//!
//! Contains one safe function for each system call that the facts of KERNEL.md are about. Never
//! interprets, retries or repairs anything, and never uses the stoop library: results are the
//! kernel's own, errors its errno. Failures that only a faulty test can have (no file descriptors,
//! no memory) panic.
//!
//! The facts are the tests in `tests/`, one file per topic.
#![expect(unsafe_code, reason = "raw kernel calls are the point of this crate")]

mod diag;
mod message;
mod name;
mod namespace;
mod process;
mod transfer;

pub use diag::{DiagSocket, ask_for_dump, dump, dump_through, netlink};
pub use libc;
pub use message::{
    Control, Received, control_space, receive, receive_message, receive_past_the_end, send_message,
};
pub use name::Name;
pub use namespace::{UserNamespace, mount_with_ids, security_modules, stat_mount};
pub use process::{
    Blocked, become_user, blocked, die_of_sigpipe, end_this_thread, fail_next_calls, fake_call,
    forbid_and_log_call, forbid_call, in_child, in_new_network, kernel_at_least, leave_room_for,
    on_interrupt, process_umask, ring_of, unshare, with_own_descriptors, with_umask,
    without_outer_abstract_sockets,
};
pub use rustix::io::Errno;
pub use transfer::{Uring, receive_many, send_many, splice_memory};

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use libc::{MSG_DONTWAIT, SOL_SOCKET};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// The result of a system call or its errno.
pub type Result<T> = std::result::Result<T, Errno>;

/// The type of a stream socket.
pub const STREAM: c_int = libc::SOCK_STREAM;
/// The type of a datagram socket.
pub const DATAGRAM: c_int = libc::SOCK_DGRAM;
/// The type of a sequenced-packet socket.
pub const SEQPACKET: c_int = libc::SOCK_SEQPACKET;

/// A timeout long enough for any event, even on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Converts the return value of a system call to its result or `errno`.
fn checked(returned: isize) -> Result<usize> {
    usize::try_from(returned).map_err(|_| {
        let error = std::io::Error::last_os_error();
        Errno::from_io_error(&error).expect("last_os_error has an errno")
    })
}

/// Takes ownership of a file descriptor that the kernel has created for this process.
fn owned(returned: c_int) -> Result<OwnedFd> {
    let fd = checked(returned as isize)?;
    // SAFETY: the kernel made this descriptor for us, in the call just before or at the start of the
    // program, so nothing else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Calls socket(2): creates a blocking, close-on-exec Unix socket.
pub fn socket(kind: c_int) -> OwnedFd {
    // SAFETY: takes and returns numbers only.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0) };
    owned(fd).expect("make a socket")
}

/// Calls socketpair(2): creates two connected Unix sockets.
pub fn pair(kind: c_int) -> (OwnedFd, OwnedFd) {
    let mut fds = [-1; 2];
    // SAFETY: `fds` has room for the two numbers and lives through the call.
    let done = unsafe { libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
    checked(done as isize).expect("make a pair");
    (owned(fds[0]).expect("a descriptor"), owned(fds[1]).expect("a descriptor"))
}

/// Creates a socket bound to `name`.
#[track_caller]
pub fn bound(kind: c_int, name: &Name) -> OwnedFd {
    let fd = socket(kind);
    bind(&fd, name).expect("bind");
    fd
}

/// Creates a listener bound to `name`.
#[track_caller]
pub fn listener(kind: c_int, name: &Name, backlog: c_int) -> OwnedFd {
    let fd = bound(kind, name);
    listen(&fd, backlog).expect("listen");
    fd
}

/// Creates a socket and returns it with the result of connecting it to `name`: a blocking call,
/// bounded by [`SOON`].
pub fn try_client(kind: c_int, name: &Name) -> Result<OwnedFd> {
    let fd = socket(kind);
    set_timeout(&fd, libc::SO_SNDTIMEO, SOON);
    connect(&fd, name)?;
    Ok(fd)
}

/// Creates a socket connected to `name`.
#[track_caller]
pub fn client(kind: c_int, name: &Name) -> OwnedFd {
    try_client(kind, name).expect("connect")
}

/// Creates a listener at `name`, a client of it and the accepted socket.
#[track_caller]
pub fn connection(kind: c_int, name: &Name) -> (OwnedFd, OwnedFd, OwnedFd) {
    let listener = listener(kind, name, 8);
    let client = client(kind, name);
    let accepted = accept(&listener).expect("accept");
    (listener, client, accepted)
}

/// Calls bind(2), with exactly the length of `name`.
pub fn bind(fd: &impl AsFd, name: &Name) -> Result<()> {
    let address = name.sockaddr();
    // SAFETY: `address` lives through the call and its length is given.
    let done = unsafe { libc::bind(raw(fd), address.as_ptr().cast(), address.len() as u32) };
    checked(done as isize).map(drop)
}

/// Calls connect(2), with exactly the length of `name`.
pub fn connect(fd: &impl AsFd, name: &Name) -> Result<()> {
    connect_to(fd, &name.sockaddr())
}

/// Calls connect(2) with `AF_UNSPEC`.
pub fn disconnect(fd: &impl AsFd) -> Result<()> {
    connect_to(fd, &(libc::AF_UNSPEC as u16).to_ne_bytes())
}

fn connect_to(fd: &impl AsFd, address: &[u8]) -> Result<()> {
    // SAFETY: `address` lives through the call and its length is given.
    let done = unsafe { libc::connect(raw(fd), address.as_ptr().cast(), address.len() as u32) };
    checked(done as isize).map(drop)
}

/// Calls listen(2).
pub fn listen(fd: &impl AsFd, backlog: c_int) -> Result<()> {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::listen(raw(fd), backlog) } as isize).map(drop)
}

/// Calls accept4(2) with `SOCK_CLOEXEC`; blocks if the listener does.
pub fn accept(fd: &impl AsFd) -> Result<OwnedFd> {
    accept_with(fd, libc::SOCK_CLOEXEC)
}

/// Calls accept4(2) with flags.
pub fn accept_with(fd: &impl AsFd, flags: c_int) -> Result<OwnedFd> {
    // SAFETY: null asks for no address; the rest are numbers.
    owned(unsafe { libc::accept4(raw(fd), std::ptr::null_mut(), std::ptr::null_mut(), flags) })
}

/// Calls shutdown(2).
pub fn shutdown(fd: &impl AsFd, how: c_int) {
    // SAFETY: takes numbers only.
    checked(unsafe { libc::shutdown(raw(fd), how) } as isize).expect("shut down");
}

/// Calls send(2) with `MSG_NOSIGNAL`; blocks if the socket does.
pub fn send(fd: &impl AsFd, data: &[u8]) -> Result<usize> {
    send_with(fd, data, libc::MSG_NOSIGNAL)
}

/// Calls send(2) with `MSG_NOSIGNAL | MSG_DONTWAIT`.
pub fn send_now(fd: &impl AsFd, data: &[u8]) -> Result<usize> {
    send_with(fd, data, libc::MSG_NOSIGNAL | MSG_DONTWAIT)
}

/// Calls send(2) with flags.
pub fn send_with(fd: &impl AsFd, data: &[u8], flags: c_int) -> Result<usize> {
    // SAFETY: `data` lives through the call and its length is given.
    checked(unsafe { libc::send(raw(fd), data.as_ptr().cast(), data.len(), flags) })
}

/// Calls sendto(2) with `MSG_DONTWAIT`.
pub fn send_to(fd: &impl AsFd, data: &[u8], name: &Name) -> Result<usize> {
    send_message(fd, data, &[], MSG_DONTWAIT, Some(name))
}

/// Calls recv(2) with `MSG_DONTWAIT`: returns what a read of at most `room` bytes gives now.
///
/// Data sent to a Unix socket has arrived when the send returns, so tests need not wait for it.
pub fn recv(fd: &impl AsFd, room: usize) -> Result<Vec<u8>> {
    recv_with(fd, room, MSG_DONTWAIT).map(|(data, _)| data)
}

/// Calls recv(2) with flags: returns the bytes, and the return value (larger than their number with
/// `MSG_TRUNC`).
pub fn recv_with(fd: &impl AsFd, room: usize, flags: c_int) -> Result<(Vec<u8>, usize)> {
    let mut data = vec![0; room];
    // SAFETY: `data` has `room` bytes and lives through the call.
    let length = checked(unsafe { libc::recv(raw(fd), data.as_mut_ptr().cast(), room, flags) })?;
    data.truncate(length);
    Ok((data, length))
}

/// Returns the lengths of the messages that one `recvmmsg` receives without waiting, at most one
/// for each of `rooms`.
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

/// Calls getsockname(2).
pub fn local_name(fd: &impl AsFd) -> Name {
    // SAFETY: `Name::filled` gives room for any address and its length, both living through the call.
    Name::filled(|address, length| unsafe { libc::getsockname(raw(fd), address, length) }).expect("a name")
}

/// Calls getpeername(2).
pub fn peer_name(fd: &impl AsFd) -> Result<Name> {
    // SAFETY: `Name::filled` gives room for any address and its length, both living through the call.
    Name::filled(|address, length| unsafe { libc::getpeername(raw(fd), address, length) })
}

/// Calls getsockopt(2) for a number at `SOL_SOCKET`.
pub fn option(fd: &impl AsFd, option: c_int) -> Result<c_int> {
    let bytes = option_bytes(fd, option, size_of::<c_int>())?;
    Ok(c_int::from_ne_bytes(bytes.try_into().expect("an option of four bytes")))
}

/// Calls getsockopt(2) for any value at `SOL_SOCKET`, into a buffer of `room` bytes.
pub fn option_bytes(fd: &impl AsFd, option: c_int, room: usize) -> Result<Vec<u8>> {
    let mut value = vec![0; room];
    let (outcome, length) = option_into(fd, option, &mut value);
    value.truncate(length);
    outcome.map(|()| value)
}

/// Calls getsockopt(2) for any value at `SOL_SOCKET`, and also returns the resulting length, in
/// which some errors report the length needed.
pub fn option_into(fd: &impl AsFd, option: c_int, value: &mut [u8]) -> (Result<()>, usize) {
    let mut length = value.len() as u32;
    // SAFETY: `value` has `length` bytes; both live through the call.
    let done =
        unsafe { libc::getsockopt(raw(fd), SOL_SOCKET, option, value.as_mut_ptr().cast(), &mut length) };
    (checked(done as isize).map(drop), length as usize)
}

/// Calls setsockopt(2) for a number at `SOL_SOCKET`.
pub fn set_option(fd: &impl AsFd, option: c_int, value: c_int) -> Result<()> {
    set_option_bytes(fd, option, &value.to_ne_bytes())
}

/// Calls setsockopt(2) for `SO_SNDTIMEO` or `SO_RCVTIMEO`.
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

/// The credentials of a process, as the kernel records them (`struct ucred`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Credentials {
    pub pid: i32,
    pub uid: u32,
    pub gid: u32,
}

impl Credentials {
    /// Returns the credentials of this process.
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

/// Returns `SO_PEERCRED`.
pub fn peer_credentials(fd: &impl AsFd) -> Credentials {
    Credentials::from_bytes(&option_bytes(fd, libc::SO_PEERCRED, 12).expect("peer credentials"))
}

/// Returns `SO_PEERPIDFD`.
pub fn peer_pidfd(fd: &impl AsFd) -> Result<OwnedFd> {
    owned(option(fd, libc::SO_PEERPIDFD)?)
}

/// Calls `SIOCUNIXFILE`: returns an `O_PATH` file descriptor of the inode the socket is bound to.
pub fn bound_file(fd: &impl AsFd) -> Result<OwnedFd> {
    const SIOCUNIXFILE: libc::Ioctl = 0x89E0;
    // SAFETY: this request has no argument.
    owned(unsafe { libc::ioctl(raw(fd), SIOCUNIXFILE, 0) })
}

/// Calls `SIOCGSKNS`: returns a file descriptor of the network namespace in which the socket was
/// created.
pub fn network_of(fd: &impl AsFd) -> Result<OwnedFd> {
    const SIOCGSKNS: libc::Ioctl = 0x894C;
    // SAFETY: this request has no argument.
    owned(unsafe { libc::ioctl(raw(fd), SIOCGSKNS, 0) })
}

/// Calls `SIOCINQ` (unread) or `SIOCOUTQ` (unsent).
pub fn queue_bytes(fd: &impl AsFd, request: libc::Ioctl) -> Result<usize> {
    let mut count: c_int = 0;
    // SAFETY: both requests write one int, which lives through the call.
    checked(unsafe { libc::ioctl(raw(fd), request, &mut count) } as isize)?;
    Ok(count as usize)
}

/// Calls poll(2) for `events` without waiting: returns the present state.
pub fn polled(fd: &impl AsFd, events: PollFlags) -> PollFlags {
    poll_for(fd, events, Duration::ZERO)
}

/// Calls poll(2) for `events`, for at most `timeout`.
pub fn poll_for(fd: &impl AsFd, events: PollFlags, timeout: Duration) -> PollFlags {
    let mut fds = [PollFd::new(fd, events)];
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    poll(&mut fds, Some(&timeout)).expect("poll");
    fds[0].revents()
}

/// Takes a write lease on a regular file of this user: an open by another process has to wait until
/// the lease is given up or broken. The signal that announces such an open is ignored from now on.
#[expect(clippy::disallowed_methods, reason = "the default action would end the test")]
pub fn set_lease(file: &impl AsFd) -> Result<()> {
    // SAFETY: the disposition is a constant, so no handler runs.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
    // SAFETY: a call with integers alone.
    checked(unsafe { libc::fcntl(raw(file), libc::F_SETLEASE, libc::F_WRLCK) } as isize)?;
    Ok(())
}

/// Mounts a FUSE file system that never answers over a directory or a file, with access for all
/// users. Closing the returned value ends all waits for it. Requires root; call it in a separate
/// mount namespace, because other processes would wait as well.
pub fn mute_mount(at: &Path, root_mode: u32) -> Result<OwnedFd> {
    mount_fuse(at, root_mode, "user_id=65534,group_id=65534,allow_other")
}

/// Mounts such a file system with these options, such as the only user who may use it.
pub fn mount_fuse(at: &Path, root_mode: u32, options: &str) -> Result<OwnedFd> {
    let server = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let options = format!("fd={},rootmode={root_mode:o},{options}", raw(&server));
    let options = std::ffi::CString::new(options).expect("no NUL");
    rustix::mount::mount("mute", at, "fuse", rustix::mount::MountFlags::NOSUID, Some(&*options))?;
    Ok(server)
}

/// Puts the socket into nonblocking mode.
pub fn nonblocking(fd: &impl AsFd) {
    rustix::io::ioctl_fionbio(fd, true).expect("make non-blocking");
}

/// Opens an `O_PATH` file descriptor of `path`, which may be a socket file; a symbolic link is not
/// followed.
pub fn o_path(path: &Path) -> OwnedFd {
    // Not through `std`: with musl it takes O_PATH for an access mode, and replaces it.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).expect("open with O_PATH")
}

/// Returns `/proc/self/fd/N` for a file descriptor.
pub fn proc_path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", raw(fd))
}

/// Returns a file descriptor that was open when this program started; the environment variable `FD`
/// has its number.
pub fn inherited() -> OwnedFd {
    let number: c_int = std::env::var("FD").expect("FD is set").parse().expect("FD is a number");
    owned(number).expect("a descriptor")
}

/// Returns the number of a file descriptor.
pub fn raw(fd: &impl AsFd) -> c_int {
    fd.as_fd().as_raw_fd()
}
