//! [`Async`]: a socket that a task waits for. How readiness is asked for, and nothing about what is read or written.
//!
//! A socket is registered with the reactor once, and edge-triggered, as tokio does it. What it is
//! registered *for* differs:
//!
//! - Whoever connects watches for data and for room. The second comes up whenever the peer has read
//!   something, so a client that waits for an answer is woken early, when its request was read, and
//!   is awake when the answer comes.
//! - Of accepted connections the same is true while the listener has few of them. With many, one
//!   wake-up for each answer that somebody has read is pure cost, and they watch for data alone; so
//!   do bound datagram sockets. Where one of these has to wait for room after all, a second
//!   descriptor of it is registered for that, once, and kept.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};
use tokio::task::coop;

use crate::error::{Error, Operation, Result};
use crate::socket::{Socket, configure};
use crate::sys::{Registered, register};

/// How long to wait before trying again where no descriptor is free to wait for room with.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(5);

/// Up to how many connections of one listener watch for room as well.
const FEW: usize = 16;

/// A socket driven by tokio: [`aio::Stream`](super::Stream), [`aio::SeqPacket`](super::SeqPacket),
/// [`aio::Datagram`](super::Datagram) or [`aio::Listener`](super::Listener).
///
/// Dereferences to [`Socket`] for names, buffers and identity. Its timeouts have no effect here
/// ([`tokio::time::timeout`] has), and [`Socket::set_nonblocking`] is to be left alone.
/// [`Socket::set_spin`] works: a receive that finds nothing then holds its worker thread for up to
/// that long before the task is parked.
///
/// A socket made by accepting may come to hold a second descriptor, from the first time that it has
/// to wait for room to send: to be reckoned with in a server's limit on descriptors.
pub struct Async<S: AsFd> {
    pub(super) main: AsyncFd<Registered<S>>,
    /// Where `main` does not watch for room: what does, from the first wait for it on.
    room: OnceLock<Box<Room>>,
    watches_room: bool,
    activity: Option<Activity>,
    /// Nothing has been read yet, and something may be there: most clients speak before they are
    /// accepted, and whoever reads that at once need not be told of it.
    is_fresh: AtomicBool,
    /// One for a listener and all of its connections: the references count them.
    family: Option<Arc<()>>,
}

/// A second descriptor of a socket, watched for room alone. Boxed, since few connections ever need
/// it.
type Room = AsyncFd<Registered<OwnedFd>>;

/// Counts what was received and sent, for somebody who looks after idle connections.
pub(crate) type Activity = Arc<AtomicU64>;

/// Errors that may mean "not now", and that the reactor can be the cause of.
pub(crate) trait Failure {
    fn would_block(&self) -> bool;
    /// Whether the call is to be made again once others have had their turn.
    fn is_refusal_limit(&self) -> bool;
    fn of_reactor(cause: io::Error) -> Self;
}

impl Failure for io::Error {
    fn would_block(&self) -> bool {
        self.kind() == io::ErrorKind::WouldBlock
    }

    fn is_refusal_limit(&self) -> bool {
        false
    }

    fn of_reactor(cause: io::Error) -> io::Error {
        cause
    }
}

impl Failure for Error {
    fn would_block(&self) -> bool {
        // What stopped at the limit has left something behind: the reactor would never announce it again.
        self.is_would_block() && !self.is_refusal_limit()
    }

    fn is_refusal_limit(&self) -> bool {
        Error::is_refusal_limit(self)
    }

    fn of_reactor(cause: io::Error) -> Error {
        configure(cause)
    }
}

/// The same in the reactor's words: the error that makes it wait, or anything else.
fn unless_blocked<T, E: Failure>(result: std::result::Result<T, E>) -> io::Result<std::result::Result<T, E>> {
    match result {
        Err(error) if error.would_block() => Err(io::ErrorKind::WouldBlock.into()),
        result => Ok(result),
    }
}

impl<S: AsFd + Deref<Target = Socket>> Async<S> {
    /// Watches for data and for room.
    #[track_caller]
    pub(super) fn watching_both(socket: S) -> Result<Async<S>> {
        socket.set_nonblocking(true)?;
        Async::born(socket)
    }

    /// The same for a socket that has never waited.
    #[track_caller]
    pub(super) fn born(socket: S) -> Result<Async<S>> {
        Async::watching(socket, true)
    }

    /// Watches for data, and for room only when there was none.
    #[track_caller]
    pub(super) fn watching_data(socket: S) -> Result<Async<S>> {
        socket.set_nonblocking(true)?;
        Async::watching(socket, false)
    }

