//! What the threads of a relay share.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::{SendFlags, send};
use stoop::Peer;

use crate::admission::{Admission, Candidate, Owner, Seats, Shares};
use crate::carry::Hooks;
use crate::counters::Counters;
use crate::end::{Connected, End};
use crate::event::{Ended, Event, Rejection};
use crate::exec;
use crate::fault::Switch;
use crate::inbox::Inbox;
use crate::pair::{CLIENT, Pair, SERVER};
use crate::proxy;
use crate::queue::Introduction;
use crate::record::{Closing, Recorder, Watch, process_of};
use crate::server::{Caller, Server};

/// Decides about clients.
pub(crate) type Judge = Box<dyn Fn(&Candidate<'_>) -> Admission + Send + Sync>;

pub(crate) type Handler = Box<dyn Fn(Event) + Send + Sync>;

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) counters: Counters,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) server: Server,
    pub(crate) allows_descriptors: bool,
    pub(crate) frames: bool,
    pub(crate) max_connections: usize,
    pub(crate) shares: Shares,
    pub(crate) seats: Mutex<Seats>,
    pub(crate) judge: Option<Judge>,
    pub(crate) max_time: Option<Duration>,
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) as_client: bool,
    pub(crate) sends_proxy: bool,
    pub(crate) handler: Option<Handler>,
    pub(crate) recorder: Option<Arc<Recorder>>,
    pub(crate) faults: Option<Arc<Switch>>,
    pub(crate) next_number: AtomicU64,
    pub(crate) inboxes: Vec<Arc<Inbox>>,
    /// Clients that are accepted and not yet closed.
    pub(crate) clients: Mutex<usize>,
    pub(crate) client_closed: Condvar,
    pub(crate) is_stopping: AtomicBool,
    /// Wakes the thread that accepts.
    pub(crate) wake: OwnedFd,
}

