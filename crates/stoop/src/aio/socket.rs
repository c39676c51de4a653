//! [`Async`]: registration with the reactor, and waiting for readiness. Knows nothing of what is
//! read or written.
//!
//! A socket is registered with the reactor once, edge-triggered, as tokio does it. What it is
//! registered *for* differs:
//!
//! - A connecting socket is registered for readable and writable events. A writable event also
//!   arrives whenever the peer has read something. A client that waits for an answer is therefore
//!   woken early, when its request was read, and is already running when the answer arrives.
//! - So are accepted connections while the listener has few of them. With many, one wake-up for
//!   each answer that a client has read is pure cost, and they are registered for readable events
//!   alone. So are bound datagram sockets. If one of these has to wait for room to send after all,
//!   a duplicate of its file descriptor is registered for writable events, once, and kept.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};
use tokio::task::coop;

use super::retry_timer::RetryTimer;
use crate::error::{Error, Operation, Result};
use crate::socket::{Socket, configure};
use crate::socket_methods::base_methods;
use crate::sys::{OwnsFd, Registered, register};

/// How long to wait before another attempt if no file descriptor is free to wait with.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(5);

/// The number of connections of one listener up to which they are registered for writable events.
const MAX_REGISTERED_FOR_WRITES: usize = 16;

/// After so many first reads that found nothing, most are not attempted.
const VAIN_READS_MAX: u32 = 8;

/// A socket driven by tokio: [`aio::Stream`](super::Stream), [`aio::SeqPacket`](super::SeqPacket),
/// [`aio::Datagram`](super::Datagram) or [`aio::Listener`](super::Listener).
///
/// The socket's timeouts have no effect here: use [`tokio::time::timeout`]. `set_spin` works: a
/// receive that finds nothing then occupies its worker thread for up
/// to that long before the task is parked.
///
/// An accepted socket opens a second file descriptor when it first has to wait for room to send.
/// Allow for that in a server's limit on file descriptors (`RLIMIT_NOFILE`).
pub struct Async<S: AsFd> {
    pub(super) main: AsyncFd<Registered<S>>,
    /// The registration for writable events if `main` has none. Created by the first wait for room.
    write_registration: OnceLock<Box<WriteRegistration>>,
    main_has_writes: bool,
    activity: Option<Activity>,
    /// For `poll_…` methods that wait without an event.
    pub(super) retry: RetryTimer,
    /// Set until the first read of an accepted socket. Most clients send before they are accepted,
    /// and a task that reads at once need not wait for an event.
    is_fresh: AtomicBool,
    /// Shared by a listener and all of its connections.
    accepted: Option<Arc<Accepted>>,
}

/// What a listener shares with its connections. The reference count is their number.
#[derive(Debug, Default)]
struct Accepted {
    /// How many first reads in a row have found nothing. A hint, so relaxed atomics suffice.
    vain_reads: AtomicU32,
}

impl Accepted {
    /// Returns whether the next first read is likely to find something. If none did, one in
    /// [`VAIN_READS_MAX`] is attempted.
    fn expects_early_data(&self) -> bool {
        let vain = self.vain_reads.load(Ordering::Relaxed);
        let is_expected = vain < VAIN_READS_MAX || vain.is_multiple_of(VAIN_READS_MAX);
        if !is_expected {
            self.vain_reads.fetch_add(1, Ordering::Relaxed);
        }
        is_expected
    }
}

/// A duplicate of a socket's file descriptor, registered for writable events alone. Boxed, since
/// few connections ever need it.
type WriteRegistration = AsyncFd<Registered<OwnedFd>>;

/// Counts successful sends and receives, for detecting idle connections.
pub(crate) type Activity = Arc<AtomicU64>;

/// Errors that may mean "would block", and that can be made from an error of the reactor.
pub(crate) trait ReadinessError {
    fn would_block(&self) -> bool;
    /// Returns whether the call should be repeated after other tasks have run.
    fn is_refusal_limit(&self) -> bool;
    fn from_reactor(cause: io::Error) -> Self;
}

impl ReadinessError for io::Error {
    fn would_block(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }

    fn is_refusal_limit(&self) -> bool {
        false
    }

    fn from_reactor(cause: io::Error) -> io::Error {
        cause
    }
}

