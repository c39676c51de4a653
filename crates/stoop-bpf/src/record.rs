//! The output format of the program: one record per file descriptor, followed by the socket's
//! address if it has one. Pure.
//!
//! The slots below are the only definition of the layout. Both the program and the reader are
//! generated from them.

use crate::details::Details;

/// The length of a record, in bytes, without the address that may follow it.
pub const RECORD_BYTES: usize = 160;
/// The length of the address that follows a record if it has [`ADDRESS_BYTES`].
pub(crate) const ADDRESS_ROOM: usize = 112;

/// The position of a value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) at: usize,
    pub(crate) len_bytes: usize,
}

pub(crate) const fn slot(at: usize, len_bytes: usize) -> Slot {
    Slot { at, len_bytes }
}

pub(crate) const STARTED: Slot = slot(0, 8);
pub(crate) const COOKIE: Slot = slot(8, 8);
pub(crate) const TABLE: Slot = slot(16, 8);
pub(crate) const COMMAND: Slot = slot(24, 16);
pub(crate) const INODE: Slot = slot(40, 4);
pub(crate) const NETWORK: Slot = slot(44, 4);
pub(crate) const PID: Slot = slot(48, 4);
pub(crate) const TID: Slot = slot(52, 4);
pub(crate) const FD: Slot = slot(56, 4);
pub(crate) const USER: Slot = slot(60, 4);
pub(crate) const NAME: Slot = slot(64, 8);
pub(crate) const BIND_LINK: Slot = slot(72, 8);
pub(crate) const HASH: Slot = slot(80, 4);
pub(crate) const QUEUED: Slot = slot(84, 4);
pub(crate) const QUEUED_BYTES: Slot = slot(88, 4);
pub(crate) const QUEUE_LIMIT: Slot = slot(92, 4);
// See `details.rs`.
pub(crate) const PEER: Slot = slot(96, 8);
pub(crate) const PEER_INODE: Slot = slot(104, 4);
pub(crate) const KIND: Slot = slot(108, 2);
pub(crate) const STATE: Slot = slot(110, 1);
pub(crate) const SHUTDOWN: Slot = slot(111, 1);
pub(crate) const CREATOR: Slot = slot(112, 4);
pub(crate) const FILE_INODE: Slot = slot(116, 4);
pub(crate) const FILE_DEVICE: Slot = slot(120, 4);
pub(crate) const FIRST_BYTES: Slot = slot(124, 4);
pub(crate) const SENT_REFERENCES: Slot = slot(128, 4);
pub(crate) const RECEIVED_BYTES: Slot = slot(132, 4);
pub(crate) const RECEIVE_LIMIT: Slot = slot(136, 4);
pub(crate) const SEND_LIMIT: Slot = slot(140, 4);
pub(crate) const DROPS: Slot = slot(144, 4);
/// The length of the address, its family included: 0 if there is none.
pub(crate) const ADDRESS_BYTES: Slot = slot(148, 4);
/// 1 if the kernel has every field of the details.
pub(crate) const DETAILED: Slot = slot(152, 4);

/// The value of [`QUEUED_BYTES`] if the sum is not known.
pub(crate) const UNCOUNTED: u32 = u32::MAX;

/// Identifies the bound name of a socket within one listing.
///
/// An accepted socket has its listener's key. Two separately bound names that read the same have
/// different keys. The key is meaningless outside that listing, because the kernel reuses it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(pub(crate) u64);

/// Hides the value: it is a kernel address, which must not appear in a log.
impl std::fmt::Debug for NameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameKey(..)")
    }
}

/// The name of a process as in `/proc/PID/comm`: at most 15 bytes, which the process can set
/// itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub(crate) [u8; COMMAND.len_bytes]);

