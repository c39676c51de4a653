//! The clients of a datagram socket: known by their addresses, each with a socket to the server,
//! from its first message until it has been silent, or known, for too long.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use stoop::{Address, Origin};

use super::state::{Client, Datagrams, FRONT, IDLE_CHECK};
use crate::admission::{Candidate, Owner};
use crate::event::{Ended, Event, Rejection};
use crate::record::{Process, ids};
use crate::upstream::Upstream;
use crate::waiting::Waiting;

/// How long a client that sends nothing keeps its socket, unless the relay says otherwise.
const IDLE: Duration = Duration::from_secs(300);

/// How many clients may have a socket, unless the relay says otherwise.
const CLIENTS: usize = 4096;

impl Datagrams {
    /// Returns the number of the client at an address. Those without one share a number: they get
    /// no answers. `None` if it may have none.
    ///
    /// The program decides about each message anew: any process may send from an address that it
    /// has a file descriptor for, and those without an address are not one client.
    pub(super) fn client(
        &mut self,
        address: Address,
        origin: Origin,
        pidfd: Option<BorrowedFd<'_>>,
    ) -> io::Result<Option<u64>> {
        let who = origin.credentials;
        let (pid, uid) = (who.map(|it| it.pid), who.and_then(|it| it.known_uid()));
        let gid = who.and_then(|it| it.known_gid());
        let candidate = Candidate { pid, uid, gid, peer: None, pidfd };
        if let Some(&number) = self.numbers.get(&address)
            && let Some(client) = self.clients.get_mut(&number)
        {
            if let Err(reason) = self.shared.judge(&candidate) {
                self.rejected(&candidate, reason);
                return Ok(None);
            }
            // The latest message decides which socket may be answered.
            client.origin = origin;
            return Ok(Some(number));
        }
        if self.clients.len() >= self.shared.max_connections.min(CLIENTS) {
            return Err(io::Error::other("as many clients as there may be have a socket already"));
        }
        let owners = match self.shared.asks_who() {
            true => self.admit(&candidate),
            false => Some(Vec::new()),
        };
        let Some(owners) = owners else { return Ok(None) };
        let number = self.shared.next_number.fetch_add(1, Ordering::Relaxed);
        let to_server = self.open(number).inspect_err(|_| self.shared.dismiss(&owners))?;
        self.shared.counters.connection();
        self.shared.enter();
        self.shared.tell(Event::Accepted { number, pid, uid, names: Vec::new() });
        self.numbers.insert(address, number);
        if let Some(recorder) = &self.shared.recorder {
            recorder.opened(number, ids(pid, uid, gid), Process::default());
        }
        let hooks = self.shared.hooks(number, false).unwrap_or_default();
        let waiting = hooks.map(|hooks| Waiting::new(hooks, self.shared.bytes_per_second));
        let now = Instant::now();
        let client = Client {
            origin,
            to_server,
            held: None,
            started: now,
            last_moved: now,
            moved: [0; 2],
            owners,
            waiting,
        };
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
                self.rejected(candidate, reason);
                None
            }
        }
    }

    fn rejected(&self, candidate: &Candidate<'_>, reason: Rejection) {
        self.shared.counters.lost_message();
        self.shared.tell(Event::Rejected { pid: candidate.pid, uid: candidate.uid, reason });
    }

    /// Returns how often clients are looked at that may be idle, or open for too long.
    pub(super) fn check_interval(&self) -> Duration {
        match self.shared.shortest_limit() {
            Some(limit) if !self.clients.is_empty() => IDLE_CHECK.min(limit),
            _ => IDLE_CHECK,
        }
    }

    /// Closes the sockets of clients that have sent nothing for too long, or are known for as long
    /// as they may. If such a client sends again, it gets another.
    pub(super) fn forget_old(&mut self) {
        if self.last_idle_check.elapsed() < self.check_interval() {
            return;
        }
        self.last_idle_check = Instant::now();
        let idle = self.shared.idle_timeout.unwrap_or(IDLE);
        let why = |client: &Client| match self.shared.max_time {
            _ if client.last_moved.elapsed() >= idle && !client.has_waiting() => Some(Ended::Idle),
            Some(limit) if client.started.elapsed() >= limit => Some(Ended::OutOfTime),
            _ => None,
        };
        let old = self.clients.iter().filter_map(|(number, client)| Some((*number, why(client)?)));
        for (number, ended) in old.collect::<Vec<_>>() {
            match ended {
                Ended::Idle => self.shared.counters.idle(),
                _ => self.shared.counters.out_of_time(),
            }
            self.forget(number, ended);
        }
    }

    pub(super) fn forget(&mut self, number: u64, ended: Ended) {
        let Some(client) = self.clients.remove(&number) else { return };
        self.numbers.remove(&client.origin.address);
        if self.held.as_ref().is_some_and(|(held, _)| *held == number) {
            self.held = None;
            self.shared.counters.lost_message();
            let _ = epoll::modify(&self.epoll, &self.front, EventData::new_u64(FRONT), EventFlags::IN);
        }
        let waiting = client.waiting.iter().map(Waiting::len).sum::<usize>();
        for _ in 0..waiting + usize::from(client.held.is_some()) {
            self.shared.counters.lost_message();
        }
        self.shared.dismiss(&client.owners);
        self.shared.closed(number, client.moved, ended);
    }
}
