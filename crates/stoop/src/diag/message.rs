//! The `NETLINK_SOCK_DIAG` messages for Unix domain sockets: encoding requests, decoding answers.
//! Pure.
//!
//! Whatever the bytes are, decoding terminates, stays within them and never panics. For an answer
//! it allocates only the name and a listener's list of waiting clients.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::entry::{Entry, Memory, Show, TCP_LISTEN};
use crate::Address;
use crate::file_id::FileId;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;
const UNIX_DIAG_NAME: u16 = 0;
const UNIX_DIAG_VFS: u16 = 1;
const UNIX_DIAG_PEER: u16 = 2;
const UNIX_DIAG_ICONS: u16 = 3;
const UNIX_DIAG_RQLEN: u16 = 4;
const UNIX_DIAG_MEMINFO: u16 = 5;
const UNIX_DIAG_SHUTDOWN: u16 = 6;
const UNIX_DIAG_UID: u16 = 7;

const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 24;
const ANSWER_BYTES: usize = 16;

/// The subject of a request.
pub(super) enum Question {
    /// Every socket.
    All,
    /// Every listening socket.
    Listeners,
    /// The socket with this inode; any of them, if there are several.
    One(u32),
}

pub(super) fn request(question: &Question, show: Show, sequence: u32) -> [u8; REQUEST_BYTES] {
    let (flags, states, ino) = match question {
        Question::All => (NLM_F_REQUEST | NLM_F_DUMP, u32::MAX, 0),
        Question::Listeners => (NLM_F_REQUEST | NLM_F_DUMP, 1 << TCP_LISTEN, 0),
        Question::One(ino) => (NLM_F_REQUEST, u32::MAX, *ino),
    };
    let mut bytes = [0; REQUEST_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    // The request is a `struct nlmsghdr` followed by a `struct unix_diag_req`: family and protocol
    // (one byte each), two bytes of padding, then states, inode, attributes and cookie.
    put(0, &(REQUEST_BYTES as u32).to_ne_bytes());
    put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(6, &flags.to_ne_bytes());
    put(8, &sequence.to_ne_bytes());
    put(HEADER_BYTES, &[libc::AF_UNIX as u8]);
    put(HEADER_BYTES + 4, &states.to_ne_bytes());
    put(HEADER_BYTES + 8, &ino.to_ne_bytes());
    put(HEADER_BYTES + 12, &show.0.to_ne_bytes());
    // No cookie (`INET_DIAG_NOCOOKIE`): any socket with that inode.
    put(HEADER_BYTES + 16, &[0xff; 8]);
    bytes
}

/// How a datagram of answers ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// It contains an answer to the request.
    pub(super) is_answer: bool,
    /// The dump is complete (`NLMSG_DONE`).
    pub(super) is_done: bool,
    /// The table changed during the dump (`NLM_F_DUMP_INTR`).
    pub(super) is_interrupted: bool,
    /// The error number with which the kernel answered.
    pub(super) refused: Option<i32>,
}

/// Reads one datagram of answers to the request with this sequence number, or to any. Answers to
/// other requests are skipped.
pub(super) fn read(mut bytes: &[u8], sequence: Option<u32>, found: &mut Vec<Entry>) -> Read {
    let mut read = Read::default();
    // `struct nlmsghdr`: length at 0 (the header included), type at 4, flags at 6, sequence at 8.
    while let (Some(len), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let Some(body) = bytes.get(HEADER_BYTES..len as usize) else { break };
        if sequence.is_none() || word(bytes, 8) == sequence {
            read.is_answer = true;
            read.is_interrupted |= half(bytes, 6).is_some_and(|flags| flags & NLM_F_DUMP_INTR != 0);
            match kind {
                SOCK_DIAG_BY_FAMILY => found.extend(entry(body)),
                NLMSG_DONE => (read.is_done, read.refused) = (true, errno(body)),
                NLMSG_ERROR => read.refused = errno(body),
                _ => {}
            }
        }
        // Netlink aligns messages to four bytes, but their length does not count the padding.
        bytes = bytes.get((len as usize).next_multiple_of(4)..).unwrap_or(&[]);
    }
    read
}

