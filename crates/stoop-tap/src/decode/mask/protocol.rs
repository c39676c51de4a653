//! What masks one protocol.

use std::fmt;

use crate::follow::Side;

/// Overwrites the secrets of a protocol.
pub(in crate::decode) trait Mask: fmt::Debug + Send {
    /// Takes the next bytes of an end. Returns `false` if they are not of this protocol.
    fn data(&mut self, from: Side, bytes: &mut [u8]) -> bool;

    /// Skips bytes that were not captured. Returns `false` if it cannot go on behind them.
    fn gap(&mut self, _from: Side, _len: u64) -> bool {
        false
    }

    /// Any bytes may be missing from here on. Returns `false` if it cannot go on.
    fn lost(&mut self) -> bool {
        false
    }

    /// Returns whether the next byte of an end may be part of a secret that has begun.
    fn is_within(&self, from: Side) -> bool;
}
