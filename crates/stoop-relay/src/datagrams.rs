//! Relaying datagrams: the messages of every client go to the server from a socket of the client's
//! own, so that what the server answers there finds its client.
//!
//! One thread. A message that the server's queue does not take is held, and no other is read
//! meanwhile: all go to that one queue. An answer that its client's queue does not take is held as
//! well, and only what comes for that client waits.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use rustix::io::Errno;
use stoop::{Address, Allow, DESCRIPTORS_MAX, Datagram, ErrorKind, Origin, Outgoing, SendQuota, SocketExt};

use crate::admission::{Candidate, Owner};
use crate::carry::{EndKind, Filled, Message};
use crate::end::into_io;
use crate::event::{Ended, Event};
use crate::interpose::displaced;
use crate::pair::{CLIENT, SERVER};
use crate::record::{Process, ids};
use crate::shared::Shared;
use crate::upstream::{self, Upstream};
use crate::waiting::Waiting;

/// How many messages are moved before other sockets have their turn.
const TURN_MESSAGES: usize = 64;

/// How many such turns there are when the relay is stopped.
const LAST_TURNS: usize = 64;

/// How long a client that sends nothing keeps its socket, unless the relay says otherwise.
const IDLE: Duration = Duration::from_secs(300);

/// How often a client whose queue is full is tried again, and how often idle ones are looked for.
const RETRY: Duration = Duration::from_millis(5);
const IDLE_CHECK: Duration = Duration::from_millis(500);

/// The events of the client side and of the wake-up descriptor; a client has its number, from 1.
const FRONT: u64 = 0;
const WAKE: u64 = u64::MAX;

/// How many clients may have a socket, unless the relay says otherwise.
const CLIENTS: usize = 4096;

/// The relay of one datagram socket.
pub(crate) struct Datagrams {
    shared: Arc<Shared>,
    front: Datagram,
    epoll: OwnedFd,
    clients: HashMap<u64, Client>,
    numbers: HashMap<Address, u64>,
    /// A message for the server, and whose it is, that the server's queue did not take.
    held: Option<(u64, Message)>,
    quota: SendQuota,
    /// Clients whose queues were full.
    full: Vec<u64>,
    /// Clients with messages that wait until they are due.
    waiting: BTreeSet<u64>,
    last_idle_check: Instant,
    last_name_check: Instant,
    is_displaced: bool,
}

/// A client, known by its address.
struct Client {
    origin: Origin,
    to_server: Upstream,
    /// An answer that its queue did not take.
    held: Option<Message>,
    last_moved: Instant,
    moved: [u64; 2],
    owners: Vec<Owner>,
    /// From it, and from the server.
    waiting: [Waiting; 2],
}

