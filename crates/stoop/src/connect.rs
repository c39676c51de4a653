//! Connecting, with a timeout, correct on a full backlog and on `EINTR`, and to servers that have
//! not started yet.
//!
//! When a *blocking* socket connects to a full backlog, the kernel puts the caller to sleep and
//! wakes it when space is free ([K-CONNECT-3]). A nonblocking socket gets `EAGAIN` and is not
//! queued at all ([K-CONNECT-1]). Connecting is therefore always done on a blocking socket, bounded
//! by its send timeout.
//!
//! [K-CONNECT-3]: crate::kernel_facts#K-CONNECT-3
//! [K-CONNECT-1]: crate::kernel_facts#K-CONNECT-1

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags};

use crate::address::DIRECT_PATH_MAX_BYTES;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::retry::retry;
use crate::socket::Socket;
use crate::sys::{self, Blocking, RawAddress};
use crate::{Address, Datagram, Kind, SeqPacket, Stream, ToAddress};

/// A builder for connecting a socket.
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

/// A parsed address, or the error, which is kept until an operation can report it.
type Parsed<T> = std::result::Result<T, crate::AddressError>;

/// The first and the longest pause between two checks for a server that has not started.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

impl Connect {
    /// Creates a builder for this address. Text and bytes are a path, exactly as they are (see
    /// [`ToAddress`]).
    ///
    /// An invalid address is reported by the call that connects.
    pub fn new(address: impl ToAddress) -> Connect {
        Connect { address: address.to_address(), timeout: None, wait: Duration::ZERO }
    }

    /// Sets how long to wait for space in a full backlog. By default it waits indefinitely.
    /// With [`Duration::ZERO`] it does not wait.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, Connect, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// // The queue of `backlog(0)` has space for one client.
    /// let _listener = Bind::new(&path).backlog(0).listen()?;
    /// let _waiting = Stream::connect(&path)?;
    ///
    /// for timeout in [Duration::ZERO, Duration::from_millis(5)] {
    ///     let error = Connect::new(&path).timeout(timeout).stream().unwrap_err();
    ///     assert!(error.is_timed_out());
    /// }
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Connect {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long to wait for a server that has not started. By default it does not wait.
    ///
    /// A server has not started if its socket file does not exist, or no process listens on it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::{Bind, Connect};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let connect = Connect::new(&path);
    /// assert!(connect.stream().unwrap_err().is_not_found());
    ///
    /// # let server_path = path.clone();
    /// let server = std::thread::spawn(move || Bind::new(&server_path).listen()?.accept());
    /// let _stream = connect.wait_for_server(Duration::from_secs(10)).stream()?;
    /// # server.join().unwrap()?;
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn wait_for_server(mut self, wait: Duration) -> Connect {
        self.wait = wait;
        self
    }

    /// Connects a stream.
    ///
    /// Blocks for a full backlog up to the [timeout](Connect::timeout), and for a missing server as
    /// long as [`Connect::wait_for_server`] says. `EINTR` is retried against the same deadline
    /// ([K-CONNECT-5]). The returned socket is always connected.
    ///
    /// ```
    /// use stoop::{Bind, Connect};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let connect = Connect::new(&path);
    /// assert!(connect.stream().unwrap_err().is_not_found());
    ///
    /// let listener = Bind::new(&path).listen()?;
    /// assert!(connect.stream().is_ok()); // before the server has accepted it
    ///
    /// let stale = path.with_extension("stale");
    /// drop(std::os::unix::net::UnixListener::bind(&stale)?); // leaves its file
    /// assert!(Connect::new(&stale).stream().unwrap_err().is_refused());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - nothing exists at the path ([`ErrorKind::NotFound`]), or no process listens there
    ///   ([`ErrorKind::Refused`]);
    /// - the socket there is of another kind ([`ErrorKind::WrongKind`]);
    /// - permission is denied ([`ErrorKind::PermissionDenied`]);
    /// - the backlog stayed full until the timeout ([`ErrorKind::TimedOut`]);
    /// - the address is invalid ([`ErrorKind::InvalidAddress`]).
    ///
    /// [K-CONNECT-5]: crate::kernel_facts#K-CONNECT-5
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream::from_socket(self.connect(Kind::Stream)?))
    }

    /// Connects a seqpacket socket.
    ///
    /// Blocks like [`Connect::stream`].
    ///
    /// ```
    /// use stoop::{Bind, Connect, Packet};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_seqpacket()?;
    /// let client = Connect::new(&path).seqpacket()?;
    /// client.send(b"hello")?;
    /// assert_eq!(listener.accept()?.0.recv(&mut [0; 16])?, Packet::Message(5));
    ///
    /// assert!(Connect::new(&path).stream().unwrap_err().is_wrong_kind());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no server listens there, the socket is of
    /// another kind, permission is denied, or the backlog stayed full. See [`Connect::stream`] for
    /// the kinds.
    pub fn seqpacket(&self) -> Result<SeqPacket> {
        Ok(SeqPacket::from_socket(self.connect(Kind::SeqPacket)?))
    }

    /// Creates a datagram socket that sends to this address and can receive replies.
    ///
    /// It is bound to an abstract address that the kernel assigns ([K-NAME-9]). Connecting a
    /// datagram socket never waits for queue space.
    ///
    /// ```
    /// use stoop::{Bind, Connect};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Connect::new(&path).datagram()?;
    /// client.send(b"ping")?;
    ///
    /// let (request, from) = server.recv_vec()?;
    /// assert_eq!(request, b"ping");
    /// assert_eq!(from, client.local_addr()?); // so the server can reply
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the receiver is connected to another peer ([`ErrorKind::NotPermitted`]).
    /// Also if the address is invalid, no socket is bound there, the socket is of another kind, or
    /// permission is denied: see [`Connect::stream`] for the kinds.
    ///
    /// [K-NAME-9]: crate::kernel_facts#K-NAME-9
    pub fn datagram(&self) -> Result<Datagram> {
        let socket = self.connect(Kind::Datagram)?;
        Ok(Datagram::from_socket(socket))
    }

    /// Connects an existing datagram socket to this address.
    pub(crate) fn datagram_socket(&self, socket: &Socket) -> Result<()> {
        let address = self.resolve(Kind::Datagram)?;
        self.attempts(Instant::now(), || self.attempt(socket, &address)).map_err(|error| error.on(&address))
    }

    pub(crate) fn resolve(&self, kind: Kind) -> Result<Address> {
        let address = self.address.clone().map_err(|error| Error::address(Operation::Connect, &error))?;
        if address.is_unnamed() {
            let error = Error::new(Operation::Connect, ErrorKind::InvalidAddress, "the address is unnamed");
            return Err(error.of_kind(kind));
        }
        Ok(address)
    }

    /// Connects a socket of the kind the server has, by trying each kind in turn.
    ///
    /// A path with a socket of another kind returns `EPROTOTYPE`. An abstract name of another kind
    /// is not found at all ([K-NAME-15]).
    ///
    /// ```
    /// use stoop::{Bind, Connect, Connection, Kind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let connection = Connect::new(&path).any()?;
    /// assert_eq!(connection.kind(), Kind::Datagram);
    /// if let Connection::Datagram(client) = connection {
    ///     client.send(b"ping")?;
    /// }
    /// assert_eq!(server.recv(&mut [0; 8])?, 4);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no server listens there, permission is denied,
    /// or the backlog stayed full. See [`Connect::stream`] for the kinds.
    ///
    /// [K-NAME-15]: crate::kernel_facts#K-NAME-15
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
            result => return Ok(Connection::Datagram(Datagram::from_socket(result?))),
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

    /// Repeats `attempt` until it succeeds, fails for good, or the wait for a server is over.
    fn attempts<T>(&self, started: Instant, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let (mut pause, longest) = RETRY_PAUSE;
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

    /// Connects once, within the timeout, and continues after signals.
    fn attempt(&self, socket: &Socket, address: &Address) -> Result<()> {
        let Some(timeout) = self.timeout else { return try_once(socket, address, || Ok(())) };
        // The kernel bounds a blocking connect by SO_SNDTIMEO. An attempt repeated after EINTR gets
        // only the time that is left.
        let started = Instant::now();
        let result = try_once(socket, address, || {
            let left = timeout.saturating_sub(started.elapsed());
            sys::set_send_timeout(socket.as_fd(), Some(left))
        });
        socket.set_write_timeout(None)?;
        result.map_err(|error| if error.is_would_block() { stayed_full(error, timeout) } else { error })
    }

    /// Returns how long to wait for space in a full backlog, and for a server that has not started.
    #[cfg(feature = "tokio")]
    pub(crate) fn limits(&self) -> (Option<Duration>, Duration) {
        (self.timeout, self.wait)
    }
}

