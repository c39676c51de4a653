//! What the kernel's own table says of a local socket (`NETLINK_SOCK_DIAG`): its kind, its state, its file.
//!
//! Needs no privilege and sees the current network namespace only (K-DIAG-3): not found here is no proof of anything. Every
//! answer is `None` or empty where the kernel has no such table.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::Kind;
use crate::file_id::FileId;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const UNIX_DIAG_UID: u16 = 7;
const SHOW_NAME: u32 = 1;
const SHOW_VFS: u32 = 2;
const SHOW_PEER: u32 = 4;
const SHOW_RQLEN: u32 = 0x10;
const SHOW_UID: u32 = 0x40;
const TCP_LISTEN: u8 = 10;

const HEADER_BYTES: usize = 16;
const ANSWER_BYTES: usize = 16;

/// One socket in the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DiagSocket {
    pub(crate) kind: Option<Kind>,
    pub(crate) listening: bool,
    /// The socket's own inode, as in `/proc/PID/fd`.
    pub(crate) ino: u32,
    /// The bound name as the kernel has it: a path, or an abstract name with its leading NUL.
    pub(crate) name: Vec<u8>,
    pub(crate) file: Option<FileId>,
    /// The inode of the socket it is connected to; 0 where it has none, or one that has not been accepted yet.
    pub(crate) peer: u32,
    /// Of a listener: clients that wait, and how many may. Else: bytes unread and bytes charged.
    pub(crate) queue: (u32, u32),
    /// `1` shut down for reading, `2` for writing.
    pub(crate) shutdown: u8,
    pub(crate) uid: Option<u32>,
}

/// The file that a bound socket's name led to when it was bound.
pub(crate) fn file_of(socket: BorrowedFd<'_>) -> Option<FileId> {
    let ino = u32::try_from(rustix::fs::fstat(socket).ok()?.st_ino).ok()?;
    ask(&request(NLM_F_REQUEST, ino, SHOW_VFS))?.into_iter().find(|found| found.ino == ino)?.file
}

/// Every socket bound to this file.
pub(crate) fn bound_to(file: FileId) -> Vec<DiagSocket> {
    let same_inode: Vec<DiagSocket> = all()
        .into_iter()
        .filter(|socket| socket.file.is_some_and(|bound| bound.ino == file.ino & 0xffff_ffff))
        .collect();
    // On some file systems the table knows another device than stat does; it then decides nothing.
    let exact = |socket: &&DiagSocket| socket.file.is_some_and(|bound| bound.dev == file.dev);
    match same_inode.iter().any(|socket| exact(&socket)) {
        true => same_inode.into_iter().filter(|socket| exact(&socket)).collect(),
        false => same_inode,
    }
}

/// Every socket that has this abstract name.
pub(crate) fn named(abstract_name: &[u8]) -> Vec<DiagSocket> {
    all().into_iter().filter(|socket| socket.name.strip_prefix(b"\0") == Some(abstract_name)).collect()
}

/// The whole table of this network namespace.
pub(crate) fn all() -> Vec<DiagSocket> {
    let show = SHOW_NAME | SHOW_VFS | SHOW_PEER | SHOW_RQLEN | SHOW_UID;
    ask(&request(NLM_F_REQUEST | NLM_F_DUMP, 0, show)).unwrap_or_default()
}

