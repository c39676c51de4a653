//! A server that takes over from its predecessor when it starts, and hands over to its successor
//! when one comes.

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

/// How long to look again where a predecessor is just ending, and its sockets close one after the
/// other, or is just starting.
const UNSETTLED: Duration = Duration::from_secs(1);

/// How long to sleep between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A server with a second address, its *control* address, at which a successor asks for its
/// sockets.
///
/// Starting the next version of a program is all that an upgrade takes: [`Server::start`] finds the
/// running one, takes its sockets over, and the old one's [`Server::accept`] returns
/// [`Next::HandedOver`]. No client is refused and none is dropped in between, and where the new
/// version fails before it serves, the old one goes on.
///
/// One thread accepts. While a successor prepares, clients are served as ever, and both are served
/// in turn. Connections to the control address get at most a tenth of the server's time, whoever
/// makes them. Several successors may wait; each is offered the sockets in its turn, and one that
/// says nothing takes nobody's turn.
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
    /// The last process that was told that it is not trusted.
    declined: Option<OwnedFd>,
    successors: Successors<SeqPacket>,
    /// Whose turn it was last.
    heard_successor: bool,
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
    /// A successor serves now. Finish the conversations under way, and end; the files are left for
    /// it.
    HandedOver,
}

impl<C: Connected> Server<C> {
    /// Takes over from the server that answers at `control`; where none does, binds as `bind` says,
    /// and `control` for our own user alone.
    ///
    /// The sockets of a predecessor come as they are: of `bind`, only the policy has an effect on
    /// them. `timeout` limits each step of this hand-over, and of the one to our successor
    /// later.
    ///
    /// # Errors
    /// As [`Bind::listen`], [`take`] and [`Taken::ready`](super::Taken::ready);
    /// [`ErrorKind::AddressInUse`], after a second, where a server that cannot hand over has
    /// the address; [`ErrorKind::Protocol`] where the predecessor serves at another path
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
        Ok(Server::of(listener, control, timeout, false))
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
            heard_successor: false,
            took_over,
            handed_over: false,
        }
    }

    /// Waits for a client, or for the end of a hand-over. After [`Next::HandedOver`] it returns
    /// that again at once. `EINTR` is retried.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn accept(&mut self) -> Result<Next<C>> {
        while !self.handed_over {
            let ready = self.wait()?;
            // Neither can keep the other waiting by coming again and again.
            if ready.is_for_successors() && !(ready.client && self.heard_successor) {
                self.heard_successor = true;
                match self.hear_successor(ready) {
                    Ok(over) => self.handed_over = over,
                    Err(error) => return Ok(Next::NotHandedOver(error)),
                }
                continue;
            }
            self.heard_successor = false;
            if !ready.client {
                continue;
            }
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
        Ok(Next::HandedOver)
    }

    /// Waits until a client is there, or a successor: a new one, the next word of one that is
    /// connected, or the end of our patience with it.
    fn wait(&self) -> Result<Ready> {
        let entry = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
        let mut entries = vec![entry(self.listener.as_fd())];
        entries.extend(self.successors.awaited().map(|connection| entry(connection.as_fd())));
        let pause = self.successors.pace.pause(Instant::now());
        if pause.is_none() {
            entries.push(entry(self.control.as_fd()));
        }
        let end = [self.successors.end(), pause].into_iter().flatten().min();
        let failed = |errno: rustix::io::Errno| Error::system(Operation::Accept, errno.into());
        poll_until(&mut entries, end).map_err(failed)?;
        let is_ready = |entry: &PollFd<'_>| !entry.revents().is_empty();
        let knocking = entries.pop_if(|last| pause.is_none() && is_ready(last)).is_some();
        // Clients that keep coming do not prolong it.
        let late = self.successors.end().is_some_and(|end| end <= Instant::now());
        Ok(Ready { client: is_ready(&entries[0]), word: late || entries[1..].iter().any(is_ready), knocking })
    }

    /// True when one has taken over.
    fn hear_successor(&mut self, ready: Ready) -> Result<bool> {
        if ready.word {
            let mut items =
                [Item::listener(CLIENTS, &mut self.listener), Item::listener(CONTROL, &mut self.control)];
            return self.successors.step(&mut items);
        }
        let began = Instant::now();
        let declined = &mut self.declined;
        let decline = |refused| *declined = Some(decline(refused));
        let arrival = self.control.accept_with(Blocking::Waits, decline);
        self.successors.pace.note(began, Instant::now());
        match arrival {
            Ok(Arrival::Admitted(successor)) => self.successors.join(successor).map(|()| false),
            Ok(Arrival::Refused { .. }) => Ok(false),
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => {
                self.successors.pace.give_way(Instant::now());
                Err(error)
            }
        }
    }

    /// For a loop that accepts in its own way: the listener for clients, the one for successors,
    /// the limit for each step.
    #[cfg(feature = "tokio")]
    pub(crate) fn into_parts(self) -> (Listener<C>, Listener<SeqPacket>, Duration) {
        let timeout = self.successors.timeout();
        (self.listener, self.control, timeout)
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

/// What there is to do.
#[derive(Clone, Copy, Debug)]
struct Ready {
    /// A client is there.
    client: bool,
    /// A successor has said something, or its time is up.
    word: bool,
    /// Somebody has connected to the control address.
    knocking: bool,
}

impl Ready {
    fn is_for_successors(self) -> bool {
        self.word || self.knocking
    }
}

/// A successor that serves another path than it was told to would leave its clients without a
/// server.
fn check_path(wanted: &Address, there: Option<&Path>) -> Result<()> {
    let (Some(wanted), Some(there)) = (wanted.as_path(), there) else { return Ok(()) };
    if std::path::absolute(wanted).is_ok_and(|wanted| wanted == there) {
        return Ok(());
    }
    let detail = format!("the predecessor serves at '{}'", Address::path(there).unwrap_or(Address::UNNAMED));
    Err(Error::new(Operation::HandOver, ErrorKind::Protocol, detail))
}
