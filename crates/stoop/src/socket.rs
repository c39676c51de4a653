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

    /// Returns the address this socket is bound to.
    ///
    /// The kernel keeps the address as it was passed to `bind`. A later rename of the socket file
    /// does not show (K-NAME-1).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let socket = Datagram::unbound()?;
    /// assert!(socket.local_address()?.as_abstract().is_some()); // assigned by the kernel
    /// let (one, _other) = Datagram::pair()?;
    /// assert!(one.local_address()?.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn local_address(&self) -> Result<Address> {
        Ok(sys::local_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// Returns the address the peer is bound to.
    ///
    /// Most clients never bind, so their address is unnamed.
    ///
    /// # Errors
    /// Returns an error if the socket has no peer ([`ErrorKind::NotConnected`]).
    ///
    /// ```
    /// use stoop::{Bind, Datagram, ErrorKind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let client = Stream::connect(&path)?;
    /// assert_eq!(client.peer_address()?.as_path(), Some(&*path));
    /// assert!(listener.accept()?.peer_address()?.is_unnamed()); // the client never bound
    ///
    /// let error = Datagram::unbound()?.peer_address().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotConnected);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn peer_address(&self) -> Result<Address> {
        Ok(sys::peer_address(self.as_fd()).map_err(configure)?.to_address())
    }

    /// Returns what the kernel knows about the process at the other end of this connection.
    ///
    /// See [`Peer`] for what each field means and when the kernel recorded it.
    ///
    /// ```
    /// use stoop::{Datagram, Fact, Stream};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// assert_eq!(one.peer().pid.known(), Some(&std::process::id()));
    ///
    /// // Without a connection the kernel knows no peer, which is not the same as user 0.
    /// assert_eq!(Datagram::unbound()?.peer().uid, Fact::Unknown);
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// use stoop::SeqPacket;
    ///
    /// let (one, _other) = SeqPacket::pair()?;
    /// let twin = one.try_clone()?;
    /// one.set_nonblocking(true)?;
    /// assert!(twin.is_nonblocking()?); // the mode belongs to the socket
    /// assert!(twin.recv(&mut [0; 8]).unwrap_err().is_would_block());
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (one, other) = stoop::SeqPacket::pair()?;
    /// one.set_read_timeout(Some(Duration::from_millis(1)))?;
    /// assert!(one.recv_vec().unwrap_err().is_would_block());
    ///
    /// other.send(b"late")?; // the connection is as before
    /// assert_eq!(one.recv_vec()?.as_deref(), Some(&b"late"[..]));
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// use std::io::Write;
    /// use std::time::Duration;
    ///
    /// let (mut one, _other) = stoop::Stream::pair()?;
    /// one.set_write_timeout(Some(Duration::from_millis(1)))?;
    /// let bytes = vec![0; 16 << 20];
    /// assert!(one.write(&bytes)? < bytes.len()); // as much as the peer's queue holds
    /// let error = one.write(&bytes).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::time::Duration;
    ///
    /// let (mut one, mut other) = stoop::Stream::pair()?;
    /// one.set_spin(Duration::from_micros(20));
    /// let server = std::thread::spawn(move || {
    ///     let mut request = [0; 4];
    ///     other.read_exact(&mut request)?;
    ///     other.write_all(b"pong")
    /// });
    /// one.write_all(b"ping")?;
    /// let mut reply = [0; 4];
    /// one.read_exact(&mut reply)?; // polls for up to 20 µs, then sleeps
    /// assert_eq!(&reply, b"pong");
    /// # server.join().unwrap()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_spin(&self, budget: Duration) {
        self.spin.set_budget(budget);
    }

    /// Returns the polling state of this socket.
    pub(crate) fn spin(&self) -> &Spin {
        &self.spin
    }

    /// Returns the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// The kernel counts payload and its own overhead against it. The size of the receive buffer
    /// has no method, because `SO_RCVBUF` has no effect on Unix sockets (K-DGRAM-8).
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
    ///
    /// ```
    /// let (one, _other) = stoop::Datagram::pair()?;
    /// one.set_send_buffer_bytes(16 * 1024)?;
    /// assert_eq!(one.send_buffer_bytes()?, 32 * 1024); // doubled
    /// let error = one.send(&[0; 64 * 1024]).unwrap_err();
    /// assert_eq!(error.kind(), stoop::ErrorKind::MessageTooLarge);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()> {
        sys::set_send_buffer_bytes(self.as_fd(), bytes).map_err(configure)
    }

    /// Returns the number of bytes that have arrived and not been read (`FIONREAD`).
    ///
    /// On a datagram socket it is the length of the next message (K-LIMIT-2).
    ///
    /// # Errors
    /// Returns an error if the kernel does, for instance on a listener.
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// one.send(b"again")?;
    /// assert_eq!(other.unread_bytes()?, 5); // of the next message, not of both
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// assert!(one.unsent_bytes()? > 5); // with the kernel's overhead
    /// other.recv(&mut [0; 8])?;
    /// assert_eq!(one.unsent_bytes()?, 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn unsent_bytes(&self) -> Result<usize> {
        sys::unsent_bytes(self.as_fd()).map_err(configure)
    }

    /// Returns and clears the pending error of the socket (`SO_ERROR`), if there is one.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let (one, mut other) = stoop::Stream::pair()?;
    /// other.write_all(b"never read")?;
    /// drop(one); // with unread data: the connection is reset
    /// let pending = other.take_error()?.expect("a pending error");
    /// assert_eq!(pending.kind(), std::io::ErrorKind::ConnectionReset);
    /// assert!(other.take_error()?.is_none()); // cleared
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use stoop::{Allow, Datagram};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"early")?;
    /// other.set_pass_credentials(true)?;
    /// one.send(b"late")?;
    ///
    /// let (_, early) = other.recv_vec_with(Allow::NOTHING)?;
    /// assert_eq!(early.credentials, None); // sent before
    /// let (_, late) = other.recv_vec_with(Allow::NOTHING)?;
    /// assert_eq!(late.credentials.map(|sender| sender.pid), Some(std::process::id() as i32));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn set_pass_credentials(&self, on: bool) -> Result<()> {
        sys::set_pass_credentials(self.as_fd(), on).map_err(configure)
    }

    /// Sets whether each received message carries a pidfd of its sender (`SO_PASSPIDFD`).
    ///
    /// Off by default. Requires Linux 6.5.
    ///
    /// # Errors
    /// Returns an error if the kernel is older ([`ErrorKind::Unsupported`]).
    ///
    /// ```
    /// use stoop::{Allow, Datagram};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// match other.set_pass_pidfd(true) {
    ///     Err(error) if error.is_unsupported() => return Ok(()), // before Linux 6.5
    ///     set => set?,
    /// }
    /// one.send(b"hello")?;
    /// let (_, received) = other.recv_vec_with(Allow::NOTHING)?; // which a pidfd does not need
    /// assert!(received.pidfd.is_some());
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{ErrorKind, Outgoing, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// match other.set_pass_descriptors(false) {
    ///     Err(error) if error.is_unsupported() => return Ok(()), // before Linux 6.16
    ///     set => set?,
    /// }
    /// let fds = [one.as_fd()];
    /// let sent = one.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&fds));
    /// assert_eq!(sent.unwrap_err().kind(), ErrorKind::NotPermitted);
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, ErrorKind, Outgoing, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let (_reader, writer) = std::io::pipe()?;
    /// let message = [IoSlice::new(b"a "), IoSlice::new(b"pipe")];
    /// let fds = [writer.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&fds);
    /// assert_eq!(one.send_with(&message, &outgoing)?, 6);
    ///
    /// // On a stream, ancillary data needs a byte to travel with.
    /// let error = one.send_with(&[], &outgoing).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, ErrorKind, Outgoing, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let two = [one.as_fd(), other.as_fd()];
    /// one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().descriptors(&two))?;
    ///
    /// let mut buffer = [0; 8];
    /// let mut buffers = [IoSliceMut::new(&mut buffer)];
    /// let error = other.recv_with(&mut buffers, Allow::descriptors(1)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::SurplusDescriptors); // both are closed
    /// assert_eq!(error.received_bytes(), Some(5)); // the bytes are not lost
    /// assert_eq!(&buffer[..5], b"hello");
    /// # Ok::<(), stoop::Error>(())
    /// ```
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
