//! The memory that the programs share with this process: what was lost, a sieve in front of the map
//! of keys, and which senders and how much of messages were reported. Pure.
//!
//! The sieve has a byte for each value of a hash. It is set once a key with that hash was put into
//! the map, so that nearly all keys that are not in the map need no look-up.

/// The counters of records that could not be written, by processor: `LOST_SLOTS` words.
pub(super) const LOST_AT: usize = 0;
pub(super) const LOST_SLOTS: usize = 64;
/// A byte that is set once there is a key of a process, a user or a cgroup.
pub(super) const TAGGED_AT: usize = LOST_SLOTS * 8;
/// A byte that is set once there is a key.
pub(super) const ANY_AT: usize = TAGGED_AT + 1;
pub(super) const SIEVE_AT: usize = 4096;
pub(super) const SLOTS: usize = 1 << 16;
/// Halves of cookies by their hash: of the senders that were reported. One with the same hash takes
/// the place of another, which is reported again.
pub(super) const SENDERS_AT: usize = SIEVE_AT + SLOTS;
pub(super) const SENDERS: usize = 1 << 14;
/// The lengths of messages when they were reported last, by the hash of their buffer. One with the
/// same hash takes the place of another, which is reported again.
pub(super) const LENGTHS_AT: usize = SENDERS_AT + 4 * SENDERS;
pub(super) const LENGTHS: usize = 1 << 12;
pub(super) const LEN_BYTES: usize = LENGTHS_AT + 4 * LENGTHS;

/// The hash: bits of a product. The factor fits into an instruction.
pub(super) const FACTOR: i32 = 0x61C8_8647;
pub(super) const SHIFT: i32 = 16;

/// Returns the position of the byte of a key.
pub(super) fn position(key: u64) -> usize {
    SIEVE_AT + (key.wrapping_mul(FACTOR as u64) >> SHIFT) as usize % SLOTS
}

/// Returns the position of the counter of a processor.
pub(super) fn lost_position(processor: u32) -> usize {
    LOST_AT + processor as usize % LOST_SLOTS * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_keys_and_addresses_are_spread() {
        let distinct = |keys: &mut dyn Iterator<Item = u64>| {
            keys.map(position).collect::<std::collections::HashSet<_>>().len()
        };
        assert!(distinct(&mut (1..4097)) > 3900);
        assert!(distinct(&mut (1..4097).map(|number| 0xffff_8881_0000_0000 + number * 32)) > 3900);
        assert!((0..200).all(|key| (SIEVE_AT..SENDERS_AT).contains(&position(key * key))));
        assert!(lost_position(u32::MAX) < TAGGED_AT);
    }
}
