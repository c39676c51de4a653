//! A server that takes over from its predecessor when it starts, and hands over when a successor
//! connects.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::decline;
use super::offer::Item;
use super::successors::Successors;
use super::take::take;
use crate::bind::wait::poll_until;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::listener::{Arrival, Connected, PAUSE_AFTER_FAILURE};
use crate::sys::Blocking;
use crate::{Address, Bind, Connect, Listener, Policy, SeqPacket, Stream, ToAddress};

/// The names under which the two listeners are handed over.
pub(crate) const CLIENTS: &str = "clients";
pub(crate) const CONTROL: &str = "handover";

/// How long to retry while a predecessor is starting, or is exiting and closing its sockets one
/// after the other.
const RETRY_FOR: Duration = Duration::from_secs(1);

/// How long to sleep between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// A server with a second address, its *control* address, at which a successor asks for its
/// sockets.
///
/// To upgrade a program, start its next version. [`Server::start`] finds the running server and
/// takes over its sockets, and the old server's [`Server::accept`] returns [`Next::HandedOver`]. No
/// client is refused or dropped in between. If the new version fails before it serves, the old one
/// continues.
///
/// One thread accepts. While a successor initializes, clients are still accepted, and clients and
/// successor take turns. Connections to the control address get at most a tenth of the server's
/// time, whichever process makes them. Several successors may wait; each is offered the sockets in
/// its turn. A successor that sends nothing delays no other.
///
/// ```
/// use std::time::Duration;
/// use stoop::handover::{Next, Server};
/// use stoop::{Bind, Stream};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let control = directory.path().join("app.handover");
///
/// let bind = Bind::new(&path).mode(0o660);
/// let mut server: Server = Server::start(&bind, &control, Duration::from_secs(10))?;
/// # let _client = Stream::connect(&path)?;
/// loop {
///     match server.accept()? {
///         Next::Client(client) => {
///             // … serve it …
/// #           break;
///         }
///         Next::NotHandedOver(error) => eprintln!("{error}; serving on"),
///         Next::HandedOver => break, // finish what is under way, and end
///     }
/// }
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Debug)]
pub struct Server<C: Connected = Stream> {
    // Fields drop in this order: the listener for clients closes first, then the one for
    // successors.
    listener: Listener<C>,
    control: Listener<SeqPacket>,
    /// The most recent connection that was refused because its process is not trusted.
    declined: Option<OwnedFd>,
    successors: Successors<SeqPacket>,
    /// Whether the last turn went to a successor.
    was_successors_turn: bool,
    took_over: bool,
    handed_over: bool,
}

/// The result of [`Server::accept`].
#[derive(Debug)]
pub enum Next<C> {
    /// A client that the policy allows.
    Client(C),
    /// A successor connected and did not take over, for this reason. This server continues to
    /// serve.
    NotHandedOver(Error),
    /// A successor serves now. Finish the open connections and exit. The socket files are left to
    /// the successor.
    HandedOver,
}

impl<C: Connected> Server<C> {
    /// Takes over from the server at `control`. If no server answers there, binds
    /// `bind`, and binds `control` for the process's own user.
    ///
    /// The predecessor's sockets come as they are: only the policy of `bind` applies to them.
    /// `timeout` limits each step of this hand-over, and later of the one to a successor.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Bind;
    /// use stoop::handover::{Next, Server};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let control = directory.path().join("app.handover");
    /// let (bind, limit) = (Bind::new(&path), Duration::from_secs(10));
    /// let mut old: Server = Server::start(&bind, &control, limit)?;
    /// assert!(!old.took_over());
    /// let old = std::thread::spawn(move || old.accept());
    ///
    /// let new: Server = Server::start(&bind, &control, limit)?;
    /// assert!(new.took_over());
    /// assert!(matches!(old.join().unwrap()?, Next::HandedOver));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the address cannot be bound; see [`Bind::listen`];
    /// - the hand-over fails; see [`take`] and [`Taken::ready`](super::Taken::ready);
    /// - a server that does not hand over has the address; this is reported after a second
    ///   ([`ErrorKind::AddressInUse`]);
    /// - the predecessor serves at another path than that of `bind` ([`ErrorKind::Protocol`]).
    pub fn start(bind: &Bind, control: impl ToAddress, timeout: Duration) -> Result<Server<C>> {
        let control = control.to_address().map_err(|error| Error::address(Operation::HandOver, &error))?;
        let mut unsettled = None;
        loop {
            match Server::try_start(bind, &control, timeout) {
                Err(error) if error.kind() == ErrorKind::PeerClosed || error.is_in_use() => {
                    if unsettled.get_or_insert_with(Instant::now).elapsed() >= RETRY_FOR {
                        return Err(error);
                    }
                    std::thread::sleep(RETRY_PAUSE);
                }
                result => return result,
            }
        }
    }

