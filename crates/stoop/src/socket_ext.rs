//! The options and queues of every socket, for which std and tokio have no methods.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{OFlags, fcntl_getfl};

use crate::error::Result;
use crate::socket::{Socket, configure};
use crate::{Kind, Policy, sys};

/// Socket options and queue lengths of every kind of socket, blocking or driven by tokio.
///
/// [`Stream`](crate::Stream), [`SeqPacket`](crate::SeqPacket), [`Datagram`](crate::Datagram),
/// [`Listener`](crate::Listener) and the types of `aio` implement it. The trait is sealed.
///
/// ```
/// use stoop::{Datagram, SeqPacket, SocketExt};
///
/// fn queued(sockets: &[&dyn SocketExt]) -> stoop::Result<usize> {
///     sockets.iter().map(|socket| socket.unread_bytes()).sum()
/// }
///
/// let ((one, other), (sender, receiver)) = (SeqPacket::pair()?, Datagram::pair()?);
/// one.send(b"hello")?;
/// sender.send(b"world")?;
/// assert_eq!(queued(&[&other, &receiver])?, 10);
/// # Ok::<(), stoop::Error>(())
/// ```
pub trait SocketExt: AsRef<Socket> {
    /// Returns the kind of this socket.
    fn kind(&self) -> Kind {
        self.as_ref().kind()
    }