    #[track_caller]
    fn watching(socket: S, room: bool) -> Result<Async<S>> {
        // Urgent bytes are watched for because a read stops in front of them (K-END-10): see
        // `Stream::poll_receive`.
        let data = Interest::READABLE | Interest::PRIORITY;
        let interest = if room { data | Interest::WRITABLE } else { data };
        let main = register(socket, interest).map_err(configure)?;
        let is_fresh = AtomicBool::new(false);
        Ok(Async { main, room: OnceLock::new(), watches_room: room, activity: None, is_fresh, family: None })
    }

    /// A listener, which counts its connections.
    #[track_caller]
    pub(super) fn listening(socket: S) -> Result<Async<S>> {
        Ok(Async { family: Some(Arc::default()), ..Async::watching_data(socket)? })
    }

    /// A connection that this listener has accepted, as one that never waits.
    pub(super) fn adopt<C: AsFd + Deref<Target = Socket>>(&self, client: C) -> Result<Async<C>> {
        let few = self.family.as_ref().is_some_and(|family| Arc::strong_count(family) <= FEW);
        let is_fresh = AtomicBool::new(true);
        Ok(Async { family: self.family.clone(), is_fresh, ..Async::watching(client, few)? })
    }

    /// Whether a read is to be tried before anything has been said to be there; once.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_fresh.load(Ordering::Relaxed) && self.is_fresh.swap(false, Ordering::Relaxed)
    }

    /// Back to a socket that blocks.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn into_sync(self) -> Result<S> {
        let socket = self.main.into_inner().into_inner();
        socket.set_nonblocking(false)?;
        Ok(socket)
    }

    /// The synchronous socket inside, whose receives and sends fail with
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) instead of waiting. To wait for
    /// them, call them in [`Async::try_io`].
    pub fn get_ref(&self) -> &S {
        self.main.get_ref().get()
    }

    /// Waits until there may be something to receive: data, a client, the end.
    ///
    /// Returns at once until a receive has found nothing; that has to be one of this type's, or one
    /// in [`Async::try_io`].
    ///
    /// # Errors
    /// Only where the runtime is shutting down.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn readable(&self) -> Result<()> {
        self.ready(Interest::READABLE).await.map(drop)
    }

    /// Waits until there may be room to send. On a datagram socket that is not connected this says
    /// nothing about the receiver's queue (K-DGRAM-4);
    /// [`aio::Datagram::send_to`](super::Datagram::send_to) waits for that.
    ///
    /// # Errors
    /// Where the runtime is shutting down, or no descriptor is free to wait with.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is sent.
    pub async fn writable(&self) -> Result<()> {
        self.ready(Interest::WRITABLE).await.map(drop)
    }

    /// Waits for any of these. [`Ready`] says which.
    ///
    /// # Errors
    /// As [`Async::writable`].
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken or sent.
    pub async fn ready(&self, interest: Interest) -> Result<Ready> {
        if self.watches_room || !interest.is_writable() {
            let mut guard = self.main.ready(interest).await.map_err(configure)?;
            guard.retain_ready();
            return Ok(guard.ready());
        }
        let mut room = std::pin::pin!(self.room()?.ready(Interest::WRITABLE));
        let mut data = interest.remove(Interest::WRITABLE).map(|rest| Box::pin(self.main.ready(rest)));
        std::future::poll_fn(|cx| {
            if let Some(data) = &mut data
                && let Poll::Ready(guard) = data.as_mut().poll(cx)
            {
                return Poll::Ready(guard.map(|guard| guard.ready()));
            }
            room.as_mut().poll(cx).map(|guard| guard.map(|guard| guard.ready()))
        })
        .await
        .map_err(configure)
    }

    /// Runs an operation on the synchronous socket inside, without waiting. One that fails with
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) is tried a second time where tokio
    /// took the socket for ready, and then makes [`Async::ready`] wait.
    ///
    /// # Errors
    /// The operation's.
    pub fn try_io<T>(&self, interest: Interest, operation: impl FnMut(&S) -> Result<T>) -> Result<T> {
        self.attempt(interest, operation)
    }

    pub(super) fn attempt<T, E: Failure>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let blocked = match operation(self.get_ref()) {
            Err(error) if error.would_block() => error,
            result => return self.noted(result),
        };
        let mut again = || unless_blocked(operation(self.get_ref()));
        let answer = match self.room.get() {
            Some(room) if interest.is_writable() => room.try_io(Interest::WRITABLE, |_| again()),
            _ => self.main.try_io(interest, |_| again()),
        };
        answer.map_or(Err(blocked), |result| self.noted(result))
    }

    /// Runs a receive until it does not say "not now". One that returns because of what it refused
    /// is run again after other tasks, timers and the rest of this task have had their turn.
    pub(crate) async fn receiving<T, E: Failure>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        loop {
            let done =
                self.main.async_io(Interest::READABLE, |socket| unless_blocked(operation(socket.get())));
            match done.await.unwrap_or_else(|cause| Err(E::of_reactor(cause))) {
                Err(error) if error.is_refusal_limit() => tokio::task::yield_now().await,
                result => return self.noted(result),
            }
        }
    }

    /// Runs a send until it does not say "not now". The first try is made at once: mostly there is
    /// room.
    pub(super) async fn sending<T, E: Failure>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        coop::consume_budget().await;
        match operation(self.get_ref()) {
            Err(error) if error.would_block() => {}
            result => return self.noted(result),
        }
        let again = || unless_blocked(operation(self.get_ref()));
        let done = match self.watches_room {
            true => self.main.async_io(Interest::WRITABLE, with(again)).await,
            false => match self.room() {
                Ok(room) => room.async_io(Interest::WRITABLE, with(again)).await,
                Err(error) if error.is_exhausted() => return self.sending_on_a_timer(operation).await,
                Err(error) => Err(error.into()),
            },
        };
        done.unwrap_or_else(|cause| Err(E::of_reactor(cause))).inspect(|_| self.note())
    }

    async fn sending_on_a_timer<T, E: Failure>(
        &self,
        mut operation: impl FnMut(&S) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        loop {
            tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
            match operation(self.get_ref()) {
                Err(error) if error.would_block() => {}
                result => return self.noted(result),
            }
        }
    }

    /// [`Async::sending`] for `poll_write` and its like: the last task that asked is woken.
    pub(super) fn poll_sending<T>(
        &self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let budget = ready!(coop::poll_proceed(cx));
        match operation(self.get_ref()) {
            Err(error) if error.would_block() => {}
            result => {
                budget.made_progress();
                return Poll::Ready(self.noted(result));
            }
        }
        drop(budget);
        let again = || operation(self.get_ref());
        let result = match self.watches_room {
            true => ready!(poll_room(&self.main, cx, again)),
            false => match self.room() {
                Ok(room) => ready!(poll_room(room, cx, again)),
                Err(error) if error.is_exhausted() => {
                    wake_later(cx);
                    return Poll::Pending;
                }
                Err(error) => Err(error.into()),
            },
        };
        Poll::Ready(self.noted(result))
    }

    /// The registration that watches for room, where `main` does not.
    fn room(&self) -> Result<&Room> {
        if let Some(room) = self.room.get() {
            return Ok(room);
        }
        let waiting = |cause| Error::system(Operation::Send, cause).of_kind(self.kind());
        let second = self.as_fd().try_clone_to_owned().map_err(waiting)?;
        let room = register(second, Interest::WRITABLE).map_err(waiting)?;
        Ok(self.room.get_or_init(|| Box::new(room)))
    }

    /// Lets somebody see that this connection is alive.
    pub(crate) fn set_activity(&mut self, activity: Option<Activity>) {
        self.activity = activity;
    }

    pub(super) fn note(&self) {
        if let Some(activity) = &self.activity {
            activity.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn noted<T, E>(&self, result: std::result::Result<T, E>) -> std::result::Result<T, E> {
        result.inspect(|_| self.note())
    }
}

/// Gives an operation that needs nothing of it the argument that the reactor passes.
fn with<R, T>(mut operation: impl FnMut() -> R) -> impl FnMut(&T) -> R {
    move |_| operation()
}

fn poll_room<F: AsFd, T>(
    room: &AsyncFd<Registered<F>>,
    cx: &mut Context<'_>,
    mut operation: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        let mut guard = ready!(room.poll_write_ready(cx))?;
        match operation() {
            Err(error) if error.would_block() => guard.clear_ready(),
            result => return Poll::Ready(result),
        }
    }
}

/// Has the task look again where there is no descriptor to wait with.
fn wake_later(cx: &Context<'_>) {
    let waker = cx.waker().clone();
    tokio::spawn(async move {
        tokio::time::sleep(PAUSE_WHEN_EXHAUSTED).await;
        waker.wake();
    });
}

impl<S: AsFd + Deref<Target = Socket>> Deref for Async<S> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        self.get_ref()
    }
}

impl<S: AsFd> AsFd for Async<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.main.get_ref().get().as_fd()
    }
}

impl<S: AsFd + fmt::Debug> fmt::Debug for Async<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(self.main.get_ref().get()).finish()
    }
}
