//! Listening Unix domain sockets.

use std::io;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::error::{Error, Operation, Result};
use crate::refusals::Refusals;
use crate::server_options::ServerOptions;
use crate::socket::Socket;
use crate::socket_ext::SocketExt;
use crate::socket_file::SocketFile;
use crate::socket_methods::{base_methods, blocking_methods, fd_traits};
use crate::sys::{self, Blocking, RawAddress};
use crate::{Address, Kind, Policy, Refusal, SeqPacket, Stream, ToAddress};

/// The first and the longest pause before another attempt after a failed accept, for lack of a file
/// descriptor or another cause. The client may stay in the queue meanwhile, and the listener stays
/// readable ([K-ACCEPT-1]), so waiting for readiness would spin.
///
/// [K-ACCEPT-1]: crate::kernel_facts#K-ACCEPT-1
pub(crate) const PAUSE_AFTER_FAILURE: (Duration, Duration) =
    (Duration::from_millis(5), Duration::from_millis(250));

/// An upper bound on the length of a listener's queue. `net.core.somaxconn` is 4096 unless an
/// administrator raised it.
pub(crate) const QUEUE_MAX: usize = 65_536;

/// A connection that a [`Listener`] can accept: [`Stream`] or [`SeqPacket`].
pub trait Connected:
    sealed::Sealed + AsRef<Socket> + AsFd + AsRawFd + Into<OwnedFd> + Send + Sync + 'static
{
    /// The kind of socket.
    const KIND: Kind;
}

mod sealed {
    use crate::socket::Socket;
    use crate::sys::OwnsFd;

    pub trait Sealed: OwnsFd {
        fn from_accepted(socket: Socket) -> Self;
    }
}

impl Connected for Stream {
    const KIND: Kind = Kind::Stream;
}

impl sealed::Sealed for Stream {
    fn from_accepted(socket: Socket) -> Stream {
        Stream::from_socket(socket)
    }
}

impl Connected for SeqPacket {
    const KIND: Kind = Kind::SeqPacket;
}

impl sealed::Sealed for SeqPacket {
    fn from_accepted(socket: Socket) -> SeqPacket {
        SeqPacket::from_socket(socket)
    }
}

/// The outcome of accepting a client.
#[derive(Debug)]
pub enum Arrival<C> {
    /// The policy allowed the client.
    Accepted(C),
    /// The policy refused the client, and its connection was closed. The ids are those the kernel
    /// recorded, if it knew them.
    Refused {
        /// The client's process id.
        pid: Option<u32>,
        /// The client's effective user id.
        uid: Option<u32>,
        /// Why the client was refused.
        reason: Refusal,
    },
}

/// Counters of a listener since it was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Clients that the policy allowed.
    pub accepted: u64,
    /// Clients that the policy refused.
    pub refused: u64,
    /// Accepts that failed because no file descriptor or memory was free.
    pub exhausted: u64,
    /// Accepts that failed for another reason, such as a security module that refused one client.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    refused: AtomicU64,
    exhausted: AtomicU64,
    failed: AtomicU64,
}

/// A listening socket: clients wait in its queue until they are accepted.
///
/// [`Bind::listen`] creates one. Several threads may accept on the same
/// listener.
///
/// When the listener is closed or dropped, its socket file is unlinked. This happens only if the
/// file is still its own, and only in the process that created it.
///
/// [`Bind::listen`]: crate::Bind::listen
#[doc(alias("UnixListener", "listen", "SO_ACCEPTCONN"))]
#[derive(Debug)]
pub struct Listener<C = Stream> {
    // Fields drop in this order: the file is unlinked while the socket still holds its inode, so
    // its number cannot be reused in between.
    file: Option<SocketFile>,
    socket: Socket,
    policy: Policy,
    counters: Counters,
    /// Whether the last attempt of the tokio face accepted a client.
    has_accepted: AtomicBool,
    accepts: PhantomData<fn() -> C>,
}

impl<C: Connected> Listener<C> {
    pub(crate) fn new(socket: Socket, file: Option<SocketFile>, policy: Policy) -> Listener<C> {
        let (counters, has_accepted) = (Counters::default(), AtomicBool::new(false));
        Listener { file, socket, policy, counters, has_accepted, accepts: PhantomData }
    }

