//! The receiving end of a ring.

use std::sync::atomic::Ordering::Relaxed;

use super::end::End;
use crate::{ErrorKind, Result};

/// The receiving end of a [`Ring`](super::Ring). It closes when dropped.
#[derive(Debug)]
pub struct Receiver(pub(super) End);

impl Receiver {
    /// Receives one message into `message`, replacing its contents.
    ///
    /// Blocks at most as long as the limit permits. Signals do not interrupt the wait. `message`
    /// never becomes longer than the ring.
    ///
    /// # Errors
    /// Returns an error if the limit expires ([`ErrorKind::TimedOut`]), if the sender has closed
    /// and all its messages were received ([`ErrorKind::Closed`]), or if the sender wrote invalid
    /// data ([`ErrorKind::Corrupt`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{Ring, Waiting};
    ///
    /// let ring = Ring::new(4096)?;
    /// let limit = Duration::from_secs(1);
    /// let mut receiver = ring.try_clone()?.into_receiver(Waiting::Futex, limit)?;
    /// let mut sender = ring.into_sender(Waiting::Futex, limit)?;
    /// let sending = std::thread::spawn(move || sender.send(b"hello"));
    /// let mut message = b"overwritten".to_vec();
    /// receiver.recv(&mut message)?; // sleeps until it arrives
    /// assert_eq!(message, b"hello");
    /// sending.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recv(&mut self, message: &mut Vec<u8>) -> Result<()> {
        let available = self.0.wait_for(1)?;
        // Loaded once: the other process may change it at any time.
        let len = self.0.length().load(Relaxed) as usize;
        let record = self.0.record_bytes(len).filter(|&record| record <= available);
        let record = record.ok_or_else(|| self.0.error(ErrorKind::Corrupt))?;
        self.0.read(len, message);
        self.0.advance(record);
        Ok(())
    }
}
