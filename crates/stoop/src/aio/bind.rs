//! Asynchronous binding of servers.

use super::{Async, Datagram, Listener};
use crate::Bind;
use crate::error::{Error, Operation, Result};

impl Bind {
    /// Binds and listens for streams: [`Bind::listen`] for tokio.
    ///
    /// Accesses the file system, and may wait for another process's lock, on the runtime's blocking
    /// pool.
    ///
    /// # Errors
    /// Returns an error if the address is in use or invalid, if its directory does not exist, or if
    /// permissions forbid the bind. See [`Bind::listen`] for the kinds.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, a listener that was bound meanwhile is closed and
    /// its socket file is unlinked.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// let error = Bind::new(&path).listen_async().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::AddressInUse);
    ///
    /// drop(listener); // unlinks the socket file
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn listen_async(&self) -> Result<Listener<crate::Stream>> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.listen()).await?)
    }

    /// Binds and listens for seqpacket connections: [`Bind::listen_seqpacket`] for tokio.
    ///
    /// Uses the runtime's blocking pool, like [`Bind::listen_async`].
    ///
    /// # Errors
    /// Returns an error if the address is in use or invalid, if its directory does not exist, or if
    /// permissions forbid the bind. See [`Bind::listen`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, a listener that was bound meanwhile is closed and
    /// its socket file is unlinked.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_seqpacket_async().await?;
    /// let client = aio::SeqPacket::connect(&path).await?;
    /// client.send(b"ping").await?;
    /// let mut buffer = [0; 64];
    /// assert_eq!(listener.accept().await?.0.recv(&mut buffer).await?, Packet::Message(4));
    /// // The kinds are not interchangeable.
    /// assert_eq!(aio::Stream::connect(&path).await.unwrap_err().kind(), ErrorKind::WrongKind);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn listen_seqpacket_async(&self) -> Result<Listener<crate::SeqPacket>> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.listen_seqpacket()).await?)
    }

    /// Binds a datagram socket: [`Bind::datagram`] for tokio.
    ///
    /// Uses the runtime's blocking pool, like [`Bind::listen_async`].
    ///
    /// # Errors
    /// Returns an error if the address is in use or invalid, if its directory does not exist, or if
    /// permissions forbid the bind. See [`Bind::listen`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, a socket that was bound meanwhile is closed and its
    /// socket file is unlinked.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram_async().await?;
    /// aio::Datagram::client(&path).await?.send(b"ping").await?;
    /// let mut buffer = [0; 64];
    /// assert_eq!(server.recv(&mut buffer).await?, 4); // although the client has closed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn datagram_async(&self) -> Result<Datagram> {
        let bind = self.clone();
        Async::try_from(in_background(move || bind.datagram()).await?)
    }
}

/// Runs an operation that accesses the file system on the blocking pool.
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
