//! The sending end of a ring.

use std::sync::atomic::Ordering::Relaxed;

use super::end::End;
use crate::{ErrorKind, Result};

/// The sending end of a [`Ring`](super::Ring). It closes when dropped; messages already sent can
/// still be received.
#[derive(Debug)]
pub struct Sender(pub(super) End);

impl Sender {
    /// Sends one message, which may be empty.
    ///
    /// Blocks while the ring is full, at most as long as the limit permits. Signals do not
    /// interrupt the wait. If the message fits, it is sent without checking whether the receiver
    /// has closed.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message does not fit into an empty ring ([`ErrorKind::TooLarge`]);
    /// - the limit expires ([`ErrorKind::TimedOut`]);
    /// - the ring is full and the receiver has closed ([`ErrorKind::Closed`]);
    /// - the receiver wrote invalid data ([`ErrorKind::Corrupt`]).
    ///
    /// Nothing was sent then.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Ring, Waiting};
    ///
    /// let mut sender = Ring::new(4096)?.into_sender(Waiting::Futex, Duration::from_millis(1))?;
    /// assert_eq!(sender.send(&[0; 5000]).unwrap_err().kind(), ErrorKind::TooLarge);
    /// sender.send(&[0; 3000])?;
    /// // The ring is full, and no receiver makes space.
    /// assert_eq!(sender.send(&[0; 3000]).unwrap_err().kind(), ErrorKind::TimedOut);
    /// sender.send(b"fits")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        let Some(record) = self.0.record_bytes(message.len()) else {
            return Err(self.0.error(ErrorKind::TooLarge));
        };
        self.0.wait_for(record)?;
        // The length fits into 32 bits, because its record does. The release store in `advance`
        // publishes it.
        self.0.length().store(message.len() as u32, Relaxed);
        self.0.write(message);
        self.0.advance(record);
        Ok(())
    }
}
