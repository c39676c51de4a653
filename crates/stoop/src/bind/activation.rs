//! Sockets passed in by a service manager (socket activation): `LISTEN_FDS`, `LISTEN_PID`,
//! `LISTEN_FDNAMES`.
//!
//! The environment is read and never changed, for it belongs to the whole process: a child inherits
//! the three variables, and `LISTEN_PID` tells it that they are not meant for it. The files of
//! passed sockets belong to the service manager and are never removed here.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::listener::Connected;
use crate::socket::Socket;
use crate::{Address, Datagram, Kind, Listener, Policy, SeqPacket, Stream, escaped, sys};

/// The number of the first descriptor passed, fixed by the protocol.
const FIRST: RawFd = 3;

/// More than any process can have: what `fs.nr_open` is unless an administrator raised it.
const MOST: u32 = 1 << 20;

/// What the service manager calls a socket that has no name.
const NAMELESS: &str = "unknown";

/// Whether this process has taken its sockets: they can be owned only once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What a process was started with.
#[derive(Debug)]
#[must_use]
pub enum Activation {
    /// Nothing was passed: bind as usual.
    NotActivated,
    /// Sockets were passed to another process, and the environment was inherited from it. Where
    /// this surprises, a wrapper (a shell, a supervisor) stands between the service manager and
    /// this program and should `exec` it.
    ForAnotherProcess {
        /// For whom they are meant.
        pid: u32,
    },
    /// They are ours, and [`take`] has given them away already.
    TakenBefore,
    /// The sockets.
    Sockets(Sockets),
}

