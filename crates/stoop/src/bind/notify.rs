//! `sd_notify` protocol: readiness, reload, stop and watchdog notifications, and the file
//! descriptor store.
//!
//! Messages go, as in `sd_notify(3)`, to the datagram socket that `NOTIFY_SOCKET` names. The
//! environment is read and never changed. The service manager learns the sender's identity from the
//! kernel, so the messages do not state it.

use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::time::{ClockId, clock_gettime};

use super::activation::decimal;
use super::wait::{deadline_after, poll_until};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::Socket;
use crate::{Address, Datagram, Kind, Outgoing, ToAddress, escaped};

/// How long a message waits by default for space in the manager's queue. A manager that hangs must
/// not make the service hang.
const SEND_WAIT: Duration = Duration::from_secs(5);

/// The maximum length of a stored file descriptor's name, in bytes.
const STORE_NAME_MAX_BYTES: usize = 255;

/// A client of the service manager's notification socket.
///
/// Each call sends one datagram. It blocks while the manager's queue is full: five seconds at most
/// by default ([`ErrorKind::TimedOut`]), or as set by [`Notifier::set_wait`]. A server that signals
/// readiness before it accepts delays its first client by that time. Call it from a separate
/// thread, or without waiting. `EINTR` is retried.
///
/// The manager sends no replies. [`Notifier::barrier`] waits until it has received all messages.
///
/// A manager that cannot be reached, or an invalid `NOTIFY_SOCKET`, is usually no reason to stop
/// serving: report the error and continue.
///
/// ```
/// use stoop::Bind;
/// use stoop::notify::Notifier;
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("notify.sock");
/// let manager = Bind::new(&path).datagram()?;
///
/// // In a service: `if let Some(manager) = Notifier::from_env()? { … }`
/// let notifier = Notifier::to(&path)?;
/// notifier.ready()?;
/// notifier.status("waiting for clients")?;
///
/// assert_eq!(manager.recv_vec()?.0, b"READY=1");
/// assert_eq!(manager.recv_vec()?.0, b"STATUS=waiting for clients");
/// # Ok::<(), stoop::Error>(())
/// ```
#[doc(alias("sd_notify", "NOTIFY_SOCKET"))]
#[derive(Debug)]
pub struct Notifier {
    socket: Datagram,
    manager: Address,
}

impl Notifier {
    /// Creates a notifier for the manager that started this process.
    ///
    /// Returns `None` if `NOTIFY_SOCKET` is unset or empty, so that the program also runs without a
    /// service manager.
    ///
    /// ```
    /// use stoop::notify::Notifier;
    ///
    /// let has_manager = std::env::var_os("NOTIFY_SOCKET").is_some_and(|value| !value.is_empty());
    /// assert_eq!(Notifier::from_env()?.is_some(), has_manager);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the manager is outside this machine (`vsock:…`,
    /// [`ErrorKind::Unsupported`]), if the value is not an address ([`ErrorKind::InvalidAddress`]),
    /// or if the process has no file descriptors left ([`ErrorKind::OutOfDescriptors`]).
    pub fn from_env() -> Result<Option<Notifier>> {
        match std::env::var_os("NOTIFY_SOCKET") {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => Notifier::to(manager_address(&value)?).map(Some),
        }
    }

    /// Creates a notifier for a manager at this address. Nothing is sent yet.
    ///
    /// ```
    /// use stoop::notify::Notifier;
    ///
    /// let notifier = Notifier::to("/nowhere/notify")?; // the path is not looked up yet
    /// assert!(notifier.ready().unwrap_err().is_not_found());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the address is invalid ([`ErrorKind::InvalidAddress`]) or the process
    /// has no file descriptors left ([`ErrorKind::OutOfDescriptors`]).
    pub fn to(manager: impl ToAddress) -> Result<Notifier> {
        let manager = manager.to_address().map_err(|error| Error::address(Operation::Notify, &error))?;
        let socket = Socket::new(Kind::Datagram).map_err(|cause| Error::system(Operation::Notify, cause))?;
        socket.set_write_timeout(Some(SEND_WAIT))?;
        Ok(Notifier { socket: Datagram::from_socket(socket), manager })
    }