    /// Returns whether the socket is in nonblocking mode.
    ///
    /// The mode may have been set through another file descriptor of the same socket.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    fn is_nonblocking(&self) -> Result<bool> {
        let socket = self.as_ref();
        let flags = fcntl_getfl(socket).map_err(|errno| configure(errno.into()))?;
        Ok(flags.contains(OFlags::NONBLOCK))
    }

    /// Sets whether each received message carries its sender's
    /// [`Credentials`](crate::Credentials) (`SO_PASSCRED`).
    ///
    /// Off by default. Messages that were sent before this was turned on arrive without
    /// credentials ([K-CRED-8]). Sockets accepted from a listener inherit the setting. An
    /// unbound socket gets an abstract name when it first sends ([K-DGRAM-2]).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use stoop::{Allow, Datagram, SocketExt};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"early")?;
    /// other.set_pass_credentials(true)?;
    /// one.send(b"late")?;
    ///
    /// let (_, early) = other.recv_vec_with(Allow::NOTHING)?;
    /// assert_eq!(early.credentials, None); // sent before
    /// let (_, late) = other.recv_vec_with(Allow::NOTHING)?;
    /// assert_eq!(late.credentials.map(|sender| sender.pid), Some(std::process::id()));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-CRED-8]: crate::kernel_facts#K-CRED-8
    /// [K-DGRAM-2]: crate::kernel_facts#K-DGRAM-2
    #[doc(alias = "SO_PASSCRED")]
    fn set_pass_credentials(&self, on: bool) -> Result<()> {
        let socket = self.as_ref();
        sys::set_pass_credentials(socket.as_fd(), on).map_err(configure)
    }

    /// Sets whether each received message carries a pidfd of its sender (`SO_PASSPIDFD`).
    ///
    /// Off by default. Requires Linux 6.5.
    ///
    /// # Errors
    /// Returns an error if the kernel is older
    /// ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    ///
    /// ```
    /// use stoop::{Allow, Datagram, SocketExt};
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
    #[doc(alias = "SO_PASSPIDFD")]
    fn set_pass_pidfd(&self, on: bool) -> Result<()> {
        let socket = self.as_ref();
        sys::set_pass_pidfd(socket.as_fd(), on).map_err(configure)
    }

    /// Sets whether each received message carries its sender's security label (`SO_PASSSEC`).
    ///
    /// Off by default. A label is present only if a security module provides one.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    #[doc(alias = "SO_PASSSEC")]
    fn set_pass_label(&self, on: bool) -> Result<()> {
        let socket = self.as_ref();
        sys::set_pass_label(socket.as_fd(), on).map_err(configure)
    }

    /// Sets whether the kernel accepts file descriptors for this socket at all
    /// (`SO_PASSRIGHTS`).
    ///
    /// On by default. When off, a peer that sends file descriptors gets `EPERM`; plain bytes
    /// still pass ([K-FD-15]). Accepted sockets inherit the setting. Requires Linux 6.16. On
    /// older kernels, file descriptors that the receiver did not ask for are closed on arrival.
    ///
    /// # Errors
    /// Returns an error if the kernel is older
    /// ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{ErrorKind, Outgoing, SocketExt, Stream};
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
    ///
    /// [K-FD-15]: crate::kernel_facts#K-FD-15
    #[doc(alias = "SO_PASSRIGHTS")]
    fn set_pass_descriptors(&self, on: bool) -> Result<()> {
        let socket = self.as_ref();
        sys::set_pass_descriptors(socket.as_fd(), on).map_err(configure)
    }

    /// Returns the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// The kernel counts payload and its own overhead against it. The size of the receive
    /// buffer has no method, because `SO_RCVBUF` has no effect on Unix sockets ([K-DGRAM-8]).
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// [K-DGRAM-8]: crate::kernel_facts#K-DGRAM-8
    #[doc(alias = "SO_SNDBUF")]
    fn send_buffer_bytes(&self) -> Result<usize> {
        let socket = self.as_ref();
        sys::send_buffer_bytes(socket.as_fd()).map_err(configure)
    }

    /// Sets the size of the send buffer (`SO_SNDBUF`) in bytes.
    ///
    /// The kernel doubles the number, and caps it at `net.core.wmem_max`. The default comes
    /// from `net.core.wmem_default`.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use stoop::{Datagram, SocketExt};
    ///
    /// let (one, _other) = Datagram::pair()?;
    /// one.set_send_buffer_bytes(16 * 1024)?;
    /// assert_eq!(one.send_buffer_bytes()?, 32 * 1024); // doubled
    /// let error = one.send(&[0; 64 * 1024]).unwrap_err();
    /// assert_eq!(error.kind(), stoop::ErrorKind::MessageTooLarge);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "SO_SNDBUF")]
    fn set_send_buffer_bytes(&self, bytes: usize) -> Result<()> {
        let socket = self.as_ref();
        sys::set_send_buffer_bytes(socket.as_fd(), bytes).map_err(configure)
    }

    /// Returns the number of bytes that have arrived and not been read (`FIONREAD`).
    ///
    /// On a datagram socket it is the length of the next message ([K-LIMIT-2]).
    ///
    /// # Errors
    /// Returns an error if the kernel does, for instance on a listener.
    ///
    /// ```
    /// use stoop::{Datagram, SocketExt};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"hello")?;
    /// one.send(b"again")?;
    /// assert_eq!(other.unread_bytes()?, 5); // of the next message, not of both
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-LIMIT-2]: crate::kernel_facts#K-LIMIT-2
    #[doc(alias("SIOCINQ", "FIONREAD"))]
    fn unread_bytes(&self) -> Result<usize> {
        let socket = self.as_ref();
        sys::unread_bytes(socket.as_fd()).map_err(configure)
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
    /// use stoop::{Datagram, SocketExt};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"hello")?;
    /// assert!(one.unsent_bytes()? > 5); // with the kernel's overhead
    /// other.recv(&mut [0; 8])?;
    /// assert_eq!(one.unsent_bytes()?, 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("SIOCOUTQ", "TIOCOUTQ"))]
    fn unsent_bytes(&self) -> Result<usize> {
        let socket = self.as_ref();
        sys::unsent_bytes(socket.as_fd()).map_err(configure)
    }

    /// Sets how long a blocking receive, or on a listener an accept, polls before it sleeps.
    ///
    /// Zero (the default) turns polling off. A budget above 100 µs is lowered to that.
    ///
    /// Between two processors an answer often arrives sooner than a sleeping process can be
    /// woken. A budget of 20 µs has been measured to make a small round trip ten times as fast,
    /// for less processor time. The socket measures whether polling succeeds, and almost stops
    /// polling while it does not. An idle socket costs nothing: it polls once, then sleeps. On
    /// a nonblocking socket the budget only wastes time.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::time::Duration;
    /// use stoop::{SocketExt, Stream};
    ///
    /// let (mut one, mut other) = Stream::pair()?;
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
    fn set_spin(&self, budget: Duration) {
        let socket = self.as_ref();
        socket.spin().set_budget(budget);
    }
}

impl<T: AsRef<Socket>> SocketExt for T {}

/// Makes the kernel attach the sender's credentials to each datagram (`SO_PASSCRED`).
///
/// Policies and [`Datagram::reply`](crate::Datagram::reply) need them. Other options of an
/// inherited socket are left alone: its creator may have disabled file descriptor passing on it.
pub(crate) fn enable_sender_credentials(socket: &Socket) -> Result<()> {
    match socket.kind() {
        Kind::Datagram => socket.set_pass_credentials(true),
        Kind::Stream | Kind::SeqPacket => Ok(()),
    }
}

/// Sets the socket options that the policy needs.
pub(crate) fn apply_policy(socket: &Socket, policy: &Policy) -> Result<()> {
    enable_sender_credentials(socket)?;
    match socket.set_pass_descriptors(policy.descriptors_allowed()) {
        // The kernel predates the option: unwanted file descriptors are closed on arrival instead.
        Err(error) if error.is_unsupported() => Ok(()),
        result => result,
    }
}
