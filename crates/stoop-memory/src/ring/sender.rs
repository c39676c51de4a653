//! The end that sends.

use std::sync::atomic::Ordering::Relaxed;

use super::end::End;
use crate::{ErrorKind, Result};

/// The sending end of a [`Ring`](super::Ring). Closes when dropped; what was sent can still be
/// received.
#[derive(Debug)]
pub struct Sender(pub(super) End);

impl Sender {
    /// Sends one message; it may be empty.
    ///
    /// Waits for room, at most as long as the limit allows. Signals do not end the wait.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a message that does not fit into an empty ring,
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Closed`] where there is no room and the receiver
    /// has gone, [`ErrorKind::Corrupt`] where it has written nonsense. Then nothing was sent. A
    /// message that fits is sent without a look at the receiver, which may have gone.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        let Some(record) = self.0.record_bytes(message.len()) else {
            return Err(self.0.error(ErrorKind::TooLarge));
        };
        self.0.wait_for(record)?;
        // It fits into 32 bits, since its record does. The release of `advance` is what it becomes visible
        // with.
        self.0.length().store(message.len() as u32, Relaxed);
        self.0.write(message);
        self.0.advance(record);
        Ok(())
    }
}