    /// Sets how long each call waits while the manager's queue is full (`SO_SNDTIMEO`). The default
    /// is five seconds.
    ///
    /// With [`Duration::ZERO`] no call waits. A call that times out has sent nothing and returns
    /// [`ErrorKind::TimedOut`]; it can be repeated later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Bind;
    /// use stoop::notify::Notifier;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// let notifier = Notifier::to(&path)?;
    /// notifier.set_wait(Duration::ZERO)?;
    /// // The manager reads nothing, so its queue fills up.
    /// let error = (0..10_000).find_map(|_| notifier.watchdog().err()).unwrap();
    /// assert!(error.is_timed_out());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error only if the file descriptor is invalid.
    pub fn set_wait(&self, wait: Duration) -> Result<()> {
        self.socket.set_nonblocking(wait.is_zero())?;
        self.socket.set_write_timeout((!wait.is_zero()).then_some(wait))
    }

    /// Signals that the service has started, or has finished reloading (`READY=1`).
    ///
    /// # Errors
    /// Returns an error if the manager cannot be reached ([`ErrorKind::NotFound`],
    /// [`ErrorKind::Refused`], [`ErrorKind::PermissionDenied`]) or its queue stays full
    /// ([`ErrorKind::TimedOut`]).
    #[doc(alias = "READY")]
    pub fn ready(&self) -> Result<()> {
        self.send("READY=1")
    }

    /// Signals that the service is about to stop (`STOPPING=1`).
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent; see [`Notifier::ready`].
    pub fn stopping(&self) -> Result<()> {
        self.send("STOPPING=1")
    }

