//! The records of the capture programs. Pure.
//!
//! The slots below are the only definition of the layout. The programs and the reader are generated
//! from them.

use crate::record::{Command, Slot, slot};

/// The length of a record, without the message that may follow.
pub const HEADER_BYTES: usize = 96;

pub(super) const TIME: Slot = slot(0, 8);
pub(super) const SENDER: Slot = slot(8, 8);
pub(super) const RECEIVER: Slot = slot(16, 8);
pub(super) const BUFFER: Slot = slot(24, 8);
pub(super) const SENDER_INODE: Slot = slot(32, 4);
pub(super) const RECEIVER_INODE: Slot = slot(36, 4);
pub(super) const TID: Slot = slot(40, 4);
pub(super) const PID: Slot = slot(44, 4);
/// The process and the thread, as the helper returns them.
pub(super) const THREAD: Slot = slot(40, 8);
pub(super) const COMMAND: Slot = slot(48, 16);
pub(super) const LEN: Slot = slot(64, 4);
pub(super) const CONSUMED: Slot = slot(68, 4);
pub(super) const RESULT: Slot = slot(72, 4);
pub(super) const FLAGS: Slot = slot(76, 4);
pub(super) const WHAT: Slot = slot(80, 2);
pub(super) const KIND: Slot = slot(82, 2);
pub(super) const FDS: Slot = slot(84, 2);
pub(super) const MATCHED: Slot = slot(86, 2);
pub(super) const CAPTURED: Slot = slot(88, 4);

/// The values of [`WHAT`].
pub(super) const COPIED: i32 = 1;
pub(super) const RECEIVED: i32 = 2;
pub(super) const CONNECTED: i32 = 3;
pub(super) const SENT: i32 = 4;
pub(super) const PASSED: i32 = 5;

/// What a record of [`PASSED`] has in place of other things: the inode and the device of the file,
/// its mode, its place among those of the message, and its name.
pub(super) const FILE_INODE: Slot = slot(72, 8);
pub(super) const FILE_DEVICE: Slot = LEN;
pub(super) const FILE_MODE: Slot = CONSUMED;
pub(super) const FILE_PLACE: Slot = FDS;
pub(super) const FILE_NAME: Slot = COMMAND;
/// How many files of a message are reported.
pub(super) const FILES_MAX: u32 = 8;

const PEEK: u32 = 2;

/// A socket at one end, as far as the program could determine it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct End {
    /// The kernel's unique number for the socket, as in `sock_diag`. `None` for the other end of
    /// the socket that the event is about, until a process has requested it.
    pub cookie: Option<u64>,
    /// The inode, as in `socket:[…]`. `None` after the socket was closed, and before it was
    /// accepted.
    pub inode: Option<u32>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A receiver copied bytes out of a message in its queue.
    Copied(Message),
    /// A call that receives returned. Reported if it peeked, returned no bytes or an error, and for
    /// sockets whose messages do not name their receiver.
    Received(Received),
    /// A process connected to the listener [`Event::receiver`].
    Connected,
    /// A file descriptor is attached to the message that the next [`What::Copied`] of this thread
    /// is about. [`Event::command`] is empty.
    Passed(PassedFile),
    /// A process sent with the socket [`Event::sender`] for the first time.
    Sent,
}

/// A message in a receive queue: a datagram, or what one call sent over a stream, at most some
/// 36 KiB of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Identifies the message while it is in the queue. The kernel reuses the number.
    pub buffer: BufferKey,
    /// The length of the whole message.
    pub len: u32,
    /// How many of its bytes were received before.
    pub consumed: u32,
    /// How many bytes are copied now.
    pub copied: u32,
    /// How many file descriptors are attached.
    pub fds: u16,
    /// Whether the receiver is among the wanted sockets. `None` if it is unknown: the next
    /// [`What::Received`] of the same thread names it.
    pub is_wanted: Option<bool>,
}

/// An open file that a message passes, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassedFile {
    /// The message.
    pub buffer: BufferKey,
    /// Its place among the file descriptors of the message, from 0. The first eight are reported.
    pub place: u16,
    /// The type and the permissions, as in `st_mode`. Files that the kernel made for a descriptor
    /// may have no type.
    pub mode: u16,
    /// The major and the minor number of the device of its file system. On some file systems
    /// `stat` reports others.
    pub device: (u32, u32),
    /// The inode.
    pub inode: u64,
    /// The last component of its path, up to 15 bytes of it; empty if it has none.
    pub name: Command,
}

