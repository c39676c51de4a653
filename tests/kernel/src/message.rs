//! sendmsg(2) and recvmsg(2) with control messages encoded and decoded byte by byte.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::null_mut;

use libc::{MSG_CMSG_CLOEXEC, MSG_DONTWAIT, SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET, iovec, msghdr};

use crate::{Credentials, Errno, Name, Result, checked, owned, raw};

/// `CMSG_LEN(0)`: the length of a control message's header. Messages begin at multiples of eight
/// bytes.
const HEADER: usize = 16;

/// The type of a control message with a pidfd (Linux 6.5); not every version of libc defines it.
const SCM_PIDFD: c_int = 4;

/// One control message to send.
#[derive(Clone, Copy, Debug)]
pub enum Control<'a> {
    /// `SCM_RIGHTS` with these file descriptors.
    Rights(&'a [BorrowedFd<'a>]),
    /// `SCM_CREDENTIALS`.
    Credentials(Credentials),
}

/// Returns `CMSG_SPACE(length)`: the space in the control buffer of a message with this many bytes.
pub fn control_space(length: usize) -> usize {
    HEADER + length.next_multiple_of(8)
}

/// Calls sendmsg(2) with `MSG_NOSIGNAL` and `flags`; to `name`, or to the peer.
pub fn send_message(
    fd: &impl AsFd,
    data: &[u8],
    controls: &[Control<'_>],
    flags: c_int,
    name: Option<&Name>,
) -> Result<usize> {
    let mut address = name.map(Name::sockaddr).unwrap_or_default();
    let mut part = iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    let mut control = Aligned::of(&controls.iter().flat_map(encode).collect::<Vec<u8>>());
    let mut header = empty_header();
    header.msg_name = if address.is_empty() { null_mut() } else { address.as_mut_ptr().cast() };
    header.msg_namelen = address.len() as u32;
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.pointer();
    header.msg_controllen = control.length as _;
    // SAFETY: every pointer of the header is to a buffer above with its length, and sending
    // only reads them.
    checked(unsafe { libc::sendmsg(raw(fd), &header, flags | libc::MSG_NOSIGNAL) })
}

fn encode(control: &Control<'_>) -> Vec<u8> {
    let (kind, body) = match control {
        Control::Rights(fds) => (SCM_RIGHTS, fds.iter().flat_map(|fd| raw(fd).to_ne_bytes()).collect()),
        Control::Credentials(credentials) => (SCM_CREDENTIALS, credentials.to_bytes()),
    };
    let mut bytes = (HEADER + body.len()).to_ne_bytes().to_vec();
    bytes.extend(SOL_SOCKET.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The result of one recvmsg(2).
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub data: Vec<u8>,
    /// `msg_flags`: `MSG_CTRUNC`, `MSG_TRUNC` and so on.
    pub flags: c_int,
    /// The sender's address; unnamed if there is none.
    pub name: Name,
    /// The file descriptors of all `SCM_RIGHTS` messages.
    pub fds: Vec<OwnedFd>,
    /// The content of an `SCM_PIDFD` message: a file descriptor, or a negated errno.
    pub pidfd: Option<Result<OwnedFd>>,
    /// The content of an `SCM_CREDENTIALS` message.
    pub credentials: Option<Credentials>,
    /// Type and bytes of every other control message at `SOL_SOCKET`.
    pub others: Vec<(c_int, Vec<u8>)>,
    /// The number of control messages of all types.
    pub controls: usize,
}

impl Received {
    /// Returns whether `MSG_CTRUNC` is set.
    pub fn control_was_cut(&self) -> bool {
        self.flags & libc::MSG_CTRUNC != 0
    }
}

/// Calls [`receive_message`] with ample space for control messages, `MSG_CMSG_CLOEXEC` and
/// `MSG_DONTWAIT`.
pub fn receive(fd: &impl AsFd, room: usize) -> Result<Received> {
    receive_message(fd, room, 4096, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)
}

/// Calls recvmsg(2) with `room` bytes for data and `control_room` bytes for control messages.
pub fn receive_message(fd: &impl AsFd, room: usize, control_room: usize, flags: c_int) -> Result<Received> {
    receive_parts(fd, room, false, control_room, flags)
}

/// Receives into `room` bytes, behind which there is no memory.
pub fn receive_past_the_end(fd: &impl AsFd, room: usize, flags: c_int) -> Result<Received> {
    receive_parts(fd, room, true, 100, flags)
}

fn receive_parts(
    fd: &impl AsFd,
    room: usize,
    goes_past: bool,
    control_room: usize,
    flags: c_int,
) -> Result<Received> {
    let mut data = vec![0; room];
    let mut address = [0_u8; 128];
    let mut control = Aligned::of(&vec![0; control_room]);
    let part = iovec { iov_base: data.as_mut_ptr().cast(), iov_len: room };
    let mut parts = [part, iovec { iov_base: null_mut(), iov_len: 1 }];
    let mut header = empty_header();
    header.msg_name = address.as_mut_ptr().cast();
    header.msg_namelen = address.len() as u32;
    header.msg_iov = parts.as_mut_ptr();
    header.msg_iovlen = if goes_past { 2 } else { 1 };
    header.msg_control = control.pointer();
    header.msg_controllen = control_room as _;
    // SAFETY: every pointer of the header is to a buffer above with its length, living
    // through the call, but for the last part: it is no memory, and the kernel can only fail there.
    let length = checked(unsafe { libc::recvmsg(raw(fd), &mut header, flags) })?;
    data.truncate(length);
    let mut received = Received {
        data,
        flags: header.msg_flags,
        name: Name::from_sockaddr(&address[..header.msg_namelen as usize]),
        fds: Vec::new(),
        pidfd: None,
        credentials: None,
        others: Vec::new(),
        controls: 0,
    };
    received.decode(&control.bytes()[..header.msg_controllen as _]);
    Ok(received)
}

impl Received {
    fn decode(&mut self, mut control: &[u8]) {
        while control.len() >= HEADER {
            let length = usize::from_ne_bytes(control[..8].try_into().expect("eight bytes"));
            let number =
                |at: usize| c_int::from_ne_bytes(control[at..at + 4].try_into().expect("four bytes"));
            assert_eq!(number(8), SOL_SOCKET);
            self.take(number(12), &control[HEADER..length]);
            control = control.get(length.next_multiple_of(8)..).unwrap_or_default();
        }
    }

    fn take(&mut self, kind: c_int, body: &[u8]) {
        self.controls += 1;
        let numbers = body.as_chunks::<4>().0.iter().map(|bytes| c_int::from_ne_bytes(*bytes));
        match kind {
            SCM_RIGHTS => self.fds.extend(numbers.map(|fd| owned(fd).expect("a descriptor"))),
            SCM_PIDFD => self.pidfd = numbers.map(pidfd).next(),
            SCM_CREDENTIALS => self.credentials = Some(Credentials::from_bytes(body)),
            _ => self.others.push((kind, body.to_vec())),
        }
    }
}

fn pidfd(number: c_int) -> Result<OwnedFd> {
    if number < 0 { Err(Errno::from_raw_os_error(-number)) } else { owned(number) }
}

fn empty_header() -> msghdr {
    // SAFETY: a msghdr of zeros is a valid value: null pointers with lengths of 0.
    unsafe { std::mem::zeroed() }
}

/// A buffer aligned as control messages require.
struct Aligned {
    words: Vec<u64>,
    length: usize,
}

impl Aligned {
    fn of(bytes: &[u8]) -> Aligned {
        let word = |chunk: &[u8]| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        };
        Aligned { words: bytes.chunks(8).map(word).collect(), length: bytes.len() }
    }

    fn pointer(&mut self) -> *mut libc::c_void {
        if self.length == 0 { null_mut() } else { self.words.as_mut_ptr().cast() }
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).take(self.length).collect()
    }
}
