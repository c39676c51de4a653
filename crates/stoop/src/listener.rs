//! Servers of connections.

use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::bind::SocketFile;
use crate::error::{Error, Operation, Result};
use crate::refusals::Refusals;
use crate::socket::Socket;
use crate::sys::{self, Blocking};
use crate::{Kind, Policy, Refusal, SeqPacket, Stream};

/// How long to wait before trying again after an accept failed, for want of a descriptor or
/// otherwise: from the first pause to the longest. The client may stay in the queue meanwhile, and
/// the listener stays readable (K-ACCEPT-1), so waiting for readiness would spin.
pub(crate) const PAUSE_AFTER_FAILURE: (Duration, Duration) =
    (Duration::from_millis(5), Duration::from_millis(250));

/// More than are ever in a listener's queue: `net.core.somaxconn` is 4096 unless an administrator
/// raised it.
pub(crate) const QUEUE_MAX: usize = 65_536;

/// A connection that a [`Listener`] can accept: [`Stream`] or [`SeqPacket`].
pub trait Connected: sealed::Sealed + AsFd + Deref<Target = Socket> + Send + Sync + 'static {
    /// The kind of socket.
    const KIND: Kind;
}

mod sealed {
    use crate::socket::Socket;

    pub trait Sealed {
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

/// What became of a client that came.
#[derive(Debug)]
pub enum Arrival<C> {
    /// Admitted.
    Admitted(C),
    /// The policy refused it; its connection is closed. It had these ids, where the kernel knew.
    Refused {
        /// Its process id.
        pid: Option<u32>,
        /// Its user id.
        uid: Option<u32>,
        /// Why it was refused.
        reason: Refusal,
    },
}

/// What a listener has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Clients admitted.
    pub admitted: u64,
    /// Clients that the policy refused.
    pub refused: u64,
    /// Times that no descriptor or memory was free for the next client.
    pub exhausted: u64,
    /// Times that an accept failed otherwise, as a security module's refusal of one client.
    pub failed: u64,
}

#[derive(Debug, Default)]
struct Counters {
    admitted: AtomicU64,
    refused: AtomicU64,
    exhausted: AtomicU64,
    failed: AtomicU64,
}

/// A server's socket: clients queue at it and are accepted one by one. Made by
/// [`Bind::listen`](crate::Bind::listen).
///
/// Several threads may accept on one listener. Its file is removed when it is dropped or closed, if
/// the file is still its own and the process is the one that made it.
#[derive(Debug)]
pub struct Listener<C = Stream> {
    // Fields drop in this order: the file goes while the socket still holds its inode.
    file: Option<SocketFile>,
    socket: Socket,
    policy: Policy,
    counters: Counters,
    accepts: PhantomData<fn() -> C>,
}

impl<C: Connected> Listener<C> {
    pub(crate) fn new(socket: Socket, file: Option<SocketFile>, policy: Policy) -> Listener<C> {
        Listener { file, socket, policy, counters: Counters::default(), accepts: PhantomData }
    }

    /// Takes a listening descriptor from elsewhere, after asking the kernel what it is. Admits
    /// everyone until [`Listener::set_policy`]; its file is left alone at the end.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind),
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), and
    /// [`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected) for a socket that does not
    /// listen.
    pub fn from_descriptor(fd: OwnedFd) -> Result<Listener<C>> {
        let socket = Socket::from_descriptor(fd)?.expect_kind(C::KIND)?;
        if !sys::is_listening(socket.as_fd()).map_err(accepting)? {
            let detail = "the socket does not listen";
            return Err(Error::new(Operation::Accept, crate::ErrorKind::NotConnected, detail));
        }
        Ok(Listener::new(socket, None, Policy::everyone()))
    }

    /// Waits for a client that the policy admits. Refused clients are closed and counted. If no
    /// descriptor or memory is free, or the accept of one client fails otherwise
    /// ([`Error::is_transient`]), it counts that, pauses, and tries again without spinning.
    /// `EINTR` is retried.
    ///
    /// # Errors
    /// Returns [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) on a non-blocking listener,
    /// or after the read timeout. On a non-blocking listener also returns transient errors: the
    /// client may stay queued and the listener readable, so pause before the next try. Other
    /// errors mean that the listener itself is broken.
    ///
    /// A nonblocking listener returns after 16 refused clients in a row, and a blocking one when
    /// its read timeout has passed, even if more clients are waiting: see
    /// [`Error::is_refusal_limit`].
    pub fn accept(&self) -> Result<C> {
        let mut refusals = Refusals::of(Operation::Accept);
        loop {
            if let Arrival::Admitted(client) = self.accept_any()? {
                return Ok(client);
            }
            refusals.add(&self.socket, 1)?;
        }
    }

