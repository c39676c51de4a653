//! The accept loop, and draining.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connections::{Connections, Limits};
use super::counters::Counters;
use super::drain_deadline::DrainDeadline;
use super::draining::{Draining, Signal};
use super::successor::ControlSocket;
use super::trace::{self, HandlerSpan};
use crate::aio::{Async, Listener};
use crate::error::{Operation, Result};
use crate::listener::QUEUE_MAX;
use crate::peer::Ids;
use crate::refusals::REFUSALS_PER_CALL;
use crate::{Arrival, Connected, Peer, handover};

/// The pause after a client was accepted but could not be registered with the runtime.
const PAUSE: Duration = Duration::from_millis(50);

/// The default drain deadline.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A server of stream or seqpacket connections. See the [module documentation](super).
#[derive(Debug)]
pub struct Server<C: Connected = crate::Stream> {
    listener: Listener<C>,
    control: Option<ControlSocket>,
    limits: Limits,
    drain_deadline: Duration,
    counters: Counters,
    draining: Signal,
    turn: Turn,
}

/// Which of a waiting successor and a waiting client is handled first. It alternates, so that
/// neither can starve the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Successor,
    Client,
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The `shutdown` future completed.
    ShutDown,
    /// A successor has taken over.
    HandedOver,
}

enum Event<C: Connected> {
    ShutdownRequested,
    HandlerEnded,
    SweepDue,
    SuccessorReady,
    ClientArrived(Result<Arrival<Async<C>>>),
}

impl<C: Connected> Server<C> {
    /// Creates a server for the clients of this listener.
    ///
    /// By default it has no limits, and [`Server::drain_deadline`] is five seconds.
    pub fn new(listener: Listener<C>) -> Server<C> {
        Server {
            listener,
            control: None,
            limits: Limits::NONE,
            drain_deadline: DRAIN_DEADLINE,
            counters: Counters::default(),
            draining: Signal::new(),
            turn: Turn::Successor,
        }
    }