    /// Wraps a listening file descriptor of unknown origin, after asking the kernel for its kind.
    ///
    /// The listener accepts every client until [`Listener::set_policy`] is called. If it is bound
    /// to a file, the file is not removed on drop.
    ///
    /// # Errors
    /// Returns an error if the socket is a Unix socket of another kind
    /// ([`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind)), of another address family
    /// ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)), or does not listen
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    ///
    /// ```
    /// use std::os::fd::OwnedFd;
    /// use stoop::{Bind, ErrorKind, Listener, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let passed = OwnedFd::from(Bind::new(&path).listen()?);
    /// let listener: Listener = Listener::try_from(passed)?;
    /// drop(listener);
    /// assert!(path.exists()); // not created by this listener
    ///
    /// let (one, _other) = Stream::pair()?;
    /// let error = Listener::<Stream>::try_from(OwnedFd::from(one)).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotConnected); // does not listen
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub(crate) fn from_descriptor(fd: OwnedFd) -> Result<Listener<C>> {
        let socket = Socket::from_descriptor(fd)?.expect_kind(C::KIND)?;
        if !sys::is_listening(socket.as_fd()).map_err(accepting)? {
            let detail = "the socket is not listening";
            return Err(Error::new(Operation::Accept, crate::ErrorKind::NotConnected, detail));
        }
        Ok(Listener::new(socket, None, Policy::everyone()))
    }

    /// Waits for a client that the policy allows, and returns its connection and its address.
    ///
    /// The address is unnamed if the client did not bind before it connected. Refused clients are
    /// closed and counted. `EINTR` is retried.
    ///
    /// An accept can also fail because no file descriptor or memory is free, or in a way that
    /// concerns one client only ([`Error::is_transient`]). A blocking listener counts such a
    /// failure, pauses, and tries again without spinning.
    ///
    /// A nonblocking listener returns after 16 refused clients in a row, and a blocking one when
    /// its read timeout has passed, even if more clients are waiting: see
    /// [`Error::is_refusal_limit`].
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the listener is nonblocking and no client is waiting, its read timeout passed, or it
    ///   refused as much as one call may ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock));
    /// - the listener is nonblocking and the failure is transient ([`Error::is_transient`]). The
    ///   client may stay in the queue and the listener readable, so pause before the next attempt;
    /// - the listener itself is unusable (all other kinds).
    ///
    /// ```
    /// use stoop::{Bind, SocketExt, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// listener.set_nonblocking(true)?;
    /// assert!(listener.accept().unwrap_err().is_would_block());
    ///
    /// let client = Stream::connect(&path)?;
    /// let (connection, from) = listener.accept()?;
    /// assert!(!connection.is_nonblocking()?); // not inherited
    /// assert!(from.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "accept4")]
    pub fn accept(&self) -> Result<(C, Address)> {
        self.accept_allowed(Blocking::Waits)
    }

