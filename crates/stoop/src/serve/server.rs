//! The accept loop, and its end.

use std::future::Future;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connections::{Connections, Limits};
use super::counters::Counters;
use super::deadline::Deadline;
use super::draining::{Draining, Signal};
use super::successor::Control;
use super::trace;
use crate::aio::{Async, Listener};
use crate::error::{Operation, Result};
use crate::listener::QUEUE_MAX;
use crate::peer::Ids;
use crate::refusals::REFUSALS_PER_CALL;
use crate::{Arrival, Connected, Peer, handover};

/// How long to pause where a client could be accepted and not be watched.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a drain lasts at most unless told otherwise.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A server of connections: see the [module](super).
#[derive(Debug)]
pub struct Server<C: Connected = crate::Stream> {
    listener: Listener<C>,
    control: Option<Control>,
    limits: Limits,
    drain_deadline: Duration,
    counters: Counters,
    draining: Signal,
    turn: Turn,
}

/// Whose turn it is first when both are there: neither can keep the other waiting by coming again
/// and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Successor,
    Client,
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    ShutDown,
    /// A successor serves now.
    HandedOver,
}

enum Event<C: Connected> {
    Shutdown,
    Ended,
    Sweep,
    Successor,
    Client(Result<Arrival<Async<C>>>),
}

impl<C: Connected> Server<C> {
    /// Serves the clients of this listener, any number of them, for any time;
    /// [`Server::drain_deadline`] is five seconds.
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

