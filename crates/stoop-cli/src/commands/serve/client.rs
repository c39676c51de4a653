//! How a client begins; and one that is served by a program.

use std::net::Shutdown;
use std::sync::Arc;

use stoop::Peer;
use stoop::internal::Connection;

use super::clients::Clients;
use super::conversation::LINGER;
use super::exec::{self, FdReserve};
use super::service::Service;
use super::shared::Shared;
use crate::output::{Event, PeerInfo};
use crate::pump::{Discard, Progress, Receiver, pump, shut, socket};

/// Starts to serve a client: with others in an event loop, or, with a program, in a thread of its
/// own.
pub(super) fn begin(
    shared: &Arc<Shared>,
    clients: &Clients,
    client: Connection,
    number: u64,
    reserve: Option<FdReserve>,
) {
    let is_asked = shared.output.is_json() || shared.service.runs_programs();
    let peer = is_asked.then(|| socket(&client).peer());
    if let Some(peer) = peer.as_ref().filter(|_| shared.output.is_json()) {
        shared.output.note(&Event::Accepted {
            connection: number,
            peer: PeerInfo::from(peer),
            names: Vec::new(),
        });
    }
    let (Some(client), Some(peer)) = (clients.serve(shared, number, client), peer) else { return };
    shared.start(move |shared| run_program(shared, client, &peer, number, reserve));
}

/// Runs the program for a client, and reports its end. What the program received and sent is
/// unknown.
fn run_program(shared: &Shared, client: Connection, peer: &Peer, number: u64, reserve: Option<FdReserve>) {
    let Service::Exec(command) = &shared.service else { return };
    let result = exec::serve(shared, command, &client, peer, reserve);
    // The connection was kept open until here: closing it with unread data would cause a reset at
    // the client.
    linger(&client);
    drop(client);
    shared.output.note(&Event::Closed {
        connection: number,
        received_bytes: None,
        sent_bytes: None,
        exit_status: result.as_ref().ok().copied(),
        error: result.err().map(|failure| failure.summary()),
    });
}

/// Shuts down the sending side, and discards what the client sends for a while.
fn linger(client: &Connection) {
    shut(client, Shutdown::Write);
    if socket(client).set_read_timeout(Some(LINGER)).is_ok() {
        let _ = pump(&mut Receiver::new(client), &mut Discard, &Progress::default());
    }
}
