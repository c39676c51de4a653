//! What every kind of Unix domain socket shares: addresses, buffers, timeouts, identity, and
//! messages with ancillary data.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::control::Credentials;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::message::{Allow, Outgoing, Pending, Received};
use crate::socket_methods::{base_methods, blocking_methods, data_methods, peer_methods};
use crate::spin::Spin;
use crate::sys::{self, RawAddress};
use crate::{Kind, Policy};

/// A Unix domain socket of any kind, inside each public type.
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
            let detail = format!("the file descriptor is a socket of address family {family}, not AF_UNIX");
            return Err(Error::new(Operation::Configure, ErrorKind::Unsupported, detail));
        }
        let number = sys::socket_type(fd.as_fd()).map_err(configure)?;
        match Kind::from_raw(number) {
            Some(kind) => Ok(Socket::from_known(fd, kind)),
            None => {
                let detail = format!("Unix sockets have no type {number}");
                Err(Error::new(Operation::Configure, ErrorKind::Unsupported, detail))
            }
        }
    }

    pub(crate) fn expect_kind(self, kind: Kind) -> Result<Socket> {
        if self.kind == kind {
            return Ok(self);
        }
        let detail = format!("the file descriptor is a {} socket, expected a {kind} socket", self.kind);
        Err(Error::new(Operation::Configure, ErrorKind::WrongKind, detail).of_kind(kind))
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Returns the kind of this socket.
    pub fn kind(&self) -> Kind {
        self.kind
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

    base_methods!();
    blocking_methods!();
    peer_methods!();
    data_methods!();

    /// Returns the polling state of this socket.
    pub(crate) fn spin(&self) -> &Spin {
        &self.spin
    }

    /// Sends a message with ancillary data, to this address or to the peer.
    pub(crate) fn send_message(
        &self,
        outgoing: &Outgoing<'_>,
        buffers: &[IoSlice<'_>],
        to: Option<&RawAddress>,
    ) -> Result<usize> {
        outgoing.send(self.as_fd(), self.kind, buffers, to)
    }

    /// Receives a message without checking its sender.
    pub(crate) fn receive_message(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receive_pending(buffers)?.take(allow)
    }

    fn receive_pending(&self, buffers: &mut [IoSliceMut<'_>]) -> Result<Pending> {
        Pending::receive(self.as_fd(), self.kind, &self.spin, buffers, 0)
    }

    /// Returns the next message, or `None` if the policy refuses its sender. Nothing else of a
    /// refused message is inspected.
    pub(crate) fn receive_allowed(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        allow: Allow,
    ) -> Result<Option<Received>> {
        let pending = self.receive_pending(buffers)?;
        if !self.allows(pending.sender()) {
            return Ok(None);
        }
        match self.accepts_descriptors() {
            true => pending.take(allow),
            // A kernel that cannot refuse file descriptors (before Linux 6.16) has delivered them.
            false => pending.take_without_descriptors(),
        }
        .map(Some)
    }

    /// Returns the next message, which stays in the queue, without its file descriptors if the
    /// policy refuses them or its sender.
    pub(crate) fn peek(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        let pending = Pending::receive(self.as_fd(), self.kind, &self.spin, buffers, libc::MSG_PEEK)?;
        let is_allowed = |guard: &Guard| guard.policy.allows_sender(pending.sender());
        match self.accepts_descriptors() && self.sender_guard().is_none_or(is_allowed) {
            true => pending.take(allow),
            false => pending.take_without_descriptors(),
        }
    }

    /// Returns whether the policy allows file descriptors. Before Linux 6.16 each receive has to
    /// check this, because the kernel cannot.
    pub(crate) fn accepts_descriptors(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.policy.descriptors_allowed())
    }

    /// Applies a policy to messages received from now on, and keeps the count of refusals. The
    /// caller has already set the socket options the policy requires.
    pub(crate) fn guard(&mut self, policy: Policy) {
        match &mut self.guard {
            Some(guard) => guard.policy = policy,
            None if policy.allows_everyone() && policy.descriptors_allowed() => {}
            None => self.guard = Some(Guard::new(policy)),
        }
    }

    /// Returns whether the policy has to know the sender of each message. Only datagrams are
    /// checked one by one; a connection is checked when it is accepted.
    pub(crate) fn asks_senders(&self) -> bool {
        self.sender_guard().is_some()
    }

    /// Checks the sender of a message against the policy, and counts a refusal.
    pub(crate) fn allows(&self, sender: Option<Credentials>) -> bool {
        let Some(guard) = self.sender_guard() else { return true };
        let accepted = guard.policy.allows_sender(sender);
        if !accepted {
            guard.refused.fetch_add(1, Relaxed);
        }
        accepted
    }

    fn sender_guard(&self) -> Option<&Guard> {
        let guard = self.guard.as_deref().filter(|guard| !guard.policy.allows_everyone());
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

/// Returns the timeout, unless it is zero, which the kernel takes for none.
pub(crate) fn nonzero(timeout: Option<Duration>) -> Result<Option<Duration>> {
    match timeout {
        Some(Duration::ZERO) => {
            Err(configure(io::Error::new(io::ErrorKind::InvalidInput, "a timeout cannot be zero")))
        }
        timeout => Ok(timeout),
    }
}

/// Creates an error for reading or setting a property of a socket.
pub(crate) fn configure(cause: io::Error) -> Error {
    Error::system(Operation::Configure, cause)
}

impl AsRef<Socket> for Socket {
    fn as_ref(&self) -> &Socket {
        self
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("fd", &self.fd).field("kind", &self.kind).finish()
    }
}