/// Returns the error number at the end of a dump or request; 0 for success.
fn errno(body: &[u8]) -> Option<i32> {
    word(body, 0).map(|errno| (errno as i32).saturating_neg())
}

fn entry(body: &[u8]) -> Option<Entry> {
    let (fixed, mut attributes) = body.split_at_checked(ANSWER_BYTES)?;
    let cookie = u64::from(word(fixed, 8)?) | u64::from(word(fixed, 12)?) << 32;
    let mut entry = Entry::new(word(fixed, 4)?, cookie, fixed[1].into(), fixed[2]);
    // `struct nlattr`: length at 0 (the header of four bytes included), type at 2. A length below
    // four ends the loop, because `get` finds no such range.
    while let (Some(len), Some(kind)) = (half(attributes, 0), half(attributes, 2)) {
        let Some(value) = attributes.get(4..len.into()) else { break };
        match kind {
            UNIX_DIAG_NAME => entry.name = name(value),
            UNIX_DIAG_VFS => entry.file = file(value),
            UNIX_DIAG_PEER => entry.peer = word(value, 0),
            UNIX_DIAG_ICONS => entry.waiting = value.chunks_exact(4).filter_map(|ino| word(ino, 0)).collect(),
            UNIX_DIAG_RQLEN => entry.queue = word(value, 0).zip(word(value, 4)),
            UNIX_DIAG_MEMINFO => entry.memory = memory(value),
            UNIX_DIAG_SHUTDOWN => entry.shutdown = value.first().copied().unwrap_or(0),
            UNIX_DIAG_UID => entry.uid = word(value, 0),
            _ => {}
        }
        // Attributes are aligned to four bytes too.
        attributes = attributes.get(usize::from(len).next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(entry)
}

/// Reads a name. A path includes its terminating NUL; an abstract name begins with one.
pub(super) fn name(value: &[u8]) -> Address {
    let address = match value.split_first() {
        Some((0, name)) => Address::abstract_name(name),
        _ => Address::path(OsStr::from_bytes(value.split(|&byte| byte == 0).next().unwrap_or_default())),
    };
    // A name that is too long, or an empty path: the kernel never binds those.
    address.unwrap_or(Address::UNNAMED)
}

/// Reads an inode and a device. The device is in the kernel's internal encoding, with the major
/// number from bit 20 ([K-DIAG-1]).
///
/// [K-DIAG-1]: crate::kernel_facts#K-DIAG-1
fn file(value: &[u8]) -> Option<FileId> {
    Some(file_id(word(value, 4)?, word(value, 0)?))
}

pub(super) fn file_id(dev: u32, ino: u32) -> FileId {
    FileId { dev: rustix::fs::makedev(dev >> 20, dev & 0xf_ffff), ino: ino.into() }
}

/// Reads the buffer counters, in the order of `SK_MEMINFO_VARS`.
fn memory(value: &[u8]) -> Option<Memory> {
    let at = |index: usize| word(value, index * 4);
    Some(Memory {
        received_bytes: at(0)?,
        receive_limit_bytes: at(1)?,
        sent_bytes: at(2)?,
        send_limit_bytes: at(3)?,
        // Absent before Linux 4.6.
        drops: at(8).unwrap_or(0),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut found = Vec::new();
            let _ = read(&bytes, None, &mut found);
            let _ = entry(&bytes);
        }

        #[test]
        fn cut_answers_are_read_without_panic(len in 0u32..64, kind in 0u16..24, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut answer = len.to_ne_bytes().to_vec();
            answer.extend(kind.to_ne_bytes());
            answer.extend([0; 10]);
            answer.extend(bytes);
            let _ = read(&answer, None, &mut Vec::new());
        }
    }
}