    /// Waits for a client like [`Listener::accept`], and returns its connection in nonblocking mode
    /// (`SOCK_NONBLOCK`).
    ///
    /// Whether the accept itself waits depends on the listener's mode, not on that of the
    /// connection. For event loops, this saves the call of
    /// [`set_nonblocking`](Stream::set_nonblocking).
    ///
    /// # Errors
    /// Returns an error if [`Listener::accept`] would return one.
    ///
    /// ```
    /// use std::io::{ErrorKind, Read};
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let _client = Stream::connect(&path)?;
    /// let (mut stream, _) = listener.accept_nonblocking()?;
    /// assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn accept_nonblocking(&self) -> Result<(C, Address)> {
        self.accept_allowed(Blocking::Never)
    }

    fn accept_allowed(&self, connection: Blocking) -> Result<(C, Address)> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            if let (Arrival::Accepted(client), from) = self.accept_from(connection, drop)? {
                return Ok((client, from.to_address()));
            }
            refusals.add(&self.socket, 1)?;
        }
    }

    /// Waits for the next client, and returns whether the policy allowed it.
    ///
    /// Unlike [`Listener::accept`], this also returns for a refused client.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait, a nonblocking accept fails transiently, or
    /// the listener is unusable. See [`Listener::accept`].
    ///
    /// ```
    /// use stoop::{Arrival, Bind, Policy, Refusal, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).policy(Policy::nobody()).listen()?;
    /// let client = Stream::connect(&path)?; // the kernel connects it, the policy decides later
    /// match listener.accept_any()? {
    ///     Arrival::Accepted(_) => unreachable!(),
    ///     Arrival::Refused { pid, reason, .. } => {
    ///         assert_eq!((pid, reason), (Some(std::process::id()), Refusal::NotAllowed));
    ///     }
    /// }
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn accept_any(&self) -> Result<Arrival<C>> {
        self.accept_as(Blocking::Waits)
    }

    /// Accepts the next client, with its socket in blocking or nonblocking mode.
    pub(crate) fn accept_as(&self, blocking: Blocking) -> Result<Arrival<C>> {
        self.accept_with(blocking, drop)
    }

    /// Accepts the next client like [`Listener::accept_from`], without its address.
    pub(crate) fn accept_with(
        &self,
        blocking: Blocking,
        refused: impl FnOnce(OwnedFd),
    ) -> Result<Arrival<C>> {
        self.accept_from(blocking, refused).map(|(arrival, _)| arrival)
    }

    /// Accepts the next client, with its socket in blocking or nonblocking mode, and returns its
    /// address as well. `refused` gets the connection of a client that the policy refuses, and can
    /// send a last message before it closes it.
    pub(crate) fn accept_from(
        &self,
        blocking: Blocking,
        refused: impl FnOnce(OwnedFd),
    ) -> Result<(Arrival<C>, RawAddress)> {
        let (mut pause, longest) = PAUSE_AFTER_FAILURE;
        loop {
            let accepted = match blocking {
                Blocking::Never => self.accept_unless_empty(),
                blocking => self.wait_and_accept(blocking),
            };
            let error = match accepted {
                Ok((fd, from)) => return Ok((self.apply_policy(fd, refused), from)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => accepting(error),
            };
            if !error.is_transient() {
                return Err(error);
            }
            let Counters { exhausted, failed, .. } = &self.counters;
            let counter = if error.is_exhausted() { exhausted } else { failed };
            counter.fetch_add(1, Ordering::Relaxed);
            if self.socket.is_nonblocking()? {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(longest);
        }
    }

    /// Waits for a client and accepts it. `accept` has no `MSG_DONTWAIT`, so each polling attempt
    /// of [`Spin`](crate::spin::Spin) first checks whether a client is waiting.
    fn wait_and_accept(&self, blocking: Blocking) -> io::Result<(OwnedFd, RawAddress)> {
        let fd = self.socket.as_fd();
        self.socket.spin().wait(|flags| match flags == 0 || sys::is_readable(fd)? {
            true => sys::accept(fd, blocking),
            false => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    /// Accepts a client for the tokio face, which tries again until none is left.
    ///
    /// The kernel creates a socket and a file before it looks for a client, so an attempt that
    /// finds none costs as much as one that succeeds. Whether there is another client is
    /// determined by a poll, which costs an eighth ([K-ACCEPT-10]). The first attempt after an
    /// event needs none.
    ///
    /// [K-ACCEPT-10]: crate::kernel_facts#K-ACCEPT-10
    fn accept_unless_empty(&self) -> io::Result<(OwnedFd, RawAddress)> {
        let is_first = !self.has_accepted.swap(false, Ordering::Relaxed);
        // A listener that spins polls by itself.
        if !is_first && self.socket.spin().budget().is_zero() && !sys::is_readable(self.socket.as_fd())? {
            return Err(rustix::io::Errno::AGAIN.into());
        }
        let accepted = self.wait_and_accept(Blocking::Never);
        self.has_accepted.store(accepted.is_ok(), Ordering::Relaxed);
        accepted
    }

    fn apply_policy(&self, fd: OwnedFd, refused: impl FnOnce(OwnedFd)) -> Arrival<C> {
        if self.policy.allows_peer_of(fd.as_fd()) {
            self.counters.accepted.fetch_add(1, Ordering::Relaxed);
            let mut socket = Socket::from_known(fd, C::KIND);
            if !self.policy.descriptors_allowed() {
                socket.guard(Policy::everyone().refuse_descriptors());
            }
            return Arrival::Accepted(C::from_accepted(socket));
        }
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        let peer = crate::peer::Ids::of(fd.as_fd());
        refused(fd);
        Arrival::Refused {
            pid: peer.pid.known().copied(),
            uid: peer.uid.known().copied(),
            reason: peer.refusal(),
        }
    }

    /// Returns an iterator over incoming connections that the policy allows.
    ///
    /// It never returns `None`: each step calls [`Listener::accept`]. Iterating over `&Listener`
    /// does the same.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let clients = std::thread::spawn(move || {
    ///     for name in ["one", "two"] {
    ///         Stream::connect(&path).unwrap().write_all(name.as_bytes()).unwrap();
    ///     }
    /// });
    /// for (name, connection) in ["one", "two"].into_iter().zip(listener.incoming()) {
    ///     let mut text = String::new();
    ///     connection?.read_to_string(&mut text)?;
    ///     assert_eq!(text, name); // in the order in which they connected
    /// }
    /// # clients.join().unwrap();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn incoming(&self) -> Incoming<'_, C> {
        Incoming(self)
    }

    /// Creates a new independently owned handle to the same listening socket.
    ///
    /// Both accept from the same queue. If there is a socket file, the original handle keeps the
    /// duty to unlink it. The policy is copied, and each handle counts its own clients.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let second = listener.try_clone()?;
    /// drop(listener); // unlinks the file
    /// assert!(Stream::connect(&path).unwrap_err().is_not_found());
    /// assert_eq!(second.local_addr()?.as_pathname(), Some(&*path)); // still listening
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn try_clone(&self) -> Result<Listener<C>> {
        Ok(Listener::new(self.socket.duplicate()?, None, self.policy.clone()))
    }

    /// Returns an iterator over the clients that are already waiting, for a graceful shutdown.
    ///
    /// The iterator ends when no client is waiting. The listener is moved into nonblocking mode.
    ///
    /// Closing a listener resets the connections in its queue ([K-ACCEPT-2]). To lose none, first
    /// unlink the socket file ([`Listener::release`]), then serve these clients, and close the
    /// listener last.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid. An item of the iterator may be a
    /// transient error ([`Error::is_transient`]), such as no free file descriptor. The client may
    /// then still be in the queue, and the next item is another attempt.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen()?;
    /// let waiting = [Stream::connect(&path)?, Stream::connect(&path)?];
    /// listener.release()?; // no further client can connect
    /// assert!(Stream::connect(&path).unwrap_err().is_not_found());
    /// assert_eq!(listener.drain()?.filter_map(Result::ok).count(), 2);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-ACCEPT-2]: crate::kernel_facts#K-ACCEPT-2
    pub fn drain(&self) -> Result<impl Iterator<Item = Result<C>> + '_> {
        self.socket.set_nonblocking(true)?;
        // No client that was waiting is further back than the queue is long. The limit keeps new
        // clients that the policy refuses from prolonging this loop.
        let arrivals = std::iter::repeat_with(|| self.accept_any()).take(QUEUE_MAX);
        let waiting = arrivals.take_while(|next| !next.as_ref().is_err_and(Error::is_would_block));
        Ok(waiting.filter_map(|next| match next {
            Ok(Arrival::Accepted(client)) => Some(Ok(client)),
            Ok(Arrival::Refused { .. }) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    /// Returns what this listener has counted so far.
    ///
    /// ```
    /// use stoop::{Bind, Policy, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen()?;
    /// let clients = [Stream::connect(&path)?, Stream::connect(&path)?];
    /// listener.accept()?;
    /// listener.set_policy(Policy::nobody())?;
    /// listener.accept_any()?;
    /// assert_eq!((listener.counts().accepted, listener.counts().refused), (1, 1));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.counters.accepted.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            exhausted: self.counters.exhausted.load(Ordering::Relaxed),
            failed: self.counters.failed.load(Ordering::Relaxed),
        }
    }

    /// Sets which clients are accepted, from the next one on, including those already in the queue.
    ///
    /// Whether file descriptors are accepted is decided when a client connects. A client already in
    /// the queue keeps the previous setting.
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    ///
    /// ```
    /// use stoop::{Bind, Policy, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen()?;
    /// let client = Stream::connect(&path)?;
    /// listener.set_policy(Policy::nobody())?; // also for the client that is waiting
    /// listener.set_nonblocking(true)?;
    /// assert!(listener.accept().unwrap_err().is_would_block());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        crate::socket_ext::apply_policy(&self.socket, &policy)?;
        self.policy = policy;
        Ok(())
    }

    /// Returns the socket file, if this listener created one.
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// Unlinks the socket file, if it is still the listener's own, and keeps listening.
    ///
    /// Clients that have already looked up the file can still connect.
    ///
    /// # Errors
    /// Returns an error if the file could not be removed.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let mut listener = Bind::new(&path).listen()?;
    /// let early = Stream::connect(&path)?;
    /// listener.release()?;
    /// assert!(!path.exists());
    /// listener.accept()?; // still listening
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "unlink")]
    pub fn release(&mut self) -> Result<()> {
        self.file.take().map_or(Ok(()), SocketFile::release)
    }

    /// Closes the listener and unlinks its socket file, if the file is still its own.
    ///
    /// Dropping the listener does the same, but ignores errors.
    ///
    /// # Errors
    /// Returns an error if the file could not be removed. The listener is closed nevertheless.
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// std::fs::remove_file(&path)?;
    /// let successor = Bind::new(&path).listen()?;
    /// listener.close()?;
    /// assert!(path.exists()); // the successor's file is not touched
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "unlink")]
    pub fn close(mut self) -> Result<()> {
        self.release()
    }

    base_methods!();
    blocking_methods!();

    /// Returns the socket file, which the caller then has to unlink.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// Returns the socket, and its file so that the caller can give it up.
    pub(crate) fn parts_mut(&mut self) -> (&Socket, &mut Option<SocketFile>) {
        (&self.socket, &mut self.file)
    }

    pub(crate) fn into_parts(self) -> (Socket, Option<SocketFile>) {
        (self.socket, self.file)
    }
}

