//! What a system call transfers, from its arguments, its result and the memory of its process.
//! Pure.

/// The calls that are of interest.
pub(crate) const CALLS: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_connect,
];

/// The memory of a process. Returns as much of it as can be read.
pub(crate) trait Memory {
    fn read(&self, address: u64, len: usize) -> Vec<u8>;
}

/// What a call does with a file descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Send,
    Receive,
    Connect,
}

/// What was transferred with one message, or one call on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transfer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) len: u32,
    pub(crate) fds: u16,
    /// The address that the message went to, or came from.
    pub(crate) address: Option<Vec<u8>>,
}

/// A call that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) act: Act,
    pub(crate) fd: i32,
    number: libc::c_long,
    arguments: [u64; 6],
}

/// `MSG_PEEK`: the bytes stay in the queue. `MSG_ERRQUEUE`: they are not data.
const NO_TRANSFER: u64 = 0x2 | 0x2000;
const HEADER_BYTES: usize = 56;
const ENTRY_BYTES: u64 = 64;
/// The longest list of buffers, as in the kernel.
const BUFFERS_MAX: usize = 1024;

impl Begun {
    /// Returns what a call does, if it can transfer something: with the file descriptor that may be
    /// a socket.
    pub(crate) fn of(number: u64, arguments: [u64; 6]) -> Option<Begun> {
        let number = libc::c_long::try_from(number).ok()?;
        let peeks = |at: usize| arguments[at] & NO_TRANSFER != 0;
        let (act, at) = match number {
            libc::SYS_read | libc::SYS_readv => (Act::Receive, 0),
            libc::SYS_recvfrom | libc::SYS_recvmmsg if !peeks(3) => (Act::Receive, 0),
            libc::SYS_recvmsg if !peeks(2) => (Act::Receive, 0),
            libc::SYS_write | libc::SYS_writev | libc::SYS_sendto => (Act::Send, 0),
            libc::SYS_sendmsg | libc::SYS_sendmmsg | libc::SYS_sendfile => (Act::Send, 0),
            libc::SYS_connect => (Act::Connect, 0),
            // One end is a pipe: see `other`.
            libc::SYS_splice => (Act::Send, 2),
            _ => return None,
        };
        Some(Begun { act, fd: arguments[at] as i32, number, arguments })
    }

    /// Returns the call as one that receives, for a file descriptor that may be a socket, too.
    pub(crate) fn other(self) -> Option<Begun> {
        let is_splice = self.number == libc::SYS_splice && self.act == Act::Send;
        is_splice.then_some(Begun { act: Act::Receive, fd: self.arguments[0] as i32, ..self })
    }

    /// Returns what was transferred by a call with this result, which is not negative, with at most
    /// `max` bytes of each message.
    pub(crate) fn transfers(&self, result: u64, memory: &impl Memory, max: usize) -> Vec<Transfer> {
        let [_, first, second, _, fourth, fifth] = self.arguments;
        let len = u32::try_from(result).unwrap_or(u32::MAX);
        let plain = |length: u64| {
            let wanted = usize::try_from(result.min(length)).unwrap_or(usize::MAX);
            Transfer { bytes: memory.read(first, wanted.min(max)), len, ..Transfer::default() }
        };
        match self.number {
            libc::SYS_read | libc::SYS_write => vec![plain(second)],
            libc::SYS_sendto => {
                vec![Transfer { address: name(memory, fourth, fifth as u32), ..plain(second) }]
            }
            libc::SYS_recvfrom => {
                let length = word(&memory.read(fifth, 4), 0);
                vec![Transfer { address: name(memory, fourth, length), ..plain(second) }]
            }
            libc::SYS_readv | libc::SYS_writev => {
                let bytes = gathered(memory, first, second, result, max);
                vec![Transfer { bytes, len, ..Transfer::default() }]
            }
            libc::SYS_recvmsg | libc::SYS_sendmsg => vec![message(memory, first, len, max)],
            libc::SYS_recvmmsg | libc::SYS_sendmmsg => (0..result.min(second))
                .map(|at| {
                    let entry = first.wrapping_add(at * ENTRY_BYTES);
                    let len = word(&memory.read(entry.wrapping_add(HEADER_BYTES as u64), 4), 0);
                    message(memory, entry, len, max)
                })
                .collect(),
            // The bytes were in no memory of the process.
            libc::SYS_sendfile | libc::SYS_splice => vec![Transfer { len, ..Transfer::default() }],
            libc::SYS_connect => {
                vec![Transfer { address: name(memory, first, second as u32), ..Transfer::default() }]
            }
            _ => Vec::new(),
        }
    }
}

/// A message as `struct msghdr` describes it.
fn message(memory: &impl Memory, address: u64, len: u32, max: usize) -> Transfer {
    let header = memory.read(address, HEADER_BYTES);
    if header.len() < HEADER_BYTES {
        return Transfer { len, ..Transfer::default() };
    }
    let bytes = gathered(memory, long(&header, 16), long(&header, 24), len.into(), max);
    let control_len = usize::try_from(long(&header, 40)).unwrap_or(0).min(CONTROL_MAX);
    let control = if control_len == 0 { Vec::new() } else { memory.read(long(&header, 32), control_len) };
    Transfer {
        bytes,
        len,
        fds: descriptors(&control),
        address: name(memory, long(&header, 0), word(&header, 8)),
    }
}

const CONTROL_MAX: usize = 64 << 10;

