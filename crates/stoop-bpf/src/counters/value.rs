//! What the programs count of a socket: the value of a map. Pure.
//!
//! The slots below are the only definition of the layout. The programs and the reader are generated
//! from them.

use crate::capture::SocketKind;
use crate::record::{Command, NameKey, Slot, slot};

/// The length of a value.
pub(super) const VALUE_BYTES: usize = 320;
/// How many ranges of latencies are distinguished.
pub(super) const RANGES: usize = 32;
/// The latencies in the first range are shorter than two to this power, in nanoseconds.
const FIRST_RANGE_BITS: u32 = 9;

pub(super) const SENT_CALLS: Slot = slot(0, 8);
pub(super) const SENT_BYTES: Slot = slot(8, 8);
pub(super) const SEND_ERRORS: Slot = slot(16, 8);
pub(super) const SEND_WAITS: Slot = slot(24, 8);
pub(super) const SENT_TIME: Slot = slot(32, 8);
pub(super) const SENT_TICK: Slot = slot(40, 8);
pub(super) const RECEIVED_CALLS: Slot = slot(48, 8);
pub(super) const RECEIVED_BYTES: Slot = slot(56, 8);
pub(super) const RECEIVE_ERRORS: Slot = slot(64, 8);
pub(super) const RECEIVED_TIME: Slot = slot(72, 8);
pub(super) const RECEIVED_TICK: Slot = slot(80, 8);
pub(super) const CONNECTS: Slot = slot(88, 8);
/// Messages that have arrived in the receive queue, those that were there before included.
pub(super) const ARRIVED: Slot = slot(96, 8);
/// The message that a latency is measured of is the last of this many that arrived.
pub(super) const MARK_SEQUENCE: Slot = slot(104, 8);
/// When it arrived; 0 if none is measured.
pub(super) const MARK_TIME: Slot = slot(112, 8);
pub(super) const MARK_TICK: Slot = slot(120, 8);
pub(super) const LATENCY_SUM: Slot = slot(128, 8);
/// The process and the thread that used the socket, as the helper returns them.
pub(super) const THREAD: Slot = slot(136, 8);
const PID: Slot = slot(140, 4);
pub(super) const COMMAND: Slot = slot(144, 16);
pub(super) const NAME: Slot = slot(160, 8);
pub(super) const PEER_NAME: Slot = slot(168, 8);
pub(super) const INODE: Slot = slot(176, 4);
pub(super) const PEER_INODE: Slot = slot(180, 4);
pub(super) const KIND: Slot = slot(184, 2);
/// One number of four bytes for each range.
pub(super) const LATENCIES: Slot = slot(192, RANGES * 4);

/// What was counted of a socket since it was first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketCounts {
    /// The kernel's unique number for the socket, as in `sock_diag`.
    pub cookie: u64,
    /// The inode, as in `socket:[…]`. `None` if the socket had not been accepted when it was first
    /// seen.
    pub inode: Option<u32>,
    /// The inode of its peer at that time.
    pub peer_inode: Option<u32>,
    /// The type of the socket.
    pub kind: Option<SocketKind>,
    /// The key of its name, which an accepted socket shares with its listener.
    pub name: Option<NameKey>,
    /// The key of its peer's name.
    pub peer_name: Option<NameKey>,
    /// The process that used the socket last, to about a clock tick, with the name of its thread.
    pub process: Option<(u32, Command)>,
    /// Calls that sent something.
    pub sent_calls: u64,
    /// The bytes that they sent.
    pub sent_bytes: u64,
    /// Calls that failed to send, `EAGAIN` and interrupted ones excepted.
    pub send_errors: u64,
    /// Calls that would have had to wait for space in the receiver's queue (`EAGAIN`).
    pub send_waits: u64,
    /// When it last sent, on `CLOCK_MONOTONIC`, to about a clock tick.
    pub sent_at_ns: Option<u64>,
    /// Calls that received something. Those with `MSG_PEEK` are not counted.
    pub received_calls: u64,
    /// The bytes that they received.
    pub received_bytes: u64,
    /// Calls that failed to receive, `EAGAIN` and interrupted ones excepted.
    pub receive_errors: u64,
    /// When it last received.
    pub received_at_ns: Option<u64>,
    /// For a listener: the clients that connected.
    pub connects: u64,
    /// Since when the measured message is in the receive queue: the oldest unread one is at least
    /// as old. `None` if no unread message is measured.
    pub unread_since_ns: Option<u64>,
    /// How long messages were in the receive queue until all of each was received.
    pub latencies: Latencies,
}

