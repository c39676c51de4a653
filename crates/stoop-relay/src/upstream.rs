//! The destination of the datagrams of one client: to the server's socket, or framed over a stream
//! of the client's own.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use stoop::{Allow, DESCRIPTORS_MAX, Datagram, ErrorKind, Kind, SeqPacket};

use crate::accept::CONNECT_LIMIT;
use crate::carry::{Filled, Message, Messages, borrowed};
use crate::end::{End, into_io};
use crate::event::Event;
use crate::pair::Pair;
use crate::server::Caller;
use crate::shared::Shared;
use crate::threads::named;

/// How long the streams have at the end for what was sent before, and how often they are looked at.
const LAST_WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// The socket of one client towards the server. Nonblocking.
pub(crate) enum Upstream {
    Datagram(Datagram),
    /// One end of a socketpair. The other is relayed to the stream, which frames the messages.
    Framed(SeqPacket),
}

impl Upstream {
    pub(crate) fn new(shared: &Arc<Shared>) -> io::Result<Upstream> {
        if !shared.frames || shared.server.takes_datagrams() {
            return shared.server.datagram().map(Upstream::Datagram);
        }
        let (here, there) = SeqPacket::pair().map_err(into_io)?;
        here.set_nonblocking(true).map_err(into_io)?;
        there.set_nonblocking(true).map_err(into_io)?;
        Messages::SeqPacket(&here).prepare().map_err(into_io)?;
        // Before anything can be sent: a message of no bytes would read as the end.
        Messages::SeqPacket(&there).prepare().map_err(into_io)?;
        let shared = Arc::clone(shared);
        named("connect", move || connect(&shared, there))?;
        Ok(Upstream::Framed(here))
    }

    fn messages(&self) -> Messages<'_> {
        match self {
            Upstream::Datagram(socket) => Messages::Datagram(socket),
            Upstream::Framed(socket) => Messages::SeqPacket(socket),
        }
    }

    /// Takes file descriptors away that have nowhere to go. Returns how many.
    pub(crate) fn refuse_descriptors(&self, message: &mut Message) -> usize {
        match self {
            Upstream::Datagram(_) => 0,
            Upstream::Framed(_) => message.1.drain(..).count(),
        }
    }

    pub(crate) fn send(&self, message: &Message) -> Result<(), Errno> {
        let fds = borrowed(&message.1);
        match self.messages().send(&message.0, &fds) {
            Err(Errno::MSGSIZE) if self.messages().enlarge(message.0.len()) => {
                self.messages().send(&message.0, &fds)
            }
            sent => sent,
        }
    }

    pub(crate) fn receive(&self) -> Result<Message, Filled> {
        match self {
            Upstream::Framed(_) => self.messages().receive(),
            Upstream::Datagram(socket) => match socket.recv_vec_with(Allow::descriptors(DESCRIPTORS_MAX)) {
                Ok((message, received)) => Ok((message, received.descriptors)),
                Err(error) if error.kind() == ErrorKind::ControlTruncated => Err(Filled::Exhausted),
                Err(_) => Err(Filled::Nothing),
            },
        }
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Upstream::Datagram(socket) => socket.as_fd(),
            Upstream::Framed(socket) => socket.as_fd(),
        }
    }
}

/// Connects to the server, and relays one end of the socketpair to it.
fn connect(shared: &Shared, there: SeqPacket) {
    let caller = Caller { number: 0, names: &[] };
    let pair = shared.server.connect(&caller, Kind::Stream, CONNECT_LIMIT).map(|server| server.end);
    let pair = pair.and_then(|server| {
        server.set_nonblocking()?;
        Ok(server)
    });
    match pair {
        Ok(server) => match Pair::new(End::SeqPacket(there), server, false, true, 0) {
            Ok(pair) => shared.give(pair),
            Err(error) => shared.tell(Event::Unreached { number: 0, error }),
        },
        Err(error) => {
            shared.counters.no_server();
            while Messages::SeqPacket(&there).receive().is_ok() {
                shared.counters.lost_message();
            }
            shared.tell(Event::Unreached { number: 0, error });
        }
    }
}

/// Waits until the streams have passed on what they hold, for a moment.
pub(crate) fn wait_for_streams(shared: &Shared) {
    let end = Instant::now() + LAST_WAIT;
    let open = || shared.inboxes.iter().any(|inbox| inbox.connections.load(Ordering::Relaxed) > 0);
    while open() && Instant::now() < end {
        thread::sleep(PAUSE);
    }
}