impl Command {
    /// Returns the bytes, without the terminating NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// A file descriptor that is a Unix domain socket, and the process that has it.
///
/// Process ids and user ids are those of the initial namespaces, as `/proc` there shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The process id.
    pub pid: u32,
    /// The id of the thread that owns the file descriptor table. This is the first thread of the
    /// process, unless a thread has left the shared table (`unshare(CLONE_FILES)`).
    pub tid: u32,
    /// The number of the file descriptor.
    pub fd: u32,
    /// The start time of the process, in nanoseconds since boot, time suspended included.
    ///
    /// Together with `pid` it identifies one process. `/proc/PID/stat` has the same value in ticks
    /// of a hundredth of a second.
    pub started_ns: u64,
    /// The effective user id of the process.
    pub user: u32,
    /// The name of its first thread.
    pub command: Command,
    /// The inode of the socket, as in `socket:[…]` and in `sock_diag`.
    pub inode: u32,
    /// The kernel's unique number for this socket. `None` until a process has requested it; a
    /// `sock_diag` dump requests all of them, and so does a listing with details.
    pub cookie: Option<u64>,
    /// The inode of the socket's network namespace; `None` if the kernel supports only one.
    pub network: Option<u32>,
    /// The key of its name within this listing. Accepted sockets share their listener's.
    ///
    /// `None` if the socket has no name, if names were not requested, and before Linux 5.16.
    pub name: Option<NameKey>,
    /// Whether the socket itself was bound to a path, as opposed to accepted at one ([K-BPF-9]).
    /// Always `false` before Linux 6.0.
    ///
    /// [K-BPF-9]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-9
    pub is_bound_to_path: bool,
    /// The slot of the namespace's hash table that the socket is in. Since Linux 6.0 the upper
    /// half, from 256 on, has the sockets that were bound to an abstract name, and no accepted ones
    /// ([K-BPF-10]). 0 before Linux 5.17.
    ///
    /// [K-BPF-10]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-10
    pub slot: u32,
    /// The receive queue: messages of a datagram socket, buffers of any other.
    pub queue: Queue,
    /// What the kernel's socket table (`sock_diag`) has of the socket. `None` if they were not
    /// requested, or if the kernel lacks one of the fields.
    pub details: Option<Details>,
    /// The table that contains the file descriptor, within this listing. Threads may share it.
    pub(crate) table: TableKey,
}

/// The receive queue of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queue {
    /// How many messages, buffers, or clients of a listener are queued.
    pub len: u32,
    /// The sum of the lengths of its messages; on a stream, of what has not been read of them.
    /// `None` if there are more than 65,536 (before Linux 6.4: 128), or if they changed while they
    /// were counted.
    pub bytes: Option<u32>,
    /// One less than the number of messages (or of clients) that fit. It is that of the socket,
    /// whatever `net.unix.max_dgram_qlen` is now ([K-BPF-11]).
    ///
    /// [K-BPF-11]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-BPF-11
    pub limit: u32,
}

/// Identifies a file descriptor table. The value is hidden as in [`NameKey`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TableKey(u64);

impl std::fmt::Debug for TableKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableKey(..)")
    }
}

impl Record {
    /// Decodes the record that the bytes begin with, and returns it with the bytes behind it;
    /// `None` if they are too few. Any bytes are accepted, because every value is valid.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_bpf::{RECORD_BYTES, Record};
    ///
    /// let (record, rest) = Record::split(&[0; RECORD_BYTES + 3]).unwrap();
    /// // Zero stands for an absent value.
    /// assert_eq!((record.pid, record.cookie, record.name), (0, None, None));
    /// assert_eq!(rest.len(), 3);
    /// assert!(Record::split(&[0; 3]).is_none());
    /// ```
    pub fn split(bytes: &[u8]) -> Option<(Record, &[u8])> {
        let (head, rest) = bytes.split_first_chunk()?;
        let (address, rest) = rest.split_at_checked(address_room(head))?;
        Some((Record::of(head, address), rest))
    }

