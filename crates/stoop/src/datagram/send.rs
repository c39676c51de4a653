//! Sending datagrams, and replying to them.

use std::borrow::Cow;
use std::io::IoSlice;

use super::Datagram;
use crate::connect::attempt::ConnectTarget;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::message::Outgoing;
use crate::socket::Socket;
use crate::{Address, Kind, Origin, ToAddress, diag, packet, reply};

impl Datagram {
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
    #[doc(alias = "sendto")]
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
    /// - the message carried the sender's credentials. They are present if [`Bind`](crate::Bind)
    ///   made the socket, and otherwise after
    ///   [`set_pass_credentials`](crate::SocketExt::set_pass_credentials). A user without an id in
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
        let sent = self.socket.send_message(outgoing, &[IoSlice::new(message)], Some(&target.raw));
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
    #[doc(alias("sendmsg", "SCM_RIGHTS", "SCM_CREDENTIALS"))]
    pub fn send_to_with(
        &self,
        buffers: &[IoSlice<'_>],
        to: impl ToAddress,
        outgoing: &Outgoing<'_>,
    ) -> Result<usize> {
        let to = destination(&to)?;
        let target = self.target(&to)?;
        self.socket.send_message(outgoing, buffers, Some(&target.raw)).map_err(|error| error.on(&to))
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
