//! Connecting without a blocked thread.
//!
//! The kernel has no event for "room in that backlog" that a nonblocking socket could wait for. A
//! blocking connect is woken at the right instant, but occupies a thread for each attempt: a
//! thousand clients of a busy server would be a thousand threads. So the same socket retries on a
//! timer. The intervals grow to at most 32 ms and are randomized, so that clients do not retry in
//! step.
//!
//! The cost: a client of an overloaded server connects some milliseconds later than a blocking one,
//! and not in order of arrival. A socket never counts as connected because it polls writable
//! ([K-CONNECT-2]): only a connect that succeeded counts.
//!
//! [K-CONNECT-2]: crate::kernel_facts#K-CONNECT-2

use std::time::{Duration, Instant};

use super::bind::in_background;
use super::{Async, Backoff, Datagram, SeqPacket, Stream};
use crate::connect::attempt::{Attempts, Client, ServerWait, stayed_full, try_once};
use crate::error::{Error, Result};
use crate::sys::Blocking;
use crate::{Address, Connect, Kind};

/// ```
/// use std::time::Duration;
/// use stoop::{Bind, Connect};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let listener = Bind::new(&path).listen_async().await?;
/// let connect = Connect::new(&path)
///     .timeout(Duration::from_secs(2))
///     .wait_for_server(Duration::from_secs(10));
/// let stream = connect.stream_async().await?;
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Connect {
    /// Connects a stream, waiting for room in the backlog and for the server as configured.
    ///
    /// The returned socket is always connected. See [`Connect::stream`].
    ///
    /// # Errors
    /// Returns an error if the address is invalid
    /// ([`InvalidAddress`](crate::ErrorKind::InvalidAddress)), no such socket exists
    /// ([`NotFound`](crate::ErrorKind::NotFound)), nothing listens on it
    /// ([`Refused`](crate::ErrorKind::Refused)), it is of another kind
    /// ([`WrongKind`](crate::ErrorKind::WrongKind)), permissions forbid the connection
    /// ([`PermissionDenied`](crate::ErrorKind::PermissionDenied)), or the backlog stayed full
    /// until the timeout ([`TimedOut`](crate::ErrorKind::TimedOut)).
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, Connect, ErrorKind};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// // One connection fits the queue, and none is accepted: the second client waits.
    /// let listener = Bind::new(&path).backlog(0).listen_async().await?;
    /// let connect = Connect::new(&path).timeout(Duration::from_millis(5));
    /// let first = connect.stream_async().await?;
    /// assert_eq!(connect.stream_async().await.unwrap_err().kind(), ErrorKind::TimedOut);
    /// # drop((listener, first));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn stream_async(&self) -> Result<Stream> {
        Stream::registered_nonblocking(crate::Stream::client(self.connect_async(Kind::Stream).await?))
    }

    /// Connects a seqpacket socket, waiting for room in the backlog and for the server as
    /// configured.
    ///
    /// The returned socket is always connected.
    ///
    /// # Errors
    /// Returns an error if the connection cannot be made: see [`Connect::stream_async`] for the
    /// kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, Connect};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let connect = Connect::new(&path).wait_for_server(Duration::from_secs(5));
    /// let client = tokio::spawn(async move { connect.seqpacket_async().await });
    /// // The client waits for the server to start.
    /// let listener = Bind::new(&path).listen_seqpacket_async().await?;
    /// listener.accept().await?;
    /// assert!(client.await?.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn seqpacket_async(&self) -> Result<SeqPacket> {
        SeqPacket::registered_nonblocking(crate::SeqPacket::client(
            self.connect_async(Kind::SeqPacket).await?,
        ))
    }

    /// Creates a datagram socket that sends to this address and can receive replies.
    ///
    /// Waits for the server as configured. See [`Connect::datagram`].
    ///
    /// # Errors
    /// Returns an error if the connection cannot be made (see [`Connect::stream_async`]), or if the
    /// receiver is connected to another socket
    /// ([`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted)).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, Connect};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram_async().await?;
    /// let client = Connect::new(&path).datagram_async().await?;
    /// client.send(b"ping").await?;
    /// let (_, from) = server.recv_from(&mut [0; 64]).await?;
    /// server.send_to(b"pong", &from).await?; // the client is bound
    /// assert_eq!(client.recv(&mut [0; 64]).await?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn datagram_async(&self) -> Result<Datagram> {
        Async::registered_nonblocking(crate::Datagram::bound(self.connect_async(Kind::Datagram).await?))
    }

    /// Creates the client's socket, on the blocking pool if it has to access the file system.
    async fn unconnected(&self, kind: Kind, address: &Address) -> Result<Client> {
        if !self.attempts.binds_to_file() {
            return self.attempts.unconnected(kind, Blocking::Never, address);
        }
        let (attempts, address) = (self.attempts.clone(), address.clone());
        in_background(move || attempts.unconnected(kind, Blocking::Never, &address)).await
    }

    async fn connect_async(&self, kind: Kind) -> Result<Client> {
        let address = self.attempts.resolve(kind)?;
        let (socket, file) = self.unconnected(kind, address).await?;
        let mut retries = ConnectRetries::new(&self.attempts);
        loop {
            // A failed attempt leaves the socket unconnected, so the same one can try again.
            let Err(error) = try_once(&socket, address, || Ok(())) else { return Ok((socket, file)) };
            let pause = retries.after(error).map_err(|error| error.on(address))?;
            tokio::time::sleep(pause).await;
        }
    }
}

/// What remains of the two waits: for room in the backlog, and for a server.
struct ConnectRetries {
    backoff: Backoff,
    backlog_limit: Option<Duration>,
    server: ServerWait,
    /// When the backlog was first found full, since it last had room.
    full_since: Option<Instant>,
}

impl ConnectRetries {
    fn new(limits: &Attempts) -> ConnectRetries {
        ConnectRetries {
            backoff: Backoff::new(),
            backlog_limit: limits.timeout,
            server: ServerWait::new(limits.wait),
            full_since: None,
        }
    }

    /// Returns how long to wait before the next attempt, or the error if it is final.
    fn after(&mut self, error: Error) -> Result<Duration> {
        let pause = self.backoff.next();
        if error.is_would_block() {
            // `EAGAIN`: a server exists and its backlog is full. The wait for room starts over when it
            // has had room in between.
            let since = *self.full_since.get_or_insert_with(Instant::now);
            let Some(limit) = self.backlog_limit else { return Ok(pause) };
            return left(limit, since, pause).ok_or_else(|| stayed_full(error, limit));
        }
        self.full_since = None;
        self.server.left(&error).map(|left| pause.min(left)).ok_or(error)
    }
}

/// Returns the pause, shortened to what is left of the wait, or `None` if the wait is over.
fn left(wait: Duration, since: Instant, pause: Duration) -> Option<Duration> {
    let left = wait.saturating_sub(since.elapsed());
    (!left.is_zero()).then(|| pause.min(left))
}