    /// Signals that the service is reloading its configuration (`RELOADING=1`). [`Notifier::ready`]
    /// signals the end of the reload.
    ///
    /// The message includes the current monotonic time (`MONOTONIC_USEC`), by which the manager
    /// distinguishes this reload from an earlier one.
    ///
    /// ```
    /// use stoop::Bind;
    /// use stoop::notify::Notifier;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// let notifier = Notifier::to(&path)?;
    /// notifier.reloading()?;
    /// // … read the configuration …
    /// notifier.ready()?;
    /// assert!(manager.recv_vec()?.0.starts_with(b"RELOADING=1\nMONOTONIC_USEC="));
    /// assert_eq!(manager.recv_vec()?.0, b"READY=1");
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent; see [`Notifier::ready`].
    pub fn reloading(&self) -> Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"))
    }

    /// Sets the one-line status text that `systemctl status` shows (`STATUS=`).
    ///
    /// ```
    /// use stoop::notify::Notifier;
    ///
    /// let notifier = Notifier::to("/nowhere/notify")?;
    /// assert!(notifier.status("fine\nREADY=1").unwrap_err().is_unsupported()); // nothing is sent
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text has a line break, which would begin another variable
    /// ([`ErrorKind::Unsupported`]), or if the message cannot be sent; see [`Notifier::ready`].
    pub fn status(&self, text: &str) -> Result<()> {
        self.variable("STATUS", text)
    }

    /// Signals that the service is alive (`WATCHDOG=1`).
    ///
    /// The manager expects this at least once in every [`watchdog_interval`]; twice is recommended.
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent; see [`Notifier::ready`].
    pub fn watchdog(&self) -> Result<()> {
        self.send("WATCHDOG=1")
    }

    /// Makes another process the service's main process (`MAINPID=`), for example the successor
    /// after a hand-over.
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent; see [`Notifier::ready`].
    pub fn main_pid(&self, pid: u32) -> Result<()> {
        self.send(&format!("MAINPID={pid}"))
    }

    /// Extends the start, reload or stop timeout to this long from now (`EXTEND_TIMEOUT_USEC=`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Bind;
    /// use stoop::notify::Notifier;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// Notifier::to(&path)?.extend_timeout(Duration::from_secs(30))?;
    /// assert_eq!(manager.recv_vec()?.0, b"EXTEND_TIMEOUT_USEC=30000000");
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent; see [`Notifier::ready`].
    pub fn extend_timeout(&self, by: Duration) -> Result<()> {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", by.as_micros()))
    }

    /// Sends any variable of the protocol.
    ///
    /// ```
    /// use stoop::Bind;
    /// use stoop::notify::Notifier;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// let notifier = Notifier::to(&path)?;
    /// notifier.variable("ERRNO", "2")?;
    /// assert_eq!(manager.recv_vec()?.0, b"ERRNO=2");
    /// assert!(notifier.variable("A=B", "2").unwrap_err().is_unsupported());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the name is empty or contains `=` or a line break, or the value contains
    /// a line break ([`ErrorKind::Unsupported`]), or if the message cannot be sent; see
    /// [`Notifier::ready`].
    pub fn variable(&self, name: &str, value: &str) -> Result<()> {
        if name.is_empty() || name.contains(['=', '\n']) {
            return refuse(format!("'{}' is not the name of a variable", escaped(name)));
        }
        if value.contains('\n') {
            return refuse(format!("the value of {} has a line break", escaped(name)));
        }
        self.send(&format!("{name}={value}"))
    }

    /// Stores copies of file descriptors in the service manager under one name (`FDSTORE=1`).
    ///
    /// The next start of the service receives them from
    /// [`activation::take`](crate::activation::take). The unit needs `FileDescriptorStoreMax=`. The
    /// caller's file descriptors stay open.
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use std::os::fd::AsFd;
    /// use stoop::notify::Notifier;
    /// use stoop::{Allow, Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// let (client, _peer) = Stream::pair()?;
    /// Notifier::to(&path)?.store("client", &[client.as_fd()])?;
    ///
    /// let mut buffer = [0; 64];
    /// let buffers = &mut [IoSliceMut::new(&mut buffer)];
    /// let received = manager.recv_with(buffers, Allow::descriptors(1))?;
    /// assert_eq!(&buffer[..received.len], b"FDSTORE=1\nFDNAME=client");
    /// assert_eq!(received.descriptors.len(), 1);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the name is invalid: it must be 1 to 255 bytes of printable ASCII without `:`
    ///   ([`ErrorKind::Unsupported`]);
    /// - `descriptors` is empty, or has more than [`DESCRIPTORS_MAX`](crate::DESCRIPTORS_MAX)
    ///   ([`ErrorKind::Unsupported`]);
    /// - too many file descriptors are in flight ([`ErrorKind::TooManyInFlight`]);
    /// - the message cannot be sent; see [`Notifier::ready`].
    #[doc(alias("FDSTORE", "sd_pid_notify_with_fds"))]
    pub fn store(&self, name: &str, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        if descriptors.is_empty() {
            return refuse("no file descriptors to store".into());
        }
        self.send_with(&format!("FDSTORE=1\nFDNAME={}", store_name(name)?), descriptors)
    }

    /// Removes and closes every file descriptor stored under this name (`FDSTOREREMOVE=1`).
    ///
    /// # Errors
    /// Returns an error if the name is invalid ([`ErrorKind::Unsupported`]; see
    /// [`Notifier::store`]), or if the message cannot be sent; see [`Notifier::ready`].
    pub fn remove(&self, name: &str) -> Result<()> {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={}", store_name(name)?))
    }

    /// Waits until the manager has received all earlier messages (`BARRIER=1`).
    ///
    /// Call this before the process exits. Otherwise the manager may receive a message after the
    /// exit and be unable to attribute it to the service.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stoop::Bind;
    /// use stoop::notify::Notifier;
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let manager = Bind::new(&path).datagram()?;
    /// let notifier = Notifier::to(&path)?;
    /// // The manager does not read its messages.
    /// assert!(notifier.barrier(Duration::from_millis(5)).unwrap_err().is_timed_out());
    ///
    /// let manager = std::thread::spawn(move || [manager.recv_vec(), manager.recv_vec()]);
    /// notifier.barrier(Duration::from_secs(10))?;
    /// # manager.join().unwrap();
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the manager does not get to the messages in time
    /// ([`ErrorKind::TimedOut`]), if the process has no file descriptors left
    /// ([`ErrorKind::OutOfDescriptors`]), or if the message cannot be sent; see
    /// [`Notifier::ready`].
    #[doc(alias = "sd_notify_barrier")]
    pub fn barrier(&self, timeout: Duration) -> Result<()> {
        let end = deadline_after(timeout);
        let failed = |errno: rustix::io::Errno| Error::system(Operation::Notify, errno.into());
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
        self.send_with("BARRIER=1", &[theirs.as_fd()])?;
        drop(theirs);
        // The manager closes its copy of the write end when it reaches this message in its queue.
        let closed = [PollFlags::HUP, PollFlags::ERR].into_iter().collect();
        let mut entry = [PollFd::from_borrowed_fd(ours.as_fd(), closed)];
        match poll_until(&mut entry, end).map_err(failed)? {
            true => Ok(()),
            false => {
                let detail = format!("the manager did not process the earlier messages within {timeout:?}");
                Err(Error::new(Operation::Notify, ErrorKind::TimedOut, detail).on(&self.manager))
            }
        }
    }

    fn send(&self, message: &str) -> Result<()> {
        self.send_with(message, &[])
    }

    fn send_with(&self, message: &str, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let outgoing = Outgoing::new().descriptors(descriptors);
        let sent = self.socket.send_to_with(&[IoSlice::new(message.as_bytes())], &self.manager, &outgoing);
        sent.map(drop)
            .map_err(|error| match error.is_would_block() {
                true => error.with_kind(ErrorKind::TimedOut).with_detail("the manager's queue is full"),
                false => error,
            })
            .map_err(|error| error.during(Operation::Notify))
    }
}

