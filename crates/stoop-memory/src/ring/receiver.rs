//! The end that receives.

use std::sync::atomic::Ordering::Relaxed;

use super::end::End;
use crate::{ErrorKind, Result};

/// The receiving end of a [`Ring`](super::Ring). Closes when dropped.
#[derive(Debug)]
pub struct Receiver(pub(super) End);

impl Receiver {
    /// Receives one message, which replaces what is in `message`.
    ///
    /// Waits for it, at most as long as the limit allows. Signals do not end the wait.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Closed`] where the sender has gone and all it sent was
    /// received, [`ErrorKind::Corrupt`] where it has written nonsense; `message` never becomes
    /// longer than the ring.
    pub fn recv(&mut self, message: &mut Vec<u8>) -> Result<()> {
        let available = self.0.wait_for(1)?;
        // Read once: it may be another the next time.
        let len = self.0.length().load(Relaxed) as usize;
        let record = self.0.record_bytes(len).filter(|&record| record <= available);
        let record = record.ok_or_else(|| self.0.error(ErrorKind::Corrupt))?;
        self.0.read(len, message);
        self.0.advance(record);
        Ok(())
    }
}
