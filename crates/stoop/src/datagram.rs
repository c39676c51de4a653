//! Whole messages without a connection.

use std::io::{IoSlice, IoSliceMut};
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use crate::bind::SocketFile;
use crate::connect::ConnectTarget;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::message::{Allow, Outgoing, Received};
use crate::refusals::Refusals;
use crate::socket::Socket;
use crate::sys::{self, RawAddress};
use crate::{Address, Bind, Connect, Kind, Origin, Policy, ToAddress, diag, packet, reply};

/// A datagram socket: each send is one message, received whole, in order, and never lost between
/// the two ends (a full receiver makes the sender wait).
///
/// There is no end to see: when a receiver goes, its unread messages go with it and the next send
/// says so; when a sender goes, the receiver is told nothing (K-DGRAM-11).
///
/// A client made by [`Datagram::connect`] or [`Datagram::unbound`] can be answered: it gets an
/// abstract name from the kernel. A server made by [`Bind::datagram`] answers with
/// [`Datagram::reply`].
///
/// ```
/// use stoop::{Bind, Datagram};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Bind::new(&path).datagram()?;
/// let client = Datagram::connect(&path)?;
/// client.send(b"ping")?;
///
/// let (request, from) = server.recv_request()?;
/// server.reply(&request, &from)?;
/// assert_eq!(client.recv(&mut [0; 64])?, 4);
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Debug)]
pub struct Datagram {
    // Fields drop in this order: the file goes while the socket still holds its inode.
    file: Option<SocketFile>,
    socket: Socket,
    /// The network namespace of the socket, once it was asked for; `None` if we may not know.
    network: OnceLock<Option<FileId>>,
}

impl Datagram {
    /// A client of this address that can be answered. See [`Connect::datagram`].
    ///
    /// # Errors
    /// As [`Connect::datagram`].
    pub fn connect(address: impl ToAddress) -> Result<Datagram> {
        Connect::new(address).datagram()
    }

