//! The messages, and how a receiver verifies them.
//!
//! Each message has its sequence number in its first and its last eight bytes, and a pattern
//! between them. The numbers of every message are verified, and the pattern of one in
//! [`WHOLE_EVERY`]: reading all of a large message costs as much as copying it.

use std::ops::RangeInclusive;

use stoop::internal::PageBuffer;

use super::error::{Error, Result};

/// The permitted size of a message: at least twice its number, and at most what a process can
/// easily allocate.
pub(crate) const MESSAGE_BYTES: RangeInclusive<usize> = 16..=16 << 20;

/// The sequence number that marks the last message.
pub(super) const LAST: u64 = u64::MAX;

/// One message in this many is verified as a whole.
const WHOLE_EVERY: u64 = 64;

const NUMBER_BYTES: usize = 8;

/// A message that is sent repeatedly with new numbers. It is page-aligned, so that all transports
/// copy alike.
pub(super) struct Message(PageBuffer);

impl Message {
    pub(super) fn new(len_bytes: usize) -> Message {
        let mut buffer = PageBuffer::new(len_bytes.max(*MESSAGE_BYTES.start()));
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = (at * 31 % 251) as u8;
        }
        Message(buffer)
    }

    /// Returns the message with this number.
    pub(super) fn numbered(&mut self, number: u64) -> &[u8] {
        let number = number.to_le_bytes();
        let tail = self.0.len() - NUMBER_BYTES;
        self.0[..NUMBER_BYTES].copy_from_slice(&number);
        self.0[tail..].copy_from_slice(&number);
        &self.0
    }

    /// Verifies a received message, and returns its number.
    pub(super) fn check(&self, came: &[u8]) -> Result<u64> {
        let wrong = |what: &str| Err(Error::failed(format!("a message arrived {what}")));
        if came.len() != self.0.len() {
            return wrong("with the wrong length");
        }
        let (head, rest) = came.split_at(NUMBER_BYTES);
        let (body, tail) = rest.split_at(rest.len() - NUMBER_BYTES);
        let number = u64::from_le_bytes(head.try_into().unwrap_or_default());
        if head != tail {
            return wrong("mixed with another");
        }
        if number.is_multiple_of(WHOLE_EVERY) && body != &self.0[NUMBER_BYTES..self.0.len() - NUMBER_BYTES] {
            return wrong("with the wrong contents");
        }
        Ok(number)
    }

    /// Verifies that a received message has this number.
    pub(super) fn expect(&self, came: &[u8], number: u64) -> Result<()> {
        match self.check(came)? {
            came if came == number => Ok(()),
            came => Err(Error::failed(format!("message {came} arrived instead of {number}"))),
        }
    }
}

/// Creates a receive buffer.
pub(super) fn room(len_bytes: usize) -> PageBuffer {
    PageBuffer::new(len_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_verify() {
        for size in [16, 17, 64, 5000] {
            let (mut sent, other) = (Message::new(size), Message::new(size));
            for number in [0, 1, 64, LAST] {
                assert_eq!(other.check(sent.numbered(number)), Ok(number), "{size} {number}");
            }
        }
    }

    #[test]
    fn corrupted_messages_are_detected() {
        let mut message = Message::new(64);
        let good = message.numbered(64).to_vec();
        for at in [0, 7, 8, 30, 55, 56, 63] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(message.check(&bad).is_err(), "byte {at}");
        }
        assert!(message.check(&good[..63]).is_err());
        assert!(message.expect(&good, 65).is_err());
        assert_eq!(message.expect(&good, 64), Ok(()));
    }
}
