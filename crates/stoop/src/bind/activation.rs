//! Socket activation: sockets passed in by a service manager (`LISTEN_FDS`, `LISTEN_PID`,
//! `LISTEN_FDNAMES`).
//!
//! The environment is read and never changed, because it belongs to the whole process. A child
//! process inherits the three variables, and `LISTEN_PID` shows it that they are not meant for it.
//! The files of passed sockets belong to the service manager and are never removed here.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;
use crate::listener::Connected;
use crate::socket::Socket;
use crate::{Address, Datagram, Kind, Listener, Policy, SeqPacket, Stream, escaped, sys};

/// An upper limit on the count: the default of `fs.nr_open`, which only an administrator can raise.
const COUNT_MAX: u32 = 1 << 20;

/// The name that the service manager gives to a socket without one.
const DEFAULT_NAME: &str = "unknown";

/// What a service manager passed to this process.
#[derive(Debug)]
#[must_use]
pub enum Activation {
    /// Nothing was passed: bind as usual.
    NotActivated,
    /// The sockets were passed to another process, from which this one inherited the environment.
    ///
    /// If this is unexpected, a wrapper (a shell or a supervisor) runs between the service manager
    /// and this program. The wrapper should `exec` the program.
    ForAnotherProcess {
        /// The process id for which they are meant.
        pid: u32,
    },
    /// The sockets were meant for this process, and an earlier call of [`take`] returned them.
    TakenBefore,
    /// The sockets.
    Sockets(Sockets),
}

/// Takes the sockets that this process was started with. It succeeds once per process.
///
/// Call it early, before other code can close file descriptors that it does not know. Every file
/// descriptor passed becomes close-on-exec. The call does not block, requires no privilege, and
/// works on any kernel.
///
/// For a single socket, [`Bind::activated`](crate::Bind::activated) is simpler: it also applies the
/// policy of the builder. A socket taken here has the default policy.
///
/// ```
/// use stoop::activation::{self, Activation};
/// use stoop::{Bind, Listener};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
///
/// let listener: Listener = match activation::take()? {
///     Activation::Sockets(mut sockets) => sockets.named("app")?.try_into()?,
///     _ => Bind::new(&path).listen()?,
/// };
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// # Errors
/// Returns an error if the variables are malformed or name a file descriptor that is not open
/// ([`ErrorKind::Protocol`]).
#[doc(alias("sd_listen_fds", "LISTEN_FDS"))]
pub fn take() -> Result<Activation> {
    let variables = Variables::from_env();
    let names = match variables.read(std::process::id())? {
        Recipient::None => return Ok(Activation::NotActivated),
        Recipient::AnotherProcess { pid } => return Ok(Activation::ForAnotherProcess { pid }),
        Recipient::ThisProcess { names } => names,
    };
    let Some(taken) = sys::take_passed(names.len() as u32) else { return Ok(Activation::TakenBefore) };
    let numbered = taken.into_iter().zip(sys::FIRST_PASSED..);
    let passed: Result<Vec<Passed>> =
        numbered.zip(names).map(|((fd, number), name)| Passed::of(fd, number, name)).collect();
    Ok(Activation::Sockets(Sockets(passed?)))
}

/// Duplicates one file descriptor that this process was started with, by its number.
///
/// This is for programs that receive a number such as `fd:3` in some other way. The copy is named
/// after the number and is close-on-exec. The original file descriptor stays open, whichever code
/// owns it.
///
/// ```
/// use std::os::fd::{AsFd, AsRawFd};
/// use stoop::{SocketExt, Stream, activation};
///
/// let (one, mut other) = Stream::pair()?;
/// let copy = Stream::try_from(activation::inherited(one.as_fd().as_raw_fd())?)?;
/// drop(one); // the copy keeps the connection open
/// std::io::Write::write_all(&mut other, b"hello")?;
/// assert_eq!(copy.unread_bytes()?, 5);
///
/// assert!(activation::inherited(9999).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error if no such file descriptor is open ([`ErrorKind::Protocol`]).
pub fn inherited(number: i32) -> Result<Passed> {
    Passed::of(sys::copy_inherited(number), number, number.to_string())
}

