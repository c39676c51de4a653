//! The sockets that clients connect to: bound here, or passed by a service manager or a parent
//! process.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop::internal::{Connection, Place};
use stoop::{Arrival, Bind, Connected, Kind, Listener, SocketExt};

use super::client;
use super::clients::Clients;
use super::datagram::DatagramServer;
use super::exec::FdReserve;
use super::service::Service;
use super::shared::{Shared, Step};
use crate::args::Serve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::inherited::Inherited;
use crate::output::{Event, Text, Word};
use crate::target::{self, BoundSocket};

/// A listening or datagram socket of a server.
#[derive(Debug)]
pub(super) struct ServerSocket {
    server: Inner,
    inherited: bool,
}

#[derive(Debug)]
enum Inner {
    Connections(BoundSocket),
    Datagrams(DatagramServer),
}

/// Opens every socket that this server is to serve.
pub(super) fn open(
    flags: &Serve,
    service: &Service,
    inherited: Vec<Inherited>,
) -> Result<Vec<ServerSocket>, Failure> {
    if !inherited.is_empty() {
        let servers = inherited.into_iter().map(|inherited| inherited.into_server(&flags.bind));
        return servers.map(|server| ServerSocket::already_bound(server?)).collect();
    }
    let Some(address) = &flags.address else {
        let report = Failure::new(Exit::Usage, "no address to serve")
            .why("no address was given, and no socket was inherited")
            .next("stoop serve ./app.sock");
        return Err(report.into());
    };
    let adjust = |bind, kind| adjust(bind, flags, kind, service);
    Ok(vec![ServerSocket::new(target::serve(address, Kind::Stream, &flags.bind, adjust)?)?])
}

/// Adds what this command needs of a socket to what the flags say.
fn adjust(bind: Bind, flags: &Serve, kind: Kind, service: &Service) -> Bind {
    let Some(Place::Address(address)) = flags.address.as_ref().map(|target| &target.place) else {
        return bind;
    };
    let policy = target::policy(address, &flags.bind);
    // Only another program could use file descriptors. If none runs, the kernel refuses them, so
    // the sender is informed.
    let bind = bind.policy(if service.runs_programs() { policy } else { policy.refuse_descriptors() });
    bind.pass_credentials(wants_senders(kind))
}

/// Returns whether each message must carry its sender's credentials. A datagram is answered only if
/// its sender is known, and only with credentials can an empty seqpacket message be distinguished
/// from the end ([K-DGRAM-13]).
///
/// [K-DGRAM-13]: stoop::kernel_facts#K-DGRAM-13
fn wants_senders(kind: Kind) -> bool {
    kind != Kind::Stream
}

impl ServerSocket {
    fn new(server: BoundSocket) -> Result<ServerSocket, Failure> {
        let server = match server {
            BoundSocket::Datagram(socket) => Inner::Datagrams(DatagramServer::new(socket)?),
            connections => {
                // One poll waits for all listeners together. Between that and the accept a client
                // may have disconnected.
                connections.socket().set_nonblocking(true)?;
                Inner::Connections(connections)
            }
        };
        Ok(ServerSocket { server, inherited: false })
    }

    /// Converts a socket bound by another process, and applies what [`adjust`] does when binding.
    fn already_bound(server: BoundSocket) -> Result<ServerSocket, Failure> {
        if wants_senders(server.kind()) {
            server.socket().set_pass_credentials(true)?;
        }
        Ok(ServerSocket { inherited: true, ..ServerSocket::new(server)? })
    }

    pub(super) fn is_for_datagrams(&self) -> bool {
        matches!(self.server, Inner::Datagrams(_))
    }

    fn server(&self) -> (&stoop::internal::Socket, Option<&stoop::SocketFile>) {
        match &self.server {
            Inner::Connections(server) => (server.socket(), server.file()),
            Inner::Datagrams(datagrams) => (datagrams.socket().as_ref(), datagrams.file()),
        }
    }

    /// Returns the event that reports the open socket.
    pub(super) fn announcement(&self, service: &Service) -> Event {
        let (socket, file) = self.server();
        let mode = file.and_then(|file| std::fs::symlink_metadata(file.path()).ok());
        // The kernel reports the name given to bind, which a takeover has changed since.
        let address = match file.map(|file| stoop::Address::path(file.path())) {
            Some(Ok(address)) => Text::from(&address),
            _ => {
                socket.local_addr().map_or(Text("an inherited socket".into()), |address| Text::from(&address))
            }
        };
        Event::Listening {
            address,
            kind: Word(socket.kind()),
            answer: service.word(),
            mode: mode.map(|file| format!("{:o}", file.permissions().mode() & 0o7777)),
            inherited: self.inherited,
        }
    }

    /// Removes the socket file, if it is still this server's. Clients that have connected already
    /// are still accepted.
    pub(super) fn release(&mut self) -> stoop::Result<()> {
        match &mut self.server {
            Inner::Connections(BoundSocket::Stream(listener)) => listener.release(),
            Inner::Connections(BoundSocket::SeqPacket(listener)) => listener.release(),
            Inner::Connections(BoundSocket::Datagram(_)) => Ok(()),
            Inner::Datagrams(datagrams) => datagrams.release(),
        }
    }

    /// Accepts one client, or receives one message, if there is one.
    ///
    /// # Errors
    /// Returns an error only if the socket itself can no longer be used.
    pub(super) fn step(&mut self, shared: &Arc<Shared>, clients: &Clients) -> Result<Step, Failure> {
        match &mut self.server {
            Inner::Connections(BoundSocket::Stream(listener)) => {
                accept(listener, Connection::Stream, shared, clients)
            }
            Inner::Connections(BoundSocket::SeqPacket(listener)) => {
                accept(listener, Connection::SeqPacket, shared, clients)
            }
            Inner::Connections(BoundSocket::Datagram(_)) => Ok(Step::WouldBlock),
            Inner::Datagrams(datagrams) => datagrams.step(shared),
        }
    }
}

impl AsFd for ServerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server().0.as_fd()
    }
}

fn accept<C: Connected>(
    listener: &Listener<C>,
    connection: fn(C) -> Connection,
    shared: &Arc<Shared>,
    clients: &Clients,
) -> Result<Step, Failure> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let reserve = match shared.service.runs_programs().then(|| FdReserve::take(&shared.workers)).transpose() {
        Ok(reserve) => reserve,
        Err(error) => {
            return Ok(
                shared.exhausted(Failure::io("reserve file descriptors for a command", &error).summary())
            );
        }
    };
    let client = match listener.accept_any() {
        Ok(Arrival::Accepted(client)) => connection(client),
        Ok(Arrival::Refused { pid, uid, reason }) => {
            shared.output.note(&Event::refused(pid, uid, reason));
            return Ok(Step::Refused);
        }
        Err(error) if error.is_would_block() => return Ok(Step::WouldBlock),
        Err(error) if error.is_transient() => return Ok(shared.exhausted(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    client::begin(shared, clients, client, number, reserve);
    Ok(Step::Served)
}
