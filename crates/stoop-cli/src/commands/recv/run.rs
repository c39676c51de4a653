//! Binds, polls all sockets, and prints what arrives.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::internal::{Place, Target};
use stoop::{Allow, Arrival, Connected, Kind, Listener, SocketExt};

use super::receive::{self, ClientConnection, ReceiveResult};
use crate::args::Recv;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::inherited::Inherited;
use crate::output::{Event, Output, Text, Word};
use crate::shell::quoted;
use crate::signals::Signals;
use crate::target::{self, BoundSocket};

/// The delay after a client could not be accepted or a message not received: the socket may remain
/// readable.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Receives until the count is reached, a signal arrives, or the timeout expires.
pub(crate) fn run(flags: &Recv) -> Outcome {
    flags.quiet.apply();
    // This comes first: a file descriptor opened by this process could be mistaken for an inherited
    // one.
    let inherited = Inherited::named(&flags.address, flags.bind.kind.kind)?;
    let signals = Signals::catch()?;
    let server = match inherited {
        Some(inherited) => inherited.into_server(&flags.bind)?,
        None => open(flags)?,
    };
    let mut session = Session::new(flags, &server)?;
    while !session.is_done() {
        if session.wait(&signals)? {
            break;
        }
        session.receive()?;
        session.accept()?;
    }
    Ok(Exit::Done)
}

/// Binds, so that each message carries its sender's credentials. If no file descriptors are wanted,
/// sending one fails, so the sender is informed.
fn open(flags: &Recv) -> Result<BoundSocket, Failure> {
    target::serve(&flags.address, Kind::Datagram, &flags.bind, |bind, _| {
        let bind = bind.pass_credentials(true);
        match (&flags.address.place, flags.descriptors) {
            (Place::Address(address), 0) => {
                bind.policy(target::policy(address, &flags.bind).refuse_descriptors())
            }
            _ => bind,
        }
    })
}

/// The server's socket, its clients, and how many messages are still wanted.
struct Session<'a> {
    server: &'a BoundSocket,
    address: &'a Target,
    clients: Vec<ClientConnection>,
    output: Output,
    allow: Allow,
    wanted: Option<u64>,
    timeout: Option<Duration>,
    last: Instant,
}

