//! The server loop for messages.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use super::connections::{Connections, Limits};
use super::counters::Counters;
use super::drain_deadline::DrainDeadline;
use super::draining::{Draining, Signal};
use super::keyed_semaphore::{KeyedPermit, KeyedSemaphore};
use super::replies::{Destination, REPLY_TIMEOUT, Replies};
use super::server::End;
use super::trace::{self, HandlerSpan};
use crate::aio::{Datagram, Receiver, in_background};
use crate::error::{Error, ErrorKind, Result};
use crate::listener::QUEUE_MAX;
use crate::refusals::REFUSALS_PER_CALL;
use crate::socket_ext::SocketExt;
use crate::{Address, Allow, Received, ReplyTo, SocketFile};

/// The default limit on messages handled at once.
const MAX_IN_FLIGHT: usize = 64;

/// The pause after a message could not be received for lack of a resource.
const PAUSE: Duration = Duration::from_millis(5);

/// A server of messages, each handled in a task of its own.
///
/// Policy, limits, draining and counts work as in [`Server`](super::Server), without an idle
/// timeout. Messages beyond [`Datagrams::max_in_flight`] wait in the socket's queue, and block
/// their senders when it is full.
///
/// A sender that does not read its replies cannot block the service for others:
///
/// - Its replies may occupy half of the socket's send buffer ([`SendQuota`](crate::SendQuota)).
/// - Replies wait for it until [`Datagrams::reply_timeout`].
/// - At most a quarter of the handlers wait for it. While they do, its messages are dropped.
/// - At most half of the handlers wait for all such senders together.
///
/// All of that is counted ([`Snapshot::dropped_over_share`](super::Snapshot::dropped_over_share)
/// and the counts that follow it). A sender that reads loses nothing: it waits while others are
/// served.
///
/// If untrusted users may send, set [`Datagrams::max_in_flight_per_sender`] and
/// [`Datagrams::max_in_flight_per_uid`] to keep one of them from occupying all handlers.
///
/// ```
/// use stoop::Bind;
/// use stoop::serve::Datagrams;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Datagrams::new(Bind::new(&path).datagram_async().await?);
/// # let client = stoop::aio::Datagram::client(&path).await?;
/// # client.send(b"ping").await?;
/// # let shutdown = async { client.recv(&mut [0; 4]).await.unwrap(); };
/// server.run(|message| async move { drop(message.reply(&message.bytes).await) }, shutdown).await?;
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Datagrams {
    /// Separate from the socket, which handlers keep open while they run.
    file: Option<SocketFile>,
    socket: Arc<Datagram>,
    allow: Allow,
    reply_to: ReplyTo,
    limits: Limits,
    drain_deadline: Duration,
    /// Limits on how many messages of one sender, and of one user, are handled at once.
    senders: Arc<KeyedSemaphore<Address>>,
    uids: Arc<KeyedSemaphore<u32>>,
    reply_timeout: Duration,
    replies: Arc<Replies>,
    counters: Counters,
    draining: Signal,
}

/// A received message that can be replied to.
#[derive(Debug)]
pub struct Message {
    /// The bytes of the message.
    pub bytes: Vec<u8>,
    /// The sender's address and the ancillary data: credentials and file descriptors.
    pub ancillary: Received,
    socket: Arc<Datagram>,
    reply_to: ReplyTo,
    replies: Arc<Replies>,
}

impl Message {
    /// Returns the sender's address; unnamed if the sender's socket is not bound.
    pub fn from(&self) -> &Address {
        &self.ancillary.from
    }

