//! The loop for messages.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use super::connections::{Connections, Limits};
use super::counters::Counters;
use super::deadline::Deadline;
use super::draining::{Draining, Signal};
use super::replies::{REPLY_TIMEOUT, Replies, To};
use super::shares::{Share, Shares};
use super::{server::End, trace};
use crate::aio::{Datagram, Receiver, in_background};
use crate::error::{Error, ErrorKind, Result};
use crate::listener::QUEUE_MAX;
use crate::refusals::REFUSALS_PER_CALL;
use crate::{Address, Allow, Received, ReplyTo, SocketFile};

/// How many messages are handled at once unless told otherwise.
const MAX_IN_FLIGHT: usize = 64;

/// How long to pause where a message could not be received for want of something.
const PAUSE: Duration = Duration::from_millis(5);

/// A server of messages, each handled in a task of its own.
///
/// Policy, limits, draining and counts are as for [`Server`](super::Server); there are no
/// connections to be idle. Messages beyond [`Datagrams::max_in_flight`] wait in the queue, and
/// their senders behind them.
///
/// A sender that does not read its replies keeps nobody else from being served. It may hold half of
/// the socket's send buffer ([`SendQuota`](crate::SendQuota)), replies wait for it until
/// [`Datagrams::reply_timeout`], and a quarter of the handlers at most wait for it: while they do,
/// its messages are dropped. Together, half of the handlers may wait for such senders. All of that
/// is counted ([`Snapshot::dropped_over_share`](super::Snapshot::dropped_over_share) and what
/// follows it). A sender that reads loses nothing: it waits while others are served.
///
/// Where strangers may send, [`Datagrams::max_in_flight_per_sender`] and
/// [`Datagrams::max_in_flight_per_uid`] keep one of them from taking all of the handlers' time.
///
/// ```
/// use stoop::Bind;
/// use stoop::serve::Datagrams;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Datagrams::new(Bind::new(&path).datagram_async().await?);
/// # let client = stoop::aio::Datagram::connect(&path).await?;
/// # client.send(b"ping").await?;
/// # let shutdown = async { client.recv(&mut [0; 4]).await.unwrap(); };
/// server.run(|message| async move { drop(message.reply(&message.bytes).await) }, shutdown).await?;
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Datagrams {
    /// Apart from the socket, which handlers hold as long as they live.
    file: Option<SocketFile>,
    socket: Arc<Datagram>,
    allow: Allow,
    reply_to: ReplyTo,
    limits: Limits,
    drain_deadline: Duration,
    /// How many messages of one sender, and of one user, are handled at once.
    senders: Arc<Shares<Address>>,
    uids: Arc<Shares<u32>>,
    reply_timeout: Duration,
    replies: Arc<Replies>,
    counters: Counters,
    draining: Signal,
}

/// A message, and the way back to its sender.
#[derive(Debug)]
pub struct Message {
    /// What it says.
    pub bytes: Vec<u8>,
    /// What came beside it: sender, credentials, descriptors.
    pub beside: Received,
    socket: Arc<Datagram>,
    reply_to: ReplyTo,
    replies: Arc<Replies>,
}

impl Message {
    /// Where it came from; unnamed where the sender never bound.
    pub fn from(&self) -> &Address {
        &self.beside.from
    }

    /// Sends a message to its sender and to no one else, from the address it was sent to, waiting
    /// for room there until [`Datagrams::reply_timeout`]. What is checked is said at
    /// [`Datagram::reply`](crate::Datagram::reply); [`Datagrams::reply_to`] changes it.
    ///
    /// # Errors
    /// As [`Datagram::reply`](crate::Datagram::reply): above all [`ErrorKind::InvalidAddress`] for
    /// a sender that never bound, and [`ErrorKind::NotPermitted`] if its address leads to a
    /// socket that may be another's. [`ErrorKind::TimedOut`] if the sender did not read in
    /// time, [`ErrorKind::WouldBlock`] at once if it does not read and as many replies wait already
    /// as may.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn reply(&self, message: &[u8]) -> Result<()> {
        let target;
        let receiver = match self.reply_to {
            ReplyTo::Sender => {
                target = self.socket.get_ref().reply_target(&self.beside.origin())?;
                Receiver::Held(&target)
            }
            ReplyTo::Name => Receiver::At(self.from()),
        };
        let uid = self.beside.credentials.map(|sender| sender.uid);
        self.replies.send(&self.socket, message, &To { receiver, address: self.from(), uid }).await
    }
}

impl Datagrams {
    /// Serves the messages that come to this socket, 64 of them at once. No file descriptors are
    /// let in.
    ///
    /// Credentials are asked for from here on (`SO_PASSCRED`). If [`Bind`](crate::Bind) did not
    /// make the socket, messages that were sent before have none, and replies to senders at a
    /// path fail.
    pub fn new(mut socket: Datagram) -> Datagrams {
        let counters = Counters::default();
        // Without them a reply to a path is refused, and says so; and users have no shares.
        let _ = socket.get_ref().set_pass_credentials(true);
        Datagrams {
            file: socket.get_mut().parts_mut().1.take(),
            socket: Arc::new(socket),
            allow: Allow::NOTHING,
            reply_to: ReplyTo::Sender,
            limits: Limits { total: MAX_IN_FLIGHT, ..Limits::NONE },
            drain_deadline: Duration::from_secs(5),
            senders: Shares::new(usize::MAX),
            uids: Shares::new(usize::MAX),
            reply_timeout: REPLY_TIMEOUT,
            replies: Arc::new(Replies::new(MAX_IN_FLIGHT, REPLY_TIMEOUT, counters.clone())),
            counters,
            draining: Signal::new(),
        }
    }