impl<'a> Session<'a> {
    fn new(flags: &'a Recv, server: &'a BoundSocket) -> Result<Session<'a>, Failure> {
        let session = Session {
            server,
            address: &flags.address,
            clients: Vec::new(),
            output: Output::new(flags.json, false),
            allow: Allow::descriptors(flags.descriptors),
            wanted: flags.count,
            timeout: flags.timeout,
            last: Instant::now(),
        };
        match server {
            // Nonblocking: the message that made the socket readable may have been refused, because
            // its sender is not allowed.
            BoundSocket::Datagram(socket) => {
                socket.set_nonblocking(true)?;
                socket.set_pass_credentials(true)?;
            }
            BoundSocket::Stream(listener) => listener.set_nonblocking(true)?,
            BoundSocket::SeqPacket(listener) => listener.set_nonblocking(true)?,
        }
        if !flags.json {
            let (address, kind) = (Text(flags.address.to_string()), Word(server.kind()));
            let event = Event::Listening { address, kind, answer: "recv", mode: None, inherited: false };
            session.output.emit(&event)?;
        }
        Ok(session)
    }

    fn is_done(&self) -> bool {
        self.wanted == Some(0)
    }

    /// Waits until a socket is readable. Returns true if a signal arrived.
    fn wait(&self, signals: &Signals) -> Result<bool, Failure> {
        let server: BorrowedFd = match self.server {
            BoundSocket::Datagram(socket) => socket.as_fd(),
            BoundSocket::Stream(listener) => listener.as_fd(),
            BoundSocket::SeqPacket(listener) => listener.as_fd(),
        };
        let clients = self.clients.iter().map(ClientConnection::as_fd);
        let mut entries: Vec<PollFd> = [signals.as_fd(), server]
            .into_iter()
            .chain(clients)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        loop {
            let left = self.timeout.map(|timeout| timeout.saturating_sub(self.last.elapsed()));
            // Lossless: a duration given on the command line fits.
            let limit = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut entries, limit.as_ref()) {
                Err(rustix::io::Errno::INTR) => {}
                // The poll lacks memory, which is not the senders' fault.
                Err(rustix::io::Errno::NOMEM | rustix::io::Errno::AGAIN) => {
                    std::thread::sleep(PAUSE_AFTER_FAILURE)
                }
                Err(errno) => return Err(Failure::io("wait for messages", &errno.into())),
                Ok(0) => return Err(self.nothing_came()),
                Ok(_) => return Ok(!entries[0].revents().is_empty()),
            }
        }
    }

    fn nothing_came(&self) -> Failure {
        let span = crate::time::show(self.timeout.unwrap_or_default());
        let report = Failure::new(Exit::Failed, format!("no message was received within {span}"))
            .why("no client has sent one to this address, or none that is allowed");
        match &self.address.place {
            Place::Address(_) => {
                let address = quoted(OsStr::new(&self.address.to_string()));
                report.next(format!("stoop send {address} hello    # sends one"))
            }
            _ => report,
        }
        .into()
    }

    /// Receives one message from each readable source.
    fn receive(&mut self) -> Result<(), Failure> {
        if let BoundSocket::Datagram(socket) = self.server {
            let got = receive::datagram(socket, self.allow);
            self.take(got)?;
        }
        let mut at = 0;
        while at < self.clients.len() && !self.is_done() {
            let got = self.clients[at].receive(self.allow);
            let stays = !matches!(got, ReceiveResult::End);
            self.take(got)?;
            if stays {
                at += 1;
            } else {
                self.clients.swap_remove(at);
            }
        }
        Ok(())
    }

    /// Prints what was received.
    fn take(&mut self, got: ReceiveResult) -> Result<(), Failure> {
        let (message, error) = match got {
            ReceiveResult::Nothing | ReceiveResult::End => return Ok(()),
            ReceiveResult::Message(message) => (Some(message), None),
            ReceiveResult::Partial(message, error) => (message, Some(error)),
        };
        let from = message.as_ref().and_then(|message| message.from.clone());
        if let Some(message) = message {
            self.output.emit(&Event::Message(message))?;
            self.wanted = self.wanted.map(|wanted| wanted - 1);
            self.last = Instant::now();
        }
        match error {
            Some(error) => {
                if error.is_transient() {
                    std::thread::sleep(PAUSE_AFTER_FAILURE);
                }
                self.output.emit(&Event::Error { from, error: error.to_string(), count: 1 })
            }
            None => Ok(()),
        }
    }

    /// Accepts all waiting clients.
    fn accept(&mut self) -> Result<(), Failure> {
        match self.server {
            BoundSocket::Datagram(_) => Ok(()),
            BoundSocket::Stream(listener) => self.accept_from(listener, ClientConnection::stream),
            BoundSocket::SeqPacket(listener) => self.accept_from(listener, ClientConnection::seqpacket),
        }
    }

    fn accept_from<C: Connected>(
        &mut self,
        listener: &Listener<C>,
        source: fn(C) -> stoop::Result<ClientConnection>,
    ) -> Result<(), Failure> {
        loop {
            match listener.accept_any() {
                Ok(Arrival::Accepted(client)) => self.clients.push(source(client)?),
                Ok(Arrival::Refused { pid, uid, reason }) => {
                    self.output.emit(&Event::refused(pid, uid, reason))?;
                }
                Err(error) if error.is_would_block() => return Ok(()),
                Err(error) if error.is_transient() => {
                    std::thread::sleep(PAUSE_AFTER_FAILURE);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
