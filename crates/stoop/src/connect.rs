//! The builder that connects sockets: with a timeout, and to servers that have not started yet. How
//! it connects is in `attempt.rs`.

pub(crate) mod attempt;

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::{Address, Datagram, Kind, SeqPacket, Stream, ToAddress};
use attempt::Attempts;

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
#[doc(alias("connect", "ECONNREFUSED", "EAGAIN"))]
#[derive(Clone, Debug)]
#[must_use = "nothing is connected until `stream`, `seqpacket` or `datagram`"]
pub struct Connect {
    pub(crate) attempts: Attempts,
}

impl Connect {
    /// Creates a builder for this address. Text and bytes are a path, exactly as they are (see
    /// [`ToAddress`]).
    ///
    /// An invalid address is reported by the call that connects.
    pub fn new(address: impl ToAddress) -> Connect {
        Connect { attempts: Attempts::new(address) }
    }

    /// Sets the address that the client is bound to before it connects. By default a stream or
    /// seqpacket client is unnamed, and the kernel assigns a datagram client an abstract name.
    ///
    /// The server sees this address as that of its peer. A socket file is created as
    /// [`Bind`](crate::Bind) does it, which replaces a stale one, and is unlinked when the client
    /// is dropped. With [`Address::UNNAMED`] the kernel assigns an abstract name.
    ///
    /// An invalid address, or one that is in use, is reported by the call that connects.
    ///
    /// ```
    /// use stoop::{Bind, Connect};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let (path, own) = (directory.path().join("app.sock"), directory.path().join("own.sock"));
    /// let listener = Bind::new(&path).listen()?;
    /// let client = Connect::new(&path).bind(&own).stream()?;
    /// let (_stream, from) = listener.accept()?;
    /// assert_eq!(from.as_pathname(), Some(&*own));
    ///
    /// let error = Connect::new(&path).bind(&own).stream().unwrap_err();
    /// assert!(error.is_in_use());
    /// drop(client);
    /// assert!(!own.exists());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn bind(mut self, local: impl ToAddress) -> Connect {
        self.attempts.local = Some(local.to_address());
        self
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
        self.attempts.timeout = Some(timeout);
        self
    }

    /// Sets how long to wait for a server that has not started. By default it does not wait.
    ///
    /// A server has not started if its socket file does not exist, or no process listens on it. If
    /// permission is denied, it is waited for up to a second: a server sets the permissions of its
    /// file after it has bound it.
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
        self.attempts.wait = wait;
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
    /// [`ErrorKind::NotFound`]: crate::ErrorKind::NotFound
    /// [`ErrorKind::Refused`]: crate::ErrorKind::Refused
    /// [`ErrorKind::WrongKind`]: crate::ErrorKind::WrongKind
    /// [`ErrorKind::PermissionDenied`]: crate::ErrorKind::PermissionDenied
    /// [`ErrorKind::TimedOut`]: crate::ErrorKind::TimedOut
    /// [`ErrorKind::InvalidAddress`]: crate::ErrorKind::InvalidAddress
    pub fn stream(&self) -> Result<Stream> {
        Ok(Stream::client(self.attempts.connect(Kind::Stream)?))
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
    /// let error = Connect::new(&path).stream().unwrap_err();
    /// assert_eq!(error.kind(), stoop::ErrorKind::WrongKind);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is invalid, no server listens there, the socket is of
    /// another kind, permission is denied, or the backlog stayed full. See [`Connect::stream`] for
    /// the kinds.
    pub fn seqpacket(&self) -> Result<SeqPacket> {
        Ok(SeqPacket::client(self.attempts.connect(Kind::SeqPacket)?))
    }

    /// Creates a datagram socket that sends to this address and can receive replies.
    ///
    /// Unless [`Connect::bind`] says otherwise, it is bound to an abstract address that the kernel
    /// assigns ([K-NAME-9]). Connecting a datagram socket never waits for queue space.
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
    /// [`ErrorKind::NotPermitted`]: crate::ErrorKind::NotPermitted
    pub fn datagram(&self) -> Result<Datagram> {
        Ok(Datagram::bound(self.attempts.connect(Kind::Datagram)?))
    }

    /// Connects a socket of the kind the server has, by trying each kind in turn.
    ///
    /// A path with a socket of another kind returns `EPROTOTYPE`. An abstract name of another kind
    /// is not found at all ([K-NAME-15]).
    ///
    /// ```
    /// use stoop::internal::Connection;
    /// use stoop::{Bind, Connect, Kind};
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
    #[doc(hidden)]
    pub fn any(&self) -> Result<Connection> {
        let address = self.attempts.resolve(Kind::Stream)?;
        self.attempts.repeat(|| self.any_once(address))
    }

    fn any_once(&self, address: &Address) -> Result<Connection> {
        let another_kind = |error: &Error| {
            error.kind() == ErrorKind::WrongKind
                || (error.is_refused() && address.as_abstract_name().is_some())
        };
        let of_stream = match self.attempts.connect_once(Kind::Stream, address) {
            Err(error) if another_kind(&error) => error,
            result => return Ok(Connection::Stream(Stream::client(result?))),
        };
        match self.attempts.connect_once(Kind::Datagram, address) {
            Err(error) if another_kind(&error) => {}
            result => return Ok(Connection::Datagram(Datagram::bound(result?))),
        }
        match self.attempts.connect_once(Kind::SeqPacket, address) {
            // There is none of any kind.
            Err(error) if error.is_refused() && of_stream.is_refused() => Err(of_stream),
            result => Ok(Connection::SeqPacket(SeqPacket::client(result?))),
        }
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
