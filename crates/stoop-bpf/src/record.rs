//! What the program writes for each descriptor, byte by byte, and how that is read back. Pure.
//!
//! The slots below are the one place where the layout of a record stands: the program is made from
//! them, and so is the reader.

/// The length of one record.
pub const RECORD_BYTES: usize = 72;

/// Where a value lies in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) at: usize,
    pub(crate) len_bytes: usize,
}

const fn slot(at: usize, len_bytes: usize) -> Slot {
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

/// Which name it is, within one read: an accepted socket has the very name of its listener, and not
/// one that reads the same. It says nothing outside of that read: the kernel gives the key to
/// another name later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(u64);

/// Hidden: it is an address in the kernel, which nobody should find in a log.
impl std::fmt::Debug for NameKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NameKey(..)")
    }
}

/// What `/proc/PID/comm` shows: at most 15 bytes, which the process may have chosen itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command([u8; COMMAND.len_bytes]);

impl Command {
    /// The bytes, without the NUL behind them.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// One descriptor that is a local socket, and whose it is. What the socket itself is, the kernel's
/// table tells (sock_diag): each field more that is read here is a line of memory more to fetch for
/// each socket of the machine.
///
/// Process ids and user ids are those of the first (initial) namespaces, as `/proc` there shows
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The process.
    pub pid: u32,
    /// The thread whose table of descriptors it is: the process's own first thread, but where a
    /// thread has left the common table (`unshare(CLONE_FILES)`).
    pub tid: u32,
    /// The number of the descriptor.
    pub fd: u32,
    /// When the process was started: nanoseconds after the machine was, time asleep included. With
    /// `pid` this is one process and no other; `/proc/PID/stat` has the same in ticks of a
    /// hundredth of a second.
    pub started_ns: u64,
    /// The effective user of the process.
    pub user: u32,
    /// The name of its first thread.
    pub command: Command,
    /// The inode of the socket, as in `socket:[…]` and in sock_diag.
    pub inode: u32,
    /// The kernel's number for this socket, never given twice; `None` until somebody has asked for
    /// it. A dump with sock_diag asks for all.
    pub cookie: Option<u64>,
    /// The inode number of the network namespace of the socket; `None` where the kernel has only
    /// one.
    pub network: Option<u32>,
    /// Its name, within this read; `None` without one, where it was not asked for, and before Linux
    /// 5.16. Sockets that were accepted share that of their listener.
    pub name: Option<NameKey>,
    /// Which table the descriptor is in, within this read. Threads may have it in common.
    pub(crate) table: TableKey,
}

/// A table of descriptors. Hidden as a name is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TableKey(u64);

impl std::fmt::Debug for TableKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TableKey(..)")
    }
}

impl Record {
    /// The record in these bytes: no bytes are refused, as any could have been written.
    pub fn parse(bytes: &[u8; RECORD_BYTES]) -> Record {
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
            table: TableKey(number(TABLE)),
        }
    }
}

/// Zero is the kernel's word for *none*.
fn some<N: Default + PartialEq>(number: N) -> Option<N> {
    Some(number).filter(|number| *number != N::default())
}

fn number(bytes: &[u8; RECORD_BYTES], slot: Slot) -> u64 {
    let mut word = [0; 8];
    word[..slot.len_bytes].copy_from_slice(&bytes[slot.at..][..slot.len_bytes]);
    u64::from_le_bytes(word)
}

/// The stream ended inside a record; with how many bytes of it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutShort(pub usize);

impl std::fmt::Display for CutShort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the stream ended after {} of the {RECORD_BYTES} bytes of a record", self.0)
    }
}

impl std::error::Error for CutShort {}

/// Records from bytes that come in pieces, cut anywhere.
#[derive(Clone, Debug)]
pub struct Records {
    /// The beginning of a record whose end has not come.
    begun: [u8; RECORD_BYTES],
    begun_bytes: usize,
}

impl Default for Records {
    fn default() -> Records {
        Records { begun: [0; RECORD_BYTES], begun_bytes: 0 }
    }
}

impl Records {
    /// Gives `each` the records that end in this piece.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(Record)) {
        if self.begun_bytes > 0 {
            let (end, rest) = piece.split_at(piece.len().min(RECORD_BYTES - self.begun_bytes));
            self.keep(end);
            piece = rest;
            if self.begun_bytes == RECORD_BYTES {
                each(Record::parse(&self.begun));
                self.begun_bytes = 0;
            }
        }
        let (whole, rest) = piece.as_chunks::<RECORD_BYTES>();
        whole.iter().map(Record::parse).for_each(each);
        self.keep(rest);
    }

    /// Says whether the end came between two records.
    ///
    /// # Errors
    /// [`CutShort`] when it did not.
    pub fn finish(self) -> Result<(), CutShort> {
        if self.begun_bytes == 0 { Ok(()) } else { Err(CutShort(self.begun_bytes)) }
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.begun[self.begun_bytes..][..bytes.len()].copy_from_slice(bytes);
        self.begun_bytes += bytes.len();
    }
}