/// Takes the sockets that this process was started with, once.
///
/// Call it early, before other code can come to close descriptors that it does not know. Every
/// descriptor passed becomes close-on-exec. Does not block; needs no privilege; any kernel.
///
/// ```
/// use stoop::activation::{self, Activation};
/// use stoop::{Bind, Listener};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
///
/// let listener: Listener = match activation::take()? {
///     Activation::Sockets(mut sockets) => sockets.named("app")?.into_listener()?,
///     _ => Bind::new(&path).listen()?,
/// };
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Protocol`] where the variables make no sense, or name a descriptor that is not
/// open.
pub fn take() -> Result<Activation> {
    let variables = Variables::from_env();
    let names = match variables.read(std::process::id())? {
        Meant::Nobody => return Ok(Activation::NotActivated),
        Meant::Another { pid } => return Ok(Activation::ForAnotherProcess { pid }),
        Meant::Us { names } => names,
    };
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Activation::TakenBefore);
    }
    let passed: Result<Vec<Passed>> = (FIRST..)
        .zip(names)
        .map(|(number, name)| Passed::of(sys::take_inherited(number), number, name))
        .collect();
    Ok(Activation::Sockets(Sockets(passed?)))
}

/// A copy of one descriptor that this process was started with, by its number: for programs that
/// are told `fd:3` in some way of their own. It is named after its number, and close-on-exec. The
/// number itself stays open, whoever it belongs to.
///
/// # Errors
/// [`ErrorKind::Protocol`] where no such descriptor is open.
pub fn inherited(number: i32) -> Result<Passed> {
    Passed::of(sys::copy_inherited(number), number, number.to_string())
}

/// The sockets passed, in the order of their numbers.
#[derive(Debug)]
pub struct Sockets(Vec<Passed>);

impl Sockets {
    /// Takes out the first socket with this name: what the unit says as `FileDescriptorName=`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], with the names there are.
    pub fn named(&mut self, name: &str) -> Result<Passed> {
        match self.0.iter().position(|passed| passed.name == name) {
            Some(index) => Ok(self.0.remove(index)),
            None => {
                let names: Vec<String> =
                    self.0.iter().map(|passed| format!("'{}'", escaped(&passed.name))).collect();
                let there = if names.is_empty() {
                    "none is left".into()
                } else {
                    format!("there is {}", names.join(", "))
                };
                Err(failed(ErrorKind::NotFound, format!("no socket is named '{}'; {there}", escaped(name))))
            }
        }
    }

    /// The one socket there is, whatever its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none, [`ErrorKind::Protocol`] where there are
    /// several.
    pub fn only(mut self) -> Result<Passed> {
        match (self.0.pop(), self.0.len()) {
            (Some(passed), 0) => Ok(passed),
            (None, _) => Err(failed(ErrorKind::NotFound, "no socket is left")),
            (Some(_), others) => Err(failed(
                ErrorKind::Protocol,
                format!("{} sockets were passed where one is wanted", others + 1),
            )),
        }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks at what is left, without taking anything.
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

/// What a socket of a connected kind is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It listens: clients are to be accepted from it.
    Listening,
    /// It is a connection. With `Accept=yes` a service manager accepts itself and starts a process
    /// for each client.
    Connected,
    /// Neither: bound at most. A datagram socket is usually in this state.
    Idle,
}

/// A descriptor that was passed. It is asked what it is only when it is used, so one that is no
/// local socket (a TCP listener, a FIFO) harms nobody and can be taken with
/// [`Passed::into_descriptor`].
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
                .with_detail(format!("descriptor {number} was to be passed and is not open"))),
        }
    }

    /// Its name; `unknown` where the service manager gave none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number it was passed under.
    pub fn number(&self) -> RawFd {
        self.number
    }

    /// Its kind.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] with `ENOTSOCK` for what is no socket, [`ErrorKind::Unsupported`] for a
    /// socket that is not local.
    pub fn kind(&self) -> Result<Kind> {
        self.inspect().map(|found| found.kind)
    }

    /// What it is doing.
    ///
    /// # Errors
    /// As [`Passed::kind`].
    pub fn state(&self) -> Result<State> {
        self.inspect().map(|found| found.state)
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// As [`Passed::kind`].
    pub fn address(&self) -> Result<Address> {
        self.inspect()?;
        Ok(sys::local_address(self.as_fd()).map_err(|cause| self.ask_failed(cause))?.to_address())
    }

    /// Uses it as a server of streams. Its policy is that of [`Bind`](crate::Bind): everyone on a
    /// path, our own user and root on an abstract name, until [`Listener::set_policy`]. Whether
    /// descriptors may come stays as the service manager has set it.
    ///
    /// # Errors
    /// As [`Passed::kind`]; [`ErrorKind::WrongKind`]; [`ErrorKind::Protocol`] for a connection (the
    /// unit says `Accept=yes`); [`ErrorKind::NotConnected`] for a socket that neither listens
    /// nor is connected.
    pub fn into_listener(self) -> Result<Listener<Stream>> {
        self.listener()
    }

    /// Uses it as a server of seqpacket connections. As [`Passed::into_listener`].
    ///
    /// # Errors
    /// As [`Passed::into_listener`].
    pub fn into_seqpacket_listener(self) -> Result<Listener<SeqPacket>> {
        self.listener()
    }

    /// Uses it as a datagram socket, with the policy of [`Bind`](crate::Bind). The kernel adds its
    /// sender's credentials to each message from here on (`SO_PASSCRED`). Messages that were
    /// sent before have none, so that [`Datagram::reply`] refuses senders at a path, unless the
    /// service manager has set it (systemd: `PassCredentials=yes`).
    ///
    /// # Errors
    /// As [`Passed::kind`]; [`ErrorKind::WrongKind`].
    pub fn into_datagram(self) -> Result<Datagram> {
        self.expect_kind(Kind::Datagram)?;
        let (socket, policy) = self.into_server()?;
        Ok(Datagram::server(socket, None, policy))
    }

    /// Uses it as a connected stream, as passed with `Accept=yes`.
    ///
    /// # Errors
    /// As [`Passed::kind`]; [`ErrorKind::WrongKind`]; [`ErrorKind::NotConnected`] for a listener
    /// (the unit says `Accept=no`), or for a socket that is connected to nobody.
    pub fn into_stream(self) -> Result<Stream> {
        self.into_connected(Kind::Stream).map(Stream::from_socket)
    }

    /// Uses it as a seqpacket connection. As [`Passed::into_stream`].
    ///
    /// # Errors
    /// As [`Passed::into_stream`].
    pub fn into_seqpacket(self) -> Result<SeqPacket> {
        self.into_connected(Kind::SeqPacket).map(SeqPacket::from_socket)
    }

    /// The plain descriptor, unchecked: for what is not a local socket.
    pub fn into_descriptor(self) -> OwnedFd {
        self.fd
    }

    fn listener<C: Connected>(self) -> Result<Listener<C>> {
        match self.expect_kind(C::KIND)? {
            State::Listening => {
                let (socket, policy) = self.into_server()?;
                Ok(Listener::new(socket, None, policy))
            }
            State::Connected => {
                let detail =
                    format!("{self} is a connection, not a listener; was it passed with Accept=yes?");
                Err(failed(ErrorKind::Protocol, detail))
            }
            State::Idle => Err(failed(ErrorKind::NotConnected, format!("{self} does not listen"))),
        }
    }

    fn into_connected(self, kind: Kind) -> Result<Socket> {
        match self.expect_kind(kind)? {
            State::Connected => Ok(Socket::from_known(self.fd, kind)),
            State::Listening => {
                let detail = format!("{self} is a listener, not a connection; was it passed with Accept=no?");
                Err(failed(ErrorKind::NotConnected, detail))
            }
            State::Idle => Err(failed(ErrorKind::NotConnected, format!("{self} is connected to nobody"))),
        }
    }

    /// With the policy it would have had from [`Bind`](crate::Bind).
    fn into_server(self) -> Result<(Socket, Policy)> {
        let (kind, address) = (self.kind()?, self.address()?);
        let policy = Policy::default_at(&address);
        let socket = Socket::from_known(self.fd, kind);
        super::ask_senders(&socket)?;
        Ok((socket, policy))
    }

    fn expect_kind(&self, wanted: Kind) -> Result<State> {
        let found = self.inspect()?;
        if found.kind == wanted {
            return Ok(found.state);
        }
        let detail = format!("{self} is a {} socket, not a {wanted} one", found.kind);
        Err(failed(ErrorKind::WrongKind, detail).of_kind(wanted))
    }

    /// Asks the kernel what it is (K-ACT-1).
    fn inspect(&self) -> Result<Found> {
        let failed_to_ask = |cause| self.ask_failed(cause);
        let family = sys::socket_domain(self.as_fd()).map_err(failed_to_ask)?;
        let number = sys::socket_type(self.as_fd()).map_err(failed_to_ask)?;
        let (libc::AF_UNIX, Some(kind)) = (family, Kind::from_raw(number)) else {
            let detail = format!("{self} is not a local socket (address family {family}, type {number})");
            return Err(failed(ErrorKind::Unsupported, detail));
        };
        let state = if sys::is_listening(self.as_fd()).map_err(failed_to_ask)? {
            State::Listening
        } else if sys::peer_address(self.as_fd()).is_ok() {
            State::Connected
        } else {
            State::Idle
        };
        Ok(Found { kind, state })
    }

    fn ask_failed(&self, cause: std::io::Error) -> Error {
        let detail = match cause.raw_os_error() {
            Some(libc::ENOTSOCK) => format!("{self} is not a socket"),
            _ => format!("the kernel does not say what {self} is"),
        };
        Error::system(Operation::Activate, cause).with_detail(detail)
    }
}

/// What the kernel says of a descriptor.
struct Found {
    kind: Kind,
    state: State,
}

impl fmt::Display for Passed {
    /// For people: its name and number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' (descriptor {})", escaped(&self.name), self.number)
    }
}

impl AsFd for Passed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn failed(kind: ErrorKind, detail: impl Into<String>) -> Error {
    Error::new(Operation::Activate, kind, detail)
}

/// The three variables as the environment has them.
#[derive(Debug, Default)]
struct Variables {
    fds: Option<OsString>,
    pid: Option<OsString>,
    names: Option<OsString>,
}

/// For whom sockets were passed.
#[derive(Debug, PartialEq, Eq)]
enum Meant {
    Nobody,
    Another {
        pid: u32,
    },
    Us {
        /// One a descriptor, from number 3 on.
        names: Vec<String>,
    },
}

impl Variables {
    fn from_env() -> Variables {
        let [fds, pid, names] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"].map(std::env::var_os);
        Variables { fds, pid, names }
    }

    /// Reads them for the process `own_pid`. Pure.
    fn read(&self, own_pid: u32) -> Result<Meant> {
        let Some(fds) = &self.fds else { return Ok(Meant::Nobody) };
        let Some(pid) = &self.pid else {
            let detail = "LISTEN_FDS is set without LISTEN_PID, so nothing says for whom";
            return Err(failed(ErrorKind::Protocol, detail));
        };
        let pid = number("LISTEN_PID", pid)?;
        if pid != own_pid {
            return Ok(Meant::Another { pid });
        }
        let count = number("LISTEN_FDS", fds)?;
        if count > MOST {
            let detail = format!("LISTEN_FDS is {count}: more descriptors than there can be");
            return Err(failed(ErrorKind::Protocol, detail));
        }
        if count == 0 {
            return Ok(Meant::Nobody);
        }
        Ok(Meant::Us { names: self.names(count)? })
    }

    fn names(&self, count: u32) -> Result<Vec<String>> {
        let refuse = |detail: String| Err(failed(ErrorKind::Protocol, detail));
        let Some(text) = &self.names else {
            return Ok(std::iter::repeat_n(NAMELESS.to_owned(), count as usize).collect());
        };
        let Some(text) = text.to_str() else { return refuse("LISTEN_FDNAMES is not text".into()) };
        let names: Vec<String> = text.split(':').map(str::to_owned).collect();
        if names.len() != count as usize {
            return refuse(format!("LISTEN_FDS is {count}, and LISTEN_FDNAMES has {} names", names.len()));
        }
        Ok(names)
    }
}

/// A plain decimal number: no sign, no blank, no other digits.
fn number(variable: &str, text: &OsStr) -> Result<u32> {
    text.to_str()
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            let shown = escaped(text.as_encoded_bytes()).to_string();
            failed(ErrorKind::Protocol, format!("{variable} is '{shown}', which is no number"))
        })
}

/// Reads these values as the fuzzer gives them.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(fds: Option<&[u8]>, pid: Option<&[u8]>, names: Option<&[u8]>) {
    use std::os::unix::ffi::OsStrExt;

    let value = |bytes: Option<&[u8]>| bytes.map(|bytes| OsStr::from_bytes(bytes).to_owned());
    let variables = Variables { fds: value(fds), pid: value(pid), names: value(names) };
    match variables.read(7) {
        Ok(Meant::Us { names }) => {
            let count = fds.and_then(|fds| std::str::from_utf8(fds).ok()?.parse().ok());
            assert_eq!(count, Some(names.len()));
        }
        Ok(Meant::Another { pid }) => assert_ne!(pid, 7),
        Ok(Meant::Nobody) => {}
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStringExt;

    const OWN: u32 = 77;

    fn read(fds: &str, pid: &str, names: Option<&str>) -> Result<Meant> {
        Variables { fds: Some(fds.into()), pid: Some(pid.into()), names: names.map(Into::into) }.read(OWN)
    }

    fn us(names: &[&str]) -> Meant {
        Meant::Us { names: names.iter().map(|&name| name.to_owned()).collect() }
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
        let _listener = inherited(made.as_fd().as_raw_fd()).unwrap().into_listener().unwrap();
        let client = Stream::connect(&path).unwrap();
        let outgoing = crate::Outgoing::new();
        let refused = client.send_with(&[IoSlice::new(b"x")], &outgoing.descriptors(&[client.as_fd()]));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotPermitted);
    }

    #[test]
    fn the_variables_are_read() {
        assert_eq!(Variables::default().read(OWN).unwrap(), Meant::Nobody);
        assert_eq!(read("0", "77", Some("")).unwrap(), Meant::Nobody);
        assert_eq!(read("2", "77", None).unwrap(), us(&["unknown", "unknown"]));
        assert_eq!(read("2", "77", Some("web:")).unwrap(), us(&["web", ""]));
        assert_eq!(read("2", "78", None).unwrap(), Meant::Another { pid: 78 });
    }

    #[test]
    fn nonsense_is_an_error_that_names_the_variable() {
        for (fds, pid, names, word) in [
            ("x", "77", None, "LISTEN_FDS is 'x'"),
            ("", "77", None, "LISTEN_FDS is ''"),
            ("+1", "77", None, "LISTEN_FDS is '+1'"),
            ("1", "-77", None, "LISTEN_PID is '-77'"),
            ("1", "77 ", None, "LISTEN_PID is '77 '"),
            ("4294967295", "77", None, "more descriptors than there can be"),
            ("99999999999", "77", None, "no number"),
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
            prop_assert_eq!(variables.read(OWN).unwrap(), Meant::Us { names });
        }
    }
}
