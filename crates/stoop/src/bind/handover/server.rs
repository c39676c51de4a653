//! A server that takes over from its predecessor when it starts, and hands over to its successor when one comes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::decline;
use super::offer::{Item, Offering};
use super::take::take;
use crate::bind::wait::poll_until;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::listener::{Arrival, Connected, PAUSE_AFTER_FAILURE};
use crate::sys::Blocking;
use crate::{Address, Bind, Connect, Listener, Policy, SeqPacket, Stream, ToAddress};

/// The names under which the two listeners are handed over.
pub(crate) const CLIENTS: &str = "clients";
pub(crate) const CONTROL: &str = "handover";

/// How long to look again where a predecessor is just ending, and its sockets close one after the other, or is just starting.
const UNSETTLED: Duration = Duration::from_secs(1);

/// How long to sleep between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A server with a second address, its *control* address, at which a successor asks for its sockets.
///
/// Starting the next version of a program is all that an upgrade takes: [`Server::start`] finds the running one, takes its
/// sockets over, and the old one's [`Server::accept`] returns [`Next::HandedOver`]. No client is refused and none is dropped
/// in between, and where the new version fails before it serves, the old one goes on.
///
/// One thread accepts. While a successor prepares, clients are served as ever.
///
/// ```
/// use std::time::Duration;
/// use stoop::handover::{Next, Server};
/// use stoop::{Bind, Stream};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let control = directory.path().join("app.handover");
///
/// let mut server: Server = Server::start(&Bind::new(&path).mode(0o660), &control, Duration::from_secs(10))?;
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
    // Fields drop in this order: clients first find nobody, then successors.
    listener: Listener<C>,
    control: Listener<SeqPacket>,
    asking: Option<(SeqPacket, Offering)>,
    /// The last process that was told that it is not trusted.
    declined: Option<OwnedFd>,
    timeout: Duration,
    took_over: bool,
    handed_over: bool,
}

/// What a [`Server`] has met.
#[derive(Debug)]
pub enum Next<C> {
    /// A client that the policy admits.
    Client(C),
    /// A successor came and did not take over, for this reason. We serve on.
    NotHandedOver(Error),
    /// A successor serves now. Finish the conversations under way, and end; the files are left for it.
    HandedOver,
}