/// How long messages were in a receive queue. At most one in a clock tick is measured.
///
/// Ranges are powers of two: the first ends below 512 ns, the next below 1024 ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latencies {
    /// How many were in each range.
    pub ranges: [u32; RANGES],
    /// The sum of all.
    pub sum_ns: u64,
}

impl Latencies {
    /// Returns the number of measured messages.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|count| u64::from(*count)).sum()
    }

    /// Returns the upper end of a range in nanoseconds. The last range has none.
    pub fn upper_ns(range: usize) -> Option<u64> {
        (range < RANGES - 1).then(|| 1 << (FIRST_RANGE_BITS + range as u32))
    }
}

impl SocketCounts {
    /// Decodes a value of the map. `None` if it is truncated.
    pub fn parse(cookie: u64, bytes: &[u8]) -> Option<SocketCounts> {
        let value = bytes.first_chunk::<VALUE_BYTES>()?;
        let long = |slot: Slot| number(value, slot);
        let short = |slot: Slot| some(number(value, slot) as u32);
        let mut command = [0; COMMAND.len_bytes];
        command.copy_from_slice(&value[COMMAND.at..][..COMMAND.len_bytes]);
        Some(SocketCounts {
            cookie,
            inode: short(INODE),
            peer_inode: short(PEER_INODE),
            kind: some(long(KIND) as u16).map(SocketKind),
            name: some(long(NAME)).map(NameKey),
            peer_name: some(long(PEER_NAME)).map(NameKey),
            process: short(PID).map(|pid| (pid, Command(command))),
            sent_calls: long(SENT_CALLS),
            sent_bytes: long(SENT_BYTES),
            send_errors: long(SEND_ERRORS),
            send_waits: long(SEND_WAITS),
            sent_at_ns: some(long(SENT_TIME)),
            received_calls: long(RECEIVED_CALLS),
            received_bytes: long(RECEIVED_BYTES),
            receive_errors: long(RECEIVE_ERRORS),
            received_at_ns: some(long(RECEIVED_TIME)),
            connects: long(CONNECTS),
            unread_since_ns: some(long(MARK_TIME)),
            latencies: latencies(value),
        })
    }
}

fn latencies(value: &[u8; VALUE_BYTES]) -> Latencies {
    let mut ranges = [0; RANGES];
    for (range, at) in ranges.iter_mut().zip((LATENCIES.at..).step_by(4)) {
        *range = number(value, slot(at, 4)) as u32;
    }
    Latencies { ranges, sum_ns: number(value, LATENCY_SUM) }
}

/// Returns the number in a slot.
pub(super) fn number(bytes: &[u8; VALUE_BYTES], slot: Slot) -> u64 {
    let mut word = [0; 8];
    word[..slot.len_bytes].copy_from_slice(&bytes[slot.at..][..slot.len_bytes]);
    u64::from_le_bytes(word)
}

fn some<N: Default + PartialEq>(number: N) -> Option<N> {
    Some(number).filter(|number| *number != N::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOTS: &[Slot] = &[
        SENT_CALLS,
        SENT_BYTES,
        SEND_ERRORS,
        SEND_WAITS,
        SENT_TIME,
        SENT_TICK,
        RECEIVED_CALLS,
        RECEIVED_BYTES,
        RECEIVE_ERRORS,
        RECEIVED_TIME,
        RECEIVED_TICK,
        CONNECTS,
        ARRIVED,
        MARK_SEQUENCE,
        MARK_TIME,
        MARK_TICK,
        LATENCY_SUM,
        THREAD,
        COMMAND,
        NAME,
        PEER_NAME,
        INODE,
        PEER_INODE,
        KIND,
        LATENCIES,
    ];

    #[test]
    fn slots_do_not_overlap_and_are_aligned() {
        let mut end = 0;
        for slot in SLOTS {
            assert!(slot.at >= end && slot.at % slot.len_bytes.min(8) == 0, "{slot:?}");
            end = slot.at + slot.len_bytes;
        }
        assert_eq!(end, VALUE_BYTES);
    }

    #[test]
    fn ranges_double() {
        assert_eq!(Latencies::upper_ns(0), Some(512));
        assert_eq!(Latencies::upper_ns(1), Some(1024));
        assert_eq!(Latencies::upper_ns(RANGES - 1), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_counts(bytes in proptest::collection::vec(any::<u8>(), 0..=2 * VALUE_BYTES)) {
            let counts = SocketCounts::parse(7, &bytes);
            prop_assert_eq!(counts.is_some(), bytes.len() >= VALUE_BYTES);
            if let Some(counts) = counts {
                prop_assert_eq!(counts.sent_calls, u64::from_le_bytes(*bytes.first_chunk().unwrap()));
                prop_assert!(counts.latencies.count() <= RANGES as u64 * u64::from(u32::MAX));
            }
        }
    }
}