    /// Waits for the next client and says what became of it. As [`Listener::accept`] otherwise.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    pub fn accept_any(&self) -> Result<Arrival<C>> {
        self.accept_as(Blocking::Waits)
    }

    /// [`Listener::accept_any`], for clients to be waited for or not.
    pub(crate) fn accept_as(&self, blocking: Blocking) -> Result<Arrival<C>> {
        self.accept_with(blocking, drop)
    }

    /// The same, for those who have something to say to a client that the policy refuses.
    pub(crate) fn accept_with(
        &self,
        blocking: Blocking,
        refused: impl FnOnce(OwnedFd),
    ) -> Result<Arrival<C>> {
        let (mut pause, longest) = PAUSE_AFTER_FAILURE;
        loop {
            let error = match self.wait_and_accept(blocking) {
                Ok(fd) => return Ok(self.admit(fd, refused)),
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

    /// `accept` knows no "not now", so a listener that spins asks first whether somebody is there.
    fn wait_and_accept(&self, blocking: Blocking) -> io::Result<OwnedFd> {
        let fd = self.socket.as_fd();
        self.socket.spin().wait(|flags| match flags == 0 || sys::is_readable(fd)? {
            true => sys::accept(fd, blocking),
            false => Err(io::ErrorKind::WouldBlock.into()),
        })
    }

    fn admit(&self, fd: OwnedFd, refused: impl FnOnce(OwnedFd)) -> Arrival<C> {
        if self.policy.admits_peer_of(fd.as_fd()) {
            self.counters.admitted.fetch_add(1, Ordering::Relaxed);
            let mut socket = Socket::from_known(fd, C::KIND);
            if !self.policy.descriptors_allowed() {
                socket.guard(Policy::everyone().refuse_descriptors());
            }
            return Arrival::Admitted(C::from_accepted(socket));
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

    /// Every client the policy admits, for ever: [`Listener::accept`] again and again.
    pub fn incoming(&self) -> impl Iterator<Item = Result<C>> + '_ {
        std::iter::repeat_with(|| self.accept())
    }

    /// The clients that are already waiting, one by one, until none is: for a server that is about
    /// to end. Switches the listener to non-blocking.
    ///
    /// Closing a listener resets the clients in its queue (K-ACCEPT-2); a server that takes its
    /// file away first ([`Listener::release`]), serves these, and only then closes, loses none.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor. An error in between
    /// ([`Error::is_transient`], such as no descriptor for the next client) may leave that
    /// client in the queue; going on tries again.
    pub fn drain(&self) -> Result<impl Iterator<Item = Result<C>> + '_> {
        self.socket.set_nonblocking(true)?;
        // Nobody who was waiting is further back in the queue than it is long; strangers who keep coming do
        // not prolong this.
        let arrivals = std::iter::repeat_with(|| self.accept_any()).take(QUEUE_MAX);
        let waiting = arrivals.take_while(|next| !next.as_ref().is_err_and(Error::is_would_block));
        Ok(waiting.filter_map(|next| match next {
            Ok(Arrival::Admitted(client)) => Some(Ok(client)),
            Ok(Arrival::Refused { .. }) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    /// What this listener has seen so far.
    pub fn counts(&self) -> Counts {
        Counts {
            admitted: self.counters.admitted.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            exhausted: self.counters.exhausted.load(Ordering::Relaxed),
            failed: self.counters.failed.load(Ordering::Relaxed),
        }
    }

    /// Who is admitted from the next client on, be it in the queue already. Whether descriptors may
    /// come is settled when a client connects: one in the queue has the old answer.
    ///
    /// # Errors
    /// Only what the kernel reports for a damaged descriptor.
    pub fn set_policy(&mut self, policy: Policy) -> Result<()> {
        crate::bind::apply_policy(&self.socket, &policy)?;
        self.policy = policy;
        Ok(())
    }

    /// The file it is bound to, where it made one.
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    /// Takes the file away, where it is still ours, and goes on listening for those who have found
    /// it already.
    ///
    /// # Errors
    /// Where the file could not be removed.
    pub fn release(&mut self) -> Result<()> {
        self.file.take().map_or(Ok(()), SocketFile::release)
    }

    /// Closes the listener, after taking its file away where that is still ours. Dropping does the
    /// same in silence.
    ///
    /// # Errors
    /// Where the file could not be removed; the listener is closed all the same.
    pub fn close(mut self) -> Result<()> {
        self.release()
    }

    /// The file, which from now on is the caller's to take away.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_file(&mut self) -> Option<SocketFile> {
        self.file.take()
    }

    /// The socket, and its file to be given up.
    pub(crate) fn parts_mut(&mut self) -> (&Socket, &mut Option<SocketFile>) {
        (&self.socket, &mut self.file)
    }

    pub(crate) fn into_parts(self) -> (Socket, Option<SocketFile>) {
        (self.socket, self.file)
    }
}

fn accepting(cause: io::Error) -> Error {
    Error::system(Operation::Accept, cause)
}

impl<C> Deref for Listener<C> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl<C> AsFd for Listener<C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<C: Connected> From<Listener<C>> for OwnedFd {
    /// Gives the descriptor away. The file, where there is one, is left for whoever uses the
    /// descriptor; the policy is gone.
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
    /// Admits everyone until [`Listener::set_policy`]; its file is left alone at the end.
    fn from(listener: std::os::unix::net::UnixListener) -> Listener<Stream> {
        Listener::new(Socket::from_known(listener.into(), Kind::Stream), None, Policy::everyone())
    }
}