    fn of(bytes: &[u8; RECORD_BYTES], address: &[u8]) -> Record {
        let number = |slot: Slot| number(bytes, slot);
        let short = |slot: Slot| number(slot) as u32;
        let mut command = [0; COMMAND.len_bytes];
        command.copy_from_slice(&bytes[COMMAND.at..][..COMMAND.len_bytes]);
        Record {
            pid: short(PID),
            tid: short(TID),
            fd: short(FD),
            started_ns: number(STARTED),
            user: short(USER),
            command: Command(command),
            inode: short(INODE),
            cookie: some(number(COOKIE)),
            network: some(short(NETWORK)),
            name: some(number(NAME)).map(NameKey),
            is_bound_to_path: number(BIND_LINK) != 0,
            slot: short(HASH),
            queue: Queue {
                len: short(QUEUED),
                bytes: Some(short(QUEUED_BYTES)).filter(|&bytes| bytes != UNCOUNTED),
                limit: short(QUEUE_LIMIT),
            },
            details: (number(DETAILED) != 0).then(|| Details::of(bytes, address)),
            table: TableKey(number(TABLE)),
        }
    }
}

/// Returns how many bytes of an address follow this record.
fn address_room(record: &[u8; RECORD_BYTES]) -> usize {
    if number(record, ADDRESS_BYTES) == 0 { 0 } else { ADDRESS_ROOM }
}

/// Returns `None` for zero, which the kernel uses for an absent value.
pub(crate) fn some<N: Default + PartialEq>(number: N) -> Option<N> {
    Some(number).filter(|number| *number != N::default())
}

pub(crate) fn number(bytes: &[u8; RECORD_BYTES], slot: Slot) -> u64 {
    let mut word = [0; 8];
    word[..slot.len_bytes].copy_from_slice(&bytes[slot.at..][..slot.len_bytes]);
    u64::from_le_bytes(word)
}

/// The stream ended inside a record, after this many of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncatedRecord(pub usize);

impl std::fmt::Display for TruncatedRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stream ended after {} bytes of a record", self.0)
    }
}

impl std::error::Error for TruncatedRecord {}

/// Decodes records from bytes that arrive in pieces, split anywhere.
///
/// # Examples
///
/// ```
/// use stoop_bpf::{RECORD_BYTES, Records, TruncatedRecord};
///
/// let (mut records, mut count) = (Records::default(), 0);
/// records.feed(&[0; RECORD_BYTES + 3], |_| count += 1);
/// assert_eq!(count, 1);
/// records.feed(&[0; RECORD_BYTES], |_| count += 1);
/// assert_eq!(count, 2);
/// assert_eq!(records.finish(), Err(TruncatedRecord(3)));
/// ```
#[derive(Clone, Debug)]
pub struct Records {
    /// The beginning of an incomplete record.
    begun: [u8; RECORD_BYTES + ADDRESS_ROOM],
    begun_bytes: usize,
}

impl Default for Records {
    fn default() -> Records {
        Records { begun: [0; RECORD_BYTES + ADDRESS_ROOM], begun_bytes: 0 }
    }
}

impl Records {
    /// Calls `each` for the records that end in this piece.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(Record)) {
        while self.begun_bytes > 0 {
            let end = piece.len().min(self.wanted() - self.begun_bytes);
            if end == 0 {
                return;
            }
            self.keep(&piece[..end]);
            piece = &piece[end..];
            if let Some((record, _)) = Record::split(&self.begun[..self.begun_bytes]) {
                each(record);
                self.begun_bytes = 0;
            }
        }
        while let Some((record, rest)) = Record::split(piece) {
            each(record);
            piece = rest;
        }
        self.keep(piece);
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// Returns an error if the stream ended inside a record ([`TruncatedRecord`]).
    pub fn finish(self) -> Result<(), TruncatedRecord> {
        if self.begun_bytes == 0 { Ok(()) } else { Err(TruncatedRecord(self.begun_bytes)) }
    }

    /// Returns the length of the record that has begun, or of its first part.
    fn wanted(&self) -> usize {
        match self.begun[..self.begun_bytes].first_chunk() {
            Some(record) => RECORD_BYTES + address_room(record),
            None => RECORD_BYTES,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun[self.begun_bytes..][..bytes.len()].copy_from_slice(bytes);
        self.begun_bytes += bytes.len();
    }
}