impl Listener {
    /// Binds a server at this address and listens: [`Bind::listen`] with its defaults.
    ///
    /// # Errors
    /// Returns an error if the address is invalid, in use, or cannot be created. See
    /// [`Bind::listen`] for the kinds.
    ///
    /// ```
    /// use stoop::Listener;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Listener::bind(&path)?;
    /// assert!(Listener::bind(&path).unwrap_err().is_in_use());
    /// drop(listener);
    /// assert!(!path.exists()); // unlike std's, it unlinks its file
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [`Bind::listen`]: crate::Bind::listen
    pub fn bind(address: impl ToAddress) -> Result<Listener> {
        let (socket, file, policy) = ServerOptions::new(address).bind(Kind::Stream)?;
        Ok(Listener::new(socket, file, policy))
    }

    /// Binds like [`Listener::bind`], under std's name for addresses that are not paths.
    ///
    /// # Errors
    /// Returns an error if [`Listener::bind`] would return one.
    pub fn bind_addr(address: impl ToAddress) -> Result<Listener> {
        Listener::bind(address)
    }
}

/// An iterator over the clients of a [`Listener`] that its policy allows, in the order in which
/// they connected.
///
/// It never returns `None`. [`Listener::incoming`] creates it.
#[derive(Debug)]
pub struct Incoming<'a, C = Stream>(&'a Listener<C>);

