//! Relaying datagrams: the messages of every client go to the server from a socket of the client's
//! own, so that what the server answers there finds its client.
//!
//! One thread. A message that the server's queue does not take is held, and no other is read
//! meanwhile: all go to that one queue. An answer that its client's queue does not take is held as
//! well, and only what comes for that client waits.
//!
//! | file | does |
//! |---|---|
//! | `state.rs` | what is known of the socket and its clients |
//! | `clients.rs` | who is a client, and for how long |
//! | `answers.rs` | passes answers on |

mod answers;
mod clients;
mod state;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use rustix::io::Errno;
use stoop::{Allow, DESCRIPTORS_MAX, Datagram, ErrorKind, SendQuota, SocketExt};

use crate::carry::{EndKind, Filled, Message};
use crate::end::into_io;
use crate::event::{Ended, Event};
use crate::interpose::Interposition;
use crate::pair::{CLIENT, SERVER};
use crate::shared::Shared;
use crate::upstream::{self, Upstream};
use crate::waiting::Waiting;
pub(crate) use state::Datagrams;
use state::{FRONT, WAKE};

/// How many messages are moved before other sockets have their turn.
const TURN_MESSAGES: usize = 64;

/// How many such turns there are when the relay is stopped.
const LAST_TURNS: usize = 64;

/// How often a client whose queue is full is tried again.
const RETRY: Duration = Duration::from_millis(5);

impl Datagrams {
    pub(crate) fn new(front: Datagram, shared: Arc<Shared>) -> io::Result<Datagrams> {
        front.set_nonblocking(true).map_err(into_io)?;
        front.set_pass_credentials(true).map_err(into_io)?;
        if shared.judge.is_some() {
            // Before Linux 6.5 there is none, and the program is told so.
            let _ = front.set_pass_pidfd(true);
        }
        answers::enlarge_send_buffer(&front);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &front, EventData::new_u64(FRONT), EventFlags::IN)?;
        epoll::add(&epoll, &shared.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let name = front.file().and_then(Interposition::of);
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
            name,
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
            self.forget_old();
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
        let limit = if self.full.is_empty() { self.check_interval() } else { RETRY };
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
            match self.client(received.from, origin, received.pidfd.as_ref().map(AsFd::as_fd)) {
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
            if client.waiting[from].holds_back() {
                self.register(number);
            }
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
            let held_back =
                self.clients.get(&number).is_some_and(|client| client.waiting[SERVER].holds_back());
            while self.clients.get(&number).is_some_and(|client| client.held.is_none())
                && let Some(message) = self.take_due(number, SERVER, now)
            {
                self.answer(number, message);
            }
            if held_back {
                self.register(number);
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
                self.held = Some((number, message));
                self.register(number);
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
            if !client.takes_answers() {
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
        self.register(number);
        self.forward(number, message);
        if self.held.is_none() {
            let _ = epoll::modify(&self.epoll, &self.front, EventData::new_u64(FRONT), EventFlags::IN);
        }
    }

    fn look_at_name(&mut self) {
        if let Some(why) = self.name.as_mut().and_then(Interposition::displaced) {
            self.shared.tell(Event::Displaced(why));
        }
    }
}