    /// A client of nobody yet, bound to an abstract name that the kernel chooses, so that whoever
    /// gets a message from it can answer (K-NAME-9).
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`].
    pub fn unbound() -> Result<Datagram> {
        let failed = |cause| Error::system(Operation::Bind, cause).of_kind(Kind::Datagram);
        let socket = Socket::new(Kind::Datagram).map_err(failed)?;
        sys::bind(socket.as_fd(), &RawAddress::autobind()).map_err(failed)?;
        Ok(Datagram::client(socket))
    }

    /// Two sockets connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`].
    pub fn pair() -> Result<(Datagram, Datagram)> {
        let (one, other) = Socket::pair(Kind::Datagram)?;
        Ok((Datagram::client(one), Datagram::client(other)))
    }

    /// Takes a descriptor from elsewhere, after asking the kernel whether it is a local datagram
    /// socket. A file that it is bound to is left alone at the end.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`], [`ErrorKind::Unsupported`].
    pub fn from_descriptor(fd: OwnedFd) -> Result<Datagram> {
        Ok(Datagram::client(Socket::from_descriptor(fd)?.expect_kind(Kind::Datagram)?))
    }

    pub(crate) fn client(socket: Socket) -> Datagram {
        Datagram { file: None, socket, network: OnceLock::new() }
    }

    /// A bound socket; with a policy that asks who sends, credentials come with each message.
    pub(crate) fn server(mut socket: Socket, file: Option<SocketFile>, policy: Policy) -> Datagram {
        socket.guard(policy);
        Datagram { file, ..Datagram::client(socket) }
    }

    /// Another owner of the same socket. The file, where there is one, stays with the first; the
    /// policy is copied, and each owner's [`Datagram::set_policy`] is for itself.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`].
    pub fn try_clone(&self) -> Result<Datagram> {
        Ok(Datagram::client(self.socket.duplicate()?))
    }

    /// Names the one receiver of [`Datagram::send`], and the one sender that may write to us:
    /// others get `EPERM` (K-DGRAM-9).
    ///
    /// # Errors
    /// As [`Connect::datagram`].
    pub fn connect_to(&self, address: impl ToAddress) -> Result<()> {
        Connect::new(address).datagram_socket(&self.socket)
    }

    /// Sends one message to the receiver named by connecting. Waits while its queue is full
    /// (`net.unix.max_dgram_qlen` messages and one, K-DGRAM-3) on a blocking socket; `EINTR` is
    /// retried.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], then [`ErrorKind::NotConnected`], once the receiver has gone
    /// (K-DGRAM-10); [`ErrorKind::MessageTooLarge`], [`ErrorKind::WouldBlock`].
    pub fn send(&self, message: &[u8]) -> Result<()> {
        packet::send(&self.socket, message, None)
    }

    /// Sends one message to an address: a path or an abstract name. Waits as [`Datagram::send`].
    ///
    /// A path is looked up now, and symbolic links are followed, as the kernel does: to answer a
    /// message use [`Datagram::reply`], because the address that [`Datagram::recv_from`] gives
    /// is only a name that the sender chose.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Refused`], [`ErrorKind::WrongKind`],
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::NotPermitted`] where the receiver is
    /// connected to somebody else, [`ErrorKind::MessageTooLarge`], [`ErrorKind::WouldBlock`],
    /// and [`ErrorKind::InvalidAddress`] for the unnamed address: that sender never bound and
    /// cannot be answered (K-DGRAM-1).
    pub fn send_to(&self, message: &[u8], to: &Address) -> Result<()> {
        let target = self.target(to)?;
        packet::send(&self.socket, message, Some(&target.raw)).map_err(|error| error.on(to))
    }

    /// Answers a message: sends to the socket that the message came from, or to none. Waits as
    /// [`Datagram::send`].
    ///
    /// The kernel records a sender's address as the string it was bound to, and that string may
    /// lead elsewhere by now: through a symbolic link, a renamed directory, a file that was
    /// replaced, or because the sender sees other mounts. Answering with [`Datagram::send_to`]
    /// would let the sender choose the receiver, with our credentials. Of a path this call
    /// therefore requires that
    ///
    /// - the message came with the sender's credentials. They come with each message if [`Bind`]
    ///   made the socket, after [`Socket::set_pass_credentials`] otherwise; a user without a number
    ///   here (the overflow user) is unknown;
    /// - the path is absolute, and a socket is there, not a symbolic link;
    /// - the file belongs to the user who sent the message, or root sent it (K-CRED-15);
    /// - the socket there was bound to exactly this name, or is connected and takes messages from
    ///   its peer alone (K-NAME-1, K-PROBE-4);
    /// - if we may look into the sender's process, it has not exited, and the path leads it to the
    ///   same file (K-PROC-6).
    ///
    /// The message is then sent to that file, past its name (K-DGRAM-21). What remains possible is
    /// an answer to another socket that the same user has bound to the same name: one that took
    /// the sender's place, or, if we may not look into the sender's process, one in our view of
    /// the file system while the sender is in another.
    ///
    /// An abstract name has no owner to compare: it goes to whoever has the name now. Names that
    /// the kernel chose are practically never reused. A server with `CAP_NET_ADMIN` refuses a
    /// sender that has exited, or is in another network namespace, where the name is another's
    /// (K-NAME-6, K-PROC-7); the process is the one that the credentials name, which a
    /// sender that is root in a pid namespace of its own can choose among the processes there.
    ///
    /// # Errors
    /// [`ErrorKind::NotPermitted`] if a check fails: the error says which, and whose socket would
    /// have got the answer. [`ErrorKind::InvalidAddress`] for a relative path, and for a sender
    /// that never bound (K-DGRAM-1). Else as [`Datagram::send_to`]; [`ErrorKind::NotFound`] also
    /// without `/proc`, and [`ErrorKind::OutOfDescriptors`]: a path takes two file descriptors
    /// for the moment.
    pub fn reply(&self, message: &[u8], to: &Origin) -> Result<()> {
        let target = self.reply_target(to)?;
        packet::send(&self.socket, message, Some(&target.raw)).map_err(|error| error.on(&to.address))
    }

    /// Answers a message with descriptors or credentials beside the answer. Checks as
    /// [`Datagram::reply`], sends as [`Socket::send_with`].
    ///
    /// # Errors
    /// Those of both.
    pub fn reply_with(&self, message: &[u8], to: &Origin, outgoing: &Outgoing<'_>) -> Result<()> {
        let target = self.reply_target(to)?;
        let sent = outgoing.send(&self.socket, &[IoSlice::new(message)], Some(&target.raw));
        sent.map(drop).map_err(|error| error.on(&to.address))
    }

    /// The socket that a message came from, checked and held.
    pub(crate) fn reply_target(&self, to: &Origin) -> Result<ConnectTarget> {
        if to.address.is_unnamed() {
            return self.target(&to.address);
        }
        reply::target(to, || *self.network.get_or_init(|| network_of(&self.socket)))
    }

    /// Sends one message with descriptors or credentials beside it. As [`Datagram::send_to`] and
    /// [`Socket::send_with`].
    ///
    /// # Errors
    /// Those of both.
    pub fn send_to_with(&self, message: &[u8], to: &Address, outgoing: &Outgoing<'_>) -> Result<()> {
        let target = self.target(to)?;
        let sent = outgoing.send(&self.socket, &[IoSlice::new(message)], Some(&target.raw));
        sent.map(drop).map_err(|error| error.on(to))
    }

    pub(crate) fn target(&self, to: &Address) -> Result<ConnectTarget> {
        if to.is_unnamed() {
            let detail = "the sender has no address: it never bound, or at a path too long to be told, so nothing can be sent back";
            return Err(Error::new(Operation::Send, ErrorKind::InvalidAddress, detail));
        }
        ConnectTarget::new(to)
            .map_err(|cause| Error::system(Operation::Send, cause).on(to).of_kind(Kind::Datagram))
    }

    /// Receives one message into `buffer` and returns its length; 0 is an empty message.
    /// Descriptors that come with it are closed. Waits for one on a blocking socket; `EINTR` is
    /// retried.
    ///
    /// # Errors
    /// [`ErrorKind::MessageTruncated`] where it does not fit: its start is in the buffer, the rest
    /// is lost; [`Datagram::recv_vec`] never cuts. [`ErrorKind::WouldBlock`].
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        if !self.socket.asks_senders() {
            return packet::receive(&self.socket, buffer);
        }
        Ok(self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?.len)
    }

    /// The same, with the sender's address: unnamed where the sender never bound. To answer,
    /// receive with [`Datagram::recv_request`], or with [`Socket::recv_with`] and
    /// [`Received::origin`].
    ///
    /// # Errors
    /// As [`Datagram::recv`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        if !self.socket.asks_senders() {
            let (len, from) = packet::receive_from(&self.socket, buffer)?;
            return Ok((len, from.to_address()));
        }
        let received = self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?;
        Ok((received.len, received.from))
    }

    /// Receives one message, however long, with its sender's address.
    ///
    /// # Errors
    /// As [`Datagram::recv`], but nothing is ever cut.
    pub fn recv_vec(&self) -> Result<(Vec<u8>, Address)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.from))
    }

    /// Receives one message, however long, with what [`Datagram::reply`] needs to answer it.
    ///
    /// # Errors
    /// As [`Datagram::recv`], but no bytes are ever cut.
    pub fn recv_request(&self) -> Result<(Vec<u8>, Origin)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.origin()))
    }

    /// Receives one message, however long, with what came beside it.
    ///
    /// # Errors
    /// As [`Socket::recv_with`], but no bytes are ever cut.
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

    /// Whose messages are received from the next one on. Credentials come with each message from
    /// here on; a policy that asks who sends refuses those that were sent before without.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        crate::bind::apply_policy(&self.socket, &policy)?;
        self.socket.guard(policy);
        Ok(())
    }

    /// How many messages the policy has refused.
    pub fn refused(&self) -> u64 {
        self.socket.refused_messages()
    }

    /// The length of the next message in bytes, waiting for it on a blocking socket; 0 is an empty
    /// message. The policy is not asked.
    ///
    /// # Errors
    /// As [`Datagram::recv`].
    pub fn next_len(&self) -> Result<usize> {
        packet::next_len(&self.socket)
    }

    /// Reads the next message without taking it, and without asking the policy. Never brings
    /// descriptors in (K-FD-10).
    ///
    /// # Errors
    /// As [`Datagram::recv`], but nothing is lost.
    pub fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        packet::peek(&self.socket, buffer)
    }

    /// Closes the socket, after taking its file away where that is still ours.
    ///
    /// # Errors
    /// Where the file could not be removed; the socket is closed all the same. Dropping does the
    /// same in silence.
    pub fn close(self) -> Result<()> {
        self.file.map_or(Ok(()), SocketFile::release)
    }

    /// The file it is bound to, where it made one.
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// The socket, and its file to be given up.
    pub(crate) fn parts_mut(&mut self) -> (&Socket, &mut Option<SocketFile>) {
        (&self.socket, &mut self.file)
    }

    /// Binds a client to an address of its own, removed afterwards. See [`Bind::datagram`].
    ///
    /// # Errors
    /// As [`Bind::datagram`].
    pub fn bind(address: impl ToAddress) -> Result<Datagram> {
        Bind::new(address).datagram()
    }
}

/// The network namespace that a socket was made in, which never changes (K-NETNS-2).
fn network_of(socket: &Socket) -> Option<FileId> {
    let namespace = diag::network_namespace_of(socket).ok()?;
    rustix::fs::fstat(namespace).ok().map(|stat| FileId::of(&stat))
}

impl Deref for Datagram {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl AsFd for Datagram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl From<Datagram> for OwnedFd {
    /// Gives the descriptor away. The file, where there is one, is left for whoever uses the
    /// descriptor; the policy is gone.
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
        Datagram::client(Socket::from_known(datagram.into(), Kind::Datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_that_the_policy_refuses_are_closed_where_the_kernel_lets_them_in() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let server = Bind::new(&path).policy(Policy::everyone().refuse_descriptors()).datagram().unwrap();
        match server.set_pass_descriptors(true) {
            Err(error) if error.is_unsupported() => {}
            result => result.unwrap(),
        }
        let client = Datagram::connect(&path).unwrap();
        client.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&[client.as_fd()])).unwrap();
        let received = server.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::descriptors(1)).unwrap();
        assert_eq!((received.len, received.descriptors.len()), (1, 0));
    }
}