impl ReadinessError for Error {
    fn would_block(&self) -> bool {
        // A receive that stopped at the refusal limit has left something in the queue. Clearing the
        // readiness would be wrong: no further edge would announce it.
        self.is_would_block() && !self.is_refusal_limit()
    }

    fn is_refusal_limit(&self) -> bool {
        Error::is_refusal_limit(self)
    }

    fn from_reactor(cause: io::Error) -> Error {
        configure(cause)
    }
}

/// Maps "would block" to the one error that makes the reactor wait again; passes on any other
/// result.
fn unless_blocked<T, E: ReadinessError>(
    result: std::result::Result<T, E>,
) -> io::Result<std::result::Result<T, E>> {
    match result {
        Err(error) if error.would_block() => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result),
    }
}

impl<S: AsFd + AsRef<Socket>> Async<S> {
    base_methods!();
}

impl<S: OwnsFd + AsRef<Socket>> Async<S> {
    /// Registers the socket for readable and writable events.
    #[track_caller]
    pub(super) fn registered_duplex(socket: S) -> Result<Async<S>> {
        socket.as_ref().set_nonblocking(true)?;
        Async::registered_nonblocking(socket)
    }

    /// Like [`Async::registered_duplex`], for a socket that is in nonblocking mode already.
    #[track_caller]
    pub(super) fn registered_nonblocking(socket: S) -> Result<Async<S>> {
        Async::registered(socket, true)
    }

    /// Registers the socket for readable events alone.
    #[track_caller]
    pub(super) fn registered_for_reads(socket: S) -> Result<Async<S>> {
        socket.as_ref().set_nonblocking(true)?;
        Async::registered(socket, false)
    }

    #[track_caller]
    fn registered(socket: S, for_writes: bool) -> Result<Async<S>> {
        // Priority events are requested because a read stops in front of an urgent byte (K-END-10):
        // see `Stream::poll_receive`.
        let data = Interest::READABLE | Interest::PRIORITY;
        let interest = if for_writes { data | Interest::WRITABLE } else { data };
        let main = register(socket, interest).map_err(configure)?;
        let is_fresh = AtomicBool::new(false);
        Ok(Async {
            main,
            write_registration: OnceLock::new(),
            main_has_writes: for_writes,
            activity: None,
            retry: RetryTimer::default(),
            is_fresh,
            accepted: None,
        })
    }

    /// Registers a listener, which counts its connections.
    #[track_caller]
    pub(super) fn listening(socket: S) -> Result<Async<S>> {
        Ok(Async { accepted: Some(Arc::default()), ..Async::registered_for_reads(socket)? })
    }

    /// Registers a connection that this listener has accepted, which is in nonblocking mode
    /// already.
    pub(super) fn register_accepted<C: OwnsFd + AsRef<Socket>>(&self, client: C) -> Result<Async<C>> {
        let few = self
            .accepted
            .as_ref()
            .is_some_and(|accepted| Arc::strong_count(accepted) <= MAX_REGISTERED_FOR_WRITES);
        let is_fresh = AtomicBool::new(true);
        Ok(Async { accepted: self.accepted.clone(), is_fresh, ..Async::registered(client, few)? })
    }
}

