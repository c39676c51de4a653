//! Datagrams over Unix domain sockets.

use std::borrow::Cow;
use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use crate::connect::ConnectTarget;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::message::{Allow, Outgoing, Received};
use crate::refusals::Refusals;
use crate::socket::{Socket, configure};
use crate::socket_file::SocketFile;
use crate::socket_methods::{base_methods, blocking_methods, data_methods, fd_traits, peer_methods};
use crate::sys::{self, RawAddress};
use crate::{Address, Bind, Connect, Kind, Origin, Policy, ToAddress, diag, packet, reply};

/// A datagram socket (`SOCK_DGRAM`): each send is one message, received whole and in order.
///
/// Messages are never lost between the two ends, because a full receive queue makes the sender
/// wait.
///
/// A receiver never sees an end of stream. When a receiver closes, its unread messages are
/// discarded, and the next send returns an error. When a sender closes, the receiver is not
/// notified ([K-DGRAM-11]).
///
/// A client made by [`Datagram::client`] or [`Datagram::autobind`] can receive replies, because the
/// kernel assigns it an abstract address. A server made by [`Bind::datagram`] replies with
/// [`Datagram::reply`].
///
/// ```
/// use stoop::{Bind, Datagram};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Bind::new(&path).datagram()?;
/// let client = Datagram::client(&path)?;
/// client.send(b"ping")?;
///
/// let (request, from) = server.recv_request()?;
/// server.reply(&request, &from)?;
/// assert_eq!(client.recv(&mut [0; 64])?, 4);
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// [K-DGRAM-11]: crate::kernel_facts#K-DGRAM-11
#[derive(Debug)]
pub struct Datagram {
    // Fields drop in this order: the file is unlinked while the socket still holds its inode, so
    // its number cannot be reused in between.
    file: Option<SocketFile>,
    socket: Socket,
    /// The socket's network namespace, once it has been queried; `None` if it cannot be known.
    network: OnceLock<Option<FileId>>,
}

