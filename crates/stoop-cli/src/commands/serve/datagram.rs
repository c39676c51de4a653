//! Serves datagrams: one socket for all senders, each message answered on its own.
//!
//! No sender has a thread of its own here, so sending an answer must never block for long. A sender
//! that does not read its answers loses them, without an effect on the others.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stoop::{Address, Datagram, Origin, Received, SendQuota, SocketFile};

use super::exec;
use super::service::Service;
use super::shared::{Shared, Step};
use crate::failure::Failure;
use crate::output::{Event, PeerInfo, Text};
use crate::pump::{DISCARD_DESCRIPTORS, send_growing};

/// How long to wait for space in a receiver's queue, and how often to try.
const WAIT_MAX: Duration = Duration::from_millis(200);
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// At most one part in this many of the server's time is spent in such waits, for all receivers
/// together.
const WAIT_SHARE: u32 = 10;

/// How long the server does not wait for a receiver that has missed an answer, and how many such
/// receivers are remembered.
const SLOW_FOR: Duration = Duration::from_secs(10);
const SLOW_MAX: usize = 1024;

/// A server's datagram socket.
#[derive(Debug)]
pub(super) struct DatagramServer {
    /// The owner of the socket file, until it is removed.
    bound: Option<Datagram>,
    socket: Arc<Datagram>,
    replies: Arc<Replies>,
    refused: u64,
}

impl DatagramServer {
    pub(super) fn new(bound: Datagram) -> Result<DatagramServer, Failure> {
        // One poll waits for all listeners together. A message that made the socket readable may
        // have been refused since, and answers must not block in the kernel.
        bound.set_nonblocking(true)?;
        let socket = Arc::new(bound.try_clone()?);
        Ok(DatagramServer { bound: Some(bound), socket, replies: Arc::default(), refused: 0 })
    }

    pub(super) fn socket(&self) -> &Datagram {
        &self.socket
    }

    pub(super) fn file(&self) -> Option<&SocketFile> {
        self.bound.as_ref().and_then(Datagram::file)
    }

    /// Removes the socket file, if it is still this server's.
    pub(super) fn release(&mut self) -> stoop::Result<()> {
        self.bound.take().map_or(Ok(()), Datagram::close)
    }

    /// Receives one message, if there is one, and answers it.
    pub(super) fn step(&mut self, shared: &Arc<Shared>) -> Result<Step, Failure> {
        let received = self.socket.recv_vec_with(DISCARD_DESCRIPTORS);
        self.note_refused(shared);
        let (message, received) = match received {
            Ok(received) => received,
            Err(error) if error.is_refusal_limit() => return Ok(Step::Refused),
            Err(error) if error.is_would_block() => return Ok(Step::WouldBlock),
            Err(error) if error.is_transient() => return Ok(shared.exhausted(error.to_string())),
            Err(error) if error.errno().is_some() => return Err(error.into()),
            Err(error) => {
                // Whatever was wrong with this message, the next one may be valid.
                shared.errors.report(None, error.to_string());
                return Ok(Step::Refused);
            }
        };
        if shared.output.is_json() {
            let from = (!received.from.is_unnamed()).then(|| Text::from(&received.from));
            let sender = PeerInfo::from(received.credentials);
            shared.output.note(&Event::Received { from, sender, size: message.len() });
        }
        self.answer(shared, message, received);
        Ok(Step::Served)
    }

    fn note_refused(&mut self, shared: &Shared) {
        let refused = self.socket.refused();
        if refused > self.refused {
            self.refused = refused;
            shared.errors.report(None, "a message was refused: its sender is not allowed");
        }
    }

    fn answer(&self, shared: &Arc<Shared>, message: Vec<u8>, received: Received) {
        let from = received.origin();
        match &shared.service {
            Service::Discard => {}
            Service::Echo => self.replies.send(shared, &self.socket, &message, &from),
            Service::Send(content) => {
                let mut answer = Vec::new();
                match content.reader().read_to_end(&mut answer) {
                    Ok(_) => self.replies.send(shared, &self.socket, &answer, &from),
                    Err(error) => {
                        shared.errors.report(None, Failure::io("read the file to send", &error).summary())
                    }
                }
            }
            Service::Exec(command) => {
                let (socket, replies) = (Arc::clone(&self.socket), Arc::clone(&self.replies));
                let (command, sender) = (command.clone(), PeerInfo::from(received.credentials));
                shared.start(move |shared| {
                    match exec::ask(shared, &command, &message, &sender) {
                        // A program without output sends no answer.
                        Ok(answer) if answer.is_empty() => {}
                        Ok(answer) => replies.send(shared, &socket, &answer, &from),
                        Err(failure) => shared.errors.report(Some(&from.address), failure.summary()),
                    }
                });
            }
        }
    }
}

impl AsFd for DatagramServer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends answers, one at a time.
#[derive(Debug, Default)]
struct Replies(Mutex<Receivers>);

#[derive(Debug, Default)]
struct Receivers {
    /// Receivers that did not read an answer in time, and when.
    slow: HashMap<Address, Instant>,
    budget: WaitBudget,
    quota: SendQuota,
}

/// The remaining time budget for waiting.
#[derive(Debug)]
struct WaitBudget {
    left: Duration,
    since: Instant,
}

impl Default for WaitBudget {
    fn default() -> WaitBudget {
        WaitBudget { left: WAIT_MAX, since: Instant::now() }
    }
}