    fn try_start(bind: &Bind, control: &Address, timeout: Duration) -> Result<Server<C>> {
        match Connect::new(control).timeout(timeout).seqpacket() {
            Ok(predecessor) => Server::take_over(bind, &predecessor, timeout),
            Err(error) if error.is_not_found() || error.is_refused() => Server::bind(bind, control, timeout),
            Err(error) => Err(error),
        }
    }

    fn bind(bind: &Bind, control: &Address, timeout: Duration) -> Result<Server<C>> {
        let listener = bind.listener()?;
        let has_file = control.as_pathname().is_some();
        let control = Bind::new(control).policy(Policy::same_user());
        let control = if has_file { control.mode(0o600) } else { control }.listen_seqpacket()?;
        Ok(Server::of(listener, control, timeout, false))
    }

    fn take_over(bind: &Bind, predecessor: &SeqPacket, timeout: Duration) -> Result<Server<C>> {
        let address = bind.options.address()?;
        let taken = take(predecessor, timeout)?;
        let there = taken.sockets().find(|(name, _)| *name == CLIENTS).and_then(|(_, path)| path);
        check_path(&address, there)?;
        let mut sockets = taken.ready(timeout)?;
        let mut listener: Listener<C> = sockets.listener(CLIENTS)?;
        listener.set_policy(bind.options.policy_for(&address))?;
        let mut control: Listener<SeqPacket> = sockets.listener(CONTROL)?;
        control.set_policy(Policy::same_user())?;
        bind.close_passed();
        Ok(Server::of(listener, control, timeout, true))
    }

    fn of(
        listener: Listener<C>,
        control: Listener<SeqPacket>,
        timeout: Duration,
        took_over: bool,
    ) -> Server<C> {
        Server {
            listener,
            control,
            declined: None,
            successors: Successors::new(timeout),
            was_successors_turn: false,
            took_over,
            handed_over: false,
        }
    }