    /// Creates a server that hands over to a successor when one connects.
    ///
    /// It may itself have taken over from a predecessor. After the hand-over, [`Server::run`]
    /// drains without touching the listener or the socket file, and returns [`End::HandedOver`].
    ///
    /// [`handover::Server::start`] blocks while it looks for a predecessor. Call it before the
    /// runtime starts, or in [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    /// Returns an error if the runtime cannot register another socket.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::{End, Server};
    /// use stoop::{Bind, handover};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let start = |timeout| {
    ///     let control = path.with_extension("handover");
    ///     handover::Server::start(&Bind::new(&path), &control, timeout)
    /// };
    /// let first: handover::Server = start(Duration::from_secs(5))?;
    /// # let mut runtime = tokio::runtime::Builder::new_multi_thread();
    /// # let runtime = runtime.worker_threads(1).enable_all().build()?;
    /// let end = runtime.spawn(async move {
    ///     let serving = Server::with_handover(first)?;
    ///     serving.run(|_client, _| async {}, std::future::pending::<()>()).await
    /// });
    /// // In practice, in the next version of the program.
    /// let second: handover::Server = start(Duration::from_secs(5))?;
    /// assert!(second.took_over());
    /// assert_eq!(runtime.block_on(end)??, End::HandedOver);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_handover(server: handover::Server<C>) -> Result<Server<C>> {
        let (listener, control, timeout) = server.into_parts();
        let control = ControlSocket::new(control, timeout)?;
        Ok(Server { control: Some(control), ..Server::new(Async::try_from(listener)?) })
    }

    /// Limits how many clients are served at once; unlimited by default.
    ///
    /// Further clients wait in the kernel's queue.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Server::new(Bind::new(&path).listen_async().await?).max_connections(1);
    /// let counters = server.counters();
    /// let clients = [aio::Stream::connect(&path).await?, aio::Stream::connect(&path).await?];
    /// // The shutdown has completed already: those in the queue are served nevertheless.
    /// server.run(|_client, _| tokio::time::sleep(Duration::from_millis(1)), async {}).await?;
    /// let counts = counters.snapshot();
    /// assert_eq!((counts.accepted, counts.peak), (2, 1)); // one after the other
    /// # drop(clients);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_connections(mut self, clients: usize) -> Server<C> {
        self.limits.total = clients;
        self
    }

    /// Limits how many clients of one user are served at once; unlimited by default.
    ///
    /// Further clients are closed at once, so that one user cannot use up the total.
    ///
    /// ```
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Server::new(Bind::new(&path).listen_async().await?).max_connections_per_uid(1);
    /// let counters = server.counters();
    /// let shutdown = async {
    ///     let _first = aio::Stream::connect(&path).await.unwrap();
    ///     let mut second = aio::Stream::connect(&path).await.unwrap();
    ///     assert_eq!(second.read(&mut [0; 8]).await.unwrap(), 0); // closed
    /// };
    /// let handler =
    ///     |mut client: aio::Stream, _| async move { drop(client.read(&mut [0; 8]).await) };
    /// server.run(handler, shutdown).await?;
    /// assert_eq!(counters.snapshot().refused_by_uid, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_connections_per_uid(mut self, clients: usize) -> Server<C> {
        self.limits.per_uid = clients;
        self
    }

    /// Sets how long a connection may be idle; unlimited by default.
    ///
    /// A connection is idle while no byte moves in either direction: the client neither sends nor
    /// reads, or the handler does neither. It is then aborted, at most a quarter of that time
    /// late.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// let server = Server::new(listener).idle_timeout(Duration::from_millis(5));
    /// let counters = server.counters();
    /// let shutdown = async {
    ///     let mut silent = aio::Stream::connect(&path).await.unwrap();
    ///     assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0); // closed
    /// };
    /// let hold = |client, _| async move {
    ///     let _open: aio::Stream = client;
    ///     std::future::pending().await
    /// };
    /// server.run(hold, shutdown).await?;
    /// assert_eq!(counters.snapshot().idle, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn idle_timeout(mut self, time: Duration) -> Server<C> {
        self.limits.idle = Some(time);
        self
    }

    /// Takes and disables [`Server::idle_timeout`], for a handler that enforces it itself.
    ///
    /// A handler may want to notify the client first, or know that a silent connection is in use.
    #[doc(hidden)]
    pub fn take_idle_timeout(&mut self) -> Option<Duration> {
        self.limits.idle.take()
    }

    /// Sets how long a connection may last; unlimited by default.
    ///
    /// This also limits clients that move a byte now and then to avoid the idle timeout.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// let server = Server::new(listener).max_lifetime(Duration::from_millis(5));
    /// let counters = server.counters();
    /// let shutdown = async {
    ///     let mut client = aio::Stream::connect(&path).await.unwrap();
    ///     // Activity does not help.
    ///     while client.write_all(b"x").await.is_ok() {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///     }
    /// };
    /// let hold = |client, _| async move {
    ///     let _open: aio::Stream = client;
    ///     std::future::pending().await
    /// };
    /// server.run(hold, shutdown).await?;
    /// assert_eq!(counters.snapshot().overdue, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_lifetime(mut self, time: Duration) -> Server<C> {
        self.limits.lifetime = Some(time);
        self
    }

    /// Sets how long handlers, and clients in the queue, have when the server ends; five seconds
    /// by default.
    ///
    /// Connections left at the deadline are aborted.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    /// use tokio::sync::Notify;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_async().await?;
    /// let server = Server::new(listener).drain_deadline(Duration::from_secs(1));
    /// let counters = server.counters();
    /// let _client = aio::Stream::connect(&path).await?;
    ///
    /// let begun = Arc::new(Notify::new());
    /// let end = begun.clone();
    /// let handler = move |_client, _| {
    ///     begun.notify_one();
    ///     std::future::pending() // never returns
    /// };
    /// server.run(handler, async move { end.notified().await }).await?;
    /// let counts = counters.snapshot();
    /// assert_eq!((counts.accepted, counts.aborted), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain_deadline(mut self, time: Duration) -> Server<C> {
        self.drain_deadline = time;
        self
    }

    /// Returns a handle to this server's counts, which outlives the server.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Returns a handle that notifies handlers when draining begins, so that they need not wait
    /// for another request.
    ///
    /// ```
    /// use stoop::serve::{End, Server};
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Server::new(Bind::new(&path).listen_async().await?);
    /// let (draining, counters) = (server.draining(), server.counters());
    /// let handler = |_client, _| {
    ///     let mut draining = draining.clone();
    ///     async move { draining.wait().await } // instead of the next request
    /// };
    /// let _client = aio::Stream::connect(&path).await?;
    /// assert_eq!(server.run(handler, async {}).await?, End::ShutDown);
    /// assert_eq!(counters.snapshot().finished, 1); // not aborted at the deadline
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn draining(&self) -> Draining {
        self.draining.subscribe()
    }

    /// Serves until `shutdown` completes or a successor has taken over, then drains.
    ///
    /// The output of `shutdown` is ignored. Draining has four steps:
    ///
    /// 1. The socket file is unlinked, so that new clients find a successor or no server.
    /// 2. Clients in the queue are served. Later ones are refused, not reset.
    /// 3. Handlers may finish, until the deadline.
    /// 4. Those that have not are aborted.
    ///
    /// The handler runs in a task of its own for each client. It receives the connection and its
    /// peer's credentials.
    ///
    /// # Errors
    /// Returns an error if the listener is broken, after draining. A socket file that could not be
    /// removed is reported as an event only.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, every connection is aborted.
    ///
    /// # Examples
    /// ```
    /// use stoop::serve::{End, Server};
    /// use stoop::{Bind, aio};
    /// use tokio::io::AsyncReadExt;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Server::new(Bind::new(&path).listen_async().await?);
    /// let counters = server.counters();
    /// let greet = |mut client: aio::Stream, peer: stoop::Peer| async move {
    ///     let greeting = format!("hello, process {}", peer.pid.known().unwrap());
    ///     drop(client.write_all(greeting.as_bytes()).await);
    /// };
    /// let shutdown = async {
    ///     let mut greeting = String::new();
    ///     let mut client = aio::Stream::connect(&path).await.unwrap();
    ///     client.read_to_string(&mut greeting).await.unwrap();
    ///     assert_eq!(greeting, format!("hello, process {}", std::process::id()));
    /// };
    /// assert_eq!(server.run(greet, shutdown).await?, End::ShutDown);
    /// assert_eq!(counters.snapshot().finished, 1);
    /// assert!(!path.exists());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn run<H, F>(self, mut handler: H, shutdown: impl Future) -> Result<End>
    where
        H: FnMut(Async<C>, Peer) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let with_peer = |client: Async<C>| {
            let peer = client.as_ref().peer();
            handler(client, peer)
        };
        self.run_without_peer(with_peer, shutdown).await
    }

    /// Serves like [`Server::run`], for handlers that do not need the peer's credentials.
    ///
    /// This saves four system calls per connection. A handler can still call
    /// [`Stream::peer`](crate::Stream::peer).
    ///
    /// # Errors
    /// Returns an error if the listener is broken, after draining.
    ///
    /// # Cancel safety
    /// This method is not cancel safe. If dropped, every connection is aborted.
    ///
    /// # Examples
    /// ```
    /// use stoop::serve::Server;
    /// use stoop::{Bind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Server::new(Bind::new(&path).listen_async().await?);
    /// let counters = server.counters();
    /// let _client = aio::Stream::connect(&path).await?;
    /// let handler = |client: aio::Stream| async move {
    ///     assert_eq!(client.peer().pid.known(), Some(&std::process::id())); // if needed after all
    /// };
    /// server.run_without_peer(handler, async {}).await?;
    /// assert_eq!(counters.snapshot().finished, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(hidden)]
    pub async fn run_without_peer<H, F>(mut self, mut handler: H, shutdown: impl Future) -> Result<End>
    where
        H: FnMut(Async<C>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut connections = Connections::new(self.limits.clone(), self.counters.clone());
        let mut sweeps = self.limits.sweep_every().map(sweeps);
        let mut shutdown = pin!(shutdown);
        let mut refusals = Refused::default();
        let end = loop {
            match self.next_event(&mut connections, &mut sweeps, shutdown.as_mut()).await {
                Event::ShutdownRequested => break Ok(End::ShutDown),
                Event::HandlerEnded => {}
                Event::SweepDue => connections.sweep(),
                Event::SuccessorReady => {
                    self.turn = Turn::Client;
                    if self.handle_successor() {
                        break Ok(End::HandedOver);
                    }
                }
                Event::ClientArrived(Ok(arrival)) => {
                    self.turn = Turn::Successor;
                    self.serve_client(arrival, &mut connections, &mut handler);
                    refusals.yield_after_many(&self.counters).await;
                }
                Event::ClientArrived(Err(error)) => {
                    trace::failed("accepting a client", &error);
                    // Is it the listener itself, or only the runtime's ability to register one
                    // more client?
                    if error.operation() == Operation::Accept {
                        break Err(error);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
            let counts = self.listener.counts();
            self.counters.cells().exhausted.store(counts.exhausted, Relaxed);
            self.counters.cells().failed.store(counts.failed, Relaxed);
        };
        self.drain(&mut connections, &mut handler, matches!(end, Ok(End::HandedOver))).await;
        end
    }

    /// Waits for the next event. Shutdown has priority over everything else; successors and
    /// clients alternate. Every future polled here is cancel safe.
    async fn next_event(
        &self,
        connections: &mut Connections,
        sweeps: &mut Option<Interval>,
        mut shutdown: Pin<&mut impl Future>,
    ) -> Event<C> {
        // Created anew for each event, because handling one needs `self` and `connections`. As all of
        // them are cancel safe, dropping the others loses nothing.
        let full = connections.is_full();
        let mut ended = pin!(connections.changed());
        let mut client = pin!(self.listener.accept_any());
        let mut successor = pin!(ControlSocket::ready(self.control.as_ref()));
        std::future::poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::ShutdownRequested);
            }
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::HandlerEnded);
            }
            if sweeps.as_mut().is_some_and(|sweeps| sweeps.poll_tick(cx).is_ready()) {
                return Poll::Ready(Event::SweepDue);
            }
            let mut client = |cx: &mut _| match full {
                true => Poll::Pending,
                false => client.as_mut().poll(cx).map(Event::ClientArrived),
            };
            let mut successor = |cx: &mut _| successor.as_mut().poll(cx).map(|()| Event::SuccessorReady);
            match self.turn {
                Turn::Successor => first(successor(cx), || client(cx)),
                Turn::Client => first(client(cx), || successor(cx)),
            }
        })
        .await
    }

    fn serve_client<H, F>(&self, arrival: Arrival<Async<C>>, connections: &mut Connections, handler: &mut H)
    where
        H: FnMut(Async<C>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut client = match arrival {
            Arrival::Accepted(client) => client,
            Arrival::Refused { pid, uid, reason } => {
                self.counters.cells().refused_by_policy.fetch_add(1, Relaxed);
                return trace::refused(pid, uid, reason);
            }
        };
        let Ids { pid, uid, .. } =
            if connections.needs_uid() { Ids::of(client.as_fd()) } else { Ids::unknown() };
        let (pid, uid) = (pid.known().copied(), uid.known().copied());
        if connections.is_full_for(uid) {
            self.counters.cells().refused_by_uid.fetch_add(1, Relaxed);
            return trace::over_connection_limit(uid.unwrap_or(u32::MAX), connections.per_uid_limit());
        }
        let activity = connections.new_activity();
        client.set_activity(activity.clone());
        trace::accepted(pid, uid, connections.len() + 1);
        let span = HandlerSpan::of_connection(pid, uid);
        let handling = span.in_scope(|| handler(client));
        connections.serve(uid, activity, span.instrument(handling));
    }

    /// Returns whether a successor has taken over.
    fn handle_successor(&mut self) -> bool {
        let Some(control) = &mut self.control else { return false };
        match control.handle(self.listener.get_mut()) {
            Ok(over) => over,
            Err(error) => {
                trace::failed("handing over", &error);
                false
            }
        }
    }

    async fn drain<H, F>(mut self, connections: &mut Connections, handler: &mut H, handed_over: bool)
    where
        H: FnMut(Async<C>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        trace::draining(connections.len());
        self.draining.begin();
        let deadline = DrainDeadline::after(self.drain_deadline);
        if handed_over {
            trace::handed_over();
            // Close the control socket: successors that were not offered the listener find the new
            // server.
            self.control = None;
        } else {
            // The queue is emptied twice: clients that connect while it is emptied for the first time
            // are still in it when the listener begins to refuse new ones.
            let is_bound_here = self.listener.get_ref().file().is_some();
            if let Err(error) = self.listener.release().await {
                trace::failed("unlinking the socket file", &error);
            }
            self.empty_queue(connections, handler, deadline).await;
            // A listener that this process did not bind may be in use by another process.
            if is_bound_here && self.listener.refuse_more().is_ok() {
                self.empty_queue(connections, handler, deadline).await;
            }
        }
        drop(self.listener);
        while connections.len() > 0 {
            if deadline.within(connections.ended()).await.is_none() {
                connections.abort().await;
            }
        }
    }

    /// Serves the clients in the queue, within the limits. Clients that arrive meanwhile do not
    /// prolong it: at most as many are accepted as a queue can hold.
    async fn empty_queue<H, F>(&self, connections: &mut Connections, handler: &mut H, deadline: DrainDeadline)
    where
        H: FnMut(Async<C>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut arrivals = 0;
        while arrivals < QUEUE_MAX && !deadline.is_over() {
            if connections.is_full() {
                let _ = deadline.within(connections.ended()).await;
                continue;
            }
            match self.listener.try_accept_any() {
                Ok(arrival) => {
                    self.serve_client(arrival, connections, handler);
                    arrivals += 1;
                    if arrivals % REFUSALS_PER_CALL == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
                // The queue is empty.
                Err(_) => return,
            }
        }
    }
}

/// Returns the first result if it is ready, otherwise the second.
fn first<T>(one: Poll<T>, other: impl FnOnce() -> Poll<T>) -> Poll<T> {
    if one.is_ready() { one } else { other() }
}

/// Counts the clients refused since other tasks last ran.
#[derive(Debug, Default)]
struct Refused(u64);

impl Refused {
    /// Yields after enough refusals. tokio's cooperative budget allows eight times as many, and
    /// counts accepted clients only.
    async fn yield_after_many(&mut self, counters: &Counters) {
        let cells = counters.cells();
        let refused = cells.refused_by_policy.load(Relaxed) + cells.refused_by_uid.load(Relaxed);
        if refused - self.0 >= REFUSALS_PER_CALL as u64 {
            self.0 = refused;
            tokio::task::yield_now().await;
        }
    }
}

fn sweeps(every: Duration) -> Interval {
    let mut sweeps = interval(every);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sweeps
}