impl WaitBudget {
    /// Returns the budget at this time.
    fn left(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.since) / WAIT_SHARE;
        self.left = self.left.saturating_add(earned).min(WAIT_MAX);
        self.since = now;
        self.left
    }

    fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
        self.since += time;
    }
}

impl Replies {
    /// Sends an answer, or reports why it could not be sent.
    fn send(&self, shared: &Shared, socket: &Datagram, answer: &[u8], to: &Origin) {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = receivers.send(socket, answer, to) {
            let error = match error.is_would_block() {
                true => format!("'{}' is not reading its replies", to.address),
                false => error.to_string(),
            };
            shared.errors.report(Some(&to.address), error);
        }
    }
}

impl Receivers {
    fn send(&mut self, socket: &Datagram, answer: &[u8], to: &Origin) -> stoop::Result<()> {
        let slow = self.slow.get(&to.address).is_some_and(|since| since.elapsed() < SLOW_FOR);
        let sent = self.send_within(socket, answer, to, slow);
        match &sent {
            Err(error) if error.is_would_block() => {
                if self.slow.len() >= SLOW_MAX {
                    self.slow.clear();
                }
                self.slow.entry(to.address.clone()).or_insert_with(Instant::now);
            }
            Ok(()) if slow => drop(self.slow.remove(&to.address)),
            _ => {}
        }
        sent
    }

    /// Tries until the answer is sent or the budget is exhausted. For a receiver known to be slow,
    /// tries once.
    fn send_within(
        &mut self,
        socket: &Datagram,
        answer: &[u8],
        to: &Origin,
        slow: bool,
    ) -> stoop::Result<()> {
        let Err(error) = self.try_send(socket, answer, to) else { return Ok(()) };
        if !error.is_would_block() || slow {
            return Err(error);
        }
        let began = Instant::now();
        let budget = self.budget.left(began);
        let mut sent = Err(error);
        while began.elapsed() < budget && sent.as_ref().is_err_and(stoop::Error::is_would_block) {
            std::thread::sleep(RETRY_INTERVAL);
            sent = self.try_send(socket, answer, to);
        }
        self.budget.spend(began.elapsed());
        sent
    }

    fn try_send(&self, socket: &Datagram, answer: &[u8], to: &Origin) -> stoop::Result<()> {
        let (address, uid) = (&to.address, to.credentials.map(|sender| sender.uid));
        if !address.is_unnamed() {
            self.quota.check(socket, address, uid, answer.len())?;
        }
        send_growing(socket.as_ref(), answer.len(), || socket.reply(answer, to))?;
        self.quota.record(address, uid, answer.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::{Bind, Credentials};
    use stoop_testkit::{deadline, tempdir};

    fn from(address: Address) -> Origin {
        Origin::new(address, Some(Credentials::own()))
    }

    fn server() -> Datagram {
        let server = Datagram::autobind().unwrap();
        server.set_nonblocking(true).unwrap();
        server
    }

    #[test]
    fn a_receiver_that_does_not_read_loses_answers_without_delaying_others() {
        deadline(Duration::from_secs(30), || {
            let directory = tempdir();
            let at = |name: &str| {
                let address = Address::path(directory.path().join(name)).unwrap();
                (Bind::new(&address).datagram().unwrap(), from(address))
            };
            let server = server();
            let ((deaf, to_deaf), (well, to_well)) = (at("deaf"), at("well"));
            let mut receivers = Receivers::default();

            while receivers.send(&server, b"answer", &to_deaf).is_ok() {}
            assert!(receivers.slow.contains_key(&to_deaf.address));
            // If each send waited, this alone would exceed the deadline.
            for _ in 0..400 {
                assert!(receivers.send(&server, b"answer", &to_deaf).unwrap_err().is_would_block());
            }
            receivers.send(&server, b"answer", &to_well).unwrap();
            assert_eq!(well.recv_vec().unwrap().0, b"answer");

            deaf.recv_vec().unwrap();
            receivers.send(&server, b"answer", &to_deaf).unwrap();
            assert!(receivers.slow.is_empty());
        });
    }

    #[test]
    fn connected_receivers_leave_send_buffer_space_for_others() {
        deadline(Duration::from_secs(30), || {
            let server = server();
            let mut receivers = Receivers::default();
            let client = || {
                let client = Datagram::client(server.local_addr().unwrap()).unwrap();
                let address = client.local_addr().unwrap();
                (client, from(address))
            };
            let deaf: Vec<_> = (0..10).map(|_| client()).collect();
            for (_, receiver) in &deaf {
                for _ in 0..100 {
                    let _ = receivers.send(&server, b"answer", receiver);
                }
            }
            let (well, receiver) = client();
            for _ in 0..100 {
                // The send may have to be repeated until the receiver is known to have read.
                while receivers.send(&server, b"answer", &receiver).is_err() {
                    std::thread::sleep(RETRY_INTERVAL);
                }
                assert_eq!(well.recv_vec().unwrap().0, b"answer");
            }
        });
    }

    #[test]
    fn waiting_for_receivers_is_limited_to_a_tenth_of_the_time() {
        let mut budget = WaitBudget::default();
        let mut now = budget.since;
        let began = now;
        let mut waited = Duration::ZERO;
        for _ in 0..1000 {
            let left = budget.left(now);
            budget.spend(left);
            now += left + Duration::from_millis(5);
            waited += left;
        }
        assert!(waited <= WAIT_MAX + (now - began) / WAIT_SHARE, "{waited:?} of {:?}", now - began);
    }
}
