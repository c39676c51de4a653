//! Datagrams over Unix domain sockets: creating and connecting them.
//!
//! `send.rs` and `receive.rs` are the calls with messages.

mod receive;
pub(crate) mod send;

use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use crate::connect::attempt::{Attempts, Client};
use crate::error::{Error, Operation, Result};
use crate::file_id::FileId;
use crate::server_options::ServerOptions;
use crate::socket::{Socket, configure};
use crate::socket_file::SocketFile;
use crate::socket_methods::{base_methods, blocking_methods, data_methods, fd_traits, peer_methods};
use crate::sys::{self, RawAddress};
use crate::{Kind, Policy, ToAddress};

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
/// [`Bind::datagram`]: crate::Bind::datagram
#[doc(alias("SOCK_DGRAM", "UnixDatagram"))]
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
    ///
    /// [`Connect::datagram`]: crate::Connect::datagram
    pub fn client(address: impl ToAddress) -> Result<Datagram> {
        Ok(Datagram::bound(Attempts::new(address).connect(Kind::Datagram)?))
    }

    /// Creates an unconnected socket that is not bound to an address.
    ///
    /// A receiver of its messages cannot reply. See [`Datagram::autobind`] for a socket that can
    /// receive replies.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::unbound()?);
    /// client.send_to(b"ping", server.local_addr()?)?;
    /// assert!(server.recv_vec()?.1.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "socket")]
    pub fn unbound() -> Result<Datagram> {
        let failed = |cause| Error::system(Operation::Bind, cause).of_kind(Kind::Datagram);
        Ok(Datagram::from_socket(Socket::new(Kind::Datagram).map_err(failed)?))
    }

    /// Creates an unconnected socket bound to a kernel-assigned abstract address.
    ///
    /// A receiver of its messages can therefore reply ([K-NAME-9]).
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
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
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"first")?;
    /// one.send(b"")?;
    /// assert_eq!(other.recv(&mut [0; 8])?, 5);
    /// assert_eq!(other.recv(&mut [0; 8])?, 0); // an empty message, not an end
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "socketpair")]
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
    /// Returns an error if it is a Unix socket of another kind
    /// ([`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind)), or a socket of another address
    /// family ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
    pub(crate) fn from_descriptor(fd: OwnedFd) -> Result<Datagram> {
        Ok(Datagram::from_socket(Socket::from_descriptor(fd)?.expect_kind(Kind::Datagram)?))
    }

    pub(crate) fn from_socket(socket: Socket) -> Datagram {
        Datagram { file: None, socket, network: OnceLock::new() }
    }

    /// Wraps a socket with the file that it is bound to, if any.
    pub(crate) fn bound((socket, file): Client) -> Datagram {
        Datagram { file, ..Datagram::from_socket(socket) }
    }

    /// Wraps a bound socket. If the policy has to know senders, the caller has turned on the
    /// credentials of each message.
    pub(crate) fn server(mut socket: Socket, file: Option<SocketFile>, policy: Policy) -> Datagram {
        socket.guard(policy);
        Datagram::bound((socket, file))
    }

    /// Creates a new independently owned handle to the same socket.
    ///
    /// If there is a socket file, the original handle keeps the duty to remove it. The policy is
    /// copied, and [`Datagram::set_policy`] then affects one handle only.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
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
    #[doc(alias("dup", "F_DUPFD_CLOEXEC"))]
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
    /// [`Connect::datagram`]: crate::Connect::datagram
    pub fn connect(&self, address: impl ToAddress) -> Result<()> {
        Attempts::new(address).connect_existing(&self.socket)
    }

    /// Connects like [`Datagram::connect`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Datagram::connect`] would return one.
    pub fn connect_addr(&self, address: impl ToAddress) -> Result<()> {
        self.connect(address)
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
        crate::socket_ext::apply_policy(&self.socket, &policy)?;
        self.socket.guard(policy);
        Ok(())
    }

    /// Returns how many messages the policy has refused.
    pub fn refused(&self) -> u64 {
        self.socket.refused_messages()
    }

    /// Shuts down the read, write, or both halves of this socket.
    ///
    /// After `Read`, a send to this socket returns
    /// [`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed). A blocking receive returns the
    /// messages that have arrived, then 0 without waiting. After `Write`, a send on this socket
    /// returns [`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed). A receiver is not notified.
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
    /// assert!(one.send(b"more").unwrap_err().is_peer_closed());
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
    /// assert_eq!(client.local_addr()?.as_pathname(), Some(&*path));
    /// assert!(Datagram::bind(&path).unwrap_err().is_in_use());
    /// drop(client);
    /// assert!(!path.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [`Bind::datagram`]: crate::Bind::datagram
    pub fn bind(address: impl ToAddress) -> Result<Datagram> {
        let (socket, file, policy) = ServerOptions::new(address).bind(Kind::Datagram)?;
        Ok(Datagram::server(socket, file, policy))
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
    use std::io::{IoSlice, IoSliceMut};

    use super::*;
    use crate::{Allow, Bind, Outgoing, SocketExt};

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
