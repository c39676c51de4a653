//! What every kind of local socket shares: names, buffers, timeouts, identity, and messages with
//! things beside them.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::control::Credentials;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::message::{Allow, Outgoing, Pending, Received};
use crate::refusals::Refusals;
use crate::spin::Spin;
use crate::{Address, Kind, Peer, Policy, sys};

/// An owned local socket of any kind. [`Stream`](crate::Stream), [`SeqPacket`](crate::SeqPacket),
/// [`Datagram`](crate::Datagram) and [`Listener`](crate::Listener) all dereference to it.
pub struct Socket {
    fd: OwnedFd,
    kind: Kind,
    spin: Spin,
    /// Here and not in the types around it, so that no way of receiving goes past it. Most sockets
    /// have none, and are smaller for it.
    guard: Option<Box<Guard>>,
}

/// Whose messages come in, and whether descriptors do.
struct Guard {
    policy: Policy,
    refused: AtomicU64,
}

impl Socket {
    pub(crate) fn new(kind: Kind) -> io::Result<Socket> {
        Ok(Socket::from_known(sys::socket(kind, sys::Blocking::Waits)?, kind))
    }

    pub(crate) fn pair(kind: Kind) -> Result<(Socket, Socket)> {
        let (one, other) = sys::socket_pair(kind).map_err(configure)?;
        Ok((Socket::from_known(one, kind), Socket::from_known(other, kind)))
    }

    /// Takes a descriptor that the caller knows to be a local socket of this kind.
    pub(crate) fn from_known(fd: OwnedFd, kind: Kind) -> Socket {
        Socket { fd, kind, spin: Spin::off(), guard: None }
    }

    /// Takes a descriptor from elsewhere, after asking the kernel what it is.
    pub(crate) fn from_descriptor(fd: OwnedFd) -> Result<Socket> {
        let family = sys::socket_domain(fd.as_fd()).map_err(configure)?;
        if family != libc::AF_UNIX {
            let detail = format!("the descriptor is a socket of address family {family}, not a local socket");
            return Err(Error::new(Operation::Configure, ErrorKind::Unsupported, detail));
        }
        let number = sys::socket_type(fd.as_fd()).map_err(configure)?;
        match Kind::from_raw(number) {
            Some(kind) => Ok(Socket::from_known(fd, kind)),
            None => {
                let detail = format!("socket type {number} is not one that local sockets have");
                Err(Error::new(Operation::Configure, ErrorKind::Unsupported, detail))
            }
        }
    }

    pub(crate) fn expect_kind(self, kind: Kind) -> Result<Socket> {
        if self.kind == kind {
            return Ok(self);
        }
        let detail = format!("the descriptor is a {} socket, not a {kind} one", self.kind);
        Err(Error::new(Operation::Configure, ErrorKind::WrongKind, detail).of_kind(kind))
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// The kind of this socket.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address this socket is bound to, as it was given to the kernel then: a rename since does
    /// not show (K-NAME-1).
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn local_address(&self) -> Result<Address> {
        Ok(sys::local_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// The address that the other end is bound to; unnamed for most clients.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] without a peer.
    pub fn peer_address(&self) -> Result<Address> {
        Ok(sys::peer_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// Who is at the other end. See [`Peer`] for what each field means and when it was fixed.
    pub fn peer(&self) -> Peer {
        Peer::of(self.as_fd())
    }

    /// Another descriptor for the same socket; both share its state and its options.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`].
    pub(crate) fn duplicate(&self) -> Result<Socket> {
        let mut copy = Socket::from_known(self.fd.try_clone().map_err(configure)?, self.kind);
        copy.spin.set_budget(self.spin.budget());
        copy.guard = self.guard.as_ref().map(|guard| Guard::new(guard.policy.clone()));
        Ok(copy)
    }

    /// Whether calls return [`ErrorKind::WouldBlock`] instead of waiting. Off at first.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.fd, on).map_err(|errno| configure(errno.into()))
    }

    /// What [`Socket::set_nonblocking`] has set, here or through another descriptor of the same
    /// socket.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn is_nonblocking(&self) -> Result<bool> {
        let flags = rustix::fs::fcntl_getfl(&self.fd).map_err(|errno| configure(errno.into()))?;
        Ok(flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// How long a receive (on a listener: an accept) waits before [`ErrorKind::WouldBlock`]; `None`
    /// is for ever, as at first.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        sys::set_receive_timeout(self.as_fd(), timeout).map_err(configure)
    }

    /// What [`Socket::set_read_timeout`] has set.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        sys::receive_timeout(self.as_fd()).map_err(configure)
    }

    /// How long a send waits for room before [`ErrorKind::WouldBlock`]; `None` is for ever, as at
    /// first. A stream may have taken part of the bytes by then: the count returned says so
    /// (K-END-9).
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        sys::set_send_timeout(self.as_fd(), timeout).map_err(configure)
    }

    /// What [`Socket::set_write_timeout`] has set.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        sys::send_timeout(self.as_fd()).map_err(configure)
    }

    /// How long a blocking receive (on a listener: an accept) tries before it sleeps; zero is not
    /// at all, as at first, and [`SPIN_MAX`](crate::SPIN_MAX) the most.
    ///
    /// Between two processors an answer often comes sooner than a sleeping process can be woken: 20
    /// µs of trying has been measured to make a small round trip ten times as fast, for less
    /// processor time. The socket watches whether trying pays, and all but leaves it out while
    /// it does not. An idle socket costs nothing: it tries once, then sleeps. No effect on a
    /// non-blocking socket but wasted time.
    pub fn set_spin(&self, budget: Duration) {
        self.spin.set_budget(budget);
    }

    /// How this socket waits.
    pub(crate) fn spin(&self) -> &Spin {
        &self.spin
    }

    /// The send buffer in bytes, as the kernel accounts it: payload and overhead. The receive
    /// buffer has no effect on local sockets (K-DGRAM-8), so there is no call for it.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn send_buffer_bytes(&self) -> Result<usize> {
        sys::send_buffer_bytes(self.as_fd()).map_err(configure)
    }