    /// Serves the clients of a server that may have taken over from its predecessor, and hands over
    /// to a successor when one comes: [`Server::run`] then drains, without touching listener or
    /// file any more, and returns [`End::HandedOver`].
    ///
    /// [`handover::Server::start`] blocks while it looks for a predecessor: call it before the
    /// runtime, or in [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    /// Where the runtime cannot watch one more socket.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn with_handover(server: handover::Server<C>) -> Result<Server<C>> {
        let (listener, control, timeout) = server.into_parts();
        let control = Control::new(control, timeout)?;
        Ok(Server { control: Some(control), ..Server::new(Async::try_from(listener)?) })
    }

    /// How many clients are served at once. Those who come beyond that wait in the kernel's queue.
    pub fn max_connections(mut self, clients: usize) -> Server<C> {
        self.limits.total = clients;
        self
    }

    /// How many clients of one user are served at once. Those who come beyond that are closed at
    /// once, so that one user cannot take all the places.
    pub fn max_connections_per_uid(mut self, clients: usize) -> Server<C> {
        self.limits.per_uid = clients;
        self
    }

    /// How long a connection may go without a byte moving in either direction: a client that says
    /// nothing, or reads nothing, or a handler that does neither. It is cut then, at most a
    /// quarter of that time late.
    pub fn idle_timeout(mut self, time: Duration) -> Server<C> {
        self.limits.idle = Some(time);
        self
    }

    /// Takes [`Server::idle_timeout`] off, for a handler that keeps it in a way of its own: with a
    /// word to the client, or where silence does not mean that nothing is going on.
    pub fn take_idle_timeout(&mut self) -> Option<Duration> {
        self.limits.idle.take()
    }

    /// How long a connection may last at all: an answer to clients that move a byte now and then.
    pub fn max_lifetime(mut self, time: Duration) -> Server<C> {
        self.limits.lifetime = Some(time);
        self
    }

    /// How long conversations under way, and clients in the queue, have when the server ends. What
    /// is left then is cut.
    pub fn drain_deadline(mut self, time: Duration) -> Server<C> {
        self.drain_deadline = time;
        self
    }

    /// What this server does, counted; good for as long as anybody holds it.
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// What tells handlers that the server has begun to end, so that they need not wait for another
    /// request.
    pub fn draining(&self) -> Draining {
        self.draining.subscribe()
    }

    /// Serves until `shutdown` is done (whatever it gives) or a successor has taken over, then
    /// drains:
    ///
    /// 1. the file goes, so that new clients find a successor or nobody;
    /// 2. clients in the queue are served, and later ones refused, not reset;
    /// 3. handlers may finish, until the deadline;
    /// 4. those that have not are cut.
    ///
    /// The handler runs in a task of its own for each client. It is given the connection and who is
    /// at its other end.
    ///
    /// # Errors
    /// Where the listener is broken, after draining. A file that could not be taken away is told as
    /// an event only.
    ///
    /// # Cancel safety
    /// Not cancel safe: dropping it cuts every connection.
    pub async fn run<H, F>(self, mut handler: H, shutdown: impl Future) -> Result<End>
    where
        H: FnMut(Async<C>, Peer) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let introduced = |client: Async<C>| {
            let peer = client.peer();
            handler(client, peer)
        };
        self.run_unasked(introduced, shutdown).await
    }

    /// As [`Server::run`], for handlers that ask who is at the other end themselves, with
    /// [`Socket::peer`](crate::Socket::peer), or have no need to: four system calls less for
    /// each connection.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn run_unasked<H, F>(mut self, mut handler: H, shutdown: impl Future) -> Result<End>
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
                Event::Shutdown => break Ok(End::ShutDown),
                Event::Ended => {}
                Event::Sweep => connections.sweep(),
                Event::Successor => {
                    self.turn = Turn::Client;
                    if self.hear_successor() {
                        break Ok(End::HandedOver);
                    }
                }
                Event::Client(Ok(arrival)) => {
                    self.turn = Turn::Successor;
                    self.greet(arrival, &mut connections, &mut handler);
                    refusals.turn_over(&self.counters).await;
                }
                Event::Client(Err(error)) => {
                    trace::failed("accepting a client", &error);
                    // The listener itself, or the runtime's means to watch one client more?
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

    /// The first thing to happen, the end before all else, successors and clients in turn.
    /// Everything that is waited for here is cancel safe.
    async fn next_event(
        &self,
        connections: &mut Connections,
        sweeps: &mut Option<Interval>,
        mut shutdown: Pin<&mut impl Future>,
    ) -> Event<C> {
        let full = connections.is_full();
        let mut ended = pin!(connections.ended());
        let mut client = pin!(self.listener.accept_any());
        let mut successor = pin!(Control::knock(self.control.as_ref()));
        std::future::poll_fn(|cx| {
            if shutdown.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Shutdown);
            }
            if ended.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Ended);
            }
            if sweeps.as_mut().is_some_and(|sweeps| sweeps.poll_tick(cx).is_ready()) {
                return Poll::Ready(Event::Sweep);
            }
            let mut client = |cx: &mut _| match full {
                true => Poll::Pending,
                false => client.as_mut().poll(cx).map(Event::Client),
            };
            let mut successor = |cx: &mut _| successor.as_mut().poll(cx).map(|()| Event::Successor);
            match self.turn {
                Turn::Successor => first(successor(cx), || client(cx)),
                Turn::Client => first(client(cx), || successor(cx)),
            }
        })
        .await
    }

    fn greet<H, F>(&self, arrival: Arrival<Async<C>>, connections: &mut Connections, handler: &mut H)
    where
        H: FnMut(Async<C>) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut client = match arrival {
            Arrival::Admitted(client) => client,
            Arrival::Refused { pid, uid, reason } => {
                self.counters.cells().refused_by_policy.fetch_add(1, Relaxed);
                return trace::refused(pid, uid, reason);
            }
        };
        let Ids { pid, uid, .. } = if connections.asks() { Ids::of(client.as_fd()) } else { Ids::unknown() };
        let (pid, uid) = (pid.known().copied(), uid.known().copied());
        if connections.is_full_for(uid) {
            self.counters.cells().refused_by_uid.fetch_add(1, Relaxed);
            return trace::over_share(uid.unwrap_or(u32::MAX), connections.per_uid_limit());
        }
        let activity = connections.new_activity();
        client.set_activity(activity.clone());
        trace::accepted(pid, uid, connections.len() + 1);
        connections.serve(uid, activity, handler(client));
    }

    /// True when a successor has taken over.
    fn hear_successor(&mut self) -> bool {
        let Some(control) = &mut self.control else { return false };
        match control.hear(self.listener.get_mut()) {
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
        let deadline = Deadline::after(self.drain_deadline);
        if handed_over {
            trace::handed_over();
            // Those who were not offered the sockets find the one who has them.
            self.control = None;
        } else {
            let made_here = self.listener.get_ref().file().is_some();
            if let Err(error) = self.listener.release().await {
                trace::failed("taking the file away", &error);
            }
            self.empty_queue(connections, handler, deadline).await;
            // A listener that somebody else made may serve on elsewhere.
            if made_here && self.listener.refuse_more().is_ok() {
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

    /// Serves the clients that are waiting already, as there is room for them; those who come
    /// meanwhile do not prolong it.
    async fn empty_queue<H, F>(&self, connections: &mut Connections, handler: &mut H, deadline: Deadline)
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
                    self.greet(arrival, connections, handler);
                    arrivals += 1;
                    if arrivals % REFUSALS_PER_CALL == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if error.is_transient() => tokio::time::sleep(PAUSE).await,
                // Nobody is left.
                Err(_) => return,
            }
        }
    }
}

/// What is ready, or else what the other one says.
fn first<T>(one: Poll<T>, other: impl FnOnce() -> Poll<T>) -> Poll<T> {
    if one.is_ready() { one } else { other() }
}

/// How much was refused since other tasks had their turn.
#[derive(Debug, Default)]
struct Refused(u64);

impl Refused {
    /// Yields once there was enough of it. The runtime's own measure allows eight times as much,
    /// and counts what is accepted.
    async fn turn_over(&mut self, counters: &Counters) {
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