impl<C: Connected> Iterator for Incoming<'_, C> {
    type Item = Result<C>;

    fn next(&mut self) -> Option<Result<C>> {
        Some(self.0.accept().map(|(client, _)| client))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl<C: Connected> FusedIterator for Incoming<'_, C> {}

impl<'a, C: Connected> IntoIterator for &'a Listener<C> {
    type Item = Result<C>;
    type IntoIter = Incoming<'a, C>;

    fn into_iter(self) -> Incoming<'a, C> {
        self.incoming()
    }
}

fn accepting(cause: io::Error) -> Error {
    Error::system(Operation::Accept, cause)
}

impl<C> AsRef<Socket> for Listener<C> {
    fn as_ref(&self) -> &Socket {
        &self.socket
    }
}

fd_traits!(Listener<C>, C: Connected);

impl<C: Connected> From<Listener<C>> for OwnedFd {
    /// Converts the listener into its file descriptor.
    ///
    /// If there is a socket file, it is left for the new owner of the file descriptor. The policy
    /// no longer applies.
    fn from(listener: Listener<C>) -> OwnedFd {
        let (socket, file) = listener.into_parts();
        if let Some(file) = file {
            file.keep();
        }
        socket.into_fd()
    }
}

impl From<Listener<Stream>> for std::os::unix::net::UnixListener {
    fn from(listener: Listener<Stream>) -> std::os::unix::net::UnixListener {
        OwnedFd::from(listener).into()
    }
}

impl From<std::os::unix::net::UnixListener> for Listener<Stream> {
    /// Converts a listener of the standard library. It accepts every client until
    /// [`Listener::set_policy`] is called, and its socket file is not removed on drop.
    fn from(listener: std::os::unix::net::UnixListener) -> Listener<Stream> {
        Listener::new(Socket::from_known(listener.into(), Kind::Stream), None, Policy::everyone())
    }
}