impl Shared {
    pub(crate) fn tell(&self, event: Event) {
        if let Some(handler) = &self.handler {
            handler(event);
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&self, number: u64, moved: [u64; 2], ended: Ended) {
        if let Some(recorder) = &self.recorder {
            recorder.closed(number, closing(&ended));
        }
        self.tell(Event::Closed { number, bytes_up: moved[0], bytes_down: moved[1], ended });
        self.leave();
    }

    /// Returns whether it matters who a client is.
    pub(crate) fn asks_who(&self) -> bool {
        self.judge.is_some() || self.shares.per_user.is_some()
    }

    /// Decides whether a client is allowed. Returns the group that it is counted with.
    pub(crate) fn judge(&self, candidate: &Candidate<'_>) -> Result<Option<String>, Rejection> {
        match self.judge.as_ref().map(|judge| judge(candidate)) {
            None => Ok(None),
            Some(Admission::Allow { group }) => Ok(group),
            Some(Admission::Refuse { reason }) => {
                self.counters.refusal();
                Err(Rejection::Refused(reason))
            }
        }
    }

    /// Decides whether a client is relayed. Returns whom it is counted with from now on.
    pub(crate) fn admit(&self, candidate: &Candidate<'_>) -> Result<Vec<Owner>, Rejection> {
        let group = self.judge(candidate)?;
        let user = candidate.uid.filter(|_| self.shares.per_user.is_some()).map(Owner::User);
        let group = group.filter(|_| self.shares.per_group.is_some()).map(Owner::Group);
        let owners: Vec<Owner> = user.into_iter().chain(group).collect();
        self.seats().take(&owners, self.shares).map_err(|full| {
            self.counters.over_limit();
            match full {
                Owner::User(_) => Rejection::PerUser,
                Owner::Group(name) => Rejection::PerGroup(name),
            }
        })?;
        Ok(owners)
    }

    /// Forgets a client that was admitted: it has closed, or was never connected.
    pub(crate) fn dismiss(&self, owners: &[Owner]) {
        self.seats().give_back(owners);
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how long until connections have to be looked at again, if their time is limited.
    pub(crate) fn shortest_limit(&self) -> Option<Duration> {
        [self.idle_timeout, self.max_time].into_iter().flatten().min()
    }

    pub(crate) fn enter(&self) {
        *self.clients.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn leave(&self) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let was_full = *clients >= self.max_connections;
        *clients -= 1;
        drop(clients);
        self.client_closed.notify_all();
        if was_full {
            self.wake_acceptor();
        }
    }

    pub(crate) fn connections(&self) -> usize {
        *self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.connections() < self.max_connections
    }

    pub(crate) fn wake_acceptor(&self) {
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Waits until no client is left. Returns false if the time has passed.
    pub(crate) fn wait_for_clients(&self, limit: Duration) -> bool {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.client_closed.wait_timeout_while(clients, limit, |clients| *clients > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }

    /// Relays a client to an end of the server.
    pub(crate) fn begin(self: &Arc<Shared>, client: Client, server: io::Result<Connected>) {
        let number = client.number;
        let is_told = self.handler.is_some() || self.recorder.is_some() || self.sends_proxy;
        let peer = if is_told { client.peer() } else { None };
        let ids: [fn(&Peer) -> Option<u32>; 2] =
            [|peer| peer.pid.known().copied(), |peer| peer.uid.known().copied()];
        let mut child = None;
        let pair = server.and_then(|server| {
            child = server.child;
            client.end.set_nonblocking()?;
            server.end.set_nonblocking()?;
            if self.sends_proxy {
                introduce(&client.end, peer.as_ref(), &server.end)?;
            }
            let mut pair = match self.hooks(number, client.end.is_byte_stream()) {
                Some(hooks) => Pair::hooked(client.end, server.end, hooks, self.allows_descriptors, number)?,
                None => Pair::new(client.end, server.end, self.allows_descriptors, self.frames, number)?,
            };
            pair.limit(self.bytes_per_second);
            Ok(pair)
        });
        match pair {
            Ok(mut pair) => {
                pair.owners = client.owners;
                self.record_opened(number, peer.as_ref(), pair.ends());
                self.counters.connection();
                let [pid, uid] = ids.map(|id| peer.as_ref().and_then(id));
                self.tell(Event::Accepted { number, pid, uid, names: client.introduction.names });
                self.give(pair);
            }
            Err(error) => {
                if let Some(recorder) = &self.recorder {
                    recorder.unreached(number, &error);
                }
                self.counters.no_server();
                self.tell(Event::Unreached { number, error });
                self.dismiss(&client.owners);
                self.leave();
            }
        }
        if let Some(child) = child {
            let shared = Arc::clone(self);
            exec::watch(child, move |status| shared.tell(Event::Exited { number, status }));
        }
    }
}

/// Tells the server who the client is. A new connection always has room for that.
fn introduce(client: &End, peer: Option<&Peer>, server: &End) -> io::Result<()> {
    let header = proxy::Client::of(client, peer).header();
    match send(server, &header, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)? {
        sent if sent == header.len() => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::WriteZero, "the PROXY header was not taken whole")),
    }
}

impl Shared {
    /// Gives a pair to the worker that has the fewest.
    pub(crate) fn give(&self, pair: Pair) {
        let load = |inbox: &&Arc<Inbox>| inbox.connections.load(Ordering::Relaxed);
        if let Some(inbox) = self.inboxes.iter().min_by_key(load) {
            inbox.push(pair);
        }
    }
}

impl Shared {
    /// Returns what is done with the data of both directions, if they are not only relayed.
    pub(crate) fn hooks(&self, number: u64, is_stream: bool) -> Option<[Hooks; 2]> {
        if self.recorder.is_none() && self.faults.is_none() {
            return None;
        }
        let watches = self.recorder.as_ref();
        let watches = watches.map(|recorder| Watch::pair(recorder, number, is_stream).map(Some));
        let [client, server] = watches.unwrap_or_default();
        Some([(CLIENT, client), (SERVER, server)].map(|(end, watch)| Hooks {
            watch,
            injector: self.faults.as_ref().map(|faults| faults.injector(number, end, is_stream)),
        }))
    }

    fn record_opened(&self, number: u64, client: Option<&Peer>, ends: &[End; 2]) {
        let Some(recorder) = &self.recorder else { return };
        let process = |peer: Option<&Peer>| peer.map(process_of).unwrap_or_default();
        recorder.opened(number, process(client), process(ends[SERVER].peer().as_ref()));
    }

    /// Returns the error with which a fault refuses a client, if one does.
    pub(crate) fn refused_by_fault(&self, number: u64) -> Option<io::Error> {
        let is_refused = self.faults.as_ref().is_some_and(|faults| faults.refuses(number));
        is_refused.then(|| io::Error::new(io::ErrorKind::ConnectionRefused, "injected fault"))
    }
}

fn closing(ended: &Ended) -> Closing {
    match ended {
        Ended::Closed => Closing::Ends,
        Ended::Idle => Closing::Idle,
        Ended::OutOfTime => Closing::OutOfTime,
        Ended::Stopped => Closing::Stopped,
        Ended::Fault => Closing::Fault,
        Ended::Failed(_) => Closing::Failed,
    }
}

/// A client on its way to the server.
pub(crate) struct Client {
    pub(crate) end: End,
    pub(crate) introduction: Introduction,
    /// Whom it is counted with.
    pub(crate) owners: Vec<Owner>,
    pub(crate) number: u64,
}

impl Client {
    /// Returns the process that asks, if the kernel reports it.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.introduction.peer.clone().or_else(|| self.end.peer())
    }

    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller { number: self.number, names: &self.introduction.names }
    }
}