fn request(flags: u16, ino: u32, show: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + 24);
    bytes.extend(40u32.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([libc::AF_UNIX as u8, 0, 0, 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(ino.to_ne_bytes());
    bytes.extend(show.to_ne_bytes());
    // No cookie: any socket with that inode.
    bytes.extend([0xff; 8]);
    bytes
}

fn ask(request: &[u8]) -> Option<Vec<DiagSocket>> {
    let flags = SocketFlags::CLOEXEC;
    let fd =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(SOCK_DIAG)).ok()?;
    rustix::net::sendto(&fd, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
    let is_dump = request[6..8] == (NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes();
    let mut found = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = match rustix::net::recv(fd.as_fd(), &mut buffer[..], RecvFlags::empty()) {
            Ok((len, _)) => len,
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        };
        if parse(&buffer[..len], &mut found)? || !is_dump {
            return Some(found);
        }
    }
}

/// Reads one datagram of answers. `Some(true)` at the end of a dump, `None` where the kernel refused.
fn parse(mut bytes: &[u8], found: &mut Vec<DiagSocket>) -> Option<bool> {
    while let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) {
        let len = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
        let body = bytes.get(HEADER_BYTES..len)?;
        match u16::from_ne_bytes(header[4..6].try_into().ok()?) {
            NLMSG_DONE => return Some(true),
            NLMSG_ERROR => return None,
            SOCK_DIAG_BY_FAMILY => found.extend(parse_socket(body)),
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(false)
}

fn parse_socket(body: &[u8]) -> Option<DiagSocket> {
    let (fixed, mut attributes) = body.split_at_checked(ANSWER_BYTES)?;
    let mut socket = DiagSocket {
        kind: Kind::from_raw(fixed[1].into()),
        listening: fixed[2] == TCP_LISTEN,
        ino: word(fixed, 4)?,
        name: Vec::new(),
        file: None,
        peer: 0,
        queue: (0, 0),
        shutdown: 0,
        uid: None,
    };
    while let Some((header, _)) = attributes.split_at_checked(4) {
        let len = u16::from_ne_bytes([header[0], header[1]]) as usize;
        let Some(value) = attributes.get(4..len) else { break };
        match u16::from_ne_bytes([header[2], header[3]]) {
            UNIX_DIAG_NAME => socket.name = name(value),
            UNIX_DIAG_VFS => socket.file = file(value),
            UNIX_DIAG_PEER => socket.peer = word(value, 0).unwrap_or(0),
            UNIX_DIAG_RQLEN => socket.queue = (word(value, 0).unwrap_or(0), word(value, 4).unwrap_or(0)),
            UNIX_DIAG_SHUTDOWN => socket.shutdown = value.first().copied().unwrap_or(0),
            UNIX_DIAG_UID => socket.uid = word(value, 0),
            _ => {}
        }
        attributes = attributes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(socket)
}

/// A path comes with its closing NUL, an abstract name without.
fn name(value: &[u8]) -> Vec<u8> {
    match value.first() {
        Some(0) => value.to_vec(),
        _ => value.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
    }
}

/// The table writes a device as the kernel does inside: the major number from bit 20 on (K-DIAG-1).
fn file(value: &[u8]) -> Option<FileId> {
    let (ino, dev) = (word(value, 0)?, word(value, 4)?);
    Some(FileId { dev: rustix::fs::makedev(dev >> 20, dev & 0xf_ffff), ino: ino.into() })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bind;
    use proptest::prelude::*;

    #[test]
    fn finds_a_listener_by_its_file_and_by_its_inode() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let listener = Bind::new(&path).backlog(7).listen().unwrap();
        let stat = rustix::fs::stat(&path).unwrap();
        let found = bound_to(FileId::of(&stat));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].listening, found[0].queue), (Some(Kind::Stream), true, (0, 7)));
        assert_eq!(found[0].uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(file_of(listener.as_fd()).map(|file| file.ino), Some(stat.st_ino & 0xffff_ffff));
    }

    #[test]
    fn finds_an_abstract_name_with_all_its_bytes() {
        let name = format!("stoop-diag-{}\0x", std::process::id()).into_bytes();
        let _server = Bind::new(crate::Address::abstract_name(name.clone()).unwrap()).datagram().unwrap();
        assert_eq!(named(&name).len(), 1);
        assert!(named(&name[..name.len() - 1]).is_empty());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut found = Vec::new();
            let _ = parse(&bytes, &mut found);
            let _ = parse_socket(&bytes);
        }

        #[test]
        fn cut_answers_are_read_without_panic(len in 0u32..64, kind in 0u16..24, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut answer = len.to_ne_bytes().to_vec();
            answer.extend(kind.to_ne_bytes());
            answer.extend([0; 10]);
            answer.extend(bytes);
            let _ = parse(&answer, &mut Vec::new());
        }
    }
}
