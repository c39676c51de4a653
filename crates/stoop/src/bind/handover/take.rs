//! The successor's side: take the sockets, initialize, signal readiness, serve.

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::message::{Entry, FileLocation, Message, Reason, VERSION};
use super::protocol::{Event, Successor, Verdict};
use super::{AbortOnDrop, check_entries, check_peer, failed, handing_over, receive};
use crate::bind::wait::deadline_after;
use crate::control::DESCRIPTORS_MAX;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::listener::Connected;
use crate::socket::Socket;
use crate::socket_ext::enable_sender_credentials;
use crate::socket_file::SocketFile;
use crate::{Address, Allow, Datagram, Kind, Listener, Policy, SeqPacket, escaped, sys};

/// Takes the sockets that a predecessor at the other end of `connection` offers.
///
/// The call waits at most `timeout` for the offer. The predecessor serves until [`Taken::ready`],
/// so there is time to initialize, as much as the predecessor's own timeout allows.
///
/// Each socket's type and address are queried from the kernel. A file is only ever removed if it is
/// the one to which the socket is bound. Options set on a socket (timeouts, nonblocking mode) stay
/// set.
///
/// ```
/// use std::time::Duration;
/// use stoop::handover::{self, Item};
/// use stoop::{Bind, Listener, SeqPacket, Stream};
///
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let mut listener = Bind::new(&path).listen()?;
/// let (old, new) = SeqPacket::pair()?;
/// let limit = Duration::from_secs(10);
/// # let predecessor =
/// std::thread::spawn(move || {
///     handover::offer(&old, vec![Item::listener("app", &mut listener)], limit)
/// });
///
/// let taken = handover::take(&new, limit)?;
/// // Initialize here: on any error, drop `taken`, and the predecessor serves on.
/// let mut sockets = taken.ready(limit)?;
/// let listener: Listener = sockets.listener("app")?;
/// let _client = Stream::connect(&path)?;
/// listener.accept()?;
/// # predecessor.join().unwrap()?;
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// # Errors
/// Returns an error if
///
/// - the predecessor runs neither as this process's user nor as root, or refuses the request
///   ([`ErrorKind::NotPermitted`]);
/// - the predecessor has exited ([`ErrorKind::PeerClosed`]);
/// - no offer arrives within `timeout` ([`ErrorKind::TimedOut`]);
/// - the predecessor violates the protocol ([`ErrorKind::Protocol`]);
/// - the two sides have no version in common ([`ErrorKind::Unsupported`]).
///
/// Every received file descriptor has been closed then.
pub fn take(connection: &SeqPacket, timeout: Duration) -> Result<Taken<'_>> {
    let mut abort = AbortOnDrop::armed(connection, Reason::NotPermitted);
    let end = deadline_after(timeout);
    check_peer(connection)?;
    abort.reason = Some(Reason::Withdrawn);
    send(connection, Message::Hello { oldest: VERSION, newest: VERSION })?;
    let (event, descriptors) = receive(connection, end, Allow::descriptors(DESCRIPTORS_MAX))?;
    match Successor::Asking.on(event) {
        Verdict::Hold(entries) => {
            abort.reason = Some(Reason::Invalid);
            let sockets = check_offer(entries, descriptors)?;
            abort.reason = Some(Reason::Withdrawn);
            Ok(Taken { sockets, abort })
        }
        Verdict::GiveUp(failure) => {
            abort.reason = failure.reason_to_send();
            Err(failed(failure, "the predecessor"))
        }
        Verdict::Serve | Verdict::ShutDown | Verdict::ReadAgain => {
            unreachable!("not in answer to a question")
        }
    }
}

/// Sends a message to a predecessor that may have exited. That is not an error here: its last
/// message is still to be read, and shows whether it refused or died.
fn send(connection: &SeqPacket, message: Message) -> Result<()> {
    match connection.send(&message.encode()) {
        Err(error) if !error.is_peer_closed() => Err(handing_over(error)),
        _ => Ok(()),
    }
}