/// Returns how often the manager expects [`Notifier::watchdog`] from this process.
///
/// The result is `None` if it does not. The values are read from `WATCHDOG_USEC` and
/// `WATCHDOG_PID`.
///
/// ```
/// assert_eq!(stoop::notify::watchdog_interval()?, None);
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// # Errors
/// Returns an error if the variables are not numbers ([`ErrorKind::Protocol`]).
#[doc(alias("sd_watchdog_enabled", "WATCHDOG_USEC"))]
pub fn watchdog_interval() -> Result<Option<Duration>> {
    let [interval, pid] = ["WATCHDOG_USEC", "WATCHDOG_PID"].map(std::env::var_os);
    read_watchdog(interval.as_deref(), pid.as_deref(), std::process::id())
}

fn read_watchdog(interval: Option<&OsStr>, pid: Option<&OsStr>, own_pid: u32) -> Result<Option<Duration>> {
    let number = |name: &str, text: &OsStr| {
        decimal::<u64>(text).ok_or_else(|| {
            let detail = format!("{name} is '{}', which is not a number", escaped(text.as_bytes()));
            Error::new(Operation::Notify, ErrorKind::Protocol, detail)
        })
    };
    let Some(interval) = interval else { return Ok(None) };
    if let Some(pid) = pid
        && number("WATCHDOG_PID", pid)? != u64::from(own_pid)
    {
        return Ok(None);
    }
    let microseconds = number("WATCHDOG_USEC", interval)?;
    Ok((microseconds != 0).then(|| Duration::from_micros(microseconds)))
}

/// Parses `NOTIFY_SOCKET`: an absolute path, or `@` and an abstract name. Escapes are not
/// supported: every other byte stands for itself.
fn manager_address(value: &OsStr) -> Result<Address> {
    let refuse = |kind, detail: &str| {
        let shown = escaped(value.as_bytes());
        Err(Error::new(Operation::Notify, kind, format!("NOTIFY_SOCKET is '{shown}': {detail}")))
    };
    let address = match value.as_bytes() {
        [b'@', name @ ..] => Address::abstract_name(name),
        [b'/', ..] => Address::path(Path::new(value)),
        other if other.starts_with(b"vsock") => {
            return refuse(ErrorKind::Unsupported, "vsock addresses are not supported");
        }
        _ => return refuse(ErrorKind::InvalidAddress, "neither an absolute path nor an abstract name"),
    };
    address.or_else(|error| refuse(ErrorKind::InvalidAddress, &error.to_string()))
}