    /// Asks for a send buffer. The kernel doubles the number and caps it at `net.core.wmem_max`.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()> {
        sys::set_send_buffer_bytes(self.as_fd(), bytes).map_err(configure)
    }

    /// Bytes that have arrived and not been read; of a datagram socket, those of the next message
    /// (K-LIMIT-2).
    ///
    /// # Errors
    /// What the kernel reports, for instance on a listener.
    pub fn unread_bytes(&self) -> Result<usize> {
        sys::unread_bytes(self.as_fd()).map_err(configure)
    }

    /// Memory held by what was sent and not read yet, in bytes as the kernel accounts them: more
    /// than the payload.
    ///
    /// # Errors
    /// What the kernel reports, for instance on a listener.
    pub fn unsent_bytes(&self) -> Result<usize> {
        sys::unsent_bytes(self.as_fd()).map_err(configure)
    }

    /// Takes the pending error off the socket, if there is one.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        sys::take_error(self.as_fd()).map_err(configure)
    }

    /// Whether each message is to come with its sender's [`Credentials`]. Messages sent before this
    /// was on come without (K-CRED-8); a listener's accepted sockets inherit it. An unbound
    /// socket gets an abstract name at its first send (K-DGRAM-2).
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_pass_credentials(&self, on: bool) -> Result<()> {
        sys::set_pass_credentials(self.as_fd(), on).map_err(configure)
    }

    /// Whether each message is to come with a pidfd of its sender. Linux 6.5.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on older kernels.
    pub fn set_pass_pidfd(&self, on: bool) -> Result<()> {
        sys::set_pass_pidfd(self.as_fd(), on).map_err(configure)
    }

    /// Whether each message is to come with its sender's security label, where a security module
    /// gives one.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_pass_label(&self, on: bool) -> Result<()> {
        sys::set_pass_label(self.as_fd(), on).map_err(configure)
    }

    /// Whether the kernel lets descriptors come in at all. When off, a peer's attempt fails with
    /// `EPERM` and its plain bytes pass (K-FD-15). Accepted sockets inherit it. Linux 6.16; on
    /// older kernels descriptors that were not asked for are closed on arrival.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on older kernels.
    pub fn set_pass_descriptors(&self, on: bool) -> Result<()> {
        sys::set_pass_descriptors(self.as_fd(), on).map_err(configure)
    }

    /// Sends bytes with descriptors or credentials beside them, in one call that never raises
    /// `SIGPIPE`.
    ///
    /// Returns how many bytes were taken: all of a message, perhaps a part on a stream. The kernel
    /// sends what is beside the bytes with the first of them, once; after a partial send only
    /// the rest of the bytes is still to go (K-FD-9). Waits for room on a blocking socket;
    /// `EINTR` is retried.
    ///
    /// # Errors
    /// [`ErrorKind::PeerGone`], [`ErrorKind::MessageTooLarge`], [`ErrorKind::WouldBlock`],
    /// [`ErrorKind::NotPermitted`] where the receiver refuses descriptors,
    /// [`ErrorKind::TooManyInFlight`]. Descriptors without a byte to carry them on a stream
    /// would be lost (K-FD-8) and are refused.
    pub fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        outgoing.send(self, buffers, None)
    }

    /// Receives bytes with what came beside them.
    ///
    /// Descriptors come in only as far as `allow` says; each is close-on-exec from birth.
    /// Credentials, pidfd and label come where the socket was told to pass them. Datagrams from
    /// senders that the policy refuses are dropped, their descriptors closed, and counted by
    /// [`Datagram::refused`](crate::Datagram::refused). Waits for data on a blocking socket;
    /// `EINTR` is retried. A nonblocking socket returns after 16 refused datagrams in a row,
    /// and a blocking one when its read timeout has passed, even if more are waiting: see
    /// [`Error::is_refusal_limit`].
    ///
    /// # Errors
    /// [`ErrorKind::SurplusDescriptors`], [`ErrorKind::ControlTruncated`], [`ErrorKind::MessageTruncated`]: every descriptor that
    /// came has been closed, the bytes are in the buffers ([`Error::received_bytes`] says how
    /// many), and a stream whose messages rely on the descriptors is out of step from here.
    /// [`ErrorKind::WouldBlock`], [`ErrorKind::PeerGone`].
    pub fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            if let Some(received) = self.receive_admitted(buffers, allow)? {
                return Ok(received);
            }
            refusals.add(self, 1)?;
        }
    }

    /// The next message, or `None` where the policy refuses its sender: nothing else of it is
    /// looked at then.
    pub(crate) fn receive_admitted(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        allow: Allow,
    ) -> Result<Option<Received>> {
        let pending = Pending::receive(self, buffers)?;
        if !self.admits(pending.sender()) {
            return Ok(None);
        }
        if self.guard.as_ref().is_none_or(|guard| guard.policy.descriptors_allowed()) {
            return pending.take(allow).map(Some);
        }
        // A kernel that could not refuse them has let them in.
        let mut received = pending.take(Allow::AND_DROP)?;
        received.descriptors.clear();
        Ok(Some(received))
    }

    /// Puts a policy in force for what is received from here on, and counts refusals on. The kernel
    /// has been told already.
    pub(crate) fn guard(&mut self, policy: Policy) {
        match &mut self.guard {
            Some(guard) => guard.policy = policy,
            None if policy.admits_everyone() && policy.descriptors_allowed() => {}
            None => self.guard = Some(Guard::new(policy)),
        }
    }

    /// Whether the policy has to know who sends: only datagrams are judged one by one, a connection
    /// when it is accepted.
    pub(crate) fn asks_senders(&self) -> bool {
        self.sender_guard().is_some()
    }

    /// Asks the policy about the sender of a message, and counts a refusal.
    pub(crate) fn admits(&self, sender: Option<Credentials>) -> bool {
        let Some(guard) = self.sender_guard() else { return true };
        let admitted = guard.policy.admits_sender(sender);
        if !admitted {
            guard.refused.fetch_add(1, Relaxed);
        }
        admitted
    }

    fn sender_guard(&self) -> Option<&Guard> {
        let guard = self.guard.as_deref().filter(|guard| !guard.policy.admits_everyone());
        guard.filter(|_| self.kind == Kind::Datagram)
    }

    /// How many messages the policy has refused.
    pub(crate) fn refused_messages(&self) -> u64 {
        self.guard.as_ref().map_or(0, |guard| guard.refused.load(Relaxed))
    }
}

impl Guard {
    fn new(policy: Policy) -> Box<Guard> {
        Box::new(Guard { policy, refused: AtomicU64::new(0) })
    }
}

/// An error of reading or setting a socket's property.
pub(crate) fn configure(cause: io::Error) -> Error {
    Error::system(Operation::Configure, cause)
}

/// Repeats a system call that a signal interrupted before it had done anything.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("fd", &self.fd).field("kind", &self.kind).finish()
    }
}
