//! The error type: which operation failed, on which address, what the kernel reported, and what
//! that means for a Unix domain socket.
//!
//! Performs no I/O. Finding the *cause* inspects the system, which `stoop_inspect::diagnose` does.

mod errno;
mod operation;

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{Address, AddressError, Kind};

pub use errno::ErrorKind;
use errno::symbol;
pub use operation::Operation;

/// The result type of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// The error type of this crate.
///
/// Its text is one lower-case line: the operation, the address in quotes, what is known.
/// `stoop_inspect::diagnose` inspects the system for the cause and the next step.
///
/// ```
/// let error = stoop::Stream::connect("/nowhere/app.sock").unwrap_err();
/// assert!(error.is_not_found());
/// assert_eq!(
///     error.to_string(),
///     "cannot connect to '/nowhere/app.sock': no such file or directory (ENOENT)"
/// );
/// ```
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: Operation,
    kind: ErrorKind,
    subject: Option<Address>,
    /// What was given as an address and is not one.
    input: Option<String>,
    socket_kind: Option<Kind>,
    detail: Option<String>,
    received_bytes: Option<usize>,
    is_refusal_limit: bool,
    /// Another path of the file, by which its server is bound to it.
    bound_as: Option<PathBuf>,
    cause: Option<io::Error>,
}

