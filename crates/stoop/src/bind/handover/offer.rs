//! The predecessor's side: offer the sockets, continue to serve, stop when the successor is ready.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::message::{Entry, FileLocation, MESSAGE_MAX_BYTES, Message, Reason};
use super::protocol::{Answer, Predecessor};
use super::{AbortOnDrop, check_entries, check_peer, failed, handing_over, receive, refuse};
use crate::bind::wait::deadline_after;
use crate::error::Result;
use crate::listener::Connected;
use crate::socket::Socket;
use crate::socket_file::SocketFile;
use crate::{Allow, Datagram, Listener, Outgoing, SeqPacket};

/// A socket to hand over, with the name by which the successor asks for it.
///
/// It borrows the socket mutably, so that nothing accepts on it during the hand-over.
pub struct Item<'a> {
    name: String,
    socket: &'a Socket,
    file: &'a mut Option<SocketFile>,
}

impl<'a> Item<'a> {
    /// Creates an item for a listener.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::handover::{self, Item};
    /// use stoop::{Bind, SeqPacket};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen()?;
    /// let (connection, successor) = SeqPacket::pair()?;
    /// drop(successor); // the next version failed to start
    ///
    /// let items = vec![Item::listener("app", &mut listener)];
    /// let error = handover::offer(&connection, items, Duration::from_secs(10)).unwrap_err();
    /// assert!(error.is_peer_closed());
    /// assert!(stoop::Stream::connect(&path).is_ok()); // this process serves on
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn listener<C: Connected>(name: impl Into<String>, listener: &'a mut Listener<C>) -> Item<'a> {
        let (socket, file) = listener.parts_mut();
        Item { name: name.into(), socket, file }
    }

    /// Creates an item for a datagram socket, with the messages in its queue.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::handover::{self, Item};
    /// use stoop::{Bind, Datagram, SeqPacket};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut old = Bind::new(&path).datagram()?;
    /// Datagram::client(&path)?.send(b"queued")?;
    /// let (connection, successor) = SeqPacket::pair()?;
    /// let limit = Duration::from_secs(10);
    /// let successor = std::thread::spawn(move || {
    ///     handover::take(&successor, limit)?.ready(limit)?.datagram("log")
    /// });
    /// handover::offer(&connection, vec![Item::datagram("log", &mut old)], limit)?;
    /// drop(old);
    ///
    /// let new = successor.join().unwrap()?;
    /// assert_eq!(new.recv_vec()?.0, b"queued");
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn datagram(name: impl Into<String>, datagram: &'a mut Datagram) -> Item<'a> {
        let (socket, file) = datagram.parts_mut();
        Item { name: name.into(), socket, file }
    }

    fn entry(&self) -> Entry {
        // If the path no longer refers to the socket's file, there is no file to remove.
        let file = self.file.as_ref().filter(|file| file.is_in_place());
        let file = file.map(|file| FileLocation { path: file.path().to_owned(), id: file.id() });
        Entry { name: self.name.clone(), kind: self.socket.kind(), file }
    }
}

/// Offers sockets to a successor at the other end of `connection`.
///
/// The call waits at most `timeout` until the successor is ready to serve.
///
/// On success the sockets belong to the successor, and so does the removal of their files. Drop
/// them without accepting again, finish the open connections, and exit. Both processes refer to the
/// same sockets: a change made now (making them nonblocking, [`Listener::drain`]) applies to the
/// successor as well.
///
/// On an error nothing has changed: continue to serve. In either case the connection is of no
/// further use.
///
/// Clients that connect during the call wait in the queue. [`Server`](super::Server) continues to
/// accept them.
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
///     let mut sockets = taken.ready(limit)?; // from here on this process serves
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
/// Returns an error if
///
/// - the successor runs as another user; nothing has been sent to it then
///   ([`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted));
/// - the successor has exited or withdrawn
///   ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed));
/// - the successor is not ready within `timeout`
///   ([`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut));
/// - the successor violates the protocol ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol));
/// - the two sides have no version in common
///   ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported));
/// - there are more than [`DESCRIPTORS_MAX`](crate::DESCRIPTORS_MAX) sockets, or a name is empty,
///   used twice or longer than 255 bytes
///   ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
pub fn offer(connection: &SeqPacket, mut items: Vec<Item<'_>>, timeout: Duration) -> Result<()> {
    let mut offering = Offering::begin(connection, timeout)?;
    while !offering.step(connection, &mut items)? {}
    Ok(())
}

/// The predecessor's side while it waits for the successor's next message.
#[derive(Debug)]
pub(crate) struct Offering {
    state: Predecessor,
    /// The deadline for that message.
    pub(crate) end: Option<Instant>,
}

impl Offering {
    /// Begins an offer if the successor is permitted to receive the sockets.
    pub(crate) fn begin(connection: &SeqPacket, timeout: Duration) -> Result<Offering> {
        let mut guard = AbortOnDrop::armed(connection, Reason::NotPermitted);
        check_peer(connection)?;
        guard.disarm();
        Ok(Offering { state: Predecessor::Waiting, end: deadline_after(timeout) })
    }

    /// Processes one message, or its absence at the deadline. Returns `true` if the successor has
    /// taken over. After an error it never will.
    pub(crate) fn step(&mut self, connection: &SeqPacket, items: &mut [Item<'_>]) -> Result<bool> {
        // Whatever fails below, a panic included, the guard tells the successor that this process
        // continues to serve.
        let mut guard = AbortOnDrop::armed(connection, Reason::Withdrawn);
        let (event, _) = receive(connection, self.end, Allow::NOTHING)?;
        match self.state.on(event) {
            Answer::Offer => send_offer(connection, items)?,
            Answer::Commit => {
                connection.send(&Message::Done.encode()).map_err(handing_over)?;
                guard.disarm();
                items.iter_mut().filter_map(|item| item.file.take()).for_each(SocketFile::keep);
                return Ok(true);
            }
            Answer::GiveUp(failure) => {
                guard.reason = failure.reason_to_send();
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
        return refuse(format!(
            "offer too long: {} bytes of names and paths, at most {MESSAGE_MAX_BYTES}",
            message.len()
        ));
    }
    let descriptors: Vec<BorrowedFd<'_>> = items.iter().map(|item| item.socket.as_fd()).collect();
    let outgoing = Outgoing::new().descriptors(&descriptors);
    connection.send_with(&[IoSlice::new(&message)], &outgoing).map(drop).map_err(handing_over)
}
