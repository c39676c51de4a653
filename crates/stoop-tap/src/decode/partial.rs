//! What a decoder keeps of a direction between two pieces. Pure.

/// The begin of a message that is not complete, and how much of one that was decoded is still to
/// come.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) head: Vec<u8>,
    pub(super) skip: u64,
}

impl Partial {
    /// Returns what is to be decoded now: what was kept, and the next bytes behind those to skip.
    pub(super) fn take_with(&mut self, bytes: &[u8]) -> Vec<u8> {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        let mut pending = std::mem::take(&mut self.head);
        pending.extend(&bytes[skipped as usize..]);
        pending
    }

    /// Passes over bytes that were not captured. Returns whether decoding can go on behind them.
    pub(super) fn gap(&mut self, len: u64) -> bool {
        let is_within = self.skip >= len && self.head.is_empty();
        self.skip -= if is_within { len } else { 0 };
        is_within
    }
}
