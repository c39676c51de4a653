//! The predecessor's side: offer, serve on, give up when the successor is ready.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::message::{Entry, Location, MESSAGE_MAX_BYTES, Message, Reason};
use super::protocol::{Answer, Predecessor};
use super::{CallOff, check_entries, check_peer, failed, handing_over, hear, refuse};
use crate::bind::SocketFile;
use crate::bind::wait::end_of;
use crate::error::Result;
use crate::listener::Connected;
use crate::socket::Socket;
use crate::{Allow, Datagram, Listener, Outgoing, SeqPacket};

/// A socket to be passed on, with the name by which the successor asks for it. Borrowed for itself
/// alone: nobody accepts on it while it is being handed over.
pub struct Item<'a> {
    name: String,
    socket: &'a Socket,
    file: &'a mut Option<SocketFile>,
}

impl<'a> Item<'a> {
    /// A listener.
    pub fn listener<C: Connected>(name: impl Into<String>, listener: &'a mut Listener<C>) -> Item<'a> {
        let (socket, file) = listener.parts_mut();
        Item { name: name.into(), socket, file }
    }

    /// A datagram socket, with the messages in its queue.
    pub fn datagram(name: impl Into<String>, datagram: &'a mut Datagram) -> Item<'a> {
        let (socket, file) = datagram.parts_mut();
        Item { name: name.into(), socket, file }
    }

    fn entry(&self) -> Entry {
        // A file that is not in its place any more is nobody's to remove.
        let file = self.file.as_ref().filter(|file| file.is_in_place());
        let file = file.map(|file| Location { path: file.path().to_owned(), id: file.id() });
        Entry { name: self.name.clone(), kind: self.socket.kind(), file }
    }
}

/// Offers sockets to a successor at the other end of `connection`, and waits until it is ready to
/// serve, at most `timeout`.
///
/// On success the sockets are the successor's, and so is the removal of their files: drop them
/// without accepting again, finish the conversations under way, and end. They are the successor's
/// very sockets, so changing them now (making them non-blocking, [`Listener::drain`]) changes them
/// there. On any error nothing has changed: serve on. The connection is of no further use in either
/// case.
///
/// Clients that come meanwhile wait in the queue. [`Server`](super::Server) goes on accepting them.
///
/// ```
/// use std::time::Duration;
/// use stoop::handover::{self, Item};
/// use stoop::{Bind, Listener, SeqPacket};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let mut listener = Bind::new(&path).listen()?;
/// let (old, new) = SeqPacket::pair()?; // really: one that the successor has connected
/// let limit = Duration::from_secs(10);
///
/// # let successor =
/// std::thread::spawn(move || {
///     let taken = handover::take(&new, limit)?; // the predecessor still serves
///     let mut sockets = taken.ready(limit)?; // from here on we do
///     sockets.listener("app").map(|app: Listener| app)
/// });
/// handover::offer(&old, vec![Item::listener("app", &mut listener)], limit)?;
/// drop(listener);
/// assert!(path.exists());
/// # successor.join().unwrap()?;
/// # assert!(!path.exists());
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted) where another user asks, before
/// anything is sent; [`ErrorKind::PeerGone`](crate::ErrorKind::PeerGone) where the successor has
/// ended or withdrawn; [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut);
/// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) where it says what makes no sense;
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for no version in common, for more
/// than [`DESCRIPTORS_MAX`](crate::control::DESCRIPTORS_MAX) sockets, and for names that are empty,
/// used twice or over 255 bytes.
pub fn offer(connection: &SeqPacket, mut items: Vec<Item<'_>>, timeout: Duration) -> Result<()> {
    let mut offering = Offering::begin(connection, timeout)?;
    while !offering.step(connection, &mut items)? {}
    Ok(())
}

/// The predecessor's side while it waits for the successor's next word.
#[derive(Debug)]
pub(crate) struct Offering {
    state: Predecessor,
    /// Until when it waits.
    pub(crate) end: Option<Instant>,
}

impl Offering {
    /// Only with a successor that may have our sockets.
    pub(crate) fn begin(connection: &SeqPacket, timeout: Duration) -> Result<Offering> {
        let mut guard = CallOff::armed(connection, Reason::NotPermitted);
        check_peer(connection)?;
        guard.disarm();
        Ok(Offering { state: Predecessor::Waiting, end: end_of(timeout) })
    }

    /// Hears one message, or that none came in time. True when the successor has taken over; after
    /// an error it never will.
    pub(crate) fn step(&mut self, connection: &SeqPacket, items: &mut [Item<'_>]) -> Result<bool> {
        // Whatever goes wrong below, a panic included: the successor is told that we serve on.
        let mut guard = CallOff::armed(connection, Reason::Withdrawn);
        let (event, _) = hear(connection, self.end, Allow::NOTHING)?;
        match self.state.on(event) {
            Answer::Offer => send_offer(connection, items)?,
            Answer::Commit => {
                connection.send(&Message::Done.encode()).map_err(handing_over)?;
                guard.disarm();
                items.iter_mut().filter_map(|item| item.file.take()).for_each(SocketFile::keep);
                return Ok(true);
            }
            Answer::GiveUp(failure) => {
                guard.reason = failure.to_tell();
                return Err(failed(failure, "the successor"));
            }
        }
        guard.disarm();
        Ok(false)
    }
}

fn send_offer(connection: &SeqPacket, items: &[Item<'_>]) -> Result<()> {
    let entries: Vec<Entry> = items.iter().map(Item::entry).collect();
    check_entries(&entries)?;
    let message = Message::Offer(entries).encode();
    if message.len() > MESSAGE_MAX_BYTES {
        return refuse("the names and paths of the sockets are too long together".into());
    }
    let descriptors: Vec<BorrowedFd<'_>> = items.iter().map(|item| item.socket.as_fd()).collect();
    let outgoing = Outgoing::new().descriptors(&descriptors);
    connection.send_with(&[IoSlice::new(&message)], &outgoing).map(drop).map_err(handing_over)
}
