//! The format of a message, and its check.
//!
//! Message `n` begins with `n` and ends with its complement; the bytes between are all the same. A
//! number and its complement add up to −1, so the sum of a message's words does not depend on `n`.

use stoop::internal::PageBuffer;

use crate::role::Role;
use crate::{Error, Result};

/// The bytes between the two numbers.
const FILL: u8 = 0x5a;

/// A message buffer to be numbered repeatedly.
pub struct Message(PageBuffer);

impl Message {
    pub fn new(len_bytes: usize) -> Self {
        let mut bytes = PageBuffer::new(len_bytes);
        bytes.fill(FILL);
        Self(bytes)
    }

    /// Returns message `n`.
    #[inline]
    pub fn number(&mut self, n: u64) -> &[u8] {
        let end = self.0.len() - 8;
        self.0[..8].copy_from_slice(&n.to_ne_bytes());
        self.0[end..].copy_from_slice(&(!n).to_ne_bytes());
        &self.0
    }
}

/// Checks that this is message `n`, complete.
///
/// # Errors
/// Returns an error if it is not.
#[inline]
pub fn check(message: &[u8], n: u64, role: &Role) -> Result<()> {
    let whole = message.len() == role.message_bytes;
    let (first, last) = (message.first_chunk(), message.last_chunk());
    if whole
        && first.is_some_and(|first| u64::from_ne_bytes(*first) == n)
        && last.is_some_and(|last| u64::from_ne_bytes(*last) == !n)
        && (!role.reads_all || adds_up(message))
    {
        return Ok(());
    }
    Err(broken(message.len(), n))
}

#[cold]
fn broken(len_bytes: usize, n: u64) -> Error {
    format!("message {n} did not arrive as it was sent, or has {len_bytes} bytes").into()
}

/// Reads every byte.
fn adds_up(message: &[u8]) -> bool {
    let (words, _) = message.as_chunks::<8>();
    let sum = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    sum == u64::from_ne_bytes([FILL; 8]).wrapping_mul(words.len() as u64 - 2).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::Workload;

    #[test]
    fn a_changed_byte_is_detected() {
        let mut role = Role {
            serves: true,
            workload: Workload::OneWay,
            path: "".into(),
            message_bytes: 64,
            messages: 1,
            warmup: 0,
            reads_all: true,
        };
        let mut message = Message::new(64).number(7).to_vec();
        assert!(check(&message, 7, &role).is_ok());
        assert!(check(&message, 8, &role).is_err(), "another number");
        assert!(check(&message[..56], 7, &role).is_err(), "truncated");
        message[20] ^= 1;
        assert!(check(&message, 7, &role).is_err(), "a bit");
        role.reads_all = false;
        assert!(check(&message, 7, &role).is_ok(), "these bytes are not checked");
    }
}