impl Error {
    /// Creates an error that this crate detected, with its own detail text.
    pub(crate) fn new(operation: Operation, kind: ErrorKind, detail: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            operation,
            kind,
            subject: None,
            input: None,
            socket_kind: None,
            detail: Some(detail.into()),
            received_bytes: None,
            is_refusal_limit: false,
            bound_as: None,
            cause: None,
        }))
    }

    /// Creates the error of a call that returns because it has refused as much as one call may.
    pub(crate) fn refusal_limit(operation: Operation, refused: usize) -> Error {
        let detail = format!("refused {refused} in a row; more may be waiting");
        let mut error = Error::new(operation, ErrorKind::WouldBlock, detail);
        error.0.is_refusal_limit = true;
        error
    }

    /// Creates an error from one that the system reported.
    pub(crate) fn system(operation: Operation, cause: io::Error) -> Error {
        let kind = match cause.raw_os_error() {
            Some(errno) => ErrorKind::of(operation, errno),
            None if cause.kind() == io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            None if cause.kind() == io::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
            None => ErrorKind::Other,
        };
        Error(Box::new(Inner {
            operation,
            kind,
            subject: None,
            input: None,
            socket_kind: None,
            detail: None,
            received_bytes: None,
            is_refusal_limit: false,
            bound_as: None,
            cause: Some(cause),
        }))
    }

    /// Creates an error for an invalid address, which it names.
    pub(crate) fn address(operation: Operation, error: &AddressError) -> Error {
        let mut named = Error::new(operation, ErrorKind::InvalidAddress, error.kind().to_string());
        named.0.input = Some(error.shown());
        named
    }

    /// Returns the error with this address as its subject.
    ///
    /// For callers that know the address a connected socket is connected to.
    ///
    /// ```
    /// use stoop::{Address, SeqPacket};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// drop(other);
    /// let error = one.send(b"hello").unwrap_err();
    /// assert_eq!(error.subject(), None); // a connected socket does not know its path
    ///
    /// let error = error.on(&Address::path("/run/app.sock")?);
    /// assert!(error.to_string().starts_with("cannot send to '/run/app.sock': "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(hidden)]
    pub fn on(mut self, subject: &Address) -> Error {
        self.0.subject = Some(subject.clone());
        self
    }

    /// Returns the error as that of a step in a larger operation.
    pub(crate) fn during(mut self, operation: Operation) -> Error {
        self.0.operation = operation;
        self
    }

    /// Returns the error as that of unlinking a socket file.
    pub(crate) fn during_release(mut self, path: &Path) -> Error {
        self.0.operation = Operation::Release;
        self.0.subject = Address::path(path).ok();
        self
    }

    pub(crate) fn of_kind(mut self, kind: Kind) -> Error {
        self.0.socket_kind = Some(kind);
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.0.detail = Some(detail.into());
        self
    }

    /// Returns the error with the path by which the server is bound to the file.
    pub(crate) fn with_server_at(mut self, path: PathBuf) -> Error {
        let shown = crate::escaped(path.as_os_str().as_bytes()).to_string();
        self.0.detail = Some(format!("a live socket is bound to this file as '{shown}'"));
        self.0.bound_as = Some(path);
        self
    }

    pub(crate) fn with_received(mut self, len_bytes: usize) -> Error {
        self.0.received_bytes = Some(len_bytes);
        self
    }

    /// Returns the operation that failed.
    ///
    /// ```
    /// use stoop::Bind;
    /// use stoop::internal::Operation;
    ///
    /// let error = Bind::new("/nowhere/app.sock").listen().unwrap_err();
    /// assert_eq!(error.operation(), Operation::Bind);
    /// assert_eq!(error.operation().to_string(), "bind");
    /// ```
    #[doc(hidden)]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Returns the class of the error.
    ///
    /// ```
    /// use stoop::{ErrorKind, Stream};
    ///
    /// match Stream::connect("/nowhere/app.sock") {
    ///     Ok(_) => unreachable!(),
    ///     Err(error) => match error.kind() {
    ///         ErrorKind::NotFound | ErrorKind::Refused => {} // no server yet: try again later
    ///         _ => return Err(error),
    ///     },
    /// }
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the address the operation was about, if there is one.
    ///
    /// ```
    /// use std::path::Path;
    /// use stoop::Stream;
    ///
    /// let error = Stream::connect("/nowhere/app.sock").unwrap_err();
    /// let path = error.subject().and_then(|address| address.as_pathname());
    /// assert_eq!(path, Some(Path::new("/nowhere/app.sock")));
    /// ```
    pub fn subject(&self) -> Option<&Address> {
        self.0.subject.as_ref()
    }

    /// Returns the kind of the socket that was used, if it matters.
    #[doc(hidden)]
    pub fn socket_kind(&self) -> Option<Kind> {
        self.0.socket_kind
    }

    /// Returns the kernel's error number, if the kernel reported one.
    ///
    /// ```
    /// use stoop::{Datagram, Stream};
    ///
    /// let error = Stream::connect("/nowhere/app.sock").unwrap_err();
    /// assert_eq!(error.errno(), Some(2)); // ENOENT
    ///
    /// // An error that this crate detects has no number.
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"too long")?;
    /// assert_eq!(other.recv(&mut [0; 3]).unwrap_err().errno(), None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn errno(&self) -> Option<i32> {
        self.0.cause.as_ref().and_then(io::Error::raw_os_error)
    }

    /// Returns the symbol of [`Error::errno`], such as `ECONNREFUSED`.
    ///
    /// ```
    /// let error = stoop::Stream::connect("/nowhere/app.sock").unwrap_err();
    /// assert_eq!(error.errno_symbol(), Some("ENOENT"));
    /// ```
    #[doc(hidden)]
    pub fn errno_symbol(&self) -> Option<&'static str> {
        self.errno().and_then(symbol)
    }

    /// Returns what is known beyond the class, as text.
    #[doc(hidden)]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Returns the path by which a live server is bound to the file, if it is another one than the
    /// address: that of another mount of the same files.
    #[doc(hidden)]
    pub fn bound_as(&self) -> Option<&Path> {
        self.0.bound_as.as_deref()
    }

    /// Returns how many bytes are in the buffer, if a receive failed because of truncation or
    /// ancillary data.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"too long")?;
    /// let mut buffer = [0; 3];
    /// let error = other.recv(&mut buffer).unwrap_err();
    /// assert_eq!(error.received_bytes(), Some(3));
    /// assert_eq!(&buffer, b"too"); // the rest is lost
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn received_bytes(&self) -> Option<usize> {
        self.0.received_bytes
    }

    /// Returns whether nothing exists at that path (`ENOENT`, `ENOTDIR`).
    ///
    /// ```
    /// let error = stoop::Stream::connect("/nowhere/app.sock").unwrap_err();
    /// assert!(error.is_not_found() && !error.is_refused());
    /// ```
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Returns whether no process listens there (`ECONNREFUSED`).
    ///
    /// ```
    /// use stoop::{Address, Stream};
    ///
    /// let name = format!("stoop-example-{}", std::process::id());
    /// let error = Stream::connect(Address::abstract_name(name)?).unwrap_err();
    /// assert!(error.is_refused()); // an abstract name is never "not found"
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_refused(&self) -> bool {
        self.kind() == ErrorKind::Refused
    }

    /// Returns whether file permissions or a policy forbid the operation (`EACCES`, `EPERM`).
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let [server, peer] = [Datagram::autobind()?, Datagram::autobind()?];
    /// server.connect(peer.local_addr()?)?;
    /// // A connected datagram socket accepts messages from its peer only.
    /// let error = Datagram::client(server.local_addr()?).unwrap_err();
    /// assert!(error.is_permission());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_permission(&self) -> bool {
        matches!(self.kind(), ErrorKind::PermissionDenied | ErrorKind::NotPermitted)
    }

    /// Returns whether the address is in use (`EADDRINUSE`).
    ///
    /// ```
    /// use stoop::Bind;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let _listener = Bind::new(&path).listen()?;
    /// assert!(Bind::new(&path).listen().unwrap_err().is_in_use());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_in_use(&self) -> bool {
        self.kind() == ErrorKind::AddressInUse
    }

    /// Returns whether the call would have to wait, on a nonblocking socket or beyond its timeout
    /// (`EAGAIN`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Datagram;
    ///
    /// let (one, _other) = Datagram::pair()?;
    /// one.set_read_timeout(Some(Duration::from_millis(5)))?;
    /// assert!(one.recv(&mut [0; 8]).unwrap_err().is_would_block());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_would_block(&self) -> bool {
        self.kind() == ErrorKind::WouldBlock
    }

    /// Returns whether a receive or an accept returned because it had refused as many messages or
    /// clients as one call may, and not because nothing was there.
    ///
    /// Such an error is also a [would-block](Error::is_would_block) error. A level-triggered poll
    /// reports the socket again. After an edge-triggered one, call again before waiting.
    ///
    /// ```
    /// use stoop::{Bind, Policy, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).policy(Policy::nobody()).listen()?;
    /// listener.set_nonblocking(true)?;
    /// let _clients = (0..20).map(|_| Stream::connect(&path)).collect::<Result<Vec<_>, _>>()?;
    ///
    /// let error = listener.accept().unwrap_err();
    /// assert!(error.is_would_block() && error.is_refusal_limit());
    /// let error = listener.accept().unwrap_err();
    /// assert!(error.is_would_block() && !error.is_refusal_limit()); // the queue is empty
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(hidden)]
    pub fn is_refusal_limit(&self) -> bool {
        self.0.is_refusal_limit
    }

    /// Returns whether the timeout has passed.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::{SeqPacket, handover};
    ///
    /// let (_old, new) = SeqPacket::pair()?; // a predecessor that does not answer
    /// let error = handover::take(&new, Duration::from_millis(5)).unwrap_err();
    /// assert!(error.is_timed_out());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_timed_out(&self) -> bool {
        self.kind() == ErrorKind::TimedOut
    }

    /// Returns whether the peer has closed, or the socket has no peer (`EPIPE`, `ECONNRESET`,
    /// `ENOTCONN`).
    ///
    /// ```
    /// use stoop::SeqPacket;
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// drop(other);
    /// assert!(one.send(b"hello").unwrap_err().is_peer_closed()); // and no SIGPIPE
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_peer_closed(&self) -> bool {
        matches!(self.kind(), ErrorKind::PeerClosed | ErrorKind::NotConnected)
    }

    /// Returns whether a message was truncated: its bytes, or its ancillary data.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"too long")?;
    /// assert!(other.recv(&mut [0; 3]).unwrap_err().is_truncated());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_truncated(&self) -> bool {
        matches!(self.kind(), ErrorKind::MessageTruncated | ErrorKind::ControlTruncated)
    }

    /// Returns whether no file descriptor or memory is free now. The operation may succeed later.
    pub fn is_exhausted(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::OutOfDescriptors | ErrorKind::OutOfMemory | ErrorKind::TooManyInFlight
        )
    }

    /// Returns whether an accept, or the receive of a server, failed in a way that leaves its
    /// socket usable: the failure concerns one client only.
    ///
    /// True for every error number except those about the socket itself (`EBADF`, `ENOTSOCK`,
    /// `EINVAL`, `EOPNOTSUPP`, `EFAULT`), and if [`Error::is_exhausted`]. A security module may
    /// refuse one client, a client may have given up, or memory may be short. The socket may stay
    /// readable, so a loop should pause before its next attempt. False for
    /// [`Error::is_would_block`], which is not a failure.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// listener.set_nonblocking(true)?;
    /// # let _client = Stream::connect(&path)?;
    /// # let pause = std::time::Duration::from_millis(5);
    /// let client = loop {
    ///     match listener.accept() {
    ///         Err(error) if error.is_transient() => std::thread::sleep(pause),
    ///         result => break result,
    ///     }
    /// };
    /// # client?;
    /// let error = listener.accept().unwrap_err(); // no client is waiting: not a failure
    /// assert!(error.is_would_block() && !error.is_transient());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_transient(&self) -> bool {
        let about_the_socket = |errno| {
            matches!(errno, libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EOPNOTSUPP | libc::EFAULT)
        };
        let serving = matches!(self.operation(), Operation::Accept | Operation::Receive);
        let failed_once =
            serving && !self.is_would_block() && self.errno().is_some_and(|it| !about_the_socket(it));
        self.is_exhausted() || failed_once
    }

    /// Returns whether this kernel or this kind of socket does not support the operation.
    ///
    /// ```
    /// use stoop::Stream;
    ///
    /// let tcp = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// assert!(Stream::try_from(std::os::fd::OwnedFd::from(tcp)).unwrap_err().is_unsupported());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_unsupported(&self) -> bool {
        self.kind() == ErrorKind::Unsupported
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.0.operation)?;
        let preposition = self.0.operation.words().1;
        match (&self.0.subject, &self.0.input) {
            (Some(subject), _) => write!(f, "{preposition} '{subject}'")?,
            (None, Some(input)) => write!(f, "{preposition} '{input}'")?,
            (None, None) => {}
        }
        match (&self.0.detail, &self.0.cause) {
            (Some(detail), _) => write!(f, ": {detail}")?,
            (None, Some(cause)) => write!(f, ": {}", words(cause))?,
            (None, None) => {}
        }
        match self.errno_symbol() {
            Some(symbol) => write!(f, " ({symbol})"),
            None => Ok(()),
        }
    }
}

