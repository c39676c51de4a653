//! Connecting: with a deadline, right on a full backlog, right on `EINTR`, and to servers that have
//! not started yet.
//!
//! The kernel itself waits for room in a backlog when a *blocking* socket connects, and wakes at
//! the instant there is room (K-CONNECT-3); a non-blocking socket gets `EAGAIN` and is not queued
//! at all (K-CONNECT-1). So connecting is always done on a blocking socket, bounded by its send
//! timeout.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};

use crate::address::DIRECT_PATH_MAX_BYTES;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::{Socket, retry};
use crate::sys::{self, Blocking, RawAddress};
use crate::{Address, Datagram, Kind, SeqPacket, Stream, ToAddress};

/// How to connect: a builder.
///
/// ```
/// use std::time::Duration;
/// use stoop::{Bind, Connect};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).listen()?;
/// let stream = Connect::new(&path)
///     .timeout(Duration::from_secs(2))
///     .wait_for_server(Duration::from_secs(10))
///     .stream()?;
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is connected until `stream`, `seqpacket`, `datagram` or `any`"]
pub struct Connect {
    address: Parsed<Address>,
    timeout: Option<Duration>,
    wait: Duration,
}

/// The outcome of reading an address, kept until there is an operation to report it for.
type Parsed<T> = std::result::Result<T, crate::AddressError>;

/// How long to sleep between two looks for a server that has not started: from the first to the
/// longest.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

impl Connect {
    /// To this address. Text is read by [`Address::parse`].
    pub fn new(address: impl ToAddress) -> Connect {
        Connect { address: address.to_address(), timeout: None, wait: Duration::ZERO }
    }

