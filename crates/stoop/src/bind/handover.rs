//! Handing listening sockets over to the next version of a server, so that an upgrade refuses and
//! drops no client.
//!
//! The successor receives the listening sockets themselves, with the clients that wait in their
//! queues ([K-ACT-4]), and the responsibility for removing their files at the end. The two sides
//! talk over a seqpacket connection, in two phases:
//!
//! 1. The predecessor checks the successor's credentials. It accepts its own user and root; any
//!    other process receives a refusal. It sends copies of its sockets and continues to serve.
//! 2. The successor initializes itself and signals readiness. Only then does the predecessor stop
//!    accepting, and confirms that it has.
//!
//! Whichever process dies, and whenever, one of them serves. A successor that exits before it
//! signals readiness changes nothing. A predecessor that is killed after it has sent its sockets is
//! replaced by the successor that holds them.
//!
//! [`Server`] does all of this by itself. [`offer()`] and [`take()`] are the two sides for programs
//! with an accept loop of their own. Connections that are already accepted are not handed over: the
//! predecessor serves them to their end.
//!
//! | file | contents |
//! |---|---|
//! | `offer.rs` | the predecessor's side: [`offer()`] |
//! | `take.rs` | the successor's side: [`take()`] |
//! | `server.rs` | both sides in one type: [`Server`] |
//! | `message.rs` | the wire format |
//! | `successors.rs`, `throttle.rs` | connected successors, and their share of a server's time |
//! | `protocol.rs` | pure state machines: which side serves after which message |
//!
//! [K-ACT-4]: crate::kernel_facts#K-ACT-4

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod message;
mod offer;
mod protocol;
mod server;
mod successors;
mod take;
mod throttle;

use std::io::IoSliceMut;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};

use super::wait::poll_until;
use crate::control::DESCRIPTORS_MAX;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::peer::Ids;
use crate::socket::Socket;
use crate::{Allow, Fact, Kind, Policy, SeqPacket, escaped};
use message::{Entry, MESSAGE_MAX_BYTES, Message, Reason};
use protocol::{Event, Failure};

pub use offer::{Item, offer};
#[cfg(feature = "tokio")]
pub(crate) use server::{CLIENTS, CONTROL};
pub use server::{Next, Server};
#[cfg(feature = "tokio")]
pub(crate) use successors::{AsSeqPacket, Successors};
pub use take::{Sockets, Taken, take};

/// Checks what both sides require of an offer: not too many sockets, each with a unique name.
fn check_entries(entries: &[Entry]) -> Result<()> {
    if entries.len() > DESCRIPTORS_MAX {
        return refuse(format!("too many sockets: {}, at most {DESCRIPTORS_MAX}", entries.len()));
    }
    for (index, entry) in entries.iter().enumerate() {
        if !entry.fits() {
            return refuse(format!(
                "invalid socket name '{}': it must have 1 to 255 bytes",
                escaped(&entry.name)
            ));
        }
        if entries[..index].iter().any(|earlier| earlier.name == entry.name) {
            return refuse(format!("duplicate socket name '{}'", escaped(&entry.name)));
        }
    }
    Ok(())
}

/// Aborts the hand-over when dropped, unless it was disarmed. The other side receives the reason,
/// and nothing more is sent.
#[derive(Debug)]
struct AbortOnDrop<'c> {
    connection: &'c SeqPacket,
    /// The reason to send, or `None` if the other side already knows.
    reason: Option<Reason>,
    armed: bool,
}

impl AbortOnDrop<'_> {
    fn armed(connection: &SeqPacket, reason: Reason) -> AbortOnDrop<'_> {
        AbortOnDrop { connection, reason: Some(reason), armed: true }
    }

    fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        // If either call fails, the other side has closed its end, so it needs no message.
        if let Some(reason) = self.reason {
            let _ = self.connection.send(&Message::Abort(reason).encode());
        }
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