/// The sockets passed by a service manager, in the order of their numbers.
#[derive(Debug)]
pub struct Sockets(Vec<Passed>);

impl Sockets {
    /// Removes and returns the first socket with this name (`FileDescriptorName=` in the unit).
    ///
    /// # Errors
    /// Returns an error if no socket has this name ([`ErrorKind::NotFound`]); the error lists the
    /// names.
    pub fn named(&mut self, name: &str) -> Result<Passed> {
        match self.0.iter().position(|passed| passed.name == name) {
            Some(index) => Ok(self.0.remove(index)),
            None => {
                let names: Vec<String> =
                    self.0.iter().map(|passed| format!("'{}'", escaped(&passed.name))).collect();
                let left = if names.is_empty() { "none".into() } else { names.join(", ") };
                let detail = format!("no passed socket is named '{}' (left: {left})", escaped(name));
                Err(failed(ErrorKind::NotFound, detail))
            }
        }
    }

    /// Returns the only socket, whatever its name.
    ///
    /// # Errors
    /// Returns an error if no socket was passed or left ([`ErrorKind::NotFound`]), or more than one
    /// ([`ErrorKind::Protocol`]).
    pub fn only(mut self) -> Result<Passed> {
        match (self.0.pop(), self.0.len()) {
            (Some(passed), 0) => Ok(passed),
            (None, _) => Err(failed(ErrorKind::NotFound, "no passed socket is left")),
            (Some(_), others) => {
                Err(failed(ErrorKind::Protocol, format!("expected one passed socket, found {}", others + 1)))
            }
        }
    }

    /// Returns the number of sockets left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether no socket is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the sockets left.
    pub fn iter(&self) -> std::slice::Iter<'_, Passed> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Sockets {
    type Item = &'a Passed;
    type IntoIter = std::slice::Iter<'a, Passed>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Sockets {
    type Item = Passed;
    type IntoIter = std::vec::IntoIter<Passed>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The state of a passed socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The socket listens and accepts clients.
    Listening,
    /// The socket is a connection. With `Accept=yes` the service manager accepts connections itself
    /// and starts one process per client.
    Connected,
    /// The socket neither listens nor is connected. This is the usual state of a datagram socket.
    Idle,
}

/// A file descriptor that was passed to this process.
///
/// Its type is checked only when it is used. A file descriptor that is not a Unix domain socket (a
/// TCP listener, a FIFO) therefore causes no error, and converts into an [`OwnedFd`].
///
/// `TryFrom` converts it into a [`Listener`], [`Stream`], [`SeqPacket`] or [`Datagram`], and
/// returns an error if it is something else.
#[derive(Debug)]
pub struct Passed {
    name: String,
    number: RawFd,
    fd: OwnedFd,
}

impl Passed {
    fn of(fd: std::io::Result<OwnedFd>, number: RawFd, name: String) -> Result<Passed> {
        match fd {
            Ok(fd) => Ok(Passed { name, number, fd }),
            Err(cause) => Err(Error::system(Operation::Activate, cause)
                .with_kind(ErrorKind::Protocol)
                .with_detail(format!("file descriptor {number} is not open"))),
        }
    }

    /// Returns the name; `unknown` if the service manager gave none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number under which it was passed.
    #[doc(hidden)]
    pub fn number(&self) -> RawFd {
        self.number
    }

