//! The threads that serve clients, each of them many, with an event loop of its own.
//!
//! A client costs no thread and, while it is idle, no buffer. A client that does not read is not
//! read from either, and delays no other. Programs are not run here: see `client.rs`.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use rustix::io::Errno;
use stoop::internal::Connection;

use super::conversation::{Conversation, LINGER, Next};
use super::shared::{BusyGuard, Shared};
use crate::descriptor_limit;
use crate::failure::Failure;
use crate::output::Event;
use crate::pump::{descriptor, socket};

/// How many events are taken at a time.
const EVENTS: usize = 256;

/// One thread for each two processors, the other one being that of a client; but no more than this.
const THREADS_MAX: usize = 4;

/// The delay after the kernel lacked memory to wait.
const PAUSE: Duration = Duration::from_millis(5);

/// The event loops of a server; none if it runs programs.
#[derive(Debug)]
pub(super) struct Clients(Vec<Arc<Inbox>>);

/// The way into one event loop.
#[derive(Debug)]
struct Inbox {
    epoll: OwnedFd,
    /// Clients whose events arrive already, of which the loop does not know yet.
    new: Mutex<Vec<Client>>,
}

/// A client and its place in an event loop.
#[derive(Debug)]
struct Client {
    number: u64,
    conversation: Conversation,
    /// The events that are waited for.
    waits_for: EventFlags,
    _busy: BusyGuard,
}

impl Clients {
    /// Starts the event loops. A limit on open files that may be raised is raised.
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Clients, Failure> {
        // If this fails, further clients wait in the backlog.
        descriptor_limit::raise();
        let threads = thread::available_parallelism().map_or(1, usize::from).div_ceil(2).min(THREADS_MAX);
        (0..threads).map(|_| start(shared)).collect::<Result<_, _>>().map(Clients)
    }

    /// Creates none, for a server that needs a process for each client.
    pub(super) fn none() -> Clients {
        Clients(Vec::new())
    }

    /// Passes a client to an event loop. Returns it if there is none.
    pub(super) fn serve(
        &self,
        shared: &Arc<Shared>,
        number: u64,
        connection: Connection,
    ) -> Option<Connection> {
        let Some(inbox) = self.0.get(number as usize % self.0.len().max(1)) else { return Some(connection) };
        let conversation = Conversation::new(connection);
        let client =
            Client { number, conversation, waits_for: EventFlags::OUT, _busy: BusyGuard::new(shared) };
        if let Some((mut client, errno)) = inbox.put(client) {
            client.conversation.fail(Failure::io("wait for a client", &errno.into()));
            end(shared, client);
        }
        None
    }
}

/// Starts one event loop. Returns the way into it.
fn start(shared: &Arc<Shared>) -> Result<Arc<Inbox>, Failure> {
    let inbox = Inbox::new().map_err(|errno| Failure::io("prepare for clients", &errno.into()))?;
    let (inbox, shared) = (Arc::new(inbox), Arc::clone(shared));
    let own = Arc::clone(&inbox);
    thread::Builder::new()
        .name("clients".into())
        .spawn(move || ClientLoop::new(&shared, &own).run())
        .map_err(|error| Failure::io("start a thread for clients", &error))?;
    Ok(inbox)
}

impl Inbox {
    fn new() -> rustix::io::Result<Inbox> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Inbox { epoll, new: Mutex::default() })
    }

    /// Puts a client into the loop, which its first event tells of it: a new connection has room.
    /// Returns the client if that fails.
    fn put(&self, client: Client) -> Option<(Client, Errno)> {
        let (fd, number) = (descriptor(client.conversation.connection()), EventData::new_u64(client.number));
        // The loop takes the lock after the event, and so finds the client.
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        match epoll::add(&self.epoll, fd, number, client.waits_for) {
            Ok(()) => {
                new.push(client);
                None
            }
            Err(errno) => Some((client, errno)),
        }
    }

    fn take(&self) -> Vec<Client> {
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The state of a thread.
struct ClientLoop<'a> {
    shared: &'a Shared,
    inbox: &'a Inbox,
    clients: HashMap<u64, Client>,
    /// Clients that have been sent everything, and until when their end is waited for.
    lingering: VecDeque<(Instant, u64)>,
    /// For the client whose turn it is.
    buffer: Vec<u8>,
}

impl<'a> ClientLoop<'a> {
    fn new(shared: &'a Shared, inbox: &'a Inbox) -> ClientLoop<'a> {
        let (clients, lingering, buffer) = (HashMap::new(), VecDeque::new(), Vec::new());
        ClientLoop { shared, inbox, clients, lingering, buffer }
    }

    /// Serves until the process exits.
    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.wait(&mut events);
            for event in events.drain(..) {
                let data = event.data;
                match self.clients.remove(&data.u64()) {
                    Some(client) => self.turn(client),
                    None => self.inbox.take().into_iter().for_each(|client| self.begin(client)),
                }
            }
            self.close_lingering();
        }
    }

    fn wait(&self, events: &mut Vec<Ready>) {
        let left = self.lingering.front().map(|(until, _)| until.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let room = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.inbox.epoll, room, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // The wait lacks memory, which is not the clients' fault.
            Err(_) => thread::sleep(PAUSE),
        }
    }

    fn begin(&mut self, mut client: Client) {
        let connection = client.conversation.connection();
        match socket(connection).set_nonblocking(true) {
            // Most clients send before they are accepted.
            Ok(()) => self.turn(client),
            Err(error) => {
                client.conversation.fail(error.into());
                end(self.shared, client);
            }
        }
    }

    /// Serves a client as far as possible without waiting.
    fn turn(&mut self, mut client: Client) {
        let wanted = match client.conversation.turn(&self.shared.service, &mut self.buffer) {
            Next::Done => return end(self.shared, client),
            Next::Wait(wanted) => wanted,
            Next::Linger => {
                self.lingering.push_back((Instant::now() + LINGER, client.number));
                EventFlags::IN
            }
        };
        if let Err(failure) = self.wait_for(&mut client, wanted) {
            client.conversation.fail(failure);
            return end(self.shared, client);
        }
        self.clients.insert(client.number, client);
    }

    /// Changes what is waited for.
    fn wait_for(&self, client: &mut Client, wanted: EventFlags) -> Result<(), Failure> {
        if wanted == client.waits_for {
            return Ok(());
        }
        client.waits_for = wanted;
        let (fd, number) = (descriptor(client.conversation.connection()), EventData::new_u64(client.number));
        epoll::modify(&self.inbox.epoll, fd, number, wanted)
            .map_err(|errno| Failure::io("wait for a client", &errno.into()))
    }

    fn close_lingering(&mut self) {
        let now = Instant::now();
        while let Some((_, number)) = self.lingering.pop_front_if(|(until, _)| *until <= now) {
            if let Some(client) = self.clients.remove(&number) {
                end(self.shared, client);
            }
        }
    }
}

/// Closes a connection, which leaves the epoll set with it, and reports that.
fn end(shared: &Shared, client: Client) {
    let ended = client.conversation.finish();
    shared.output.note(&Event::Closed {
        connection: client.number,
        received_bytes: Some(ended.received_bytes),
        sent_bytes: Some(ended.sent_bytes),
        exit_status: None,
        error: ended.failure.map(|failure| failure.summary()),
    });
}