    /// How long to wait for room in a full backlog. Without it, as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Connect {
        self.timeout = Some(timeout);
        self
    }

    /// How long to wait for a server that is not there yet: no file, or nobody listening behind it.
    /// At first, not at all.
    pub fn wait_for_server(mut self, wait: Duration) -> Connect {
        self.wait = wait;
        self
    }

    /// Connects a stream. Blocks as the two settings say; `EINTR` is retried against the same
    /// deadline (K-CONNECT-5).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Refused`], [`ErrorKind::WrongKind`],
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::TimedOut`], [`ErrorKind::InvalidAddress`].
    /// The socket returned is always connected.
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream::from_socket(self.connect(Kind::Stream)?))
    }

    /// Connects a seqpacket socket. As [`Connect::stream`].
    ///
    /// # Errors
    /// As [`Connect::stream`].
    pub fn seqpacket(&self) -> Result<SeqPacket> {
        Ok(SeqPacket::from_socket(self.connect(Kind::SeqPacket)?))
    }

    /// A datagram socket that sends to this address, and to which the receiver can answer: it is
    /// bound to an abstract name that the kernel chooses (K-NAME-9). Never waits for room.
    ///
    /// # Errors
    /// As [`Connect::stream`], and [`ErrorKind::NotPermitted`] where the receiver is connected to
    /// somebody else.
    pub fn datagram(&self) -> Result<Datagram> {
        let socket = self.connect(Kind::Datagram)?;
        Ok(Datagram::client(socket))
    }

    /// Names the receiver of a datagram socket that exists already.
    pub(crate) fn datagram_socket(&self, socket: &Socket) -> Result<()> {
        let address = self.resolve(Kind::Datagram)?;
        self.attempts(Instant::now(), || self.attempt(socket, &address)).map_err(|error| error.on(&address))
    }

    pub(crate) fn resolve(&self, kind: Kind) -> Result<Address> {
        let address = self.address.clone().map_err(|error| Error::address(Operation::Connect, &error))?;
        if address.is_unnamed() {
            let error = Error::new(
                Operation::Connect,
                ErrorKind::InvalidAddress,
                "an unnamed socket cannot be reached",
            );
            return Err(error.of_kind(kind));
        }
        Ok(address)
    }

    /// Connects a socket of whichever kind the server has, trying each in turn: a path of another
    /// kind answers `EPROTOTYPE`, an abstract name of another kind is not found at all
    /// (K-NAME-15).
    ///
    /// # Errors
    /// As [`Connect::stream`].
    pub fn any(&self) -> Result<Connection> {
        let address = self.resolve(Kind::Stream)?;
        self.attempts(Instant::now(), || self.any_once(&address)).map_err(|error| error.on(&address))
    }

    fn any_once(&self, address: &Address) -> Result<Connection> {
        let another_kind =
            |error: &Error| error.is_wrong_kind() || (error.is_refused() && address.as_abstract().is_some());
        match self.connect_once(Kind::Stream, address) {
            Err(error) if another_kind(&error) => {}
            result => return Ok(Connection::Stream(Stream::from_socket(result?))),
        }
        match self.connect_once(Kind::Datagram, address) {
            Err(error) if another_kind(&error) => {}
            result => return Ok(Connection::Datagram(Datagram::client(result?))),
        }
        Ok(Connection::SeqPacket(SeqPacket::from_socket(self.connect_once(Kind::SeqPacket, address)?)))
    }

    fn connect(&self, kind: Kind) -> Result<Socket> {
        let address = self.resolve(kind)?;
        self.attempts(Instant::now(), || self.connect_once(kind, &address))
            .map_err(|error| error.on(&address))
    }

    fn connect_once(&self, kind: Kind, address: &Address) -> Result<Socket> {
        let socket = unconnected(kind, Blocking::Waits)?;
        self.attempt(&socket, address)?;
        Ok(socket)
    }

    /// Tries until it works, the answer is final, or the wait for a server is over.
    fn attempts<T>(&self, started: Instant, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let (mut pause, longest) = LOOK_AGAIN;
        loop {
            let error = match attempt() {
                Err(error) if error.is_not_found() || error.is_refused() => error,
                result => return result,
            };
            let left = self.wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(error);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(longest);
        }
    }

    /// One connect, bounded by the timeout, never giving up for a signal.
    fn attempt(&self, socket: &Socket, address: &Address) -> Result<()> {
        let Some(timeout) = self.timeout else { return try_once(socket, address, || Ok(())) };
        let started = Instant::now();
        let result = try_once(socket, address, || {
            let left = timeout.saturating_sub(started.elapsed());
            sys::set_send_timeout(socket.as_fd(), Some(left))
        });
        socket.set_write_timeout(None)?;
        result.map_err(|error| if error.is_would_block() { stayed_full(error, timeout) } else { error })
    }

    /// How long to wait for room in a full backlog, and for a server that is not there yet.
    #[cfg(feature = "tokio")]
    pub(crate) fn limits(&self) -> (Option<Duration>, Duration) {
        (self.timeout, self.wait)
    }
}

/// A new socket that can be connected.
pub(crate) fn unconnected(kind: Kind, blocking: Blocking) -> Result<Socket> {
    let failed = |cause| Error::system(Operation::Connect, cause).of_kind(kind);
    let socket = Socket::from_known(sys::socket(kind, blocking).map_err(failed)?, kind);
    if kind == Kind::Datagram {
        // Bound before it is connected, so that even the first message can be answered.
        sys::bind(socket.as_fd(), &RawAddress::autobind()).map_err(failed)?;
    }
    Ok(socket)
}

/// One connect, never giving up for a signal. `before` runs ahead of each system call.
pub(crate) fn try_once(
    socket: &Socket,
    address: &Address,
    mut before: impl FnMut() -> io::Result<()>,
) -> Result<()> {
    let failed = |cause| Error::system(Operation::Connect, cause).of_kind(socket.kind());
    let target = ConnectTarget::new(address).map_err(failed)?;
    retry(|| {
        before()?;
        sys::connect(socket.as_fd(), &target.raw)
    })
    .map_err(failed)
}

/// The end of the wait for room in a backlog.
pub(crate) fn stayed_full(error: Error, timeout: Duration) -> Error {
    error.with_kind(ErrorKind::TimedOut).with_detail(format!("its backlog stayed full for {timeout:?}"))
}

/// What `connect` and `sendto` are given for an address, however long its path.
pub(crate) struct ConnectTarget {
    pub(crate) raw: RawAddress,
    /// Holds the socket's file while its descriptor number stands in the address.
    _file: Option<File>,
}

impl ConnectTarget {
    pub(crate) fn new(address: &Address) -> io::Result<ConnectTarget> {
        if let Some(name) = address.as_abstract() {
            return Ok(ConnectTarget { raw: RawAddress::abstract_name(name), _file: None });
        }
        let Some(path) = address.as_path() else { return Err(io::Error::from_raw_os_error(libc::EINVAL)) };
        if path.as_os_str().len() <= DIRECT_PATH_MAX_BYTES {
            return Ok(ConnectTarget { raw: RawAddress::path(path)?, _file: None });
        }
        // An O_PATH descriptor of the socket's file stands for it, at any depth (K-CONNECT-13).
        ConnectTarget::of_file(
            rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into(),
        )
    }

    /// The socket of this file, an `O_PATH` descriptor, whatever its name leads to by now
    /// (K-CONNECT-13, K-DGRAM-21).
    pub(crate) fn of_file(file: File) -> io::Result<ConnectTarget> {
        let raw = RawAddress::path(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        Ok(ConnectTarget { raw, _file: Some(file) })
    }
}

/// A connection of whichever kind the server has.
#[derive(Debug)]
pub enum Connection {
    /// A stream.
    Stream(Stream),
    /// A datagram socket that sends to the server.
    Datagram(Datagram),
    /// A seqpacket connection.
    SeqPacket(SeqPacket),
}

impl Connection {
    /// The kind that was found.
    pub fn kind(&self) -> Kind {
        match self {
            Connection::Stream(_) => Kind::Stream,
            Connection::Datagram(_) => Kind::Datagram,
            Connection::SeqPacket(_) => Kind::SeqPacket,
        }
    }
}