    /// Returns the socket type.
    ///
    /// ```
    /// use std::os::fd::{AsFd, AsRawFd};
    /// use stoop::{Kind, SeqPacket, activation};
    ///
    /// let (socket, _peer) = SeqPacket::pair()?;
    /// assert_eq!(activation::inherited(socket.as_fd().as_raw_fd())?.kind()?, Kind::SeqPacket);
    ///
    /// let tcp = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let passed = activation::inherited(tcp.as_raw_fd())?; // no error yet
    /// assert!(passed.kind().unwrap_err().is_unsupported());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a socket ([`ErrorKind::Other`] with
    /// `ENOTSOCK`) or not a Unix domain socket ([`ErrorKind::Unsupported`]).
    #[doc(alias = "SO_TYPE")]
    pub fn kind(&self) -> Result<Kind> {
        self.inspect().map(|found| found.kind)
    }

    /// Returns whether the socket listens, is connected, or neither.
    ///
    /// ```
    /// use std::os::fd::{AsFd, AsRawFd};
    /// use stoop::internal::State;
    /// use stoop::{Address, Bind, Datagram, Stream, activation};
    ///
    /// let listener = Bind::new(Address::UNNAMED).listen()?;
    /// let datagram = Datagram::autobind()?;
    /// let (stream, _peer) = Stream::pair()?;
    /// for (fd, state) in [
    ///     (listener.as_fd(), State::Listening),
    ///     (datagram.as_fd(), State::Idle),
    ///     (stream.as_fd(), State::Connected),
    /// ] {
    ///     assert_eq!(activation::inherited(fd.as_raw_fd())?.state()?, state);
    /// }
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a socket ([`ErrorKind::Other`] with
    /// `ENOTSOCK`) or not a Unix domain socket ([`ErrorKind::Unsupported`]).
    #[doc(alias = "SO_ACCEPTCONN")]
    #[doc(hidden)]
    pub fn state(&self) -> Result<State> {
        self.inspect().map(|found| found.state)
    }

    /// Returns the address to which the socket is bound.
    ///
    /// ```
    /// use std::os::fd::{AsFd, AsRawFd};
    /// use stoop::{Bind, activation};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let passed = activation::inherited(listener.as_fd().as_raw_fd())?;
    /// assert_eq!(passed.address()?.as_pathname(), Some(path.as_path()));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a socket ([`ErrorKind::Other`] with
    /// `ENOTSOCK`) or not a Unix domain socket ([`ErrorKind::Unsupported`]).
    pub fn address(&self) -> Result<Address> {
        self.inspect()?;
        Ok(sys::local_address(self.as_fd()).map_err(|cause| self.query_failed(cause))?.to_address())
    }

    fn listener<C: Connected>(self) -> Result<Listener<C>> {
        let (socket, policy) = self.with_default_policy(C::KIND)?;
        Ok(Listener::new(socket, None, policy))
    }

    fn into_connected(self, kind: Kind) -> Result<Socket> {
        match self.expect_kind(kind)? {
            State::Connected => Ok(Socket::from_known(self.fd, kind)),
            State::Listening => {
                let detail = format!("{self} is a listener, not a connection; was it passed with Accept=no?");
                Err(failed(ErrorKind::NotConnected, detail))
            }
            State::Idle => Err(failed(ErrorKind::NotConnected, format!("{self} is not connected"))),
        }
    }

    /// Returns the socket with the default policy of [`Bind`](crate::Bind).
    fn with_default_policy(self, kind: Kind) -> Result<(Socket, Policy)> {
        let policy = Policy::default_at(&self.address()?);
        let socket = self.into_server(kind)?;
        crate::socket_ext::enable_sender_credentials(&socket)?;
        Ok((socket, policy))
    }

    /// Returns the socket if it is of this type and, unless datagrams, listens.
    pub(super) fn into_server(self, kind: Kind) -> Result<Socket> {
        match self.expect_kind(kind)? {
            State::Connected if kind.is_connected() => {
                let detail =
                    format!("{self} is a connection, not a listener; was it passed with Accept=yes?");
                Err(failed(ErrorKind::Protocol, detail))
            }
            State::Idle if kind.is_connected() => {
                Err(failed(ErrorKind::NotConnected, format!("{self} does not listen")))
            }
            _ => Ok(Socket::from_known(self.fd, kind)),
        }
    }

    /// Returns an error unless the socket is bound to this address, and its file lets no user
    /// connect whom this mode excludes. Connecting requires write permission ([K-CONNECT-11]).
    ///
    /// [K-CONNECT-11]: crate::kernel_facts#K-CONNECT-11
    pub(super) fn expect_place(&self, wanted: &Address, mode: Option<u32>) -> Result<()> {
        let found = self.address()?;
        if *wanted != Address::UNNAMED && !is_same_place(wanted, &found) {
            let detail = format!("{self} is bound to '{found}', not to '{wanted}'");
            return Err(failed(ErrorKind::Protocol, detail));
        }
        let (Some(mode), Some(path)) = (mode, found.as_pathname()) else { return Ok(()) };
        let cannot_query = |cause| Error::system(Operation::Activate, cause).on(&found);
        let actual = std::fs::symlink_metadata(path).map_err(cannot_query)?.mode() & 0o777;
        if actual & 0o222 & !mode == 0 {
            return Ok(());
        }
        let detail =
            format!("the file of {self} has mode {actual:04o}: more users may connect than with {mode:04o}");
        Err(failed(ErrorKind::Protocol, detail))
    }

    fn expect_kind(&self, wanted: Kind) -> Result<State> {
        let found = self.inspect()?;
        if found.kind == wanted {
            return Ok(found.state);
        }
        let detail = format!("{self} is a {} socket, not a {wanted} one", found.kind);
        Err(failed(ErrorKind::WrongKind, detail).of_kind(wanted))
    }

    /// Queries its family, type and state from the kernel ([K-ACT-1]).
    ///
    /// [K-ACT-1]: crate::kernel_facts#K-ACT-1
    fn inspect(&self) -> Result<SocketInfo> {
        let query_failed = |cause| self.query_failed(cause);
        let family = sys::socket_domain(self.as_fd()).map_err(query_failed)?;
        let number = sys::socket_type(self.as_fd()).map_err(query_failed)?;
        let (libc::AF_UNIX, Some(kind)) = (family, Kind::from_raw(number)) else {
            let detail =
                format!("{self} is not a Unix domain socket (address family {family}, type {number})");
            return Err(failed(ErrorKind::Unsupported, detail));
        };
        let state = if sys::is_listening(self.as_fd()).map_err(query_failed)? {
            State::Listening
        } else if sys::peer_address(self.as_fd()).is_ok() {
            State::Connected
        } else {
            State::Idle
        };
        Ok(SocketInfo { kind, state })
    }

    fn query_failed(&self, cause: std::io::Error) -> Error {
        let detail = match cause.raw_os_error() {
            Some(libc::ENOTSOCK) => format!("{self} is not a socket"),
            _ => format!("cannot query {self}"),
        };
        Error::system(Operation::Activate, cause).with_detail(detail)
    }
}

/// What the kernel reports about a file descriptor.
struct SocketInfo {
    kind: Kind,
    state: State,
}

impl fmt::Display for Passed {
    /// Formats the name and the number, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' (file descriptor {})", escaped(&self.name), self.number)
    }
}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<C: Connected> TryFrom<Passed> for Listener<C> {
    type Error = Error;

    /// Converts it into a listener.
    ///
    /// The policy is the default of [`Bind`](crate::Bind): every user on a path, the process's own
    /// user and root on an abstract name. [`Listener::set_policy`] changes it. Whether file
    /// descriptors are accepted stays as the service manager has set it.
    ///
    /// ```
    /// use std::os::fd::{AsFd, AsRawFd};
    /// use stoop::{Bind, ErrorKind, Listener, SeqPacket, Stream, activation};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let original = Bind::new(&path).listen()?;
    /// let passed = || activation::inherited(original.as_fd().as_raw_fd());
    /// let listener: Listener = passed()?.try_into()?;
    /// let _client = Stream::connect(&path)?;
    /// listener.accept()?;
    /// drop(listener);
    /// assert!(path.exists()); // the file belongs to the service manager
    ///
    /// let error = Listener::<SeqPacket>::try_from(passed()?).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::WrongKind);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the file descriptor is not a Unix domain socket (see [`Passed::kind`]);
    /// - the socket is of another type ([`ErrorKind::WrongKind`]);
    /// - the socket is a connection, because the unit has `Accept=yes` ([`ErrorKind::Protocol`]);
    /// - the socket neither listens nor is connected ([`ErrorKind::NotConnected`]).
    fn try_from(passed: Passed) -> Result<Listener<C>> {
        passed.listener()
    }
}