/// Creates a socket that can be connected.
pub(crate) fn unconnected(kind: Kind, blocking: Blocking) -> Result<Socket> {
    let failed = |cause| Error::system(Operation::Connect, cause).of_kind(kind);
    let socket = Socket::from_known(sys::socket(kind, blocking).map_err(failed)?, kind);
    if kind == Kind::Datagram {
        // Bound before it is connected, so that even its first message can be replied to.
        sys::bind(socket.as_fd(), &RawAddress::autobind()).map_err(failed)?;
    }
    Ok(socket)
}

/// Connects once and continues after signals. `before` runs ahead of each system call.
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

/// Creates the error for a backlog that stayed full until the timeout.
pub(crate) fn stayed_full(error: Error, timeout: Duration) -> Error {
    error.with_kind(ErrorKind::TimedOut).with_detail(format!("the backlog was full for {timeout:?}"))
}

/// The argument of `connect` and `sendto` for an address, however long its path.
pub(crate) struct ConnectTarget {
    pub(crate) raw: RawAddress,
    /// Keeps the socket file open while the address contains its file descriptor number.
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
        // `sun_path` holds 108 bytes. For a longer path, open the socket file with O_PATH and
        // connect to /proc/self/fd/N, which leads to the same file at any depth (K-CONNECT-13).
        ConnectTarget::of_file(
            rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?.into(),
        )
    }

    /// Targets the socket of this file, an `O_PATH` file descriptor, regardless of what its name
    /// leads to by now ([K-CONNECT-13], [K-DGRAM-21]).
    ///
    /// [K-CONNECT-13]: crate::kernel_facts#K-CONNECT-13
    /// [K-DGRAM-21]: crate::kernel_facts#K-DGRAM-21
    pub(crate) fn of_file(file: File) -> io::Result<ConnectTarget> {
        let raw = RawAddress::path(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
        Ok(ConnectTarget { raw, _file: Some(file) })
    }
}

/// A connection of the kind the server has. See [`Connect::any`].
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
    /// Returns the kind that was found.
    pub fn kind(&self) -> Kind {
        match self {
            Connection::Stream(_) => Kind::Stream,
            Connection::Datagram(_) => Kind::Datagram,
            Connection::SeqPacket(_) => Kind::SeqPacket,
        }
    }
}
