//! The thread that accepts clients, and those that connect them to the server.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use stoop::{Fact, Kind, Peer};

use crate::admission::{Candidate, Owner};
use crate::end::End;
use crate::event::Event;
use crate::front::{Arrived, Listening};
use crate::identity::Identity;
use crate::interpose::Interposition;
use crate::queue::Newcomer;
use crate::shared::{Client, Shared};
use crate::threads::named;

/// How long a connection to the server may take.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How many clients are connected to the server at the same time, if that takes a while, and how
/// many wait for it.
const CONNECTORS: usize = 4;
const WAITING: usize = 64;

/// The delay after a failed accept, and between looks at the backlog at the end.
const PAUSE: Duration = Duration::from_millis(20);

/// How long clients are accepted that are in the backlog at the end. It is soon empty, unless the
/// name is an abstract one, which can be connected to until the socket is closed.
const LAST_LIMIT: Duration = Duration::from_secs(1);

/// The thread that accepts clients.
pub(crate) struct Acceptor {
    front: Listening,
    shared: Arc<Shared>,
    slow: SyncSender<Client>,
    /// If the relay stands in front of a server there.
    name: Option<Interposition>,
}

impl Acceptor {
    pub(crate) fn new(front: Listening, shared: Arc<Shared>) -> io::Result<Acceptor> {
        let (slow, waiting) = sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..CONNECTORS {
            let (shared, waiting) = (Arc::clone(&shared), Arc::clone(&waiting));
            let kind = front.kind();
            named("connect", move || connect_each(&shared, &waiting, kind))?;
        }
        let name = front.file().and_then(Interposition::of);
        Ok(Acceptor { front, shared, slow, name })
    }

    /// Accepts until the relay is stopped, and then the clients that have connected until then.
    pub(crate) fn run(mut self) {
        while !self.shared.is_stopping.load(Ordering::Acquire) {
            if self.wait() {
                self.accept_all();
            }
            self.look_at_name();
        }
        let stands_before = self.name.is_some();
        if let Err(error) = self.front.release() {
            self.shared.tell(Event::NotReleased { error });
        }
        self.accept_last(stands_before);
    }

    /// Accepts the clients that had connected when the name was released, or were about to.
    fn accept_last(&self, stands_before: bool) {
        let end = Instant::now() + LAST_LIMIT;
        loop {
            if stands_before {
                // For clients that have looked the file up and are about to connect.
                thread::sleep(PAUSE);
            }
            let mut has_come = false;
            while self.shared.has_room() && Instant::now() < end && self.accept() {
                has_come = true;
            }
            if !has_come || !stands_before || Instant::now() >= end {
                return;
            }
        }
    }

    /// Waits for a client. Returns false if something else comes before.
    fn wait(&self) -> bool {
        let mut entries = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        if self.shared.has_room() {
            entries.push(PollFd::new(&self.front, PollFlags::IN));
        }
        let limit = self.name.as_ref().and_then(|_| Timespec::try_from(Interposition::EVERY).ok());
        let result = poll(&mut entries, limit.as_ref());
        if result.is_err_and(|errno| errno != Errno::INTR) {
            thread::sleep(PAUSE);
        }
        let is_ready = |index: usize| entries.get(index).is_some_and(|entry| !entry.revents().is_empty());
        if is_ready(0) {
            let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        }
        is_ready(1)
    }

    fn look_at_name(&mut self) {
        if let Some(why) = self.name.as_mut().and_then(Interposition::displaced) {
            self.shared.tell(Event::Displaced(why));
        }
    }

    fn accept_all(&mut self) {
        while self.shared.has_room() && !self.shared.is_stopping.load(Ordering::Acquire) && self.accept() {}
    }

    /// Accepts one client, if there is one.
    fn accept(&self) -> bool {
        match self.front.accept() {
            Ok(Arrived::Client(Newcomer { end, introduction })) => {
                if let Some(owners) = self.admit(&end) {
                    let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
                    self.shared.enter();
                    self.connect(Client { end, introduction, owners, number });
                }
                true
            }
            Ok(Arrived::Refused { pid, uid, reason }) => {
                self.shared.counters.refusal();
                self.shared.tell(Event::Refused { pid, uid, reason });
                true
            }
            Ok(Arrived::Failed(error)) => {
                self.shared.tell(Event::NotAccepted { error });
                true
            }
            Ok(Arrived::Nobody) => false,
            Err(error) => {
                self.shared.tell(Event::NotAccepted { error });
                thread::sleep(PAUSE);
                false
            }
        }
    }

    /// Returns whom a client is counted with, if it is to be relayed.
    fn admit(&self, end: &End) -> Option<Vec<Owner>> {
        if !self.shared.asks_who() {
            return Some(Vec::new());
        }
        let peer = end.peer();
        let known = |fact: fn(&Peer) -> &Fact<u32>| fact(peer.as_ref()?).known().copied();
        let (pid, uid, gid) = (known(|peer| &peer.pid), known(|peer| &peer.uid), known(|peer| &peer.gid));
        match self.shared.admit(&Candidate { pid, uid, gid, peer: peer.as_ref(), pidfd: None }) {
            Ok(owners) => Some(owners),
            Err(reason) => {
                self.shared.tell(Event::Rejected { pid, uid, reason });
                None
            }
        }
    }

    /// Connects a client to the server: at once if that takes no time, else on another thread.
    /// While all of these wait, no more are accepted.
    fn connect(&self, client: Client) {
        if let Some(error) = self.shared.refused_by_fault(client.number) {
            return self.shared.begin(client, Err(error));
        }
        let client = if self.shared.server.may_answer_at_once() && !self.shared.as_client {
            match self.shared.server.connect(&client.caller(), self.front.kind(), Duration::ZERO) {
                Err(error) if would_wait(&error) => client,
                server => return self.shared.begin(client, server),
            }
        } else {
            client
        };
        match self.slow.try_send(client) {
            Ok(()) => {}
            Err(TrySendError::Full(client) | TrySendError::Disconnected(client)) => {
                // The connectors end only with this thread.
                let _ = self.slow.send(client);
            }
        }
    }
}

/// Returns the ids with which a client is connected to the server.
fn identity(client: &Client) -> io::Result<Identity> {
    let peer =
        client.peer().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the client has no ids"))?;
    Identity::of(&peer)
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Connects clients to the server, one after the other.
fn connect_each(shared: &Arc<Shared>, waiting: &Mutex<Receiver<Client>>, kind: Kind) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(client) = next else { return };
        let connect = || shared.server.connect(&client.caller(), kind, CONNECT_LIMIT);
        let server = match shared.as_client {
            true => identity(&client).and_then(|identity| identity.run(connect)),
            false => connect(),
        };
        shared.begin(client, server);
    }
}
