//! What a record has of the socket itself: the same as the kernel's socket table. Pure.

use crate::record::*;

/// The length of the family in front of a path or name.
const FAMILY_BYTES: usize = 2;

/// The socket behind a file descriptor, as the kernel's socket table (`sock_diag`) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// Its type: `SOCK_STREAM` and so on.
    pub kind: u16,
    /// Its state: 1 if it is connected, 10 if it listens, 7 otherwise.
    pub state: u8,
    /// Bit 0: shut down for reading. Bit 1: shut down for writing.
    pub shutdown: u8,
    /// The user who created it.
    pub user: u32,
    /// The device and the inode of the file to which it is bound, as the table has them: the
    /// device in the kernel's encoding, and 32 bits of the inode.
    pub file: Option<(u32, u32)>,
    /// The inode of the socket to which it is connected: 0 until that is accepted, and after it was
    /// closed.
    pub peer: Option<u32>,
    /// The length of the first message in its queue, if there is one.
    pub first_bytes: u32,
    /// Memory charged to it for received data.
    pub received_bytes: u32,
    /// Memory charged to it for sent data that has not been read.
    pub sent_bytes: u32,
    /// The limit of its receive buffer.
    pub receive_limit_bytes: u32,
    /// The limit of its send buffer.
    pub send_limit_bytes: u32,
    /// The number of messages that the kernel has dropped.
    pub drops: u32,
    address: [u8; ADDRESS_ROOM],
    address_bytes: u8,
}

impl Details {
    /// Returns what follows the family in the address: a path with its terminating NUL, or a NUL
    /// with an abstract name; empty if the socket has none.
    pub fn address(&self) -> &[u8] {
        &self.address[..self.address_bytes.into()][FAMILY_BYTES.min(self.address_bytes.into())..]
    }

    pub(crate) fn of(record: &[u8; RECORD_BYTES], address: &[u8]) -> Details {
        let short = |slot: Slot| number(record, slot) as u32;
        let mut room = [0; ADDRESS_ROOM];
        room[..address.len()].copy_from_slice(address);
        Details {
            kind: short(KIND) as u16,
            state: short(STATE) as u8,
            shutdown: short(SHUTDOWN) as u8,
            user: short(CREATOR),
            file: some((short(FILE_DEVICE), short(FILE_INODE))),
            peer: some(number(record, PEER)).map(|_| short(PEER_INODE)),
            first_bytes: short(FIRST_BYTES),
            received_bytes: short(RECEIVED_BYTES),
            // The kernel counts the socket itself as one.
            sent_bytes: short(SENT_REFERENCES).saturating_sub(1),
            receive_limit_bytes: short(RECEIVE_LIMIT),
            send_limit_bytes: short(SEND_LIMIT),
            drops: short(DROPS),
            address: room,
            address_bytes: (short(ADDRESS_BYTES) as usize).min(address.len()) as u8,
        }
    }
}
