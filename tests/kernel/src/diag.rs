//! The kernel's table of Unix sockets, read through sock_diag (netlink).

use std::ffi::c_int;
use std::os::fd::OwnedFd;

use crate::{owned, recv, send};

const NETLINK_SOCK_DIAG: c_int = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SHOW_NAME: u32 = 1;
const SHOW_VFS: u32 = 2;
const SHOW_PEER: u32 = 4;
const SHOW_ICONS: u32 = 8;
const SHOW_RQLEN: u32 = 16;

/// One Unix socket as sock_diag describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiagSocket {
    /// `SOCK_STREAM` and so on.
    pub kind: c_int,
    /// TCP's state numbers: 1 connected, 7 not connected, 10 listening.
    pub state: u8,
    /// The socket's own inode, in sockfs.
    pub inode: u32,
    /// The bytes of its name (without a path's closing NUL).
    pub name: Option<Vec<u8>>,
    /// Device, in the kernel's encoding, and inode of its file.
    pub file: Option<(u32, u32)>,
    /// Its peer's inode.
    pub peer: Option<u32>,
    /// The inodes of clients that a listener has not accepted.
    pub pending: Vec<u32>,
    /// The length of the queue and, for a listener, its limit.
    pub queue: Option<(u32, u32)>,
    /// 1 shut down for reading, 2 for writing.
    pub shutdown: u8,
    /// The kernel's number for the socket.
    pub cookie: u64,
}

/// Returns every Unix socket of this thread's network namespace.
pub fn dump() -> Vec<DiagSocket> {
    dump_through(&netlink())
}

/// Returns every Unix socket of the network namespace in which this netlink socket was opened.
pub fn dump_through(netlink: &OwnedFd) -> Vec<DiagSocket> {
    ask_for_dump(netlink);
    let mut sockets = Vec::new();
    loop {
        let answer = recv(netlink, 1 << 20).expect("read the dump");
        let mut rest = &answer[..];
        while rest.len() >= 16 {
            let length = u32_at(rest, 0) as usize;
            match u16_at(rest, 4) {
                SOCK_DIAG_BY_FAMILY => sockets.push(DiagSocket::decode(&rest[16..length])),
                // NLMSG_DONE
                3 => return sockets,
                other => panic!("sock_diag answered with message {other}"),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Requests the dump that [`dump_through`] reads, and reads nothing.
pub fn ask_for_dump(netlink: &OwnedFd) {
    send(netlink, &request()).expect("ask for a dump");
}

/// Opens a netlink socket for queries.
pub fn netlink() -> OwnedFd {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes and returns numbers only.
    let socket = owned(unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) });
    socket.expect("open a netlink socket")
}

/// Builds a netlink header (length, type, `NLM_F_REQUEST | NLM_F_DUMP`) and a
/// `struct unix_diag_req` for all states.
fn request() -> Vec<u8> {
    let show = SHOW_NAME | SHOW_VFS | SHOW_PEER | SHOW_ICONS | SHOW_RQLEN;
    let mut bytes = 40_u32.to_ne_bytes().to_vec();
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(0x301_u16.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([libc::AF_UNIX as u8, 0, 0, 0]);
    bytes.extend([u32::MAX, 0, show, 0, 0].map(u32::to_ne_bytes).concat());
    bytes
}

impl DiagSocket {
    /// Parses a `struct unix_diag_msg` with the attributes after it.
    fn decode(message: &[u8]) -> DiagSocket {
        let mut socket = DiagSocket {
            kind: message[1].into(),
            state: message[2],
            inode: u32_at(message, 4),
            cookie: u64::from(u32_at(message, 8)) | u64::from(u32_at(message, 12)) << 32,
            ..DiagSocket::default()
        };
        let mut rest = &message[16..];
        while rest.len() >= 4 {
            let length = u16_at(rest, 0) as usize;
            let body = &rest[4..length];
            match u16_at(rest, 2) {
                0 => socket.name = Some(body.to_vec()),
                1 => socket.file = Some((u32_at(body, 4), u32_at(body, 0))),
                2 => socket.peer = Some(u32_at(body, 0)),
                3 => socket.pending = (0..body.len() / 4).map(|index| u32_at(body, 4 * index)).collect(),
                4 => socket.queue = Some((u32_at(body, 0), u32_at(body, 4))),
                6 => socket.shutdown = body[0],
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        socket
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