/// Waits for the next message until `end`, or indefinitely.
fn receive(connection: &SeqPacket, end: Option<Instant>, allow: Allow) -> Result<(Event, Vec<OwnedFd>)> {
    let mut entry = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN)];
    let failed_to_wait = |errno: rustix::io::Errno| Error::system(Operation::HandOver, errno.into());
    if !poll_until(&mut entry, end).map_err(failed_to_wait)? {
        return Ok((Event::TimedOut, Vec::new()));
    }
    let mut room = vec![0; MESSAGE_MAX_BYTES];
    let mut receive = || connection.recv_with(&mut [IoSliceMut::new(&mut room)], allow);
    let received = match receive() {
        // The peer closed without reading all messages; those it had sent can still be received
        // (K-END-3).
        Err(error) if error.kind() == ErrorKind::PeerClosed => receive(),
        received => received,
    };
    let received = received.map_err(|error| match error.kind() {
        ErrorKind::SurplusDescriptors | ErrorKind::ControlTruncated | ErrorKind::MessageTruncated => {
            error.with_kind(ErrorKind::Protocol)
        }
        _ => error,
    });
    let received = received.map_err(handing_over)?;
    let event = match received.is_end() {
        true => Event::Closed,
        false => Message::decode(&room[..received.len]).map_or(Event::Invalid, Event::Message),
    };
    Ok((event, received.descriptors))
}

/// Accepts only the process's own user and root: the sockets give access to everything that clients
/// will send.
fn check_peer(connection: &SeqPacket) -> Result<()> {
    if Policy::same_user().allows_peer_of(connection.as_fd()) {
        return Ok(());
    }
    let ids = Ids::of(connection.as_fd());
    let who = match ids.uid {
        Fact::Known(uid) => format!("user {uid}"),
        _ => format!("an unknown user ({})", ids.refusal()),
    };
    let detail = format!("the peer runs as {who}; only the same user and root are permitted");
    Err(Error::new(Operation::HandOver, ErrorKind::NotPermitted, detail))
}

/// Sends a refusal to a process that the control address denies, before it has sent a request.
///
/// The request that it may be about to send still finds a connection while the caller keeps the
/// returned file descriptor. A server keeps at most one.
pub(crate) fn decline(refused: OwnedFd) -> OwnedFd {
    let connection = SeqPacket::from_socket(Socket::from_known(refused, Kind::SeqPacket));
    // The queue is empty, so there is space. If either call fails, the other side has closed its
    // end.
    let _ = connection.send(&Message::Abort(Reason::NotPermitted).encode());
    let _ = connection.shutdown(Shutdown::Write);
    connection.into()
}

fn handing_over(error: Error) -> Error {
    error.during(Operation::HandOver)
}

fn refuse<T>(detail: String) -> Result<T> {
    Err(Error::new(Operation::HandOver, ErrorKind::Unsupported, detail))
}

fn failed(failure: Failure, who: &str) -> Error {
    let (kind, what) = match failure {
        Failure::Closed => (ErrorKind::PeerClosed, "closed the connection"),
        Failure::PeerAborted(Reason::TimedOut) => (ErrorKind::TimedOut, "timed out"),
        Failure::PeerAborted(Reason::NotPermitted) => {
            (ErrorKind::NotPermitted, "permits only its own user and root")
        }
        Failure::PeerAborted(Reason::Invalid) => (ErrorKind::Protocol, "rejected a message as invalid"),
        Failure::PeerAborted(Reason::Withdrawn) => (ErrorKind::PeerClosed, "aborted the hand-over"),
        Failure::PeerAborted(Reason::Version) | Failure::Aborting(Reason::Version) => {
            (ErrorKind::Unsupported, "has no protocol version in common with this program")
        }
        Failure::Aborting(Reason::TimedOut) => (ErrorKind::TimedOut, "sent no message in time"),
        Failure::Aborting(_) => (ErrorKind::Protocol, "sent an invalid or unexpected message"),
    };
    Error::new(Operation::HandOver, kind, format!("{who} {what}"))
}