    /// Waits for a client or for the outcome of a hand-over.
    ///
    /// After [`Next::HandedOver`], further calls return that again immediately. `EINTR` is retried.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::handover::{Next, Server};
    /// use stoop::{Bind, SeqPacket, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let control = directory.path().join("app.handover");
    /// let bind = Bind::new(&path);
    /// let mut server: Server = Server::start(&bind, &control, Duration::from_secs(10))?;
    /// drop(SeqPacket::connect(&control)?); // a successor that exits at once
    /// assert!(matches!(server.accept()?, Next::NotHandedOver(error) if error.is_peer_closed()));
    ///
    /// let _client = Stream::connect(&path)?;
    /// assert!(matches!(server.accept()?, Next::Client(_)));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if accepting a client fails; see [`Listener::accept`].
    pub fn accept(&mut self) -> Result<Next<C>> {
        while !self.handed_over {
            let ready = self.wait()?;
            // Take turns, so that neither side can starve the other by connecting again and again.
            if ready.is_for_successors() && !(ready.client && self.was_successors_turn) {
                self.was_successors_turn = true;
                match self.handle_successor(ready) {
                    Ok(over) => self.handed_over = over,
                    Err(error) => return Ok(Next::NotHandedOver(error)),
                }
                continue;
            }
            self.was_successors_turn = false;
            if !ready.client {
                continue;
            }
            match self.listener.accept_any() {
                Ok(Arrival::Accepted(client)) => return Ok(Next::Client(client)),
                Ok(Arrival::Refused { .. }) => {}
                // If other processes accept on the same listener, one of them may have been faster.
                Err(error) if error.is_would_block() => {}
                // An inherited listener may be nonblocking; its accept then does not pause by
                // itself.
                Err(error) if error.is_transient() => std::thread::sleep(PAUSE_AFTER_FAILURE.0),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::HandedOver)
    }

    /// Waits for a client or a successor: a new one, the next message of a connected one, or its
    /// timeout.
    fn wait(&self) -> Result<Ready> {
        let entry = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut entries = vec![entry(self.listener.as_fd())];
        entries.extend(self.successors.awaited().map(|connection| entry(connection.as_fd())));
        let pause = self.successors.throttle.pause(Instant::now());
        if pause.is_none() {
            entries.push(entry(self.control.as_fd()));
        }
        let end = [self.successors.end(), pause].into_iter().flatten().min();
        let failed = |errno: rustix::io::Errno| Error::system(Operation::Accept, errno.into());
        poll_until(&mut entries, end).map_err(failed)?;
        let is_ready = |entry: &PollFd<'_>| !entry.revents().is_empty();
        let connecting = entries.pop_if(|last| pause.is_none() && is_ready(last)).is_some();
        // A constant stream of clients does not postpone the timeout.
        let late = self.successors.end().is_some_and(|end| end <= Instant::now());
        Ok(Ready {
            client: is_ready(&entries[0]),
            message: late || entries[1..].iter().any(is_ready),
            connecting,
        })
    }

    /// Returns `true` if a successor has taken over.
    fn handle_successor(&mut self, ready: Ready) -> Result<bool> {
        if ready.message {
            let mut items =
                [Item::listener(CLIENTS, &mut self.listener), Item::listener(CONTROL, &mut self.control)];
            return self.successors.step(&mut items);
        }
        let began = Instant::now();
        let declined = &mut self.declined;
        let decline = |refused| *declined = Some(decline(refused));
        let arrival = self.control.accept_with(Blocking::Waits, decline);
        self.successors.accepted(arrival, began).map(|()| false)
    }

    /// Returns the listener for clients, the one for successors, and the limit for each step, for
    /// an accept loop of another kind.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_parts(self) -> (Listener<C>, Listener<SeqPacket>, Duration) {
        let timeout = self.successors.timeout();
        (self.listener, self.control, timeout)
    }

    /// Returns whether a predecessor handed its sockets over to this server.
    pub fn took_over(&self) -> bool {
        self.took_over
    }

    /// Returns the listener for clients, with its file, policy and counters.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Bind;
    /// use stoop::handover::Server;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let control = directory.path().join("app.handover");
    /// let server: Server = Server::start(&Bind::new(&path), &control, Duration::from_secs(10))?;
    /// let listener = server.listener();
    /// assert_eq!(listener.file().map(|file| file.path()), Some(path.as_path()));
    /// assert_eq!(listener.counts().accepted, 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn listener(&self) -> &Listener<C> {
        &self.listener
    }
}

/// What is ready.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// A client waits to be accepted.
    client: bool,
    /// A successor has sent a message, or has timed out.
    message: bool,
    /// A process has connected to the control address.
    connecting: bool,
}

impl Ready {
    fn is_for_successors(self) -> bool {
        self.message || self.connecting
    }
}

/// Rejects a successor that would serve at another path: clients of the old path would have no
/// server.
fn check_path(wanted: &Address, there: Option<&Path>) -> Result<()> {
    let (Some(wanted), Some(there)) = (wanted.as_pathname(), there) else { return Ok(()) };
    if std::path::absolute(wanted).is_ok_and(|wanted| wanted == there) {
        return Ok(());
    }
    let detail = format!("the predecessor serves at '{}'", Address::path(there).unwrap_or(Address::UNNAMED));
    Err(Error::new(Operation::HandOver, ErrorKind::Protocol, detail))
}