impl Datagram {
    /// Creates a client socket that sends to this address and can receive replies.
    ///
    /// It is bound to an abstract address that the kernel assigns. See [`Connect::datagram`].
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no socket is bound there, the socket is of
    /// another kind or connected to another peer, or permission is denied. See
    /// [`Connect::datagram`] for the kinds.
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// assert!(Datagram::client(&path).unwrap_err().is_not_found());
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"ping")?;
    /// let (_, from) = server.recv_vec()?;
    /// assert_eq!(from, client.local_addr()?); // an abstract address to reply to
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn client(address: impl ToAddress) -> Result<Datagram> {
        Connect::new(address).datagram()
    }

    /// Creates an unconnected socket that is not bound to an address.
    ///
    /// A receiver of its messages cannot reply. See [`Datagram::autobind`] for a socket that can
    /// receive replies.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free ([`ErrorKind::OutOfDescriptors`]).
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::unbound()?);
    /// client.send_to(b"ping", server.local_addr()?)?;
    /// assert!(server.recv_vec()?.1.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn unbound() -> Result<Datagram> {
        let failed = |cause| Error::system(Operation::Bind, cause).of_kind(Kind::Datagram);
        Ok(Datagram::from_socket(Socket::new(Kind::Datagram).map_err(failed)?))
    }

    /// Creates an unconnected socket bound to a kernel-assigned abstract address.
    ///
    /// A receiver of its messages can therefore reply ([K-NAME-9]).
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free ([`ErrorKind::OutOfDescriptors`]).
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::autobind()?;
    /// client.send_to(b"ping", &server.local_addr()?)?;
    /// let (_, from) = server.recv_vec()?;
    /// server.send_to(b"pong", &from)?;
    /// assert_eq!(client.recv(&mut [0; 8])?, 4);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-NAME-9]: crate::kernel_facts#K-NAME-9
    pub fn autobind() -> Result<Datagram> {
        let failed = |cause| Error::system(Operation::Bind, cause).of_kind(Kind::Datagram);
        let socket = Socket::new(Kind::Datagram).map_err(failed)?;
        sys::bind(socket.as_fd(), &RawAddress::autobind()).map_err(failed)?;
        Ok(Datagram::from_socket(socket))
    }

    /// Creates a pair of connected sockets (`socketpair`).
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free ([`ErrorKind::OutOfDescriptors`]).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"first")?;
    /// one.send(b"")?;
    /// assert_eq!(other.recv(&mut [0; 8])?, 5);
    /// assert_eq!(other.recv(&mut [0; 8])?, 0); // an empty message, not an end
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn pair() -> Result<(Datagram, Datagram)> {
        let (one, other) = Socket::pair(Kind::Datagram)?;
        Ok((Datagram::from_socket(one), Datagram::from_socket(other)))
    }

    /// Wraps a file descriptor of unknown origin, after asking the kernel whether it is a Unix
    /// datagram socket.
    ///
    /// If it is bound to a file, the file is not removed on drop.
    ///
    /// # Errors
    /// Returns an error if it is a Unix socket of another kind ([`ErrorKind::WrongKind`]), or a
    /// socket of another address family ([`ErrorKind::Unsupported`]).
    pub fn from_descriptor(fd: OwnedFd) -> Result<Datagram> {
        Ok(Datagram::from_socket(Socket::from_descriptor(fd)?.expect_kind(Kind::Datagram)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> Datagram {
        Datagram { file: None, socket, network: OnceLock::new() }
    }

    /// Wraps a bound socket. If the policy has to know senders, the caller has turned on the
    /// credentials of each message.
    pub(crate) fn server(mut socket: Socket, file: Option<SocketFile>, policy: Policy) -> Datagram {
        socket.guard(policy);
        Datagram { file, ..Datagram::from_socket(socket) }
    }

    /// Creates a new independently owned handle to the same socket.
    ///
    /// If there is a socket file, the original handle keeps the duty to remove it. The policy is
    /// copied, and [`Datagram::set_policy`] then affects one handle only.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free ([`ErrorKind::OutOfDescriptors`]).
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let twin = server.try_clone()?;
    /// drop(twin);
    /// assert!(path.exists());
    /// drop(server); // the one that unlinks the file
    /// assert!(!path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn try_clone(&self) -> Result<Datagram> {
        Ok(Datagram::from_socket(self.socket.duplicate()?))
    }

    /// Connects this socket to an address: it becomes the destination of [`Datagram::send`], and
    /// the only sender that may send to this socket.
    ///
    /// Any other sender gets `EPERM` ([K-DGRAM-9]).
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no socket is bound there, the socket is of
    /// another kind or connected to another peer, or permission is denied. See
    /// [`Connect::datagram`] for the kinds.
    ///
    /// ```
    /// use stoop::{Bind, Datagram, ErrorKind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let (client, other) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.connect(&path)?;
    /// client.send(b"ping")?;
    ///
    /// let error = other.send_to(b"x", &client.local_addr()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotPermitted); // only the server may send to it
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-DGRAM-9]: crate::kernel_facts#K-DGRAM-9
    pub fn connect(&self, address: impl ToAddress) -> Result<()> {
        Connect::new(address).datagram_socket(&self.socket)
    }

    /// Connects like [`Datagram::connect`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Datagram::connect`] would return one.
    pub fn connect_addr(&self, address: impl ToAddress) -> Result<()> {
        self.connect(address)
    }

    /// Sends one message to the connected address, whole or not at all, and returns its length.
    ///
    /// On a blocking socket it waits while the receiver's queue is full. The queue holds
    /// `net.unix.max_dgram_qlen` messages and one more ([K-DGRAM-3]). `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the receiver has closed: [`ErrorKind::Refused`] the first time, then
    ///   [`ErrorKind::NotConnected`] ([K-DGRAM-10]);
    /// - the message is larger than the send buffer allows ([`ErrorKind::MessageTooLarge`]);
    /// - the socket is nonblocking, or its write timeout passed ([`ErrorKind::WouldBlock`]).
    ///
    /// ```
    /// use stoop::{Datagram, ErrorKind};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.set_nonblocking(true)?;
    /// let queue_is_full = loop {
    ///     if let Err(error) = one.send(b"hello") {
    ///         break error;
    ///     }
    /// };
    /// assert!(queue_is_full.is_would_block());
    /// assert_eq!(other.recv(&mut [0; 8])?, 5);
    /// one.send(b"again")?; // there is space for one more
    ///
    /// drop(other);
    /// assert_eq!(one.send(b"hello").unwrap_err().kind(), ErrorKind::Refused);
    /// assert_eq!(one.send(b"hello").unwrap_err().kind(), ErrorKind::NotConnected);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-DGRAM-3]: crate::kernel_facts#K-DGRAM-3
    /// [K-DGRAM-10]: crate::kernel_facts#K-DGRAM-10
    pub fn send(&self, message: &[u8]) -> Result<usize> {
        packet::send(&self.socket, message, None)?;
        Ok(message.len())
    }

    /// Sends one message to an address, whole or not at all, and returns its length.
    ///
    /// On a blocking socket it waits while the receiver's queue is full (see [`Datagram::send`]).
    ///
    /// The kernel looks up the path when the message is sent, and follows symbolic links. To reply
    /// to a message, use [`Datagram::reply`] instead: the address that [`Datagram::recv_from`]
    /// returns is only a name that the sender chose.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - no socket has this address ([`ErrorKind::NotFound`], [`ErrorKind::Refused`]), or it is of
    ///   another kind ([`ErrorKind::WrongKind`]);
    /// - permission is denied ([`ErrorKind::PermissionDenied`]), or the receiver is connected to
    ///   another peer ([`ErrorKind::NotPermitted`]);
    /// - the message is larger than the send buffer allows ([`ErrorKind::MessageTooLarge`]);
    /// - the socket is nonblocking, or its write timeout passed ([`ErrorKind::WouldBlock`]);
    /// - the address is unnamed ([`ErrorKind::InvalidAddress`]): a sender that never bound cannot
    ///   receive replies ([K-DGRAM-1]).
    ///
    /// ```
    /// use stoop::{Address, Bind, Datagram, ErrorKind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::autobind()?;
    /// client.send_to(b"ping", &Address::path(&path)?)?;
    ///
    /// let (socket, never_bound) = Datagram::pair()?;
    /// let nowhere = never_bound.local_addr()?;
    /// let error = client.send_to(b"ping", &nowhere).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidAddress);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-DGRAM-1]: crate::kernel_facts#K-DGRAM-1
    pub fn send_to(&self, message: &[u8], to: impl ToAddress) -> Result<usize> {
        let to = destination(&to)?;
        let target = self.target(&to)?;
        packet::send(&self.socket, message, Some(&target.raw)).map_err(|error| error.on(&to))?;
        Ok(message.len())
    }

    /// Sends like [`Datagram::send_to`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Datagram::send_to`] would return one.
    pub fn send_to_addr(&self, message: &[u8], to: impl ToAddress) -> Result<usize> {
        self.send_to(message, to)
    }

    /// Replies to a message: sends to the socket that the message came from, or to none.
    ///
    /// On a blocking socket it waits while the receiver's queue is full (see [`Datagram::send`]).
    ///
    /// The kernel records a sender's address as the string it was bound to. That string may lead
    /// elsewhere by now: through a symbolic link, a renamed directory, a replaced file, or because
    /// the sender sees other mounts. A reply with [`Datagram::send_to`] would let the sender choose
    /// the receiver, with our credentials. For a path, this method therefore requires that
    ///
    /// - the message carried the sender's credentials. They are present if [`Bind`] made the
    ///   socket, and otherwise after [`Datagram::set_pass_credentials`]. A user without an id in
    ///   our user namespace (the overflow user) counts as unknown;
    /// - the path is absolute, and leads to a socket, not to a symbolic link;
    /// - the file belongs to the user who sent the message, or root sent it ([K-CRED-15]);
    /// - the socket there was bound to exactly this name, or is connected and accepts messages only
    ///   from its peer ([K-NAME-1], [K-PROBE-4]);
    /// - if we may inspect the sender's process, it has not exited, and the path leads it to the
    ///   same file ([K-PROC-6]).
    ///
    /// The message is then sent to that file, without another lookup of its name ([K-DGRAM-21]).
    /// One case remains possible: the reply reaches another socket that the same user has bound to
    /// the same name. It may have taken the sender's place. If we may not inspect the sender's
    /// process, it may also be in our view of the file system while the sender is in another.
    ///
    /// An abstract name has no owner to compare, so the reply goes to the socket that has the name
    /// now. Names that the kernel assigned are practically never reused. A server with
    /// `CAP_NET_ADMIN` refuses a sender that has exited, or that is in another network namespace:
    /// the name may belong to another socket here ([K-NAME-6], [K-PROC-7]). The process is the one
    /// named by the credentials. A sender that is root in a pid namespace of its own can choose
    /// among the processes of that namespace.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - a check fails ([`ErrorKind::NotPermitted`]): the error says which one, and whose socket
    ///   would have received the reply;
    /// - the path is relative, or the sender never bound ([K-DGRAM-1])
    ///   ([`ErrorKind::InvalidAddress`]);
    /// - `/proc` is not mounted ([`ErrorKind::NotFound`]), or no file descriptor is free
    ///   ([`ErrorKind::OutOfDescriptors`]): a path requires two of them for the duration of the
    ///   call;
    /// - sending fails: see [`Datagram::send_to`].
    ///
    /// ```
    /// use stoop::{Bind, Datagram, ErrorKind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// # let theirs = directory.path().join("client.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::bind(&theirs)?;
    /// client.connect(&path)?;
    /// client.send(b"ping")?;
    /// let (request, from) = server.recv_request()?;
    /// server.reply(&request, &from)?;
    /// assert_eq!(client.recv(&mut [0; 8])?, 4);
    ///
    /// // The path of the client now leads to another socket: it gets no reply.
    /// std::fs::remove_file(&theirs)?;
    /// std::os::unix::fs::symlink(&path, &theirs)?;
    /// let error = server.reply(b"pong", &from).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotPermitted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-CRED-15]: crate::kernel_facts#K-CRED-15
    /// [K-NAME-1]: crate::kernel_facts#K-NAME-1
    /// [K-PROBE-4]: crate::kernel_facts#K-PROBE-4
    /// [K-PROC-6]: crate::kernel_facts#K-PROC-6
    /// [K-DGRAM-21]: crate::kernel_facts#K-DGRAM-21
    /// [K-NAME-6]: crate::kernel_facts#K-NAME-6
    /// [K-PROC-7]: crate::kernel_facts#K-PROC-7
    /// [K-DGRAM-1]: crate::kernel_facts#K-DGRAM-1
    pub fn reply(&self, message: &[u8], to: &Origin) -> Result<()> {
        let target = self.reply_target(to)?;
        packet::send(&self.socket, message, Some(&target.raw)).map_err(|error| error.on(&to.address))
    }

    /// Replies to a message, with ancillary data (file descriptors, credentials).
    ///
    /// Performs the checks of [`Datagram::reply`] and sends like [`Datagram::send_with`].
    ///
    /// # Errors
    /// Returns an error if a check of [`Datagram::reply`] fails, or [`Datagram::send_with`] would
    /// return one.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Bind, Datagram, Outgoing};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"open the log")?;
    ///
    /// let (_, from) = server.recv_request()?;
    /// let (log, _writer) = std::io::pipe()?;
    /// server.reply_with(b"here", &from, &Outgoing::new().descriptors(&[log.as_fd()]))?;
    /// let (_, received) = client.recv_vec_with(Allow::descriptors(1))?;
    /// assert_eq!(received.descriptors.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reply_with(&self, message: &[u8], to: &Origin, outgoing: &Outgoing<'_>) -> Result<()> {
        let target = self.reply_target(to)?;
        let sent = outgoing.send(&self.socket, &[IoSlice::new(message)], Some(&target.raw));
        sent.map(drop).map_err(|error| error.on(&to.address))
    }

    /// Returns the socket that a message came from, checked and held open.
    pub(crate) fn reply_target(&self, to: &Origin) -> Result<ConnectTarget> {
        if to.address.is_unnamed() {
            return self.target(&to.address);
        }
        reply::target(to, || *self.network.get_or_init(|| network_of(&self.socket)))
    }

    /// Sends one message from several buffers to an address, with ancillary data (file descriptors,
    /// credentials), and returns its length.
    ///
    /// The address is looked up as by [`Datagram::send_to`].
    ///
    /// # Errors
    /// Returns an error if [`Datagram::send_to`] or [`Datagram::send_with`] would return one.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Datagram, Outgoing};
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// let (to, fds) = (server.local_addr()?, [client.as_fd()]);
    /// client.send_to_with(&[IoSlice::new(b"hello")], &to, &Outgoing::new().descriptors(&fds))?;
    /// let (_, received) = server.recv_vec_with(Allow::descriptors(1))?;
    /// assert_eq!(received.from, client.local_addr()?);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn send_to_with(
        &self,
        buffers: &[IoSlice<'_>],
        to: impl ToAddress,
        outgoing: &Outgoing<'_>,
    ) -> Result<usize> {
        let to = destination(&to)?;
        let target = self.target(&to)?;
        outgoing.send(&self.socket, buffers, Some(&target.raw)).map_err(|error| error.on(&to))
    }

    pub(crate) fn target(&self, to: &Address) -> Result<ConnectTarget> {
        if to.is_unnamed() {
            let detail =
                "the address is unnamed: its socket is unbound, or its path is too long to be reported";
            return Err(Error::new(Operation::Send, ErrorKind::InvalidAddress, detail));
        }
        ConnectTarget::new(to)
            .map_err(|cause| Error::system(Operation::Send, cause).on(to).of_kind(Kind::Datagram))
    }

    /// Receives one message into `buffer` and returns its length; 0 is an empty message.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    /// `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message does not fit ([`ErrorKind::MessageTruncated`]): its start is in the buffer,
    ///   the rest is lost. [`Datagram::recv_vec`] never truncates;
    /// - the socket is nonblocking, its read timeout passed, or it refused as much as one call may
    ///   ([`ErrorKind::WouldBlock`], see [`Error::is_refusal_limit`]).
    ///
    /// ```
    /// use stoop::{Datagram, ErrorKind};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"hello")?;
    /// one.send(b"bye")?;
    /// let mut buffer = [0; 4];
    /// let error = other.recv(&mut buffer).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated);
    /// assert_eq!((&buffer, error.received_bytes()), (b"hell", Some(4)));
    /// assert_eq!(other.recv(&mut buffer)?, 3); // the next message
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        if !self.socket.asks_senders() {
            return packet::receive(&self.socket, buffer);
        }
        Ok(self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?.len)
    }

    /// Receives one message into `buffer` and returns its length and its sender's address.
    ///
    /// The address is unnamed if the sender never bound. To reply, receive with
    /// [`Datagram::recv_request`], or with [`Datagram::recv_with`] and [`Received::origin`].
    /// Otherwise like [`Datagram::recv`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit ([`ErrorKind::MessageTruncated`]) or the call
    /// would have to wait ([`ErrorKind::WouldBlock`]). See [`Datagram::recv`].
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.send_to(b"ping", &server.local_addr()?)?;
    /// let mut buffer = [0; 8];
    /// let (len, from) = server.recv_from(&mut buffer)?;
    /// assert_eq!((&buffer[..len], from), (&b"ping"[..], client.local_addr()?));
    ///
    /// let (one, other) = Datagram::pair()?; // bound to nothing
    /// one.send(b"ping")?;
    /// assert!(other.recv_from(&mut buffer)?.1.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        if !self.socket.asks_senders() {
            let (len, from) = packet::receive_from(&self.socket, buffer)?;
            return Ok((len, from.to_address()));
        }
        let received = self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?;
        Ok((received.len, received.from))
    }

    /// Receives one message of any length, with its sender's address.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait ([`ErrorKind::WouldBlock`]). If several
    /// threads receive on the socket, a longer message may be truncated
    /// ([`ErrorKind::MessageTruncated`]).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(&[7; 50_000])?;
    /// one.send(b"")?;
    /// assert_eq!(other.recv_vec()?.0.len(), 50_000); // never truncated
    /// assert_eq!(other.recv_vec()?.0.len(), 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_vec(&self) -> Result<(Vec<u8>, Address)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.from))
    }

    /// Receives one message of any length, with what [`Datagram::reply`] needs to reply to it.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait ([`ErrorKind::WouldBlock`]). If several
    /// threads receive on the socket, a longer message may be truncated
    /// ([`ErrorKind::MessageTruncated`]).
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"ping")?;
    /// let (message, from) = server.recv_request()?;
    /// assert_eq!(message, b"ping");
    /// assert_eq!(from.address, client.local_addr()?);
    /// let sender = from.credentials.expect("a server's messages carry credentials");
    /// assert_eq!(sender.pid, std::process::id());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_request(&self) -> Result<(Vec<u8>, Origin)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.origin()))
    }

    /// Receives one message of any length, with its ancillary data.
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrived than allowed
    /// ([`ErrorKind::SurplusDescriptors`]), ancillary data was truncated
    /// ([`ErrorKind::ControlTruncated`]), or the call would have to wait
    /// ([`ErrorKind::WouldBlock`]). See [`Datagram::recv_with`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Datagram, ErrorKind, Outgoing};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().descriptors(&[one.as_fd()]))?;
    /// let error = other.recv_vec_with(Allow::NOTHING).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::SurplusDescriptors); // it was closed
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            let mut message = vec![0; self.next_len()?];
            if let Some(received) =
                self.socket.receive_admitted(&mut [IoSliceMut::new(&mut message)], allow)?
            {
                message.truncate(received.len);
                return Ok((message, received));
            }
            refusals.add(&self.socket, 1)?;
        }
    }

    /// Sets whose messages are received, from the next one on.
    ///
    /// From here on each message carries credentials. A policy that has to know the sender refuses
    /// messages that were sent before without them.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use stoop::{Datagram, Policy};
    ///
    /// let (one, mut other) = Datagram::pair()?;
    /// other.set_nonblocking(true)?;
    /// other.set_policy(Policy::nobody())?;
    /// one.send(b"hello")?;
    /// assert!(other.recv(&mut [0; 8]).unwrap_err().is_would_block());
    /// assert_eq!(other.refused(), 1);
    ///
    /// other.set_policy(Policy::same_user())?;
    /// one.send(b"hello")?;
    /// assert_eq!(other.recv(&mut [0; 8])?, 5);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        crate::socket::apply_policy(&self.socket, &policy)?;
        self.socket.guard(policy);
        Ok(())
    }

    /// Returns how many messages the policy has refused.
    pub fn refused(&self) -> u64 {
        self.socket.refused_messages()
    }

    /// Returns the length of the next message in bytes, without receiving it; 0 is an empty
    /// message.
    ///
    /// A blocking socket waits for a message. The policy is not checked.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait ([`ErrorKind::WouldBlock`]).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// let mut buffer = vec![0; other.next_len()?]; // just large enough
    /// assert_eq!(other.recv(&mut buffer)?, 5);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn next_len(&self) -> Result<usize> {
        packet::next_len(&self.socket)
    }

    /// Receives the next message without removing it from the queue, and without checking the
    /// policy.
    ///
    /// Never receives file descriptors ([K-FD-10]).
    ///
    /// # Errors
    /// Returns an error if the message does not fit ([`ErrorKind::MessageTruncated`]), in which
    /// case its start is in the buffer, or if the call would have to wait
    /// ([`ErrorKind::WouldBlock`]). The message stays in the queue in any case.
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// let mut start = [0; 4];
    /// assert!(other.peek(&mut start).unwrap_err().is_truncated());
    /// assert_eq!(&start, b"hell");
    /// assert_eq!(other.recv_vec()?.0, b"hello"); // nothing is lost
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-FD-10]: crate::kernel_facts#K-FD-10
    pub fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        packet::peek(&self.socket, buffer)
    }

    /// Receives the next message and its sender's address without removing it from the queue, like
    /// [`Datagram::peek`].
    ///
    /// # Errors
    /// Returns an error if [`Datagram::peek`] would return one.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.send_to(b"ping", server.local_addr()?)?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(server.peek_from(&mut buffer)?, (4, client.local_addr()?));
    /// assert_eq!(server.recv_from(&mut buffer)?, (4, client.local_addr()?)); // still there
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn peek_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        let (len, from) = packet::peek_from(&self.socket, buffer)?;
        Ok((len, from.to_address()))
    }

    /// Shuts down the read, write, or both halves of this socket.
    ///
    /// After `Read`, a send to this socket returns [`ErrorKind::PeerGone`]. A blocking receive
    /// returns the messages that have arrived, then 0 without waiting. After `Write`, a send on
    /// this socket returns [`ErrorKind::PeerGone`]. A receiver is not notified.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use std::net::Shutdown;
    ///
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"last")?;
    /// one.shutdown(Shutdown::Write)?;
    /// assert!(one.send(b"more").unwrap_err().is_peer_gone());
    ///
    /// other.shutdown(Shutdown::Read)?;
    /// assert_eq!(other.recv(&mut [0; 8])?, 4);
    /// assert_eq!(other.recv(&mut [0; 8])?, 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.socket.as_fd(), how).map_err(configure)
    }

    /// Closes the socket and unlinks its socket file, if the file is still its own.
    ///
    /// Dropping the socket does the same, but ignores errors.
    ///
    /// # Errors
    /// Returns an error if the file could not be removed. The socket is closed nevertheless.
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// server.close()?;
    /// assert!(!path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn close(self) -> Result<()> {
        self.file.map_or(Ok(()), SocketFile::release)
    }

    /// Returns the socket file, if this socket created one.
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// Returns the socket, and its file so that the caller can give it up.
    pub(crate) fn parts_mut(&mut self) -> (&Socket, &mut Option<SocketFile>) {
        (&self.socket, &mut self.file)
    }

    /// Creates a client socket bound to an address of its own.
    ///
    /// Its socket file is removed on drop. See [`Bind::datagram`].
    ///
    /// # Errors
    /// Returns an error if the address is invalid, in use, or cannot be created. See
    /// [`Bind::datagram`] for the kinds.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("client.sock");
    /// let client = Datagram::bind(&path)?;
    /// assert_eq!(client.local_addr()?.as_path(), Some(&*path));
    /// assert!(Datagram::bind(&path).unwrap_err().is_in_use());
    /// drop(client);
    /// assert!(!path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn bind(address: impl ToAddress) -> Result<Datagram> {
        Bind::new(address).datagram()
    }

    /// Binds like [`Datagram::bind`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Datagram::bind`] would return one.
    pub fn bind_addr(address: impl ToAddress) -> Result<Datagram> {
        Datagram::bind(address)
    }

    base_methods!();
    blocking_methods!();
    peer_methods!();
    data_methods!();
}

