//! What every kind of Unix domain socket shares: addresses, buffers, timeouts, identity, and
//! messages with ancillary data.

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

/// An owned Unix domain socket of any kind.
///
/// [`Stream`](crate::Stream), [`SeqPacket`](crate::SeqPacket), [`Datagram`](crate::Datagram) and
/// [`Listener`](crate::Listener) all dereference to it.
pub struct Socket {
    fd: OwnedFd,
    kind: Kind,
    spin: Spin,
    /// Kept here and not in the types around it, so that every receiving method checks it. It is
    /// boxed because most sockets have none.
    guard: Option<Box<Guard>>,
}

/// Which senders' messages are received, and whether file descriptors are.
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

    /// Wraps a file descriptor that the caller knows to be a Unix socket of this kind.
    pub(crate) fn from_known(fd: OwnedFd, kind: Kind) -> Socket {
        Socket { fd, kind, spin: Spin::off(), guard: None }
    }

    /// Wraps a file descriptor of unknown origin, after asking the kernel for its family and type.
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

    /// Returns the kind of this socket.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the address this socket is bound to.
    ///
    /// The kernel keeps the address as it was passed to `bind`. A later rename of the socket file
    /// does not show (K-NAME-1).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn local_address(&self) -> Result<Address> {
        Ok(sys::local_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// Returns the address the peer is bound to.
    ///
    /// Most clients never bind, so their address is unnamed.
    ///
    /// # Errors
    /// Returns an error if the socket has no peer ([`ErrorKind::NotConnected`]).
    pub fn peer_address(&self) -> Result<Address> {
        Ok(sys::peer_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// Returns what the kernel knows about the process at the other end of this connection.
    ///
    /// See [`Peer`] for what each field means and when the kernel recorded it.
    pub fn peer(&self) -> Peer {
        Peer::of(self.as_fd())
    }

    /// Duplicates the file descriptor. Both share the socket's state and options.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free ([`ErrorKind::OutOfDescriptors`]).
    pub(crate) fn duplicate(&self) -> Result<Socket> {
        let mut copy = Socket::from_known(self.fd.try_clone().map_err(configure)?, self.kind);
        copy.spin.set_budget(self.spin.budget());
        copy.guard = self.guard.as_ref().map(|guard| Guard::new(guard.policy.clone()));
        Ok(copy)
    }

    /// Moves the socket into or out of nonblocking mode (`O_NONBLOCK`).
    ///
    /// In nonblocking mode, calls that would have to wait return [`ErrorKind::WouldBlock`]. By
    /// default a socket blocks. The mode belongs to the socket, so it also applies to duplicated
    /// file descriptors.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_nonblocking(&self, on: bool) -> Result<()> {
        rustix::io::ioctl_fionbio(&self.fd, on).map_err(|errno| configure(errno.into()))
    }

    /// Returns whether the socket is in nonblocking mode.
    ///
    /// The mode may have been set through another file descriptor of the same socket.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn is_nonblocking(&self) -> Result<bool> {
        let flags = rustix::fs::fcntl_getfl(&self.fd).map_err(|errno| configure(errno.into()))?;
        Ok(flags.contains(rustix::fs::OFlags::NONBLOCK))
    }

    /// Sets the read timeout (`SO_RCVTIMEO`).
    ///
    /// If a receive, or on a listener an accept, waits longer than this, it returns
    /// [`ErrorKind::WouldBlock`]. If `None` (the default), it blocks indefinitely.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        sys::set_receive_timeout(self.as_fd(), timeout).map_err(configure)
    }

    /// Returns the read timeout, or `None` if reads block indefinitely. See
    /// [`Socket::set_read_timeout`].
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn read_timeout(&self) -> Result<Option<Duration>> {
        sys::receive_timeout(self.as_fd()).map_err(configure)
    }

    /// Sets the write timeout (`SO_SNDTIMEO`).
    ///
    /// If a send waits longer than this for space, it returns [`ErrorKind::WouldBlock`]. If `None`
    /// (the default), it blocks indefinitely. On a stream, part of the bytes may have been sent
    /// before the timeout: the call then returns their count (K-END-9).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> Result<()> {
        sys::set_send_timeout(self.as_fd(), timeout).map_err(configure)
    }

    /// Returns the write timeout, or `None` if sends block indefinitely. See
    /// [`Socket::set_write_timeout`].
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn write_timeout(&self) -> Result<Option<Duration>> {
        sys::send_timeout(self.as_fd()).map_err(configure)
    }

    /// Sets how long a blocking receive, or on a listener an accept, polls before it sleeps.
    ///
    /// Zero (the default) turns polling off. A budget above [`SPIN_MAX`](crate::SPIN_MAX) is
    /// lowered to it.
    ///
    /// Between two processors an answer often arrives sooner than a sleeping process can be woken.
    /// A budget of 20 µs has been measured to make a small round trip ten times as fast, for less
    /// processor time. The socket measures whether polling succeeds, and almost stops polling while
    /// it does not. An idle socket costs nothing: it polls once, then sleeps. On a nonblocking
    /// socket the budget only wastes time.
    pub fn set_spin(&self, budget: Duration) {
        self.spin.set_budget(budget);
    }

    /// Returns the polling state of this socket.
    pub(crate) fn spin(&self) -> &Spin {
        &self.spin
    }

    /// Returns the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// The kernel counts payload and its own overhead against it. There is no method for the
    /// receive buffer, because `SO_RCVBUF` has no effect on Unix sockets (K-DGRAM-8).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn send_buffer_bytes(&self) -> Result<usize> {
        sys::send_buffer_bytes(self.as_fd()).map_err(configure)
    }

    /// Sets the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// The kernel doubles the number, and caps it at `net.core.wmem_max`. The default comes from
    /// `net.core.wmem_default`.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()> {
        sys::set_send_buffer_bytes(self.as_fd(), bytes).map_err(configure)
    }

    /// Returns the number of bytes that have arrived and not been read (`FIONREAD`).
    ///
    /// On a datagram socket it is the length of the next message (K-LIMIT-2).
    ///
    /// # Errors
    /// Returns an error if the kernel does, for instance on a listener.
    pub fn unread_bytes(&self) -> Result<usize> {
        sys::unread_bytes(self.as_fd()).map_err(configure)
    }

    /// Returns how much memory the data holds that was sent and not yet read by the peer
    /// (`SIOCOUTQ`).
    ///
    /// The unit is bytes as the kernel accounts them, which is more than the payload.
    ///
    /// # Errors
    /// Returns an error if the kernel does, for instance on a listener.
    pub fn unsent_bytes(&self) -> Result<usize> {
        sys::unsent_bytes(self.as_fd()).map_err(configure)
    }

    /// Returns and clears the pending error of the socket (`SO_ERROR`), if there is one.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn take_error(&self) -> Result<Option<io::Error>> {
        sys::take_error(self.as_fd()).map_err(configure)
    }

    /// Sets whether each received message carries its sender's [`Credentials`] (`SO_PASSCRED`).
    ///
    /// Off by default. Messages that were sent before this was turned on arrive without credentials
    /// (K-CRED-8). Sockets accepted from a listener inherit the setting. An unbound socket gets an
    /// abstract name when it first sends (K-DGRAM-2).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_pass_credentials(&self, on: bool) -> Result<()> {
        sys::set_pass_credentials(self.as_fd(), on).map_err(configure)
    }

    /// Sets whether each received message carries a pidfd of its sender (`SO_PASSPIDFD`).
    ///
    /// Off by default. Requires Linux 6.5.
    ///
    /// # Errors
    /// Returns an error if the kernel is older ([`ErrorKind::Unsupported`]).
    pub fn set_pass_pidfd(&self, on: bool) -> Result<()> {
        sys::set_pass_pidfd(self.as_fd(), on).map_err(configure)
    }

    /// Sets whether each received message carries its sender's security label (`SO_PASSSEC`).
    ///
    /// Off by default. A label is present only if a security module provides one.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_pass_label(&self, on: bool) -> Result<()> {
        sys::set_pass_label(self.as_fd(), on).map_err(configure)
    }

    /// Sets whether the kernel accepts file descriptors for this socket at all (`SO_PASSRIGHTS`).
    ///
    /// On by default. When off, a peer that sends file descriptors gets `EPERM`; plain bytes still
    /// pass (K-FD-15). Accepted sockets inherit the setting. Requires Linux 6.16. On older kernels,
    /// file descriptors that the receiver did not ask for are closed on arrival.
    ///
    /// # Errors
    /// Returns an error if the kernel is older ([`ErrorKind::Unsupported`]).
    pub fn set_pass_descriptors(&self, on: bool) -> Result<()> {
        sys::set_pass_descriptors(self.as_fd(), on).map_err(configure)
    }

    /// Sends bytes together with ancillary data (file descriptors, credentials) in one call.
    ///
    /// Returns the number of bytes sent: the whole message, or on a stream perhaps a part of it.
    /// The kernel sends the ancillary data once, with the first byte. After a partial send only the
    /// rest of the bytes remains to be sent (K-FD-9). A blocking socket waits for space. `EINTR` is
    /// retried, and `SIGPIPE` is never raised.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the peer has closed ([`ErrorKind::PeerGone`]);
    /// - the message is larger than the send buffer allows ([`ErrorKind::MessageTooLarge`]);
    /// - the socket is nonblocking, or its write timeout passed ([`ErrorKind::WouldBlock`]);
    /// - the receiver refuses file descriptors ([`ErrorKind::NotPermitted`]);
    /// - too many file descriptors of this user are in flight ([`ErrorKind::TooManyInFlight`]);
    /// - the socket is a stream and all buffers are empty, so that the ancillary data would be lost
    ///   (K-FD-8) ([`ErrorKind::Unsupported`]);
    /// - there are more file descriptors or buffers than one message can hold
    ///   ([`ErrorKind::Unsupported`]).
    pub fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        outgoing.send(self, buffers, None)
    }

    /// Receives bytes together with ancillary data.
    ///
    /// File descriptors are received only as far as `allow` says, and are close-on-exec from the
    /// start. Credentials, pidfd and label are received if the corresponding option of the socket
    /// is on. A blocking socket waits for data, and `EINTR` is retried.
    ///
    /// Datagrams from senders that the policy refuses are dropped, their file descriptors are
    /// closed, and [`Datagram::refused`](crate::Datagram::refused) counts them. A nonblocking
    /// socket returns after 16 refused datagrams in a row, and a blocking one when its read timeout
    /// has passed, even if more are waiting: see [`Error::is_refusal_limit`].
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - more file descriptors arrived than allowed ([`ErrorKind::SurplusDescriptors`]), ancillary
    ///   data was truncated ([`ErrorKind::ControlTruncated`]), or the message did not fit
    ///   ([`ErrorKind::MessageTruncated`]);
    /// - the socket is nonblocking, its read timeout passed, or it refused as much as one call may
    ///   ([`ErrorKind::WouldBlock`]);
    /// - the peer has closed with unread data ([`ErrorKind::PeerGone`]).
    ///
    /// After an error of the first group every received file descriptor has been closed. The bytes
    /// are in the buffers, and [`Error::received_bytes`] returns their number. On a stream whose
    /// protocol relies on the file descriptors, the two ends are out of step.
    pub fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            if let Some(received) = self.receive_admitted(buffers, allow)? {
                return Ok(received);
            }
            refusals.add(self, 1)?;
        }
    }

    /// Returns the next message, or `None` if the policy refuses its sender. Nothing else of a
    /// refused message is inspected.
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
        // A kernel that cannot refuse file descriptors (before Linux 6.16) has delivered them.
        let mut received = pending.take(Allow::AND_DROP)?;
        received.descriptors.clear();
        Ok(Some(received))
    }

    /// Applies a policy to messages received from now on, and keeps the count of refusals. The
    /// caller has already set the socket options the policy requires.
    pub(crate) fn guard(&mut self, policy: Policy) {
        match &mut self.guard {
            Some(guard) => guard.policy = policy,
            None if policy.admits_everyone() && policy.descriptors_allowed() => {}
            None => self.guard = Some(Guard::new(policy)),
        }
    }

    /// Returns whether the policy has to know the sender of each message. Only datagrams are
    /// checked one by one; a connection is checked when it is accepted.
    pub(crate) fn asks_senders(&self) -> bool {
        self.sender_guard().is_some()
    }

    /// Checks the sender of a message against the policy, and counts a refusal.
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

    /// Returns how many messages the policy has refused.
    pub(crate) fn refused_messages(&self) -> u64 {
        self.guard.as_ref().map_or(0, |guard| guard.refused.load(Relaxed))
    }
}

impl Guard {
    fn new(policy: Policy) -> Box<Guard> {
        Box::new(Guard { policy, refused: AtomicU64::new(0) })
    }
}

/// Creates an error for reading or setting a property of a socket.
pub(crate) fn configure(cause: io::Error) -> Error {
    Error::system(Operation::Configure, cause)
}

/// Repeats a system call that a signal interrupted before it had any effect.
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
