//! Asynchronous listeners for stream and seqpacket connections.

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::{Async, Backoff, Listener};
use crate::error::{Error, Operation, Result};
use crate::listener::{Arrival, Connected, Counts, PAUSE_AFTER_FAILURE};
use crate::refusals::Refusals;
use crate::sys::{self, Blocking, RawAddress};
use crate::{Address, Bind, Policy, ToAddress};

/// Several tasks can accept on one listener.
///
/// Dropping a listener unlinks its socket file. That blocks the worker thread while another process
/// of this user works on the same name (for a second at most).
/// [`aio::Listener::release`](Async::release) unlinks it on the blocking pool instead.
///
/// ```
/// use stoop::{Bind, Policy};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).policy(Policy::same_user()).listen_async().await?;
/// let client = tokio::spawn(stoop::aio::Stream::connect(path));
/// let (stream, _address) = listener.accept().await?;
/// assert_eq!(stream.peer().pid.known(), Some(&std::process::id()));
/// # client.await??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<C: Connected> Async<crate::Listener<C>> {
    /// Accepts a client that the policy allows, and returns its connection and its address.
    ///
    /// The address is unnamed if the client did not bind before it connected.
    ///
    /// Clients that the policy refuses are closed and counted. If no file descriptor or memory is
    /// free, or accepting one client fails otherwise ([`Error::is_transient`]), the failure is
    /// counted and accepting resumes after a pause, without spinning.
    ///
    /// # Errors
    /// Returns an error if the listener itself is broken, or if the runtime cannot register another
    /// socket.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, no client is lost: the next one
    /// stays in the queue.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, aio};
    /// use tokio::time::timeout;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// // Cancel safe: a dropped `accept` loses no client.
    /// assert!(timeout(Duration::from_millis(1), listener.accept()).await.is_err());
    /// let client = aio::Stream::connect(&path).await?;
    /// client.try_write(b"hello")?;
    /// let (stream, from) = listener.accept().await?;
    /// assert!(from.is_unnamed());
    /// assert_eq!(stream.try_read(&mut [0; 8])?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn accept(&self) -> Result<(Async<C>, Address)> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            if let (Arrival::Accepted(client), from) = self.accept_next().await? {
                return Ok((self.register_accepted(client)?, from.to_address()));
            }
            // tokio's cooperative budget counts accepted clients only. A flood of refused ones would
            // otherwise keep this task from yielding.
            if refusals.add(self.as_ref(), 1).is_err() {
                refusals = Refusals::of(Operation::Accept);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Polls [`aio::Listener::accept`](Async::accept). Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the listener itself is broken, or if the runtime cannot register another
    /// socket.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(Async<C>, Address)>> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            match ready!(self.poll_receiving(cx, |listener| listener.accept_from(Blocking::Never, drop))) {
                Ok((Arrival::Accepted(client), from)) => {
                    self.retry.reset();
                    let client = self.register_accepted(client);
                    return Poll::Ready(client.map(|client| (client, from.to_address())));
                }
                Ok((Arrival::Refused { .. }, _)) if refusals.add(self.as_ref(), 1).is_ok() => {}
                Ok((Arrival::Refused { .. }, _)) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) if error.is_transient() => ready!(self.retry.poll(cx, PAUSE_AFTER_FAILURE)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Waits for the next client and returns whether the policy allowed it.
    ///
    /// Otherwise behaves like [`aio::Listener::accept`](Async::accept).
    ///
    /// # Errors
    /// Returns an error if the listener itself is broken, or if the runtime cannot register another
    /// socket.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, no client is lost.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Arrival, Bind, Policy, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).policy(Policy::nobody()).listen_async().await?;
    /// let _client = aio::Stream::connect(&path).await?;
    /// match listener.accept_any().await? {
    ///     Arrival::Accepted(_) => unreachable!("the policy denies every client"),
    ///     Arrival::Refused { pid, .. } => assert_eq!(pid, Some(std::process::id())),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn accept_any(&self) -> Result<Arrival<Async<C>>> {
        let (arrival, _) = self.accept_next().await?;
        self.register_arrival(arrival)
    }

    /// Waits for the next client, and pauses after a failure that does not concern the listener.
    async fn accept_next(&self) -> Result<(Arrival<C>, RawAddress)> {
        let mut backoff = Backoff::between(PAUSE_AFTER_FAILURE.0, PAUSE_AFTER_FAILURE.1);
        loop {
            match self.receiving(|listener| listener.accept_from(Blocking::Never, drop)).await {
                Err(error) if error.is_transient() => tokio::time::sleep(backoff.next()).await,
                result => return result,
            }
        }
    }

    /// Accepts a client that is in the queue now and that the policy allows, without waiting.
    /// Returns its connection and its address.
    ///
    /// Returns after 16 refused clients in a row, even if more are in the queue
    /// ([`Error::is_refusal_limit`]). The listener then stays readable.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or a
    /// [transient](Error::is_transient) one if no file descriptor is free or the accept failed
    /// otherwise. After a transient error the listener may stay readable: pause before you try
    /// again.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// assert_eq!(listener.try_accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// let _client = aio::Stream::connect(&path).await?;
    /// assert!(listener.try_accept().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_accept(&self) -> Result<(Async<C>, Address)> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            let accept = |listener: &crate::Listener<C>| listener.accept_from(Blocking::Never, drop);
            if let (Arrival::Accepted(client), from) = self.attempt(Interest::READABLE, accept)? {
                return Ok((self.register_accepted(client)?, from.to_address()));
            }
            refusals.add(self.as_ref(), 1)?;
        }
    }

    /// Returns the number of clients accepted, refused and failed so far.
    ///
    /// ```
    /// use stoop::{Bind, Policy, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).policy(Policy::nobody()).listen_async().await?;
    /// let _refused = aio::Stream::connect(&path).await?;
    /// listener.accept_any().await?;
    /// listener.set_policy(Policy::same_user())?;
    /// let _allowed = aio::Stream::connect(&path).await?;
    /// listener.accept().await?;
    /// let counts = listener.counts();
    /// assert_eq!((counts.accepted, counts.refused), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counts(&self) -> Counts {
        self.get_ref().counts()
    }

    /// Sets the policy that applies to clients accepted from now on.
    ///
    /// # Errors
    /// Returns an error if a socket option cannot be set, which happens only if the file descriptor
    /// is invalid.
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        self.get_mut().set_policy(policy)
    }

    /// Accepts the next client in the queue without waiting, and returns whether the policy allowed
    /// it.
    pub(crate) fn try_accept_any(&self) -> Result<Arrival<Async<C>>> {
        self.try_accept_with(drop)
    }

    /// Like [`Async::try_accept_any`], but passes each refused client to `refused`, for protocols
    /// that send refused clients a message.
    pub(crate) fn try_accept_with(&self, mut refused: impl FnMut(OwnedFd)) -> Result<Arrival<Async<C>>> {
        let accept = |listener: &crate::Listener<C>| listener.accept_with(Blocking::Never, &mut refused);
        self.register_arrival(self.attempt(Interest::READABLE, accept)?)
    }

    fn register_arrival(&self, arrival: Arrival<C>) -> Result<Arrival<Async<C>>> {
        Ok(match arrival {
            Arrival::Accepted(client) => Arrival::Accepted(self.register_accepted(client)?),
            Arrival::Refused { pid, uid, reason } => Arrival::Refused { pid, uid, reason },
        })
    }

    /// Returns the synchronous listener, for changing its state other than the file descriptor.
    pub(crate) fn get_mut(&mut self) -> &mut crate::Listener<C> {
        self.main.get_mut().get_mut()
    }

    /// Unlinks the socket file if it is still this listener's, and continues to listen.
    ///
    /// Clients that have resolved the address already can still connect. The file is unlinked on
    /// the runtime's blocking pool.
    ///
    /// # Errors
    /// Returns an error if the file could not be removed.
    ///
    /// # Cancel safety
    /// This method is cancel safe. Once started, the file is unlinked even if the future is
    /// dropped.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen_async().await?;
    /// let _queued = aio::Stream::connect(&path).await?;
    /// listener.release().await?;
    /// assert_eq!(aio::Stream::connect(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    /// listener.accept().await?; // the client in the queue
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn release(&mut self) -> Result<()> {
        let Some(file) = self.get_mut().take_file() else { return Ok(()) };
        // Unlinking may block on another process's lock.
        super::bind::in_background(move || file.release()).await
    }

    /// Refuses new clients from now on; those in the queue can still be accepted ([K-ACCEPT-6]).
    ///
    /// Shuts down the socket itself, and so affects every process that shares this listener.
    ///
    /// [K-ACCEPT-6]: crate::kernel_facts#K-ACCEPT-6
    pub(crate) fn refuse_more(&self) -> Result<()> {
        sys::shutdown(self.as_fd(), Shutdown::Read).map_err(crate::socket::configure)
    }
}

impl Async<crate::Listener<crate::Stream>> {
    /// Binds and listens for streams at this address, with the defaults of [`Bind`].
    ///
    /// Blocks the thread for the calls on the file system. [`Bind::listen_async`] makes them on the
    /// runtime's blocking pool instead.
    ///
    /// # Errors
    /// Returns an error if the address is in use or invalid, if its directory does not exist, or if
    /// permissions forbid the bind. See [`Bind::listen`] for the kinds.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    pub fn bind(address: impl ToAddress) -> Result<Listener> {
        Async::listening(Bind::new(address).listen()?)
    }
}

impl<C: Connected> TryFrom<crate::Listener<C>> for Async<crate::Listener<C>> {
    type Error = Error;

    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    fn try_from(listener: crate::Listener<C>) -> Result<Listener<C>> {
        Async::listening(listener)
    }
}

impl<C: Connected> TryFrom<Async<crate::Listener<C>>> for crate::Listener<C> {
    type Error = Error;

    fn try_from(listener: Listener<C>) -> Result<crate::Listener<C>> {
        listener.into_sync()
    }
}