impl TryFrom<Passed> for Datagram {
    type Error = Error;

    /// Converts it into a datagram socket, with the default policy of [`Bind`](crate::Bind).
    ///
    /// From here on the kernel attaches the sender's credentials to each message (`SO_PASSCRED`).
    /// Messages sent before this call have none, so [`Datagram::reply`] refuses to answer their
    /// senders at a path. To avoid that, set the option in the service manager (systemd:
    /// `PassCredentials=yes`).
    ///
    /// ```
    /// use std::os::fd::AsRawFd;
    /// use stoop::{Datagram, activation};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let original = std::os::unix::net::UnixDatagram::bind(&path)?;
    /// let server = Datagram::try_from(activation::inherited(original.as_raw_fd())?)?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"ping")?;
    /// let (request, from) = server.recv_request()?;
    /// server.reply(&request, &from)?; // the credentials it needs are switched on
    /// assert_eq!(client.recv(&mut [0; 8])?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a Unix domain socket (see [`Passed::kind`]),
    /// or is of another type ([`ErrorKind::WrongKind`]).
    fn try_from(passed: Passed) -> Result<Datagram> {
        let (socket, policy) = passed.with_default_policy(Kind::Datagram)?;
        Ok(Datagram::server(socket, None, policy))
    }
}

impl TryFrom<Passed> for Stream {
    type Error = Error;

