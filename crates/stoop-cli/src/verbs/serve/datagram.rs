//! Datagrams: one socket for all senders, each message answered on its own.
//!
//! There is nobody to keep in a thread here, so answering must never wait for long: a sender that does not take its answers
//! loses them, and the others do not notice.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stoop::{Address, Datagram, Origin, Received, SocketFile};

use super::answer::Service;
use super::door::Step;
use super::{Shared, crew, door, exec};
use crate::failure::Failure;
use crate::output::{Event, Text, Who};
use crate::pump::{CLOSED_ON_ARRIVAL, send_growing};

/// How long an answer waits for room in the queue of its receiver.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same for one that has let an answer lapse within the time of [`MEMORY`].
const NO_PATIENCE: Duration = Duration::from_millis(1);

/// How long a slow receiver is remembered, and how many are.
const MEMORY: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 1024;

/// A message has been announced when it is looked for; it may have been refused by the policy.
const LOOK: Duration = Duration::from_millis(1);

/// A server's datagram socket.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Has the file, until that is taken away.
    bound: Option<Datagram>,
    socket: Arc<Datagram>,
    post: Arc<Post>,
    refused: u64,
}

impl Mailbox {
    pub(super) fn new(bound: Datagram) -> Result<Mailbox, Failure> {
        bound.set_read_timeout(Some(LOOK))?;
        let socket = Arc::new(bound.try_clone()?);
        Ok(Mailbox { bound: Some(bound), socket, post: Arc::default(), refused: 0 })
    }

    pub(super) fn socket(&self) -> &Datagram {
        &self.socket
    }

    pub(super) fn file(&self) -> Option<&SocketFile> {
        self.bound.as_ref().and_then(Datagram::file)
    }

    /// Takes the file away, where it is still ours.
    pub(super) fn release(&mut self) -> stoop::Result<()> {
        self.bound.take().map_or(Ok(()), Datagram::close)
    }

    /// Takes one message, if there is one, and sees to its answer.
    pub(super) fn step(&mut self, shared: &Arc<Shared>) -> Result<Step, Failure> {
        let received = self.socket.recv_vec_with(CLOSED_ON_ARRIVAL);
        self.note_refused(shared);
        let (message, received) = match received {
            Ok(received) => received,
            Err(error) if error.is_would_block() => return Ok(Step::Nobody),
            Err(error) if error.is_transient() => return Ok(door::exhausted(shared, error.to_string())),
            Err(error) if error.errno().is_some() => return Err(error.into()),
            Err(error) => {
                // Whatever was wrong with this message, the next one may be right.
                shared.trouble.report(None, error.to_string());
                return Ok(Step::Passed);
            }
        };
        if shared.output.is_json() {
            let from = (!received.from.is_unnamed()).then(|| Text::from(&received.from));
            let sender = Who::from(received.credentials);
            shared.output.tell(&Event::Received { from, sender, size: message.len() })?;
        }
        self.answer(shared, message, received);
        Ok(Step::Served)
    }

    fn note_refused(&mut self, shared: &Shared) {
        let refused = self.socket.refused();
        if refused > self.refused {
            self.refused = refused;
            shared.trouble.report(None, "a message was refused: its sender is not admitted");
        }
    }

    fn answer(&self, shared: &Arc<Shared>, message: Vec<u8>, received: Received) {
        let from = received.origin();
        match &shared.service {
            Service::Discard => {}
            Service::Echo => self.post.send(shared, &self.socket, &message, &from),
            Service::Send(content) => {
                let mut answer = Vec::new();
                match content.reader().read_to_end(&mut answer) {
                    Ok(_) => self.post.send(shared, &self.socket, &answer, &from),
                    Err(error) => {
                        shared.trouble.report(None, Failure::io("read the file to send", &error).summary())
                    }
                }
            }
            Service::Exec(command) => {
                let (socket, post) = (Arc::clone(&self.socket), Arc::clone(&self.post));
                let (command, sender) = (command.clone(), Who::from(received.credentials));
                crew::start(shared, move |shared| {
                    match exec::ask(shared, &command, &message, &sender) {
                        // A program that prints nothing has nothing to answer.
                        Ok(answer) if answer.is_empty() => {}
                        Ok(answer) => post.send(shared, &socket, &answer, &from),
                        Err(failure) => shared.trouble.report(Some(&from.address), failure.summary()),
                    }
                });
            }
        }
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The way back to the senders, one answer at a time.
#[derive(Debug, Default)]
struct Post(Mutex<Receivers>);

#[derive(Debug, Default)]
struct Receivers {
    /// Those who did not take an answer in time, and when that was.
    slow: HashMap<Address, Instant>,
    patience: Duration,
}

impl Post {
    /// Sends an answer, or reports why it could not be sent.
    fn send(&self, shared: &Shared, socket: &Datagram, answer: &[u8], to: &Origin) {
        let mut receivers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = receivers.send(socket, answer, to) {
            let error = match error.is_would_block() {
                true => format!("'{}' does not take its answers: its queue is full", to.address),
                false => error.to_string(),
            };
            shared.trouble.report(Some(&to.address), error);
        }
    }
}

impl Receivers {
    fn send(&mut self, socket: &Datagram, answer: &[u8], to: &Origin) -> stoop::Result<()> {
        let slow = self.slow.get(&to.address).is_some_and(|since| since.elapsed() < MEMORY);
        let patience = if slow { NO_PATIENCE } else { PATIENCE };
        if self.patience != patience {
            socket.set_write_timeout(Some(patience))?;
            self.patience = patience;
        }
        let sent = send_growing(socket, answer.len(), || socket.reply(answer, to));
        match &sent {
            Err(error) if error.is_would_block() => {
                if self.slow.len() >= REMEMBERED {
                    self.slow.clear();
                }
                self.slow.entry(to.address.clone()).or_insert_with(Instant::now);
            }
            Ok(()) if slow => drop(self.slow.remove(&to.address)),
            _ => {}
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::{Bind, Credentials};
    use stoop_testkit::{deadline, tempdir};

    #[test]
    fn a_receiver_that_does_not_read_loses_its_answers_and_delays_nobody() {
        deadline(Duration::from_secs(30), || {
            let directory = tempdir();
            let at = |name: &str| Address::path(directory.path().join(name)).unwrap();
            let server = Datagram::unbound().unwrap();
            let deaf = Bind::new(at("deaf")).datagram().unwrap();
            let well = Bind::new(at("well")).datagram().unwrap();
            let from = |name: &str| Origin::new(at(name), Some(Credentials::own()));
            let mut receivers = Receivers::default();

            while receivers.send(&server, b"answer", &from("deaf")).is_ok() {}
            assert!(receivers.slow.contains_key(&at("deaf")));
            // With patience, this alone would take longer than the deadline.
            for _ in 0..40 {
                assert!(receivers.send(&server, b"answer", &from("deaf")).unwrap_err().is_would_block());
            }
            receivers.send(&server, b"answer", &from("well")).unwrap();
            assert_eq!(well.recv_vec().unwrap().0, b"answer");

            deaf.recv_vec().unwrap();
            receivers.send(&server, b"answer", &from("deaf")).unwrap();
            assert!(receivers.slow.is_empty());
        });
    }
}
