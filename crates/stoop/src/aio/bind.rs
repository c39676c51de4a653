//! Making a server's address, for tasks.

use super::{Async, Datagram, Listener};
use crate::Bind;
use crate::error::{Error, Operation, Result};

impl Bind {
    /// [`Bind::listen`] for tokio. Works with files, and may wait for another process's lock, on
    /// the runtime's blocking pool.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: a listener that nobody waits for any more is closed again, and its file goes
    /// with it.
    pub async fn listen_async(&self) -> Result<Listener<crate::Stream>> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.listen()).await?)
    }

    /// [`Bind::listen_seqpacket`] for tokio. As [`Bind::listen_async`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn listen_seqpacket_async(&self) -> Result<Listener<crate::SeqPacket>> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.listen_seqpacket()).await?)
    }

    /// [`Bind::datagram`] for tokio. As [`Bind::listen_async`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn datagram_async(&self) -> Result<Datagram> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.datagram()).await?)
    }
}

/// Runs something that works with files where it may block.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(error) => Err(Error::system(Operation::Bind, std::io::Error::other(error))),
        },
    }
}
