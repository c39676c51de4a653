//! A large message that is sent from the caller's buffer: which bytes go next, and what is left if
//! the socket accepts no more. Pure.

use std::io::IoSlice;

/// The size of a piece, in bytes.
///
/// The kernel splits a write into buffers of its own, each with this many bytes in whole pages; the
/// remainder, up to `HEAD_BYTES`, goes into the buffer's linear part. If each call passes exactly
/// that much, the kernel neither searches small pages for the remainder nor copies across their
/// borders.
const PIECE_BYTES: usize = 32 << 10;
pub(super) const HEAD_BYTES: usize = 3 << 10;

/// Above this size the remainder is too small a part to justify splitting the write into pieces.
const PIECED_BYTES: usize = 256 << 10;

/// The pending bytes, followed by a frame: header, message and trailer.
pub(super) struct DirectWrite<'a> {
    parts: [&'a [u8]; 4],
    all_bytes: usize,
    sent_bytes: usize,
}

impl<'a> DirectWrite<'a> {
    pub(super) fn new(pending: &'a [u8], [header, message, trailer]: [&'a [u8]; 3]) -> DirectWrite<'a> {
        let parts = [pending, header, message, trailer];
        DirectWrite { parts, all_bytes: parts.iter().map(|part| part.len()).sum(), sent_bytes: 0 }
    }

    /// Returns what to send next, or `None` if everything has been sent.
    pub(super) fn piece(&self) -> Option<[IoSlice<'a>; 4]> {
        if self.sent_bytes == self.all_bytes {
            return None;
        }
        let [pending, header, message, _] = self.parts;
        let head_bytes = pending.len() + header.len();
        // A piece ends at the first multiple of `PIECE_BYTES` of the message beyond what has been
        // sent. After a partial write the next call thus continues to the same boundary.
        let pieces = self.sent_bytes.saturating_sub(head_bytes) / PIECE_BYTES + 1;
        let end = head_bytes + pieces * PIECE_BYTES;
        let is_last = message.len() > PIECED_BYTES || end + HEAD_BYTES > self.all_bytes;
        let len_bytes = if is_last { usize::MAX } else { end - self.sent_bytes };
        Some(window(self.parts, self.sent_bytes, len_bytes).map(IoSlice::new))
    }

    /// Records that this many bytes of the last piece were sent.
    pub(super) fn advance(&mut self, len_bytes: usize) {
        self.sent_bytes += len_bytes;
    }

    /// Returns how much of the pending bytes and how much of the frame was sent. If part of the
    /// frame was, the rest must follow; otherwise the stream loses synchronization.
    pub(super) fn sent(&self) -> (usize, usize) {
        let of_pending = self.sent_bytes.min(self.parts[0].len());
        (of_pending, self.sent_bytes - of_pending)
    }
}

/// Returns the rest of a frame after its first `sent_bytes`.
pub(super) fn rest(frame: [&[u8]; 3], sent_bytes: usize) -> [&[u8]; 3] {
    window(frame, sent_bytes, usize::MAX)
}

/// Returns the subrange of `parts`, taken as one sequence, that begins after `skip` bytes and has
/// at most `len` bytes.
fn window<const N: usize>(parts: [&[u8]; N], mut skip: usize, mut len: usize) -> [&[u8]; N] {
    parts.map(|part| {
        let start = skip.min(part.len());
        let count = len.min(part.len() - start);
        (skip, len) = (skip - start, len - count);
        &part[start..start + count]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pieces_suit_the_kernel_and_the_last_takes_the_remainder() {
        let sizes = |pending: usize, message: usize| {
            let (pending, message) = (vec![1; pending], vec![2; message]);
            let mut direct = DirectWrite::new(&pending, [&[0; 32], &message, b"\n"]);
            let mut sizes = Vec::new();
            while let Some(piece) = direct.piece() {
                sizes.push(piece.iter().map(|slice| slice.len()).sum::<usize>());
                direct.advance(sizes[sizes.len() - 1]);
            }
            sizes
        };
        assert_eq!(sizes(0, 65_536), [32 + 32_768, 32_768 + 1]);
        assert_eq!(sizes(100, 40_000), [100 + 32 + 32_768, 7_232 + 1]);
        assert_eq!(sizes(0, 34_000), [32 + 34_000 + 1]);
        assert_eq!(sizes(0, 5_000), [32 + 5_000 + 1]);
        assert_eq!(sizes(0, 1 << 20), [32 + (1 << 20) + 1]);
    }

    proptest! {
        #[test]
        fn every_byte_goes_once_and_in_order_however_little_is_taken(
            lens in [0usize..5000, 1usize..33, 0usize..100_000, 0usize..2],
            taken in proptest::collection::vec(1usize..40_000, 1..20),
            stop in 0usize..30,
        ) {
            let all: Vec<u8> = (0..lens.iter().sum()).map(|n| (n % 251) as u8).collect();
            let (pending, after) = all.split_at(lens[0]);
            let (header, after) = after.split_at(lens[1]);
            let (message, trailer) = after.split_at(lens[2]);
            let mut direct = DirectWrite::new(pending, [header, message, trailer]);
            let mut sent = Vec::new();
            for &taken in taken.iter().cycle().take(stop) {
                let Some(piece) = direct.piece() else { break };
                let bytes = piece.map(|slice| slice.to_vec()).concat();
                prop_assert!(!bytes.is_empty());
                let count = taken.min(bytes.len());
                sent.extend_from_slice(&bytes[..count]);
                direct.advance(count);
            }
            prop_assert_eq!(&sent[..], &all[..sent.len()]);
            let (of_pending, of_frame) = direct.sent();
            prop_assert_eq!(of_pending, sent.len().min(pending.len()));
            prop_assert_eq!(of_pending + of_frame, sent.len());
            let left = rest([header, message, trailer], of_frame).concat();
            prop_assert_eq!(&left[..], &all[pending.len() + of_frame..]);
        }
    }
}