fn check_offer(entries: Vec<Entry>, descriptors: Vec<OwnedFd>) -> Result<Vec<OfferedSocket>> {
    let nonsense = |detail: String| Error::new(Operation::HandOver, ErrorKind::Protocol, detail);
    if entries.len() != descriptors.len() {
        let detail = format!(
            "the offer names {} sockets and carries {} file descriptors",
            entries.len(),
            descriptors.len()
        );
        return Err(nonsense(detail));
    }
    check_entries(&entries).map_err(|error| error.with_kind(ErrorKind::Protocol))?;
    let check = |(entry, fd): (Entry, OwnedFd)| {
        let socket = Socket::from_descriptor(fd).and_then(|socket| socket.expect_kind(entry.kind));
        let name = escaped(&entry.name).to_string();
        let socket = socket.map_err(|error| nonsense(format!("'{name}': {error}")))?;
        let listens = sys::is_listening(socket.as_fd());
        if !listens.is_ok_and(|listens| listens == entry.kind.is_connected()) {
            return Err(nonsense(format!("'{name}' does not listen")));
        }
        Ok(OfferedSocket { name: entry.name, socket, file: entry.file })
    };
    entries.into_iter().zip(descriptors).map(check).collect()
}

/// A received socket whose file this process does not own yet.
#[derive(Debug)]
struct OfferedSocket {
    name: String,
    socket: Socket,
    file: Option<FileLocation>,
}

/// Sockets of a predecessor that still serves. Dropping this value aborts the hand-over.
#[derive(Debug)]
pub struct Taken<'c> {
    sockets: Vec<OfferedSocket>,
    abort: AbortOnDrop<'c>,
}

impl Taken<'_> {
    /// Returns the names of the sockets, each with the path of its file if it has one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::handover::{self, Item};
    /// use stoop::{Bind, ErrorKind, SeqPacket};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let mut listener = Bind::new(&path).listen()?;
    /// # let (old, new) = SeqPacket::pair()?;
    /// let limit = Duration::from_secs(10);
    /// # let predecessor = std::thread::spawn(move || {
    /// #     handover::offer(&old, vec![Item::listener("app", &mut listener)], limit)
    /// # });
    /// let taken = handover::take(&new, limit)?;
    /// assert_eq!(taken.sockets().collect::<Vec<_>>(), [("app", Some(path.as_path()))]);
    /// drop(taken); // withdraws
    /// assert_eq!(predecessor.join().unwrap().unwrap_err().kind(), ErrorKind::PeerClosed);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn sockets(&self) -> impl Iterator<Item = (&str, Option<&Path>)> {
        self.sockets
            .iter()
            .map(|offered| (offered.name.as_str(), offered.file.as_ref().map(|file| file.path.as_path())))
    }

    /// Signals readiness and waits, at most `timeout`, for the predecessor to stop accepting.
    ///
    /// If the predecessor dies during this call, the hand-over succeeds. On success the sockets
    /// belong to this process, and so does the removal of their files. On an error the predecessor
    /// continues to serve, and every received file descriptor has been closed.
    ///
    /// # Errors
    /// Returns an error if the predecessor does not answer within `timeout`
    /// ([`ErrorKind::TimedOut`]), violates the protocol ([`ErrorKind::Protocol`]), or aborts the
    /// hand-over (the kind depends on its reason).
    pub fn ready(mut self, timeout: Duration) -> Result<Sockets> {
        let connection = self.abort.connection;
        let mut end = deadline_after(timeout);
        let mut state = Successor::Ready;
        send(connection, Message::Ready)?;
        loop {
            let event = match receive(connection, end, Allow::NOTHING) {
                Ok((event, _)) => event,
                // An unreadable packet counts as noise once; after that nothing more is expected.
                Err(_) if state == Successor::Ready => Event::Invalid,
                Err(_) => Event::Closed,
            };
            match state.on(event) {
                Verdict::Serve => {
                    self.abort.disarm();
                    return Ok(Sockets(self.sockets.into_iter().map(OfferedSocket::claim).collect()));
                }
                Verdict::ShutDown => {
                    // If this fails, the connection is already closed.
                    let _ = connection.shutdown(Shutdown::Read);
                    end = Some(Instant::now());
                }
                Verdict::ReadAgain => {}
                Verdict::GiveUp(failure) => {
                    self.abort.reason = failure.reason_to_send();
                    return Err(failed(failure, "the predecessor"));
                }
                Verdict::Hold(_) => unreachable!("nothing is offered twice"),
            }
        }
    }
}