    /// How many messages are handled at once.
    pub fn max_in_flight(mut self, messages: usize) -> Datagrams {
        self.limits.total = messages;
        self.with_replies()
    }

    /// How many messages of one sender are handled at once; any number by default. Those beyond
    /// that are dropped and counted, since in the queue they would hold up everybody else's.
    /// Senders without an address count as one user's only.
    pub fn max_in_flight_per_sender(mut self, messages: usize) -> Datagrams {
        self.senders = Shares::new(messages);
        self
    }

    /// How many messages of one user are handled at once; any number by default. Those beyond that
    /// are dropped and counted.
    pub fn max_in_flight_per_uid(mut self, messages: usize) -> Datagrams {
        self.uids = Shares::new(messages);
        self
    }

    /// How long a reply waits for its receiver to make room; five seconds by default. The reply
    /// then fails, and the handler goes on.
    pub fn reply_timeout(mut self, time: Duration) -> Datagrams {
        self.reply_timeout = time;
        self.with_replies()
    }

    fn with_replies(mut self) -> Datagrams {
        let replies = Replies::new(self.limits.total, self.reply_timeout, self.counters.clone());
        self.replies = Arc::new(replies);
        self
    }

    /// What is let in beside the bytes. A message that brings more is dropped, and told as an
    /// event.
    pub fn allow(mut self, allow: Allow) -> Datagrams {
        self.allow = allow;
        self
    }

    /// Sets where [`Message::reply`] sends. By default, to the sender or to no one.
    pub fn reply_to(mut self, reply_to: ReplyTo) -> Datagrams {
        self.reply_to = reply_to;
        self
    }

    /// How long handlers, and messages in the queue, have when the server ends.
    pub fn drain_deadline(mut self, time: Duration) -> Datagrams {
        self.drain_deadline = time;
        self
    }

    /// What this server does, counted.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// What tells handlers that the server has begun to end.
    pub fn draining(&self) -> Draining {
        self.draining.subscribe()
    }

    /// Serves until `shutdown` is done, then takes the file away, handles the messages that have
    /// come already, and waits for handlers until the deadline; their answers still come from
    /// the old address.
    ///
    /// # Errors
    /// Where the socket is broken, after draining.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it ends every handler.
    pub async fn run<H, F>(mut self, mut handler: H, shutdown: impl Future) -> Result<End>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut handled = Connections::new(self.limits.clone(), self.counters.clone());
        let mut shutdown = pin!(shutdown);
        let end = loop {
            match self.next_event(&mut handled, shutdown.as_mut()).await {
                Event::Shutdown => break Ok(End::ShutDown),
                Event::Ended => {}
                Event::Message(result) => {
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
        let mut ended = pin!(handled.ended());
        let mut message = pin!(self.socket.recv_vec_with(self.allow));
        std::future::poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Shutdown);
            }
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ended);
            }
            if full {
                return Poll::Pending;
            }
            message.as_mut().poll(cx).map(Event::Message)
        })
        .await
    }

    async fn take<H, F>(&self, result: Got, handled: &mut Connections, handler: &mut H) -> Result<()>
    where
        H: FnMut(Message) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        self.counters.cells().refused_by_policy.store(self.socket.get_ref().refused(), Relaxed);
        match result {
            Ok((bytes, beside)) => {
                let Some(places) = self.places(&beside) else {
                    let dropped = self.counters.cells().dropped_over_share.fetch_add(1, Relaxed);
                    trace::dropped(beside.credentials.map(|sender| sender.uid));
                    if dropped.is_multiple_of(REFUSALS_PER_CALL as u64) {
                        tokio::task::yield_now().await;
                    }
                    return Ok(());
                };
                let (socket, reply_to, replies) = (self.socket.clone(), self.reply_to, self.replies.clone());
                let handling = handler(Message { bytes, beside, socket, reply_to, replies });
                match places {
                    (None, None) => handled.serve(None, None, handling),
                    places => handled.serve(None, None, async move {
                        let _places = places;
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

    /// What a message takes of the shares of its sender and its user; `None` if it is to be
    /// dropped.
    fn places(&self, beside: &Received) -> Option<Places> {
        let sender = Some(&beside.from).filter(|from| !from.is_unnamed());
        if sender.is_some_and(|sender| self.replies.is_mute(sender)) {
            return None;
        }
        let uid = beside.credentials.map(|sender| sender.uid);
        let of_sender = sender.filter(|_| self.senders.is_limited()).map(|sender| self.senders.take(sender));
        let of_uid = uid.filter(|_| self.uids.is_limited()).map(|uid| self.uids.take(&uid));
        // `Some(None)`: counted, and may have no more.
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
            trace::failed("taking the file away", &error);
        }
        let deadline = Deadline::after(self.drain_deadline);
        self.empty_queue(handled, handler, deadline).await;
        while handled.len() > 0 {
            if deadline.within(handled.ended()).await.is_none() {
                handled.abort().await;
            }
        }
    }

    /// Handles the messages that have come already, as there is room for them; those that come
    /// meanwhile do not prolong it.
    async fn empty_queue<H, F>(&self, handled: &mut Connections, handler: &mut H, deadline: Deadline)
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

type Got = Result<(Vec<u8>, Received)>;

/// What is given back when a message has been handled.
type Places = (Option<Share<Address>>, Option<Share<u32>>);

enum Event {
    Shutdown,
    Ended,
    Message(Got),
}

/// Whether the next message may be a better one.
fn concerns_one_message(error: &Error) -> bool {
    let kind = error.kind();
    error.is_truncated() || error.is_transient() || kind == ErrorKind::SurplusDescriptors
}