    /// Converts it into a connected stream, as passed with `Accept=yes`.
    ///
    /// ```
    /// use std::os::fd::{AsFd, AsRawFd};
    /// use stoop::{Address, Bind, ErrorKind, Stream, activation};
    ///
    /// let (stream, _peer) = Stream::pair()?;
    /// assert!(Stream::try_from(activation::inherited(stream.as_fd().as_raw_fd())?).is_ok());
    ///
    /// let listener = Bind::new(Address::UNNAMED).listen()?;
    /// let passed = activation::inherited(listener.as_fd().as_raw_fd())?;
    /// assert_eq!(Stream::try_from(passed).unwrap_err().kind(), ErrorKind::NotConnected);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the file descriptor is not a Unix domain socket (see [`Passed::kind`]),
    /// if it is of another type ([`ErrorKind::WrongKind`]), or if it is not connected
    /// ([`ErrorKind::NotConnected`]). A listener, which is passed with `Accept=no`, is such a
    /// socket.
    fn try_from(passed: Passed) -> Result<Stream> {
        passed.into_connected(Kind::Stream).map(Stream::from_socket)
    }
}

impl TryFrom<Passed> for SeqPacket {
    type Error = Error;

    /// Converts it into a connected seqpacket socket, as passed with `Accept=yes`.
    ///
    /// # Errors
    /// Returns an error if it is not a connected seqpacket socket. The kinds are those of the
    /// conversion into a [`Stream`].
    fn try_from(passed: Passed) -> Result<SeqPacket> {
        passed.into_connected(Kind::SeqPacket).map(SeqPacket::from_socket)
    }
}

impl From<Passed> for OwnedFd {
    /// Returns the file descriptor, unchecked. Use it for anything that is not a Unix domain
    /// socket.
    ///
    /// ```
    /// use std::os::fd::AsRawFd;
    /// use stoop::activation;
    ///
    /// let tcp = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let fd = std::os::fd::OwnedFd::from(activation::inherited(tcp.as_raw_fd())?);
    /// assert_eq!(std::net::TcpListener::from(fd).local_addr()?, tcp.local_addr()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn from(passed: Passed) -> OwnedFd {
        passed.fd
    }
}