impl OfferedSocket {
    /// Takes ownership of the file too if the path still refers to the file to which the socket is
    /// bound. Otherwise the file is left to its owner.
    fn claim(self) -> OwnedSocket {
        let file = self.file.and_then(|there| SocketFile::claim(&there.path, there.id, &self.socket));
        OwnedSocket { name: self.name, socket: self.socket, file }
    }
}

/// A socket that belongs to this process.
#[derive(Debug)]
struct OwnedSocket {
    name: String,
    socket: Socket,
    file: Option<SocketFile>,
}

/// Sockets that were handed over.
///
/// Sockets that the program does not ask for are closed, and their files removed, when this is
/// dropped.
#[derive(Debug)]
pub struct Sockets(Vec<OwnedSocket>);

impl Sockets {
    /// Removes and returns the listener with this name.
    ///
    /// Its policy is the default of [`Bind`](crate::Bind): every user on a path, the process's own
    /// user and root on an abstract name. [`Listener::set_policy`] changes it. The predecessor's
    /// own policy is not known here. Whether file descriptors are accepted stays as it was.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::handover::{self, Item};
    /// use stoop::{Bind, ErrorKind, Listener, SeqPacket};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let mut listener = Bind::new(&path).listen()?;
    /// # let (old, new) = SeqPacket::pair()?;
    /// # let limit = Duration::from_secs(10);
    /// # let predecessor = std::thread::spawn(move || {
    /// #     handover::offer(&old, vec![Item::listener("app", &mut listener)], limit)
    /// # });
    /// let mut sockets = handover::take(&new, limit)?.ready(limit)?;
    /// let error = sockets.listener::<SeqPacket>("app").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WrongKind); // it stays in `sockets`
    /// let listener: Listener = sockets.listener("app")?;
    /// assert!(sockets.listener::<stoop::Stream>("app").unwrap_err().is_not_found());
    ///
    /// drop(listener); // owns the file, too
    /// assert!(!path.exists());
    /// # predecessor.join().unwrap()?;
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if no socket has this name ([`ErrorKind::NotFound`]) or it is not a
    /// listener of this type ([`ErrorKind::WrongKind`]).
    pub fn listener<C: Connected>(&mut self, name: &str) -> Result<Listener<C>> {
        let (socket, file, policy) = self.server(name, C::KIND)?;
        Ok(Listener::new(socket, file, policy))
    }

    /// Removes and returns the datagram socket with this name, with the default policy of
    /// [`Bind`](crate::Bind).
    ///
    /// # Errors
    /// Returns an error if no socket has this name ([`ErrorKind::NotFound`]) or it is not a
    /// datagram socket ([`ErrorKind::WrongKind`]).
    pub fn datagram(&mut self, name: &str) -> Result<Datagram> {
        let (socket, file, policy) = self.server(name, Kind::Datagram)?;
        Ok(Datagram::server(socket, file, policy))
    }

    fn server(&mut self, name: &str, kind: Kind) -> Result<(Socket, Option<SocketFile>, Policy)> {
        let refuse = |kind, detail| Err(Error::new(Operation::HandOver, kind, detail));
        let Some(index) = self.0.iter().position(|owned| owned.name == name) else {
            return refuse(
                ErrorKind::NotFound,
                format!("no socket named '{}' was handed over", escaped(name)),
            );
        };
        let found = self.0[index].socket.kind();
        if found != kind {
            let detail = format!("'{}' is a {found} socket, not a {kind} one", escaped(name));
            return refuse(ErrorKind::WrongKind, detail);
        }
        let OwnedSocket { socket, file, .. } = self.0.remove(index);
        // A path too long for `sun_path` is known from the file.
        let address = match file.as_ref().map(|file| Address::path(file.path())) {
            Some(Ok(address)) => address,
            _ => socket.local_addr()?,
        };
        let policy = Policy::default_at(&address);
        enable_sender_credentials(&socket)?;
        Ok((socket, file, policy))
    }
}
