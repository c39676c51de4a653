//! The sockets that clients come to: made here, or passed in by a service manager or a parent.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use stoop::{Arrival, Bind, Connected, Connection, Kind, Listener, Place};

use super::Shared;
use super::answer::{self, Service};
use super::datagram::Mailbox;
use super::exec::Reserve;
use crate::args::Serve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Event, Text, Word};
use crate::passed::Passed;
use crate::target::{self, Server};

/// How long to leave clients in the queue if the next one cannot be accepted: no descriptor is
/// free, or a security module refuses it.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(50);

/// One socket of a server.
#[derive(Debug)]
pub(super) struct Door {
    server: Served,
    passed: bool,
}

#[derive(Debug)]
enum Served {
    Connections(Server),
    Datagrams(Mailbox),
}

/// What a look at a door came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody was let in.
    Served,
    /// Somebody was turned away.
    Passed,
    /// Nobody can be let in at the moment.
    Exhausted,
    /// Nobody is there.
    Nobody,
}

/// Every socket that this server is to serve.
pub(super) fn open(flags: &Serve, service: &Service, passed: Vec<Passed>) -> Result<Vec<Door>, Failure> {
    if !passed.is_empty() {
        let servers = passed.into_iter().map(|passed| passed.into_server(&flags.serving));
        return servers.map(|server| Door::already_bound(server?)).collect();
    }
    let Some(address) = &flags.address else {
        let report = Failure::new(Exit::Usage, "there is nothing to serve")
            .why("no address was given, and no socket was passed to this process")
            .next("stoop serve ./app.sock");
        return Err(report.into());
    };
    let adjust = |bind, kind| adjust(bind, flags, kind, service);
    Ok(vec![Door::new(target::serve(address, Kind::Stream, &flags.serving, adjust)?)?])
}

/// What this verb wants of a socket beyond the flags.
fn adjust(bind: Bind, flags: &Serve, kind: Kind, service: &Service) -> Bind {
    let Some(Place::Address(address)) = flags.address.as_ref().map(|target| &target.place) else {
        return bind;
    };
    let policy = target::policy(address, &flags.serving);
    // Only another program could do anything with descriptors; where none runs, the sender is told so
    // by the kernel.
    let bind = bind.policy(if service.runs_programs() { policy } else { policy.refuse_descriptors() });
    bind.pass_credentials(wants_senders(kind))
}

/// Whether each message is to come with who sent it. A datagram is answered only if that is known,
/// and an empty seqpacket message can only so be told from the end (K-DGRAM-13).
fn wants_senders(kind: Kind) -> bool {
    kind != Kind::Stream
}

impl Door {
    fn new(server: Server) -> Result<Door, Failure> {
        let server = match server {
            Server::Datagram(socket) => Served::Datagrams(Mailbox::new(socket)?),
            connections => {
                // Waiting is done for all doors together; between that and the accept a client may have gone.
                connections.socket().set_nonblocking(true)?;
                Served::Connections(connections)
            }
        };
        Ok(Door { server, passed: false })
    }

    /// A socket that somebody else has bound: what [`adjust`] sees to otherwise is done now.
    fn already_bound(server: Server) -> Result<Door, Failure> {
        if wants_senders(server.kind()) {
            server.socket().set_pass_credentials(true)?;
        }
        Ok(Door { passed: true, ..Door::new(server)? })
    }

    pub(super) fn is_for_datagrams(&self) -> bool {
        matches!(self.server, Served::Datagrams(_))
    }

    fn server(&self) -> (&stoop::Socket, Option<&stoop::SocketFile>) {
        match &self.server {
            Served::Connections(server) => (server.socket(), server.file()),
            Served::Datagrams(mailbox) => (mailbox.socket(), mailbox.file()),
        }
    }

    /// What to say when it opens.
    pub(super) fn announcement(&self, service: &Service) -> Event {
        let (socket, file) = self.server();
        let mode = file.and_then(|file| std::fs::symlink_metadata(file.path()).ok());
        // The kernel's word for the address is the name at bind, which a takeover has changed since.
        let address = match file.map(|file| stoop::Address::path(file.path())) {
            Some(Ok(address)) => Text::from(&address),
            _ => {
                socket.local_address().map_or(Text("a passed socket".into()), |address| Text::from(&address))
            }
        };
        Event::Listening {
            address,
            kind: Word(socket.kind()),
            answer: service.word(),
            mode: mode.map(|file| format!("{:o}", file.permissions().mode() & 0o7777)),
            passed: self.passed,
        }
    }

    /// Takes its file away, where that is still ours. Those who have found the socket are still let
    /// in.
    pub(super) fn release(&mut self) -> stoop::Result<()> {
        match &mut self.server {
            Served::Connections(Server::Stream(listener)) => listener.release(),
            Served::Connections(Server::SeqPacket(listener)) => listener.release(),
            Served::Connections(Server::Datagram(_)) => Ok(()),
            Served::Datagrams(mailbox) => mailbox.release(),
        }
    }

    /// Lets in one client, or takes one message, if there is one.
    ///
    /// # Errors
    /// Only where the socket itself can no longer be used.
    pub(super) fn step(&mut self, shared: &Arc<Shared>) -> Result<Step, Failure> {
        match &mut self.server {
            Served::Connections(Server::Stream(listener)) => accept(listener, Connection::Stream, shared),
            Served::Connections(Server::SeqPacket(listener)) => {
                accept(listener, Connection::SeqPacket, shared)
            }
            Served::Connections(Server::Datagram(_)) => Ok(Step::Nobody),
            Served::Datagrams(mailbox) => mailbox.step(shared),
        }
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server().0.as_fd()
    }
}

fn accept<C: Connected>(
    listener: &Listener<C>,
    connection: fn(C) -> Connection,
    shared: &Arc<Shared>,
) -> Result<Step, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let reserve = match shared.service.runs_programs().then(|| Reserve::take(&shared.crew)).transpose() {
        Ok(reserve) => reserve,
        Err(error) => {
            return Ok(exhausted(shared, Failure::io("make room for a client's program", &error).summary()));
        }
    };
    let client = match listener.accept_any() {
        Ok(Arrival::Admitted(client)) => connection(client),
        Ok(Arrival::Refused { pid, uid, reason }) => {
            shared.output.note(&Event::refused(pid, uid, reason));
            return Ok(Step::Passed);
        }
        Err(error) if error.is_would_block() => return Ok(Step::Nobody),
        Err(error) if error.is_transient() => return Ok(exhausted(shared, error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    answer::begin(shared, client, number, reserve);
    Ok(Step::Served)
}

/// Leaves the clients in the queue for a moment.
pub(super) fn exhausted(shared: &Shared, error: String) -> Step {
    shared.trouble.report(None, error);
    thread::sleep(PAUSE_WHEN_EXHAUSTED);
    Step::Exhausted
}