/// Returns whether both are the same address: service managers and their services may write one
/// path differently.
fn is_same_place(one: &Address, other: &Address) -> bool {
    let (Some(one), Some(other)) = (one.as_pathname(), other.as_pathname()) else { return one == other };
    let file = |path: &Path| path.metadata().ok().map(|metadata| FileId::from(&metadata));
    one == other || file(one).is_some_and(|identity| file(other) == Some(identity))
}

fn failed(kind: ErrorKind, detail: impl Into<String>) -> Error {
    Error::new(Operation::Activate, kind, detail)
}

/// The three variables as found in the environment.
#[derive(Debug, Default)]
struct Variables {
    fds: Option<OsString>,
    pid: Option<OsString>,
    names: Option<OsString>,
}

/// The process for which sockets were passed.
#[derive(Debug, PartialEq, Eq)]
enum Recipient {
    None,
    AnotherProcess {
        pid: u32,
    },
    ThisProcess {
        /// One name per file descriptor, from number 3 on.
        names: Vec<String>,
    },
}

impl Variables {
    fn from_env() -> Variables {
        let [fds, pid, names] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"].map(std::env::var_os);
        Variables { fds, pid, names }
    }

    /// Parses the variables for the process `own_pid`, without side effects.
    fn read(&self, own_pid: u32) -> Result<Recipient> {
        let Some(fds) = &self.fds else { return Ok(Recipient::None) };
        let Some(pid) = &self.pid else {
            let detail = "LISTEN_FDS is set without LISTEN_PID";
            return Err(failed(ErrorKind::Protocol, detail));
        };
        let pid = number("LISTEN_PID", pid)?;
        if pid != own_pid {
            return Ok(Recipient::AnotherProcess { pid });
        }
        let count = number("LISTEN_FDS", fds)?;
        if count > COUNT_MAX {
            let detail = format!(
                "LISTEN_FDS is {count}, more than the {COUNT_MAX} file descriptors that a process may have"
            );
            return Err(failed(ErrorKind::Protocol, detail));
        }
        if count == 0 {
            return Ok(Recipient::None);
        }
        Ok(Recipient::ThisProcess { names: self.names(count)? })
    }

    fn names(&self, count: u32) -> Result<Vec<String>> {
        let refuse = |detail: String| Err(failed(ErrorKind::Protocol, detail));
        let Some(text) = &self.names else {
            return Ok(std::iter::repeat_n(DEFAULT_NAME.to_owned(), count as usize).collect());
        };
        let Some(text) = text.to_str() else { return refuse("LISTEN_FDNAMES is not text".into()) };
        let names: Vec<String> = text.split(':').map(str::to_owned).collect();
        if names.len() != count as usize {
            return refuse(format!("LISTEN_FDS is {count}, but LISTEN_FDNAMES has {} names", names.len()));
        }
        Ok(names)
    }
}

/// Parses a plain decimal number: no sign, no white space, only ASCII digits.
fn number(variable: &str, text: &OsStr) -> Result<u32> {
    decimal(text).ok_or_else(|| {
        let shown = escaped(text.as_encoded_bytes()).to_string();
        failed(ErrorKind::Protocol, format!("{variable} is '{shown}', which is not a number"))
    })
}

/// Parses these values; the entry point of the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(fds: Option<&[u8]>, pid: Option<&[u8]>, names: Option<&[u8]>) {
    use std::os::unix::ffi::OsStrExt;

    let value = |bytes: Option<&[u8]>| bytes.map(|bytes| OsStr::from_bytes(bytes).to_owned());
    let variables = Variables { fds: value(fds), pid: value(pid), names: value(names) };
    match variables.read(7) {
        Ok(Recipient::ThisProcess { names }) => {
            let count = fds.and_then(|fds| std::str::from_utf8(fds).ok()?.parse().ok());
            assert_eq!(count, Some(names.len()));
        }
        Ok(Recipient::AnotherProcess { pid }) => assert_ne!(pid, 7),
        Ok(Recipient::None) => {}
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
}