impl Datagrams {
    pub(crate) fn new(front: Datagram, shared: Arc<Shared>) -> io::Result<Datagrams> {
        front.set_nonblocking(true).map_err(into_io)?;
        front.set_pass_credentials(true).map_err(into_io)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &front, EventData::new_u64(FRONT), EventFlags::IN)?;
        epoll::add(&epoll, &shared.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Datagrams {
            shared,
            front,
            epoll,
            clients: HashMap::new(),
            numbers: HashMap::new(),
            held: None,
            quota: SendQuota::new(),
            full: Vec::new(),
            waiting: BTreeSet::new(),
            last_idle_check: Instant::now(),
            last_name_check: Instant::now(),
            is_displaced: false,
        })
    }

    /// Relays until the relay is stopped, then removes the socket file and passes on what has come.
    pub(crate) fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        while !self.shared.is_stopping.load(Ordering::Acquire) {
            self.wait(&mut events);
            for event in events.drain(..) {
                let Ready { data, .. } = event;
                match data.u64() {
                    FRONT => {
                        self.forward_some();
                    }
                    WAKE => {}
                    number => self.ready(number),
                }
            }
            self.retry();
            self.release_due();
            self.forget_idle();
            self.look_at_name();
        }
        // Clients that go on sending must not keep it from its end.
        for _ in 0..LAST_TURNS {
            if !self.forward_some() {
                break;
            }
        }
        for number in self.clients.keys().copied().collect::<Vec<_>>() {
            self.forget(number, Ended::Stopped);
        }
        upstream::wait_for_streams(&self.shared);
        let shared = self.shared;
        if let Err(error) = self.front.close() {
            shared.tell(Event::NotReleased { error: into_io(error) });
        }
    }

    fn wait(&self, events: &mut Vec<Ready>) {
        let limit = if self.full.is_empty() { IDLE_CHECK } else { RETRY };
        let waiting = self.waiting.iter().filter_map(|number| self.clients.get(number));
        let due = waiting.flat_map(|client| &client.waiting).filter_map(Waiting::due).min();
        let limit = due.map_or(limit, |due| due.saturating_duration_since(Instant::now()).min(limit));
        let limit = Timespec::try_from(limit).ok();
        if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), limit.as_ref())
            .is_err_and(|errno| errno != Errno::INTR)
        {
            std::thread::sleep(RETRY);
        }
    }

    /// Passes messages of clients on to the server. Returns whether there may be more.
    fn forward_some(&mut self) -> bool {
        for _ in 0..TURN_MESSAGES {
            if self.held.is_some() {
                return false;
            }
            let (message, received) = match self.front.recv_vec_with(Allow::descriptors(DESCRIPTORS_MAX)) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::ControlTruncated => {
                    self.shared.counters.lost_message();
                    continue;
                }
                Err(_) => return false,
            };
            let origin = received.origin();
            match self.client(received.from, origin) {
                Ok(None) => {}
                Ok(Some(number)) => {
                    if let Some(message) = self.arrived(number, CLIENT, (message, received.descriptors)) {
                        self.forward(number, message);
                    }
                }
                Err(error) => self.unreached(error),
            }
        }
        true
    }

    /// Records a message. Returns it if it goes on at once.
    fn arrived(&mut self, number: u64, from: usize, message: Message) -> Option<Message> {
        let client = self.clients.get_mut(&number)?;
        let message = client.waiting[from].arrived(message, &self.shared.counters);
        if client.waiting[from].due().is_some() {
            self.waiting.insert(number);
        }
        message
    }

    /// Passes on what is due.
    fn release_due(&mut self) {
        let now = Instant::now();
        for number in self.waiting.iter().copied().collect::<Vec<_>>() {
            while self.held.is_none()
                && let Some(message) = self.take_due(number, CLIENT, now)
            {
                self.forward(number, message);
            }
            while self.clients.get(&number).is_some_and(|client| client.held.is_none())
                && let Some(message) = self.take_due(number, SERVER, now)
            {
                self.answer(number, message);
            }
            let client = self.clients.get(&number);
            if client.is_none_or(|client| client.waiting.iter().all(|waiting| waiting.due().is_none())) {
                self.waiting.remove(&number);
            }
        }
    }

    fn take_due(&mut self, number: u64, from: usize, now: Instant) -> Option<Message> {
        self.clients.get_mut(&number)?.waiting[from].take_due(now)
    }

    fn unreached(&self, error: io::Error) {
        self.shared.counters.lost_message();
        self.shared.counters.no_server();
        self.shared.tell(Event::Unreached { number: 0, error });
    }

    /// Returns the number of the client at an address. Those without one share a number: they get
    /// no answers. `None` if it may have none.
    fn client(&mut self, address: Address, origin: Origin) -> io::Result<Option<u64>> {
        if let Some(&number) = self.numbers.get(&address)
            && let Some(client) = self.clients.get_mut(&number)
        {
            // The latest message decides which socket may be answered.
            client.origin = origin;
            return Ok(Some(number));
        }
        if self.clients.len() >= self.shared.max_connections.min(CLIENTS) {
            return Err(io::Error::other("as many clients as there may be have a socket already"));
        }
        let who = origin.credentials;
        let (pid, uid) = (who.map(|it| it.pid), who.and_then(|it| it.known_uid()));
        let gid = who.and_then(|it| it.known_gid());
        let owners = match self.shared.asks_who() {
            true => self.admit(&Candidate { pid, uid, gid, peer: None }),
            false => Some(Vec::new()),
        };
        let Some(owners) = owners else { return Ok(None) };
        let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
        let to_server = self.open(number).inspect_err(|_| self.shared.dismiss(&owners))?;
        self.shared.counters.connection();
        self.shared.enter();
        self.shared.tell(Event::Accepted { number, pid, uid });
        self.numbers.insert(address, number);
        if let Some(recorder) = &self.shared.recorder {
            recorder.opened(number, ids(pid, uid, gid), Process::default());
        }
        let waiting = self.shared.taps(number, false).unwrap_or_default().map(Waiting::new);
        let last_moved = Instant::now();
        let client = Client { origin, to_server, held: None, last_moved, moved: [0; 2], owners, waiting };
        self.clients.insert(number, client);
        Ok(Some(number))
    }

    /// Opens a client's socket to the server.
    fn open(&self, number: u64) -> io::Result<Upstream> {
        if let Some(error) = self.shared.refused_by_fault(number) {
            return Err(error);
        }
        let to_server = Upstream::new(&self.shared)?;
        epoll::add(&self.epoll, &to_server, EventData::new_u64(number), EventFlags::IN)?;
        Ok(to_server)
    }

    fn admit(&self, candidate: &Candidate<'_>) -> Option<Vec<Owner>> {
        match self.shared.admit(candidate) {
            Ok(owners) => Some(owners),
            Err(reason) => {
                self.shared.counters.lost_message();
                self.shared.tell(Event::Rejected { pid: candidate.pid, uid: candidate.uid, reason });
                None
            }
        }
    }

    /// Passes a message on. If the server's queue is full, it is held, and no more are read.
    fn forward(&mut self, number: u64, mut message: Message) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let len = message.0.len();
        self.shared.counters.lost_descriptors(client.to_server.refuse_descriptors(&mut message));
        let mut sent = client.to_server.send(&message);
        // The server has started anew, or the stream to it has ended.
        if matches!(sent, Err(Errno::CONNREFUSED | Errno::PIPE | Errno::CONNRESET)) {
            match Upstream::new(&self.shared) {
                Ok(fresh) => {
                    client.to_server = fresh;
                    let added = epoll::add(
                        &self.epoll,
                        &client.to_server,
                        EventData::new_u64(number),
                        EventFlags::IN,
                    );
                    sent = added.and_then(|()| client.to_server.send(&message));
                }
                Err(error) => return self.unreached(error),
            }
        }
        if sent == Err(Errno::PERM) && !message.1.is_empty() {
            self.shared.counters.lost_descriptors(message.1.len());
            message.1.clear();
            sent = client.to_server.send(&message);
        }
        match sent {
            Ok(()) => {
                client.last_moved = Instant::now();
                client.moved[0] += len as u64;
                self.shared.counters.bytes(true, len);
                self.shared.counters.message(message.1.len());
            }
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => {
                let _ =
                    epoll::modify(&self.epoll, &self.front, EventData::new_u64(FRONT), EventFlags::empty());
                let wanted = EventFlags::IN | EventFlags::OUT;
                let _ = epoll::modify(&self.epoll, &client.to_server, EventData::new_u64(number), wanted);
                self.held = Some((number, message));
            }
            Err(_) => self.shared.counters.lost_message(),
        }
    }

    /// A socket to the server is readable, or may be written again.
    fn ready(&mut self, number: u64) {
        if self.held.as_ref().is_some_and(|(held, _)| *held == number) {
            self.release_held(number);
        }
        for _ in 0..TURN_MESSAGES {
            let Some(client) = self.clients.get_mut(&number) else { return };
            if client.held.is_some() {
                return;
            }
            match client.to_server.receive() {
                Ok(message) => {
                    if let Some(message) = self.arrived(number, SERVER, message) {
                        self.answer(number, message);
                    }
                }
                Err(Filled::End(EndKind::Shutdown)) => return self.forget(number, Ended::Closed),
                Err(Filled::Exhausted) => {
                    client.waiting[SERVER].lost();
                    self.shared.counters.lost_message();
                }
                Err(_) => return,
            }
        }
    }

    fn release_held(&mut self, number: u64) {
        let Some((_, message)) = self.held.take() else { return };
        if let Some(client) = self.clients.get(&number) {
            let _ = epoll::modify(&self.epoll, &client.to_server, EventData::new_u64(number), EventFlags::IN);
        }
        self.forward(number, message);
        if self.held.is_none() {
            let _ = epoll::modify(&self.epoll, &self.front, EventData::new_u64(FRONT), EventFlags::IN);
        }
    }

    /// Passes an answer on. If the client's queue is full, it is held.
    fn answer(&mut self, number: u64, message: Message) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let fds: Vec<BorrowedFd<'_>> = message.1.iter().map(AsFd::as_fd).collect();
        let Origin { address, credentials, .. } = &client.origin;
        let uid = credentials.and_then(|credentials| credentials.known_uid());
        // What its clients leave unread fills the one send buffer from which all are answered.
        let allowed = self.quota.check(&self.front, address, uid, message.0.len());
        let outgoing = Outgoing::new().descriptors(&fds);
        match allowed.and_then(|()| self.front.reply_with(&message.0, &client.origin, &outgoing)) {
            Ok(()) => {
                self.quota.record(address, uid, message.0.len());
                client.last_moved = Instant::now();
                client.moved[1] += message.0.len() as u64;
                self.shared.counters.bytes(false, message.0.len());
                self.shared.counters.message(fds.len());
            }
            Err(error) if error.is_would_block() || error.is_exhausted() => {
                client.held = Some(message);
                self.full.push(number);
                self.listen_to_server(number, false);
            }
            Err(_) => {
                self.shared.counters.lost_message();
                self.forget(number, Ended::Closed);
            }
        }
    }

    fn listen_to_server(&self, number: u64, on: bool) {
        if let Some(client) = self.clients.get(&number) {
            let flags = if on { EventFlags::IN } else { EventFlags::empty() };
            let _ = epoll::modify(&self.epoll, &client.to_server, EventData::new_u64(number), flags);
        }
    }

    /// Tries the answers that are held.
    fn retry(&mut self) {
        for number in std::mem::take(&mut self.full) {
            let held = self.clients.get_mut(&number).and_then(|client| client.held.take());
            if let Some(message) = held {
                self.listen_to_server(number, true);
                self.answer(number, message);
            }
        }
    }

    fn forget_idle(&mut self) {
        if self.last_idle_check.elapsed() < IDLE_CHECK {
            return;
        }
        self.last_idle_check = Instant::now();
        let limit = self.shared.idle_timeout.unwrap_or(IDLE);
        let idle = self.clients.iter().filter(|(_, client)| client.last_moved.elapsed() >= limit);
        for number in idle.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.shared.counters.idle();
            self.forget(number, Ended::Idle);
        }
    }

    /// Looks, from time to time, whether the name still leads here and the server lives.
    fn look_at_name(&mut self) {
        if self.is_displaced || self.last_name_check.elapsed() < IDLE_CHECK {
            return;
        }
        self.last_name_check = Instant::now();
        if let Some(why) = displaced(self.front.file()) {
            self.is_displaced = true;
            self.shared.tell(Event::Displaced(why));
        }
    }

    fn forget(&mut self, number: u64, ended: Ended) {
        let Some(client) = self.clients.remove(&number) else { return };
        self.numbers.remove(&client.origin.address);
        if self.held.as_ref().is_some_and(|(held, _)| *held == number) {
            self.held = None;
            self.shared.counters.lost_message();
            let _ = epoll::modify(&self.epoll, &self.front, EventData::new_u64(FRONT), EventFlags::IN);
        }
        if client.held.is_some() {
            self.shared.counters.lost_message();
        }
        self.shared.dismiss(&client.owners);
        self.shared.closed(number, client.moved, ended);
    }
}