/// Identifies a message in a queue. The value is a kernel address and is hidden.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferKey(pub(crate) u64);

impl std::fmt::Debug for BufferKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BufferKey(..)")
    }
}

/// The result of a call that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The number of bytes, or a negated `errno`.
    pub result: i32,
    /// Whether the bytes stay in the queue (`MSG_PEEK`).
    pub peeked: bool,
}

/// The type of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketKind(pub u16);

impl SocketKind {
    /// `SOCK_STREAM`.
    pub const STREAM: SocketKind = SocketKind(1);
    /// `SOCK_DGRAM`.
    pub const DATAGRAM: SocketKind = SocketKind(2);
    /// `SOCK_SEQPACKET`.
    pub const SEQPACKET: SocketKind = SocketKind(5);
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, on `CLOCK_MONOTONIC`, in nanoseconds.
    pub time_ns: u64,
    /// The process that received, connected or sent.
    pub pid: u32,
    /// Its thread.
    pub tid: u32,
    /// The name of the thread.
    pub command: Command,
    /// The type of the sockets.
    pub kind: SocketKind,
    /// The socket that sent; for [`What::Connected`] unknown.
    pub sender: End,
    /// The socket that received, or the listener.
    pub receiver: End,
    /// What happened.
    pub what: What,
    /// How many bytes of the message follow the record.
    pub(crate) captured: usize,
}

impl Event {
    /// Decodes a record and the bytes of the message that follow it. `None` if it is truncated or
    /// of an unknown kind.
    pub fn parse(bytes: &[u8]) -> Option<(Event, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let event = Event::of(header)?;
        let message = rest.get(..event.captured)?;
        Some((event, message))
    }

    fn of(header: &[u8; HEADER_BYTES]) -> Option<Event> {
        let long = |slot: Slot| number(header, slot);
        let short = |slot: Slot| long(slot) as u32;
        let end = |cookie, inode| End { cookie: some(long(cookie)), inode: some(short(inode)) };
        let command =
            if short(WHAT) as i32 == PASSED { Command([0; COMMAND.len_bytes]) } else { name(header) };
        Some(Event {
            time_ns: long(TIME),
            pid: short(PID),
            tid: short(TID),
            command,
            kind: SocketKind(long(KIND) as u16),
            sender: end(SENDER, SENDER_INODE),
            receiver: end(RECEIVER, RECEIVER_INODE),
            what: what(header)?,
            captured: short(CAPTURED) as usize,
        })
    }
}

fn what(header: &[u8; HEADER_BYTES]) -> Option<What> {
    let short = |slot: Slot| number(header, slot) as u32;
    match short(WHAT) as i32 {
        COPIED => Some(What::Copied(Message {
            buffer: BufferKey(number(header, BUFFER)),
            len: short(LEN),
            consumed: short(CONSUMED),
            copied: short(RESULT),
            fds: short(FDS) as u16,
            is_wanted: (short(MATCHED) != 0).then_some(true),
        })),
        RECEIVED => {
            Some(What::Received(Received { result: short(RESULT) as i32, peeked: short(FLAGS) & PEEK != 0 }))
        }
        CONNECTED => Some(What::Connected),
        SENT => Some(What::Sent),
        PASSED => Some(What::Passed(PassedFile {
            buffer: BufferKey(number(header, BUFFER)),
            place: short(FILE_PLACE) as u16,
            mode: short(FILE_MODE) as u16,
            // The kernel's own form has 20 bits for the minor number.
            device: (short(FILE_DEVICE) >> 20, short(FILE_DEVICE) & 0xf_ffff),
            inode: number(header, FILE_INODE),
            name: name(header),
        })),
        _ => None,
    }
}

/// The name of the thread, or of the file.
fn name(header: &[u8; HEADER_BYTES]) -> Command {
    let mut name = [0; COMMAND.len_bytes];
    name.copy_from_slice(&header[COMMAND.at..][..COMMAND.len_bytes]);
    Command(name)
}

fn some<N: Default + PartialEq>(number: N) -> Option<N> {
    Some(number).filter(|number| *number != N::default())
}

fn number(bytes: &[u8; HEADER_BYTES], slot: Slot) -> u64 {
    let mut word = [0; 8];
    word[..slot.len_bytes].copy_from_slice(&bytes[slot.at..][..slot.len_bytes]);
    u64::from_le_bytes(word)
}