/// Parses a plain decimal number from the environment: only ASCII digits, so no sign and no white
/// space.
pub(super) fn decimal<T: std::str::FromStr>(text: &OsStr) -> Option<T> {
    text.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketExt;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    const OWN: u32 = 77;

    fn read(fds: &str, pid: &str, names: Option<&str>) -> Result<Recipient> {
        Variables { fds: Some(fds.into()), pid: Some(pid.into()), names: names.map(Into::into) }.read(OWN)
    }

    fn this_process(names: &[&str]) -> Recipient {
        Recipient::ThisProcess { names: names.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn descriptors_that_the_service_manager_refused_stay_refused() {
        use std::io::IoSlice;
        use std::os::fd::AsRawFd;

        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let made = crate::Bind::new(&path).listen().unwrap();
        match made.set_pass_descriptors(false) {
            Err(error) if error.is_unsupported() => stoop_testkit::skip!("lacks SO_PASSRIGHTS"),
            result => result.unwrap(),
        }
        let _listener = Listener::<Stream>::try_from(inherited(made.as_fd().as_raw_fd()).unwrap()).unwrap();
        let client = Stream::connect(&path).unwrap();
        let outgoing = crate::Outgoing::new();
        let refused = client.send_with(&[IoSlice::new(b"x")], &outgoing.descriptors(&[client.as_fd()]));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotPermitted);
    }

    #[test]
    fn the_variables_are_read() {
        assert_eq!(Variables::default().read(OWN).unwrap(), Recipient::None);
        assert_eq!(read("0", "77", Some("")).unwrap(), Recipient::None);
        assert_eq!(read("2", "77", None).unwrap(), this_process(&["unknown", "unknown"]));
        assert_eq!(read("2", "77", Some("web:")).unwrap(), this_process(&["web", ""]));
        assert_eq!(read("2", "78", None).unwrap(), Recipient::AnotherProcess { pid: 78 });
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_its_variable() {
        for (fds, pid, names, word) in [
            ("x", "77", None, "LISTEN_FDS is 'x'"),
            ("", "77", None, "LISTEN_FDS is ''"),
            ("+1", "77", None, "LISTEN_FDS is '+1'"),
            ("1", "-77", None, "LISTEN_PID is '-77'"),
            ("1", "77 ", None, "LISTEN_PID is '77 '"),
            ("4294967295", "77", None, "more than the 1048576 file descriptors"),
            ("99999999999", "77", None, "not a number"),
            ("2", "77", Some("web"), "LISTEN_FDNAMES has 1 names"),
            ("1", "77", Some("web:log"), "LISTEN_FDNAMES has 2 names"),
        ] {
            let error = read(fds, pid, names).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.to_string().contains(word), "{error}");
        }
        let without_pid = Variables { fds: Some("1".into()), ..Variables::default() };
        assert!(without_pid.read(OWN).unwrap_err().to_string().contains("without LISTEN_PID"));
    }

    proptest! {
        #[test]
        fn any_variables_are_read_without_panic(
            fds in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12)),
            pid in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..12)),
            names in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        ) {
            let [fds, pid, names] = [fds, pid, names].map(|text| text.map(OsString::from_vec));
            if let Err(error) = (Variables { fds, pid, names }).read(OWN) {
                prop_assert!(!error.to_string().chars().any(char::is_control));
            }
        }

        #[test]
        fn names_come_back_in_order(names in proptest::collection::vec("[a-zA-Z0-9._-]{0,9}", 1..20)) {
            let variables = Variables {
                fds: Some(names.len().to_string().into()),
                pid: Some(OWN.to_string().into()),
                names: Some(names.join(":").into()),
            };
            prop_assert_eq!(variables.read(OWN).unwrap(), Recipient::ThisProcess { names });
        }
    }
}