impl<S: AsFd + AsRef<Socket>> Async<S> {
    /// Returns whether to attempt a read before any readiness event; true at most once.
    pub(super) fn expects_early_data(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed)
            && self.is_fresh.swap(false, Ordering::Relaxed)
            && self.accepted.as_ref().is_some_and(|accepted| accepted.expects_early_data())
    }

    /// Records whether that read has found something.
    pub(super) fn note_first_read(&self, found: bool) {
        if let Some(accepted) = &self.accepted {
            match found {
                true => accepted.vain_reads.store(0, Ordering::Relaxed),
                false => drop(accepted.vain_reads.fetch_add(1, Ordering::Relaxed)),
            }
        }
    }

    /// Converts to a synchronous socket in blocking mode.
    ///
    /// # Errors
    /// Returns an error if the mode cannot be changed, which happens only if the file descriptor is
    /// invalid.
    ///
    /// # Examples
    /// ```
    /// use std::io::Read;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (mut one, other) = stoop::aio::Stream::pair()?;
    /// one.write_all(b"hello").await?;
    ///
    /// let mut blocking = stoop::Stream::try_from(other)?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(blocking.read(&mut buffer)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub(crate) fn into_sync(self) -> Result<S> {
        let socket = self.main.into_inner().into_inner();
        socket.as_ref().set_nonblocking(false)?;
        Ok(socket)
    }

    /// Returns the synchronous socket inside.
    ///
    /// It is nonblocking: its receives and sends fail with
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) instead of waiting. To wait for
    /// readiness between attempts, use [`Async::async_io`].
    ///
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, _other) = aio::Datagram::pair()?;
    /// let error = one.get_ref().recv(&mut [0; 8]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get_ref(&self) -> &S {
        self.main.get_ref().get()
    }

    /// Waits until the socket is readable: there may be data, a client, or the end of the stream.
    ///
    /// Returns at once until a receive has returned "would block". That has to be a receive of this
    /// type, or one in [`Async::try_io`]; others do not clear the readiness.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It removes nothing from the queue.
    ///
    /// # Examples
    /// ```
    /// use std::io::ErrorKind;
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let mut buffer = [0; 64];
    /// one.try_write(b"hello")?;
    /// let len = loop {
    ///     other.readable().await?;
    ///     match other.try_read(&mut buffer) {
    ///         // Readiness may be out of date; the failed read has cleared it.
    ///         Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
    ///         result => break result?,
    ///     }
    /// };
    /// assert_eq!(&buffer[..len], b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn readable(&self) -> Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until the socket is writable.
    ///
    /// For a datagram socket that is not connected, this says nothing about the receiver's queue
    /// ([K-DGRAM-4]). [`aio::Datagram::send_to`](super::Datagram::send_to) waits for that.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It sends nothing.
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    /// use tokio::io::AsyncReadExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, mut other) = aio::Stream::pair()?;
    /// let mut sent = 0;
    /// while let Ok(len) = one.try_write(&[0; 4096]) {
    ///     sent += len;
    /// }
    /// // The queue is full. Reading makes room.
    /// other.read_exact(&mut vec![0; sent]).await?;
    /// one.writable().await?;
    /// assert!(one.try_write(b"more")? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-DGRAM-4]: crate::kernel_facts#K-DGRAM-4
    pub async fn writable(&self) -> Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits for any of the requested kinds of readiness, and returns which are set.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It neither sends nor removes anything from the queue.
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    /// use tokio::io::Interest;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// drop(other);
    /// let ready = one.ready(Interest::READABLE | Interest::WRITABLE).await?;
    /// assert!(ready.is_read_closed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn ready(&self, interest: Interest) -> Result<Ready> {
        if self.main_has_writes || !interest.is_writable() {
            let mut guard = self.main.ready(interest).await.map_err(configure)?;
            guard.retain_ready();
            return Ok(guard.ready());
        }
        // Two registrations of one socket: whichever becomes ready first ends the wait.
        let mut writable = std::pin::pin!(self.write_registration()?.ready(Interest::WRITABLE));
        let mut data = interest.remove(Interest::WRITABLE).map(|rest| Box::pin(self.main.ready(rest)));
        std::future::poll_fn(|cx| {
            if let Some(data) = &mut data
                && let Poll::Ready(guard) = data.as_mut().poll(cx)
            {
                return Poll::Ready(guard.map(|guard| guard.ready()));
            }
            writable.as_mut().poll(cx).map(|guard| guard.map(|guard| guard.ready()))
        })
        .await
        .map_err(configure)
    }

    /// Runs an operation on this socket if it is ready, without waiting.
    ///
    /// For system calls that this type has no method for. If tokio does not consider the socket
    /// ready, `operation` does not run. If it runs and fails with [`io::ErrorKind::WouldBlock`],
    /// the readiness is cleared, and [`Async::ready`] waits for the next event.
    ///
    /// The methods `try_…` of this type need no `try_io` around them.
    ///
    /// # Errors
    /// Returns an error if the socket is not ready ([`io::ErrorKind::WouldBlock`]), or if the
    /// operation returns one.
    ///
    /// # Examples
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use stoop::aio;
    /// use tokio::io::Interest;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Stream::pair()?;
    /// let mut buffer = [0; 8];
    /// one.try_write(b"ping")?;
    /// other.readable().await?;
    /// let mut read = || other.try_io(Interest::READABLE, || other.get_ref().read(&mut buffer));
    /// assert_eq!(read()?, 4);
    /// assert_eq!(read().unwrap_err().kind(), ErrorKind::WouldBlock); // clears the readiness
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_io<R>(&self, interest: Interest, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let result = match self.main_has_writes || !interest.is_writable() {
            true => self.main.try_io(interest, |_| operation()),
            false => self.write_registration()?.try_io(Interest::WRITABLE, |_| operation()),
        };
        self.recorded(result)
    }

    /// Runs an operation on this socket, repeatedly, until it returns something other than
    /// [`io::ErrorKind::WouldBlock`]. Waits for readiness before each attempt.
    ///
    /// # Errors
    /// Returns an error if the operation returns another one, if the runtime is shutting down, or
    /// if no file descriptor is free to wait with.
    ///
    /// # Cancel safety
    /// This method is cancel safe if `operation` is: a dropped future runs it no more.
    pub async fn async_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<R>,
    ) -> io::Result<R> {
        let result = match self.main_has_writes || !interest.is_writable() {
            true => self.main.async_io(interest, |_| operation()).await,
            false => self.write_registration()?.async_io(Interest::WRITABLE, |_| operation()).await,
        };
        self.recorded(result)
    }

    /// Polls for readability, like [`Async::readable`]. Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut guard = ready!(self.main.poll_read_ready(cx)).map_err(configure)?;
        guard.retain_ready();
        Poll::Ready(Ok(()))
    }

    /// Polls for writability, like [`Async::writable`]. Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.main_has_writes {
            ready!(self.main.poll_write_ready(cx)).map_err(configure)?.retain_ready();
        } else {
            ready!(self.write_registration()?.poll_write_ready(cx)).map_err(configure)?.retain_ready();
        }
        Poll::Ready(Ok(()))
    }

    /// Attempts an operation at once, whether or not tokio considers the socket ready. Clears the
    /// readiness if the operation would block.
    pub(super) fn attempt<T, E: ReadinessError>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let blocked = match operation(self.get_ref()) {
            Err(error) if error.would_block() => error,
            result => return self.recorded(result),
        };
        // `AsyncFd::try_io` does not run the closure unless tokio considers the socket ready, and clears
        // that readiness if the closure returns `WouldBlock`. It must be a second call: an event that
        // arrives between the first call and the clearing would otherwise be lost.
        let mut again = || unless_blocked(operation(self.get_ref()));
        let answer = match self.write_registration.get() {
            Some(writes) if interest.is_writable() => writes.try_io(Interest::WRITABLE, |_| again()),
            _ => self.main.try_io(interest, |_| again()),
        };
        answer.map_or(Err(blocked), |result| self.recorded(result))
    }

    /// Runs a receive until it returns something other than "would block".
    ///
    /// A receive that returns because of the refusal limit is run again after other tasks, timers
    /// and the rest of this task have had their turn.
    pub(crate) async fn receiving<T, E: ReadinessError>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        loop {
            let done =
                self.main.async_io(Interest::READABLE, |socket| unless_blocked(operation(socket.get())));
            match done.await.unwrap_or_else(|cause| Err(E::from_reactor(cause))) {
                Err(error) if error.is_refusal_limit() => tokio::task::yield_now().await,
                result => return self.recorded(result),
            }
        }
    }

    /// Runs a send until it returns something other than "would block".
    ///
    /// The first attempt is made without asking for readiness: usually there is room.
    pub(super) async fn sending<T, E: ReadinessError>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        coop::consume_budget().await;
        match operation(self.get_ref()) {
            Err(error) if error.would_block() => {}
            result => return self.recorded(result),
        }
        // `async_io` waits for readiness, and clears it only for an event that it saw before the call:
        // an event that arrives during the call is kept, so no wake-up is lost.
        let again = || unless_blocked(operation(self.get_ref()));
        let done = match self.main_has_writes {
            true => self.main.async_io(Interest::WRITABLE, with(again)).await,
            false => match self.write_registration() {
                Ok(writes) => writes.async_io(Interest::WRITABLE, with(again)).await,
                Err(error) if error.is_exhausted() => return self.sending_on_a_timer(operation).await,
                Err(error) => Err(error.into()),
            },
        };
        done.unwrap_or_else(|cause| Err(E::from_reactor(cause))).inspect(|_| self.record_activity())
    }

    async fn sending_on_a_timer<T, E: ReadinessError>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        loop {
            tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            match operation(self.get_ref()) {
                Err(error) if error.would_block() => {}
                result => return self.recorded(result),
            }
        }
    }

    /// Polls a receive: [`Async::receiving`] for `poll_…` methods.
    ///
    /// Only the last task that polled is woken.
    pub(super) fn poll_receiving<T, E: ReadinessError>(
        &self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> Poll<std::result::Result<T, E>> {
        loop {
            let mut guard = ready!(self.main.poll_read_ready(cx)).map_err(E::from_reactor)?;
            match operation(self.get_ref()) {
                Err(error) if error.would_block() => guard.clear_ready(),
                Err(error) if error.is_refusal_limit() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                result => return Poll::Ready(self.recorded(result)),
            }
        }
    }

    /// Polls a send: [`Async::sending`] for `poll_…` methods.
    ///
    /// Only the last task that polled is woken.
    pub(super) fn poll_sending<T, E: ReadinessError>(
        &self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> Poll<std::result::Result<T, E>> {
        // A send that never blocks would never return to the scheduler: count it against tokio's
        // cooperative budget, which reactor operations count against by themselves.
        let budget = ready!(coop::poll_proceed(cx));
        match operation(self.get_ref()) {
            Err(error) if error.would_block() => {}
            result => {
                budget.made_progress();
                return Poll::Ready(self.recorded(result));
            }
        }
        drop(budget);
        let again = || operation(self.get_ref());
        let result = match self.main_has_writes {
            true => ready!(poll_writable(&self.main, cx, again)),
            false => match self.write_registration() {
                Ok(writes) => ready!(poll_writable(writes, cx, again)),
                Err(error) if error.is_exhausted() => {
                    // One timer for the socket: a task that is polled often does not start more.
                    ready!(self.retry.poll(cx, (PAUSE_WHEN_EXHAUSTED, PAUSE_WHEN_EXHAUSTED)));
                    return self.poll_sending(cx, operation);
                }
                Err(error) => Err(E::from_reactor(error.into())),
            },
        };
        Poll::Ready(self.recorded(result))
    }

    /// Returns the registration for writable events if `main` has none, creating it on first use.
    fn write_registration(&self) -> Result<&WriteRegistration> {
        if let Some(writes) = self.write_registration.get() {
            return Ok(writes);
        }
        let waiting = |cause| Error::system(Operation::Send, cause).of_kind(self.as_ref().kind());
        let second = self.as_fd().try_clone_to_owned().map_err(waiting)?;
        let writes = register(second, Interest::WRITABLE).map_err(waiting)?;
        Ok(self.write_registration.get_or_init(|| Box::new(writes)))
    }

    /// Sets the counter that each successful send and receive increments.
    pub(crate) fn set_activity(&mut self, activity: Option<Activity>) {
        self.activity = activity;
    }

    pub(super) fn record_activity(&self) {
        if let Some(activity) = &self.activity {
            activity.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn recorded<T, E>(&self, result: std::result::Result<T, E>) -> std::result::Result<T, E> {
        result.inspect(|_| self.record_activity())
    }
}

/// Adapts an operation without arguments to the reactor's callback, which passes one.
fn with<R, T>(mut operation: impl FnMut() -> R) -> impl FnMut(&T) -> R {
    move |_| operation()
}

fn poll_writable<F: AsFd, T, E: ReadinessError>(
    writes: &AsyncFd<Registered<F>>,
    cx: &mut Context<'_>,
    mut operation: impl FnMut() -> std::result::Result<T, E>,
) -> Poll<std::result::Result<T, E>> {
    loop {
        let mut guard = ready!(writes.poll_write_ready(cx)).map_err(E::from_reactor)?;
        match operation() {
            Err(error) if error.would_block() => guard.clear_ready(),
            result => return Poll::Ready(result),
        }
    }
}

impl<S: AsFd + AsRef<Socket>> AsRef<Socket> for Async<S> {
    fn as_ref(&self) -> &Socket {
        self.get_ref().as_ref()
    }
}

impl<S: AsFd> AsFd for Async<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.main.get_ref().get().as_fd()
    }
}

/// A panic between two calls leaves nothing half done: tokio keeps its state consistent, as it says
/// of its own sockets.
impl<S: AsFd + UnwindSafe> UnwindSafe for Async<S> {}

/// See [`UnwindSafe`].
impl<S: AsFd + RefUnwindSafe> RefUnwindSafe for Async<S> {}

impl<S: AsFd + fmt::Debug> fmt::Debug for Async<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(self.main.get_ref().get()).finish()
    }
}