impl<C: Connected> Server<C> {
    /// Takes over from the server that answers at `control`; where none does, binds as `bind` says, and `control` for our own
    /// user alone.
    ///
    /// The sockets of a predecessor come as they are: of `bind`, only the policy has an effect on them. `timeout` limits
    /// each step of this hand-over, and of the one to our successor later.
    ///
    /// # Errors
    /// As [`Bind::listen`], [`take`] and [`Taken::ready`](super::Taken::ready); [`ErrorKind::AddressInUse`], after a second, where a
    /// server that cannot hand over has the address; [`ErrorKind::Protocol`] where the predecessor serves at another path
    /// than `bind` says.
    pub fn start(bind: &Bind, control: impl ToAddress, timeout: Duration) -> Result<Server<C>> {
        let control = control.to_address().map_err(|error| Error::address(Operation::HandOver, &error))?;
        let mut unsettled = None;
        loop {
            match Server::try_start(bind, &control, timeout) {
                Err(error) if error.kind() == ErrorKind::PeerGone || error.is_in_use() => {
                    if unsettled.get_or_insert_with(Instant::now).elapsed() >= UNSETTLED {
                        return Err(error);
                    }
                    std::thread::sleep(LOOK_AGAIN);
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
        let control = Bind::new(control).mode(0o600).policy(Policy::same_user()).listen_seqpacket()?;
        Ok(Server {
            listener,
            control,
            asking: None,
            declined: None,
            timeout,
            took_over: false,
            handed_over: false,
        })
    }

    fn take_over(bind: &Bind, predecessor: &SeqPacket, timeout: Duration) -> Result<Server<C>> {
        let address = bind.address.clone().map_err(|error| Error::address(Operation::Bind, &error))?;
        let taken = take(predecessor, timeout)?;
        let there = taken.sockets().find(|(name, _)| *name == CLIENTS).and_then(|(_, path)| path);
        check_path(&address, there)?;
        let mut sockets = taken.ready(timeout)?;
        let mut listener: Listener<C> = sockets.listener(CLIENTS)?;
        listener.set_policy(bind.policy_for(&address))?;
        let mut control: Listener<SeqPacket> = sockets.listener(CONTROL)?;
        control.set_policy(Policy::same_user())?;
        Ok(Server {
            listener,
            control,
            asking: None,
            declined: None,
            timeout,
            took_over: true,
            handed_over: false,
        })
    }

    /// Waits for a client, or for the end of a hand-over. After [`Next::HandedOver`] it returns that again at once. `EINTR` is
    /// retried.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn accept(&mut self) -> Result<Next<C>> {
        while !self.handed_over {
            let (client, successor) = self.wait()?;
            if successor {
                match self.hear_successor() {
                    Ok(over) => self.handed_over = over,
                    Err(error) => return Ok(Next::NotHandedOver(error)),
                }
            } else if client {
                match self.listener.accept_any() {
                    Ok(Arrival::Admitted(client)) => return Ok(Next::Client(client)),
                    Ok(Arrival::Refused { .. }) => {}
                    // Where others accept on the same listener, one of them may have been faster.
                    Err(error) if error.is_would_block() => {}
                    // A listener that came from elsewhere may be non-blocking, and does not pause by itself then.
                    Err(error) if error.is_transient() => std::thread::sleep(PAUSE_AFTER_FAILURE.0),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Next::HandedOver)
    }

    /// Waits until a client is there, or a successor: a new one, the next word of the one that is asking, or the end of our
    /// patience with it.
    fn wait(&self) -> Result<(bool, bool)> {
        let (successor, end): (BorrowedFd<'_>, _) = match &self.asking {
            Some((connection, offering)) => (connection.as_fd(), offering.end),
            None => (self.control.as_fd(), None),
        };
        let clients = self.listener.as_fd();
        let mut entries = [clients, successor].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let failed = |errno: rustix::io::Errno| Error::system(Operation::Accept, errno.into());
        poll_until(&mut entries, end).map_err(failed)?;
        let [clients, successor] = entries.map(|entry| !entry.revents().is_empty());
        // Clients that keep coming do not prolong it.
        let late = end.is_some_and(|end| end <= Instant::now());
        Ok((clients, successor || late))
    }

    /// True when it has taken over.
    fn hear_successor(&mut self) -> Result<bool> {
        let Some((connection, mut offering)) = self.asking.take() else {
            let declined = &mut self.declined;
            let decline = |refused| *declined = Some(decline(refused));
            if let Arrival::Admitted(connection) = self.control.accept_with(Blocking::Waits, decline)? {
                let offering = Offering::begin(&connection, self.timeout)?;
                self.asking = Some((connection, offering));
            }
            return Ok(false);
        };
        let mut items =
            [Item::listener(CLIENTS, &mut self.listener), Item::listener(CONTROL, &mut self.control)];
        let over = offering.step(&connection, &mut items)?;
        if !over {
            self.asking = Some((connection, offering));
        }
        Ok(over)
    }

    /// For a loop that accepts in its own way: the listener for clients, the one for successors, the limit for each step.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_parts(self) -> (Listener<C>, Listener<SeqPacket>, Duration) {
        (self.listener, self.control, self.timeout)
    }

    /// Whether a predecessor handed its sockets over to us.
    pub fn took_over(&self) -> bool {
        self.took_over
    }

    /// The listener for clients: its file, its policy, its counts.
    pub fn listener(&self) -> &Listener<C> {
        &self.listener
    }
}

/// A successor that serves another path than it was told to would leave its clients without a server.
fn check_path(wanted: &Address, there: Option<&Path>) -> Result<()> {
    let (Some(wanted), Some(there)) = (wanted.as_path(), there) else { return Ok(()) };
    if std::path::absolute(wanted).is_ok_and(|wanted| wanted == there) {
        return Ok(());
    }
    let detail = format!("the predecessor serves at '{}'", Address::path(there).unwrap_or(Address::UNNAMED));
    Err(Error::new(Operation::HandOver, ErrorKind::Protocol, detail))
}