/// The first bytes of what a list of buffers has.
fn gathered(memory: &impl Memory, list: u64, count: u64, len: u64, max: usize) -> Vec<u8> {
    let count = usize::try_from(count).unwrap_or(0).min(BUFFERS_MAX);
    let mut left = usize::try_from(len).unwrap_or(usize::MAX).min(max);
    let mut bytes = Vec::new();
    for buffer in memory.read(list, count * 16).chunks_exact(16) {
        let wanted = usize::try_from(long(buffer, 8)).unwrap_or(usize::MAX).min(left);
        if wanted == 0 {
            continue;
        }
        let read = memory.read(long(buffer, 0), wanted);
        left -= read.len();
        let is_short = read.len() < wanted;
        bytes.extend(read);
        if is_short || left == 0 {
            break;
        }
    }
    bytes
}

/// The name in a `struct sockaddr_un`: a path, or a zero byte and an abstract name.
fn name(memory: &impl Memory, address: u64, len: u32) -> Option<Vec<u8>> {
    const FAMILY: [u8; 2] = 1u16.to_ne_bytes();
    if address == 0 || !(3..=110).contains(&len) {
        return None;
    }
    let bytes = memory.read(address, len as usize);
    let name = bytes.strip_prefix(&FAMILY)?;
    match name.first()? {
        0 => Some(name.to_vec()),
        _ => Some(name.split(|byte| *byte == 0).next()?.to_vec()),
    }
}

/// The number of file descriptors in control messages.
fn descriptors(mut control: &[u8]) -> u16 {
    const SOL_SOCKET: u32 = 1;
    const SCM_RIGHTS: u32 = 1;
    let mut count = 0usize;
    while control.len() >= 16 {
        let len = usize::try_from(long(control, 0)).unwrap_or(0);
        if len < 16 || len > control.len() {
            break;
        }
        if (word(control, 8), word(control, 12)) == (SOL_SOCKET, SCM_RIGHTS) {
            count += (len - 16) / 4;
        }
        control = control.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    u16::try_from(count).unwrap_or(u16::MAX)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_ne_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let long = bytes.get(at..at + 8).and_then(|long| long.try_into().ok());
    long.map_or(0, u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory from address 4096 on.
    struct Bytes(Vec<u8>);

    const BASE: u64 = 4096;

    impl Memory for Bytes {
        fn read(&self, address: u64, len: usize) -> Vec<u8> {
            let at = usize::try_from(address.wrapping_sub(BASE)).unwrap_or(usize::MAX);
            let rest = self.0.get(at..).unwrap_or_default();
            rest[..rest.len().min(len)].to_vec()
        }
    }

    impl Bytes {
        /// Appends bytes and returns their address.
        fn put(&mut self, bytes: &[u8]) -> u64 {
            self.0.resize(self.0.len().next_multiple_of(8), 0xee);
            self.0.extend(bytes);
            BASE + self.0.len() as u64 - bytes.len() as u64
        }

        fn longs(&mut self, longs: &[u64]) -> u64 {
            let bytes: Vec<u8> = longs.iter().flat_map(|long| long.to_ne_bytes()).collect();
            self.put(&bytes)
        }
    }

    fn call(number: libc::c_long, arguments: &[u64]) -> Begun {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Begun::of(number as u64, all).unwrap()
    }

    #[test]
    fn a_message_has_its_buffers_its_name_and_its_file_descriptors() {
        let mut memory = Bytes(Vec::new());
        let (one, two) = (memory.put(b"hel"), memory.put(b"lo!"));
        let buffers = memory.longs(&[one, 3, two, 3]);
        let name = memory.put(b"\x01\0/run/x\0");
        let control = memory
            .put(&[&24u64.to_ne_bytes()[..], &1u32.to_ne_bytes(), &1u32.to_ne_bytes(), &[9; 8]].concat());
        let header = memory.longs(&[name, 9, buffers, 2, control, 24, 0]);
        let sent = call(libc::SYS_sendmsg, &[7, header, 0]);
        assert_eq!((sent.act, sent.fd), (Act::Send, 7));
        let address = Some(b"/run/x".to_vec());
        let whole = Transfer { bytes: b"hello".to_vec(), len: 5, fds: 2, address };
        assert_eq!(sent.transfers(5, &memory, 100), std::slice::from_ref(&whole));
        assert_eq!(sent.transfers(5, &memory, 2), [Transfer { bytes: b"he".to_vec(), ..whole.clone() }]);

        let entries = memory.longs(&[name, 9, buffers, 2, 0, 0, 0, 5, name, 9, buffers, 2, 0, 0, 0, 1]);
        let many = call(libc::SYS_recvmmsg, &[7, entries, 2, 0, 0]).transfers(2, &memory, 100);
        assert_eq!(many[0], Transfer { fds: 0, ..whole });
        assert_eq!((many[1].bytes.as_slice(), many[1].len), (&b"h"[..], 1));
    }

    #[test]
    fn what_is_not_readable_has_no_bytes() {
        let memory = Bytes(Vec::new());
        for number in [libc::SYS_read, libc::SYS_writev, libc::SYS_sendmsg, libc::SYS_sendfile] {
            let seen = call(number, &[3, 16, 8, 0]).transfers(8, &memory, 100);
            assert_eq!(seen, [Transfer { len: 8, ..Transfer::default() }]);
        }
    }

    #[test]
    fn what_is_peeked_at_is_no_transfer() {
        assert!(Begun::of(libc::SYS_recvfrom as u64, [3, 16, 8, 2, 0, 0]).is_none());
        assert!(Begun::of(libc::SYS_recvmsg as u64, [3, 16, 2, 0, 0, 0]).is_none());
        assert!(Begun::of(libc::SYS_getpid as u64, [0; 6]).is_none());
    }
}