/// Returns the address to send to, which is not copied if it is an [`Address`] already.
pub(crate) fn destination(to: &impl ToAddress) -> Result<Cow<'_, Address>> {
    match to.as_address() {
        Some(address) => Ok(Cow::Borrowed(address)),
        None => {
            let parsed = to.to_address().map_err(|error| Error::address(Operation::Send, &error))?;
            Ok(Cow::Owned(parsed))
        }
    }
}

/// Returns the network namespace that a socket was created in, which never changes ([K-NETNS-2]).
///
/// [K-NETNS-2]: crate::kernel_facts#K-NETNS-2
fn network_of(socket: &Socket) -> Option<FileId> {
    let namespace = diag::network_namespace_of(socket).ok()?;
    rustix::fs::fstat(namespace).ok().map(|stat| FileId::of(&stat))
}

impl AsRef<Socket> for Datagram {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

fd_traits!(Datagram);

impl From<Datagram> for OwnedFd {
    /// Converts the socket into its file descriptor.
    ///
    /// If there is a socket file, it is left for the new owner of the file descriptor. The policy
    /// no longer applies.
    fn from(datagram: Datagram) -> OwnedFd {
        if let Some(file) = datagram.file {
            file.keep();
        }
        datagram.socket.into_fd()
    }
}

impl From<Datagram> for UnixDatagram {
    fn from(datagram: Datagram) -> UnixDatagram {
        OwnedFd::from(datagram).into()
    }
}

impl From<UnixDatagram> for Datagram {
    fn from(datagram: UnixDatagram) -> Datagram {
        Datagram::from_socket(Socket::from_known(datagram.into(), Kind::Datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_that_the_policy_refuses_are_closed_on_older_kernels() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let server = Bind::new(&path).policy(Policy::everyone().refuse_descriptors()).datagram().unwrap();
        match server.set_pass_descriptors(true) {
            Err(error) if error.is_unsupported() => {}
            result => result.unwrap(),
        }
        let client = Datagram::client(&path).unwrap();
        client.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&[client.as_fd()])).unwrap();
        let received = server.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::descriptors(1)).unwrap();
        assert_eq!((received.len, received.descriptors.len()), (1, 0));
    }
}