fn store_name(name: &str) -> Result<&str> {
    let fits = (1..=STORE_NAME_MAX_BYTES).contains(&name.len());
    match fits && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':') {
        true => Ok(name),
        false => refuse(format!("invalid name for stored file descriptors: '{}'", escaped(name))),
    }
}

fn refuse<T>(detail: String) -> Result<T> {
    Err(Error::new(Operation::Notify, ErrorKind::Unsupported, detail))
}

/// Parses these values; the entry point of the fuzzer.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(socket: Option<&[u8]>, interval: Option<&[u8]>, pid: Option<&[u8]>) {
    let value = |bytes| OsStr::from_bytes(bytes);
    let is_shown_safely = |error: Error| assert!(!error.to_string().chars().any(char::is_control), "{error}");
    match socket.map(|socket| manager_address(value(socket))) {
        Some(Ok(address)) => assert!(!address.is_unnamed()),
        Some(Err(error)) => is_shown_safely(error),
        None => {}
    }
    match read_watchdog(interval.map(value), pid.map(value), 7) {
        Ok(interval) => assert_ne!(interval, Some(Duration::ZERO)),
        Err(error) => is_shown_safely(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(value: &str) -> Result<Address> {
        manager_address(OsStr::new(value))
    }

    #[test]
    fn addresses_of_managers() {
        assert_eq!(address("/run/x%41").unwrap(), Address::path("/run/x%41").unwrap());
        assert_eq!(address("@a%41").unwrap(), Address::abstract_name(*b"a%41").unwrap());
        assert_eq!(address("vsock:2:99").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(address("vsock-stream:2:99").unwrap_err().kind(), ErrorKind::Unsupported);
        for nonsense in ["run/x", "tcp:1", "abstract:x"] {
            assert_eq!(address(nonsense).unwrap_err().kind(), ErrorKind::InvalidAddress, "{nonsense}");
        }
        assert_eq!(address(&format!("@{}", "x".repeat(108))).unwrap_err().kind(), ErrorKind::InvalidAddress);
    }

    #[test]
    fn ambiguous_text_is_rejected() {
        let notifier = Notifier::to("/nowhere/notify").unwrap();
        let long = "x".repeat(256);
        for refused in [
            notifier.status("fine\nREADY=1"),
            notifier.variable("A=B", "x"),
            notifier.variable("", "x"),
            notifier.variable("X\nY", "x"),
            notifier.remove("a:b"),
            notifier.remove("a\nb"),
            notifier.remove(""),
            notifier.remove(&long),
            notifier.store("none", &[]),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
        }
        assert!(notifier.ready().unwrap_err().is_not_found());
    }

    #[test]
    fn the_watchdog_variables() {
        let read =
            |interval, pid: Option<&str>| read_watchdog(Some(OsStr::new(interval)), pid.map(OsStr::new), 7);
        assert_eq!(read_watchdog(None, None, 7).unwrap(), None);
        assert_eq!(read("20000000", Some("7")).unwrap(), Some(Duration::from_secs(20)));
        assert_eq!(read("20000000", None).unwrap(), Some(Duration::from_secs(20)));
        assert_eq!(read("20000000", Some("8")).unwrap(), None);
        assert_eq!(read("0", Some("7")).unwrap(), None);
        assert_eq!(read("soon", Some("7")).unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(read("1", Some("x")).unwrap_err().kind(), ErrorKind::Protocol);
        assert_eq!(read("+5", None).unwrap_err().kind(), ErrorKind::Protocol);
    }

    proptest! {
        #[test]
        fn any_value_is_read_without_panic(value in proptest::collection::vec(any::<u8>(), 0..130)) {
            match manager_address(OsStr::from_bytes(&value)) {
                Ok(address) => prop_assert!(!address.is_unnamed()),
                Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
            }
        }
    }
}
