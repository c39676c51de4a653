//! Serves one client, in a thread of its own, and reports how that ended.

use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use stoop::Peer;
use stoop::internal::Connection;

use super::exec::{self, FdReserve};
use super::service::{Content, Service};
use super::shared::Shared;
use crate::failure::Failure;
use crate::output::{Event, PeerInfo};
use crate::pump::{Discard, End, Input, Progress, Receiver, Sender, Split, pump, shut, socket};

/// How long a client that has received its answer may continue to send before its connection is
/// closed. If anything from the client was unread, closing at once would turn the end of the answer
/// into a reset ([K-END-3]).
///
/// [K-END-3]: stoop::kernel_facts#K-END-3
const LINGER: Duration = Duration::from_secs(2);

/// Starts to serve a client, in a thread of its own.
pub(super) fn begin(shared: &Arc<Shared>, client: Connection, number: u64, reserve: Option<FdReserve>) {
    let peer = socket(&client).peer();
    if shared.output.is_json() {
        shared.output.note(&Event::Accepted { connection: number, peer: PeerInfo::from(&peer) });
    }
    shared.start(move |shared| {
        let served = serve(shared, client, &peer, reserve);
        shared.output.note(&Event::Closed {
            connection: number,
            received_bytes: served.received_bytes,
            sent_bytes: served.sent_bytes,
            exit_status: served.exit_status,
            error: served.failure.map(|failure| failure.summary()),
        });
    });
}

/// The result of serving a client.
#[derive(Debug, Default)]
struct Served {
    /// Unknown if another program used the connection.
    received_bytes: Option<u64>,
    sent_bytes: Option<u64>,
    /// The exit status of the command, if one was run.
    exit_status: Option<i32>,
    failure: Option<Failure>,
}

fn serve(shared: &Shared, client: Connection, peer: &Peer, reserve: Option<FdReserve>) -> Served {
    let (received, sent) = (Progress::default(), Progress::default());
    let end = match &shared.service {
        Service::Exec(command) => {
            let result = exec::serve(shared, command, &client, peer, reserve);
            // The connection was kept open until here: closing it with unread data would cause a
            // reset at the client.
            linger(&client);
            let exit_status = result.as_ref().ok().copied();
            return Served { exit_status, failure: result.err(), ..Served::default() };
        }
        Service::Discard => pump(&mut Receiver::new(&client), &mut Discard, &received),
        Service::Echo => pump(&mut Receiver::new(&client), &mut Sender(&client), &sent),
        Service::Send(content) => send(content, &client, &received, &sent),
    };
    // An echo has sent what it received.
    let received = if matches!(shared.service, Service::Echo) { &sent } else { &received };
    Served {
        received_bytes: Some(received.bytes()),
        sent_bytes: Some(sent.bytes()),
        failure: end.failure(),
        ..Served::default()
    }
}

/// Sends the file and discards what the client sends, concurrently, so that neither side blocks the
/// other.
fn send(content: &Content, client: &Connection, received: &Progress, sent: &Progress) -> End {
    let (done, ended) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = pump(&mut Receiver::new(client), &mut Discard, received);
            let _ = done.send(());
        });
        let mut input = Input::new(content.reader(), Split::AsRead, "the file to send");
        let end = pump(&mut input, &mut Sender(client), sent);
        shut(client, Shutdown::Write);
        let _ = ended.recv_timeout(LINGER);
        shut(client, Shutdown::Both);
        end
    })
}

/// Shuts down the sending side, and discards what the client sends for a while.
fn linger(client: &Connection) {
    shut(client, Shutdown::Write);
    if socket(client).set_read_timeout(Some(LINGER)).is_ok() {
        let _ = pump(&mut Receiver::new(client), &mut Discard, &Progress::default());
    }
}