    /// Sends a reply to the sender of this message, and to no other socket.
    ///
    /// The reply is sent from the address that the message was sent to. It waits for room in the
    /// sender's queue until [`Datagrams::reply_timeout`]. The checks on the sender's address are
    /// those of [`Datagram::reply`](crate::Datagram::reply); [`Datagrams::reply_to`] changes them.
    ///
    /// # Errors
    /// Returns an error if the reply cannot be sent:
    ///
    /// - [`ErrorKind::InvalidAddress`] if the sender's socket is not bound.
    /// - [`ErrorKind::NotPermitted`] if its address leads to a socket that may be another user's.
    /// - [`ErrorKind::TimedOut`] if the sender did not read in time.
    /// - [`ErrorKind::WouldBlock`], at once, if the sender does not read and the limit on waiting
    ///   replies is reached.
    /// - Any other kind that [`Datagram::reply`](crate::Datagram::reply) lists.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use stoop::serve::Datagrams;
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Datagrams::new(Bind::new(&path).datagram_async().await?);
    /// let client = aio::Datagram::client(&path).await?;
    /// client.send(b"ping").await?;
    /// // A socket without a name cannot be replied to.
    /// let unnamed = std::os::unix::net::UnixDatagram::unbound()?;
    /// unnamed.send_to(b"ping", &path)?;
    ///
    /// let handler = |message: stoop::serve::Message| async move {
    ///     match message.reply(b"pong").await {
    ///         Ok(()) => {}
    ///         Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidAddress),
    ///     }
    /// };
    /// let counters = server.counters();
    /// server.run(handler, async {}).await?; // serves the messages in the queue
    /// assert_eq!(client.recv_vec().await?.0, b"pong");
    /// assert_eq!(counters.snapshot().finished, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn reply(&self, message: &[u8]) -> Result<()> {
        let target;
        let receiver = match self.reply_to {
            ReplyTo::Sender => {
                target = self.socket.get_ref().reply_target(&self.ancillary.origin())?;
                Receiver::Held(&target)
            }
            ReplyTo::Name => Receiver::At(self.from()),
        };
        let uid = self.ancillary.credentials.map(|sender| sender.uid);
        self.replies.send(&self.socket, message, &Destination { receiver, address: self.from(), uid }).await
    }
}

impl Datagrams {
    /// Creates a server for this socket, which handles 64 messages at once by default.
    ///
    /// By default no file descriptors are accepted.
    ///
    /// The socket receives its senders' credentials from now on (`SO_PASSCRED`). If
    /// [`Bind`](crate::Bind) did not create the socket, messages that were sent before have none,
    /// and replies to senders at a path fail.
    pub fn new(mut socket: Datagram) -> Datagrams {
        let counters = Counters::default();
        // Without credentials, replies to a path are refused with an error that says so, and
        // per-user limits do not apply.
        let _ = socket.get_ref().set_pass_credentials(true);
        Datagrams {
            file: socket.get_mut().parts_mut().1.take(),
            socket: Arc::new(socket),
            allow: Allow::NOTHING,
            reply_to: ReplyTo::Sender,
            limits: Limits { total: MAX_IN_FLIGHT, ..Limits::NONE },
            drain_deadline: Duration::from_secs(5),
            senders: KeyedSemaphore::new(usize::MAX),
            uids: KeyedSemaphore::new(usize::MAX),
            reply_timeout: REPLY_TIMEOUT,
            replies: Arc::new(Replies::new(MAX_IN_FLIGHT, REPLY_TIMEOUT, counters.clone())),
            counters,
            draining: Signal::new(),
        }
    }

    /// Limits how many messages are handled at once; 64 by default.
    pub fn max_in_flight(mut self, messages: usize) -> Datagrams {
        self.limits.total = messages;
        self.with_replies()
    }

