//! Connecting a socket, correct on a full backlog and on `EINTR`, and repeated until a server has
//! started.
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
use crate::socket_file::{self, FileOptions, SocketFile};
use crate::sys::{self, Blocking, RawAddress};
use crate::{Address, AddressError, Kind, ToAddress};

/// The first and the longest pause between two checks for a server that has not started.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// How long permission may be denied before waiting for a server ends: servers set the permissions
/// of their file after they have bound it.
const DENIED_MAX: Duration = Duration::from_secs(1);

/// A client's socket, and the file that it is bound to, if any.
pub(crate) type Client = (Socket, Option<SocketFile>);

/// The address to connect to, and how long to wait for what is missing there.
#[derive(Clone, Debug)]
pub(crate) struct Attempts {
    /// An error is kept until an operation can report it.
    address: std::result::Result<Address, AddressError>,
    /// The address to bind to before connecting, if any.
    pub(crate) local: Option<std::result::Result<Address, AddressError>>,
    /// How long to wait for space in a full backlog.
    pub(crate) timeout: Option<Duration>,
    /// How long to wait for a server that has not started.
    pub(crate) wait: Duration,
}

impl Attempts {
    /// Creates attempts that wait for space indefinitely, and not for a server.
    pub(crate) fn new(address: impl ToAddress) -> Attempts {
        Attempts { address: address.to_address(), local: None, timeout: None, wait: Duration::ZERO }
    }

    /// Creates a socket of this kind and connects it.
    pub(crate) fn connect(&self, kind: Kind) -> Result<Client> {
        let address = self.resolve(kind)?;
        let (socket, file) = self.unconnected(kind, Blocking::Waits, address)?;
        // A failed attempt leaves the socket unconnected, so the same one can try again.
        self.repeat(|| self.attempt(&socket, address)).map_err(|error| error.on(address))?;
        Ok((socket, file))
    }

    /// Connects an existing datagram socket to this address.
    pub(crate) fn connect_existing(&self, socket: &Socket) -> Result<()> {
        let address = self.resolve(Kind::Datagram)?;
        self.repeat(|| self.attempt(socket, address)).map_err(|error| error.on(address))
    }

    /// Returns the address, for a socket of this kind.
    pub(crate) fn resolve(&self, kind: Kind) -> Result<&Address> {
        let address = self.address.as_ref().map_err(|error| Error::address(Operation::Connect, error))?;
        if address.is_unnamed() {
            let error = Error::new(Operation::Connect, ErrorKind::InvalidAddress, "the address is unnamed");
            return Err(error.of_kind(kind));
        }
        Ok(address)
    }

    /// Creates a socket of this kind and connects it, without waiting for a server.
    pub(crate) fn connect_once(&self, kind: Kind, address: &Address) -> Result<Client> {
        let (socket, file) = self.unconnected(kind, Blocking::Waits, address)?;
        self.attempt(&socket, address).map_err(|error| error.on(address))?;
        Ok((socket, file))
    }

    /// Creates a socket that can be connected to `address`, and binds it if it has to be bound.
    pub(crate) fn unconnected(&self, kind: Kind, blocking: Blocking, address: &Address) -> Result<Client> {
        let failed = |cause| Error::system(Operation::Connect, cause).of_kind(kind);
        let make = || -> Result<Socket> {
            Ok(Socket::from_known(sys::socket(kind, blocking).map_err(failed)?, kind))
        };
        let local = match &self.local {
            Some(local) => local.clone(),
            // Bound before it is connected, so that even its first message can be replied to.
            None if kind == Kind::Datagram => Ok(Address::UNNAMED),
            None => return Ok((make().map_err(|error| error.on(address))?, None)),
        };
        let local = local.map_err(|error| Error::address(Operation::Bind, &error).of_kind(kind))?;
        let subject = if local.is_unnamed() { address } else { &local };
        socket_file::bind(&local, FileOptions::default(), &make, &|_| Ok(()))
            .map_err(|error| error.on(subject).of_kind(kind))
    }

    /// Returns whether the client is bound to a path.
    #[cfg(feature = "tokio")]
    pub(crate) fn binds_to_file(&self) -> bool {
        matches!(&self.local, Some(Ok(local)) if local.as_pathname().is_some())
    }

    /// Repeats `attempt` until it succeeds, fails for good, or the wait for a server is over.
    pub(crate) fn repeat<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut wait = ServerWait::new(self.wait);
        let (mut pause, longest) = RETRY_PAUSE;
        loop {
            let error = match attempt() {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let Some(left) = wait.left(&error) else { return Err(error) };
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
}

/// The wait for a server that has not started.
pub(crate) struct ServerWait {
    limit: Duration,
    started: Instant,
    /// Since when permission has been denied.
    denied_since: Option<Instant>,
}

impl ServerWait {
    pub(crate) fn new(limit: Duration) -> ServerWait {
        ServerWait { limit, started: Instant::now(), denied_since: None }
    }

    /// Returns what is left of the wait after an attempt failed. `None` if it is over, or if such
    /// an error does not go away by waiting.
    pub(crate) fn left(&mut self, error: &Error) -> Option<Duration> {
        let mut left = self.limit.saturating_sub(self.started.elapsed());
        match error.kind() {
            // No server yet.
            ErrorKind::NotFound | ErrorKind::Refused => self.denied_since = None,
            ErrorKind::PermissionDenied => {
                let since = *self.denied_since.get_or_insert_with(Instant::now);
                left = left.min(DENIED_MAX.saturating_sub(since.elapsed()));
            }
            _ => return None,
        }
        (!left.is_zero()).then_some(left)
    }
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
    error
        .with_kind(ErrorKind::TimedOut)
        .with_detail(format!("the backlog was full for {:?}", rounded(timeout)))
}

/// Rounds what is left of a time limit to milliseconds, for a text.
fn rounded(time: Duration) -> Duration {
    let millis = (time.as_micros() + 500) / 1000;
    if millis < 10 { time } else { Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) }
}

/// The argument of `connect` and `sendto` for an address, however long its path.
pub(crate) struct ConnectTarget {
    pub(crate) raw: RawAddress,
    /// Keeps the socket file open while the address contains its file descriptor number.
    _file: Option<File>,
}

impl ConnectTarget {
    pub(crate) fn new(address: &Address) -> io::Result<ConnectTarget> {
        if let Some(name) = address.as_abstract_name() {
            return Ok(ConnectTarget { raw: RawAddress::abstract_name(name), _file: None });
        }
        let Some(path) = address.as_pathname() else {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        };
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