/// Returns the system's text for an error as a fragment: in lower case, without the number that the
/// standard library adds.
pub(crate) fn words(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

impl fmt::Debug for Error {
    /// Writes the `Display` text, because this is what a `main` that returns the error prints.
    /// `{:#?}` writes every field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() { fmt::Debug::fmt(&self.0, f) } else { fmt::Display::fmt(self, f) }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Error {
        Error::address(Operation::UseAddress, &error)
    }
}

impl From<AddressError> for io::Error {
    fn from(error: AddressError) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, error)
    }
}

impl From<Error> for io::Error {
    /// Converts an error of the kernel into the same [`io::Error`] that std returns for it, with
    /// its error number and kind. An error without a number, or whose [`Error::kind`] says more
    /// than its number, keeps its text and becomes an error of the corresponding kind.
    ///
    /// ```
    /// use std::io;
    /// use stoop::{Datagram, Stream};
    ///
    /// let error = io::Error::from(Stream::connect("/nowhere/app.sock").unwrap_err());
    /// assert_eq!((error.kind(), error.raw_os_error()), (io::ErrorKind::NotFound, Some(2)));
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"too long")?;
    /// let error = io::Error::from(other.recv(&mut [0; 3]).unwrap_err());
    /// assert_eq!((error.kind(), error.raw_os_error()), (io::ErrorKind::InvalidData, None));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    fn from(error: Error) -> io::Error {
        if let Some(errno) = error.errno()
            && error.kind() == ErrorKind::of(error.operation(), errno)
        {
            return io::Error::from_raw_os_error(errno);
        }
        let kind = match error.kind() {
            ErrorKind::InvalidAddress | ErrorKind::InvalidInput => io::ErrorKind::InvalidInput,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::Refused => io::ErrorKind::ConnectionRefused,
            ErrorKind::PermissionDenied | ErrorKind::NotPermitted => io::ErrorKind::PermissionDenied,
            ErrorKind::AddressInUse | ErrorKind::LivenessUnknown => io::ErrorKind::AddrInUse,
            ErrorKind::WouldBlock => io::ErrorKind::WouldBlock,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::NotConnected => io::ErrorKind::NotConnected,
            ErrorKind::PeerClosed => io::ErrorKind::BrokenPipe,
            ErrorKind::Interrupted => io::ErrorKind::Interrupted,
            ErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            ErrorKind::MessageTruncated | ErrorKind::ControlTruncated | ErrorKind::Protocol => {
                io::ErrorKind::InvalidData
            }
            _ => error.0.cause.as_ref().map_or(io::ErrorKind::Other, io::Error::kind),
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_operation_subject_words_and_symbol() {
        let subject = Address::parse("/run/a%0Ab").unwrap();
        let error =
            Error::system(Operation::Bind, io::Error::from_raw_os_error(libc::EADDRINUSE)).on(&subject);
        let text = error.to_string();
        // The text in between is the C library's, in lower case.
        assert!(text.starts_with("cannot bind '/run/a%0Ab': address "), "{text}");
        assert!(text.ends_with(" in use (EADDRINUSE)"), "{text}");
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn every_errno_that_matters_has_a_class_and_a_symbol() {
        for (errno, kind, symbol) in [
            (libc::ECONNREFUSED, ErrorKind::Refused, "ECONNREFUSED"),
            (libc::ENOENT, ErrorKind::NotFound, "ENOENT"),
            (libc::EACCES, ErrorKind::PermissionDenied, "EACCES"),
            (libc::EPROTOTYPE, ErrorKind::WrongKind, "EPROTOTYPE"),
            (libc::EAGAIN, ErrorKind::WouldBlock, "EAGAIN"),
            (libc::EMSGSIZE, ErrorKind::MessageTooLarge, "EMSGSIZE"),
            (libc::EADDRINUSE, ErrorKind::AddressInUse, "EADDRINUSE"),
            (libc::EPERM, ErrorKind::NotPermitted, "EPERM"),
            (libc::ENOTCONN, ErrorKind::NotConnected, "ENOTCONN"),
        ] {
            let error = Error::system(Operation::Connect, io::Error::from_raw_os_error(errno));
            assert_eq!((error.kind(), error.errno_symbol()), (kind, Some(symbol)));
        }
        let error = Error::system(Operation::Send, io::Error::from_raw_os_error(libc::ENOBUFS));
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn std_sees_the_error_of_the_kernel() {
        for errno in 1..134 {
            let std = io::Error::from_raw_os_error(errno);
            let kept = io::Error::from(Error::system(Operation::Send, io::Error::from_raw_os_error(errno)));
            assert_eq!((kept.raw_os_error(), kept.kind()), (Some(errno), std.kind()));
        }
        // Its class says more than its number: the text is kept.
        let full = Error::system(Operation::Connect, io::Error::from_raw_os_error(libc::EAGAIN));
        let late = io::Error::from(full.with_kind(ErrorKind::TimedOut).with_detail("the backlog was full"));
        assert_eq!((late.raw_os_error(), late.kind()), (None, io::ErrorKind::TimedOut));
        assert!(late.to_string().contains("the backlog was full"), "{late}");
    }

    #[test]
    fn only_errors_about_the_socket_end_a_server() {
        let of = |operation, errno| Error::system(operation, io::Error::from_raw_os_error(errno));
        for errno in [
            libc::EPERM,
            libc::EPROTO,
            libc::EIO,
            libc::ECONNABORTED,
            libc::ENOMEM,
            libc::ENOSR,
            libc::EMFILE,
        ] {
            assert!(of(Operation::Accept, errno).is_transient(), "{errno}");
        }
        for errno in [libc::EBADF, libc::ENOTSOCK, libc::EINVAL, libc::EOPNOTSUPP, libc::EFAULT, libc::EAGAIN]
        {
            assert!(!of(Operation::Accept, errno).is_transient(), "{errno}");
        }
        assert!(!of(Operation::Connect, libc::EPERM).is_transient());
        assert!(!Error::new(Operation::Accept, ErrorKind::Protocol, "no errno").is_transient());
    }
}