    /// Limits how many messages of one sender are handled at once; unlimited by default.
    ///
    /// Further messages are dropped and counted: in the queue they would block those of other
    /// senders. Senders without an address are subject to the per-user limit only.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::Datagrams;
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let socket = Bind::new(&path).datagram_async().await?;
    /// let server = Datagrams::new(socket).max_in_flight_per_sender(1);
    /// let counters = server.counters();
    /// let client = aio::Datagram::client(&path).await?;
    /// client.send(b"first").await?;
    /// client.send(b"second").await?; // arrives while the first one is being handled
    /// server.run(|_message| tokio::time::sleep(Duration::from_millis(1)), async {}).await?;
    /// let counts = counters.snapshot();
    /// assert_eq!((counts.accepted, counts.dropped_over_share), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_in_flight_per_sender(mut self, messages: usize) -> Datagrams {
        self.senders = KeyedSemaphore::new(messages);
        self
    }

    /// Limits how many messages of one user are handled at once; unlimited by default.
    ///
    /// Further messages are dropped and counted.
    pub fn max_in_flight_per_uid(mut self, messages: usize) -> Datagrams {
        self.uids = KeyedSemaphore::new(messages);
        self
    }

    /// Sets how long a reply waits for room in its receiver's queue; five seconds by default.
    ///
    /// The reply then fails, and the handler continues.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::{Datagrams, Message};
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let socket = Bind::new(&path).datagram_async().await?;
    /// let server = Datagrams::new(socket).reply_timeout(Duration::from_millis(5));
    /// let counters = server.counters();
    /// let client = aio::Datagram::client(&path).await?; // reads nothing
    /// client.send(b"ping").await?;
    /// let flood = |message: Message| async move {
    ///     let error = loop {
    ///         match message.reply(b"pong").await {
    ///             Ok(()) => continue,
    ///             Err(error) => break error,
    ///         }
    ///     };
    ///     assert_eq!(error.kind(), ErrorKind::TimedOut);
    /// };
    /// server.run(flood, async {}).await?;
    /// let counts = counters.snapshot();
    /// assert_eq!((counts.finished, counts.replies_timed_out), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reply_timeout(mut self, time: Duration) -> Datagrams {
        self.reply_timeout = time;
        self.with_replies()
    }

    fn with_replies(mut self) -> Datagrams {
        let replies = Replies::new(self.limits.total, self.reply_timeout, self.counters.clone());
        self.replies = Arc::new(replies);
        self
    }

    /// Sets which ancillary data is accepted; none by default.
    ///
    /// A message that carries more is dropped, and reported as an event.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::serve::{Datagrams, Message};
    /// use stoop::{Allow, Bind, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let socket = Bind::new(&path).datagram_async().await?;
    /// let server = Datagrams::new(socket).allow(Allow::descriptors(1));
    /// let counters = server.counters();
    /// let client = aio::Datagram::client(&path).await?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let one = [pipe.as_fd()];
    /// client.send_with(&[IoSlice::new(b"one")], &Outgoing::new().descriptors(&one)).await?;
    /// let two = [pipe.as_fd(), pipe.as_fd()];
    /// client.send_with(&[IoSlice::new(b"two")], &Outgoing::new().descriptors(&two)).await?;
    ///
    /// let handler = |message: Message| async move {
    ///     assert_eq!((&message.bytes[..], message.ancillary.descriptors.len()), (&b"one"[..], 1));
    /// };
    /// server.run(handler, async {}).await?;
    /// let counts = counters.snapshot();
    /// assert_eq!((counts.accepted, counts.panicked), (1, 0)); // the second one was dropped
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow(mut self, allow: Allow) -> Datagrams {
        self.allow = allow;
        self
    }

    /// Sets where [`Message::reply`] sends. By default, to the sender or to no socket at all.
    pub fn reply_to(mut self, reply_to: ReplyTo) -> Datagrams {
        self.reply_to = reply_to;
        self
    }

    /// Sets how long handlers, and messages in the queue, have when the server ends; five seconds
    /// by default.
    pub fn drain_deadline(mut self, time: Duration) -> Datagrams {
        self.drain_deadline = time;
        self
    }

    /// Returns a handle to this server's counts, which outlives the server.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Returns a handle that notifies handlers when draining begins.
    pub fn draining(&self) -> Draining {
        self.draining.subscribe()
    }

    /// Serves until `shutdown` completes, then drains.
    ///
    /// Draining unlinks the socket file, handles the messages in the queue, and waits for handlers
    /// until the deadline. Replies are still sent from the old address.
    ///
    /// # Errors
    /// Returns an error if the socket is broken, after draining.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, every handler is aborted.
    ///
    /// # Examples
    /// ```
    /// use stoop::serve::{Datagrams, Message};
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Datagrams::new(Bind::new(&path).datagram_async().await?);
    /// let client = aio::Datagram::client(&path).await?;
    /// client.send(b"ping").await?;
    /// let echo = |message: Message| async move { drop(message.reply(&message.bytes).await) };
    /// // The shutdown has completed already: the message in the queue is served nevertheless.
    /// server.run(echo, async {}).await?;
    /// assert_eq!(client.recv_vec().await?.0, b"ping");
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn run<H, F>(mut self, mut handler: H, shutdown: impl Future) -> Result<End>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut handled = Connections::new(self.limits.clone(), self.counters.clone());
        let mut shutdown = pin!(shutdown);
        let end = loop {
            match self.next_event(&mut handled, shutdown.as_mut()).await {
                Event::ShutdownRequested => break Ok(End::ShutDown),
                Event::HandlerEnded => {}
                Event::MessageArrived(result) => {
                    if let Err(error) = self.take(result, &mut handled, &mut handler).await {
                        break Err(error);
                    }
                }
            }
        };
        self.drain(&mut handled, &mut handler).await;
        end
    }

    async fn next_event(
        &self,
        handled: &mut Connections,
        mut shutdown: std::pin::Pin<&mut impl Future>,
    ) -> Event {
        let full = handled.is_full();
        let mut ended = pin!(handled.changed());
        let mut message = pin!(self.socket.recv_vec_with(self.allow));
        std::future::poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::ShutdownRequested);
            }
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::HandlerEnded);
            }
            if full {
                return Poll::Pending;
            }
            message.as_mut().poll(cx).map(Event::MessageArrived)
        })
        .await
    }

    async fn take<H, F>(
        &self,
        result: ReceiveResult,
        handled: &mut Connections,
        handler: &mut H,
    ) -> Result<()>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        self.counters.cells().refused_by_policy.store(self.socket.get_ref().refused(), Relaxed);
        match result {
            Ok((bytes, ancillary)) => {
                let Some(permits) = self.permits(&ancillary) else {
                    let dropped = self.counters.cells().dropped_over_share.fetch_add(1, Relaxed);
                    trace::over_message_limit(ancillary.credentials.map(|sender| sender.uid));
                    if dropped.is_multiple_of(REFUSALS_PER_CALL as u64) {
                        tokio::task::yield_now().await;
                    }
                    return Ok(());
                };
                let uid = ancillary.credentials.map(|sender| sender.uid);
                let span = HandlerSpan::of_message(uid, &ancillary.from);
                let (socket, reply_to, replies) = (self.socket.clone(), self.reply_to, self.replies.clone());
                let message = Message { bytes, ancillary, socket, reply_to, replies };
                let handling = span.in_scope(|| handler(message));
                let handling = span.instrument(handling);
                match permits {
                    (None, None) => handled.serve(None, None, handling),
                    permits => handled.serve(None, None, async move {
                        let _permits = permits;
                        handling.await;
                    }),
                }
                Ok(())
            }
            Err(error) if concerns_one_message(&error) => {
                trace::failed("receiving a message", &error);
                if error.is_transient() {
                    let cells = self.counters.cells();
                    let counter = if error.is_exhausted() { &cells.exhausted } else { &cells.failed };
                    counter.fetch_add(1, Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Acquires what a message counts against the limits of its sender and its user. Returns
    /// `None` if a limit is reached and the message must be dropped.
    fn permits(&self, ancillary: &Received) -> Option<Permits> {
        let sender = Some(&ancillary.from).filter(|from| !from.is_unnamed());
        if sender.is_some_and(|sender| self.replies.reads_no_replies(sender)) {
            return None;
        }
        let uid = ancillary.credentials.map(|sender| sender.uid);
        let of_sender = sender.filter(|_| self.senders.is_limited()).map(|sender| self.senders.take(sender));
        let of_uid = uid.filter(|_| self.uids.is_limited()).map(|uid| self.uids.take(&uid));
        // `None`: no limit applies. `Some(None)`: a limit applies and is reached.
        match (of_sender, of_uid) {
            (Some(None), _) | (_, Some(None)) => None,
            (of_sender, of_uid) => Some((of_sender.flatten(), of_uid.flatten())),
        }
    }

    async fn drain<H, F>(&mut self, handled: &mut Connections, handler: &mut H)
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        trace::draining(handled.len());
        self.draining.begin();
        if let Some(file) = self.file.take()
            && let Err(error) = in_background(move || file.release()).await
        {
            trace::failed("unlinking the socket file", &error);
        }
        let deadline = DrainDeadline::after(self.drain_deadline);
        self.empty_queue(handled, handler, deadline).await;
        while handled.len() > 0 {
            if deadline.within(handled.ended()).await.is_none() {
                handled.abort().await;
            }
        }
    }

    /// Handles the messages in the queue, within the limits. Messages that arrive meanwhile do not
    /// prolong it: at most as many are received as a queue can hold.
    async fn empty_queue<H, F>(&self, handled: &mut Connections, handler: &mut H, deadline: DrainDeadline)
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut turns = 0;
        while turns < QUEUE_MAX && !deadline.is_over() {
            if handled.is_full() {
                let _ = deadline.within(handled.ended()).await;
                continue;
            }
            match self.socket.get_ref().recv_vec_with(self.allow) {
                Err(error) if error.is_refusal_limit() => tokio::task::yield_now().await,
                Err(error) if error.is_would_block() => return,
                result => {
                    if self.take(result, handled, handler).await.is_err() {
                        return;
                    }
                    tokio::task::coop::consume_budget().await;
                }
            }
            turns += 1;
        }
    }
}

type ReceiveResult = Result<(Vec<u8>, Received)>;

/// The permits that a message holds until it has been handled.
type Permits = (Option<KeyedPermit<Address>>, Option<KeyedPermit<u32>>);

enum Event {
    ShutdownRequested,
    HandlerEnded,
    MessageArrived(ReceiveResult),
}

/// Returns whether the error concerns one message only, so that receiving can go on.
fn concerns_one_message(error: &Error) -> bool {
    let kind = error.kind();
    error.is_truncated() || error.is_transient() || kind == ErrorKind::SurplusDescriptors
}
