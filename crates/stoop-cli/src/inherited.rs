//! Inherited sockets: the `fd:N` of an address, and those passed by a service manager.
//!
//! Their kind and state are queried from the kernel. Sockets that cannot be used are explained.
//! Flags that cannot apply, because the socket is bound already, are refused.

use std::os::fd::OwnedFd;

use stoop::activation::{self, Activation};
use stoop::internal::{Connection, Place, Target};
use stoop::{Datagram, ErrorKind, Kind, SeqPacket, Stream};

use crate::args::BindFlags;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::target::{self, BoundSocket, kind_of};

/// An inherited socket, and the kind that is expected.
#[derive(Debug)]
pub(crate) struct Inherited {
    socket: activation::Passed,
    kind: Option<Kind>,
    /// Its address on the command line, for errors.
    name: Option<Target>,
}

impl Inherited {
    /// Returns the sockets passed by a service manager, or else the one that the address names.
    /// Must be called before this process opens any file descriptor, which might get the number of
    /// an inherited one.
    pub(crate) fn take(address: Option<&Target>, kind: Option<Kind>) -> Result<Vec<Inherited>, Failure> {
        let sockets = match activation::take() {
            Ok(Activation::Sockets(sockets)) => {
                sockets.into_iter().map(|socket| Inherited { socket, kind: None, name: None }).collect()
            }
            Ok(_) => Vec::new(),
            Err(error) => return Err(unusable(None, &error)),
        };
        match address {
            Some(address) if sockets.is_empty() => Ok(Inherited::named(address, kind)?.into_iter().collect()),
            _ => Ok(sockets),
        }
    }

    /// Returns the socket that the address names, if it names one. Must be called as early as
    /// [`Inherited::take`].
    pub(crate) fn named(address: &Target, kind: Option<Kind>) -> Result<Option<Inherited>, Failure> {
        let Place::Descriptor(number) = address.place else { return Ok(None) };
        let kind = kind_of(address, kind)?;
        let socket = activation::inherited(number).map_err(|error| unusable(Some(address), &error))?;
        Ok(Some(Inherited { socket, kind, name: Some(address.clone()) }))
    }

    /// Converts it to a server of the expected kind, or of its own.
    pub(crate) fn into_server(self, flags: &BindFlags) -> Result<BoundSocket, Failure> {
        let Inherited { socket, kind, name } = self;
        refuse_bind_flags(&socket, name.as_ref(), flags)?;
        let server = || {
            let address = socket.address()?;
            let mut server = match kind.map_or_else(|| socket.kind(), Ok)? {
                Kind::Stream => BoundSocket::Stream(socket.try_into()?),
                Kind::SeqPacket => BoundSocket::SeqPacket(socket.try_into()?),
                Kind::Datagram => BoundSocket::Datagram(socket.try_into()?),
            };
            server.set_policy(target::policy(&address, flags))?;
            Ok(server)
        };
        server().map_err(|error| unusable(name.as_ref(), &error))
    }

    /// Converts it to a client's connection. Otherwise a datagram socket would count as a server's.
    pub(crate) fn into_connection(self) -> Result<Connection, Failure> {
        let connection = || {
            let kind = self.kind.map_or_else(|| self.socket.kind(), Ok)?;
            let fd = OwnedFd::from(self.socket);
            Ok(match kind {
                Kind::Stream => Connection::Stream(Stream::try_from(fd)?),
                Kind::SeqPacket => Connection::SeqPacket(SeqPacket::try_from(fd)?),
                Kind::Datagram => Connection::Datagram(Datagram::try_from(fd)?),
            })
        };
        connection().map_err(|error| unusable(self.name.as_ref(), &error))
    }
}

/// Refuses flags that only apply when a socket is bound.
fn refuse_bind_flags(
    socket: &activation::Passed,
    name: Option<&Target>,
    flags: &BindFlags,
) -> Result<(), Failure> {
    let subject = name.map_or_else(|| format!("file descriptor {}", socket.number()), Target::to_string);
    let given = [("--backlog", flags.backlog.is_some()), ("--replace", flags.replace)];
    let why = "the socket is bound already: set this where it is created (systemd: SocketMode=, SocketUser= and \
               others in the .socket unit)";
    target::refuse(&[&target::about_the_file(flags)[..], &given].concat(), subject, why)
}

/// Reports a socket that cannot be used, and why.
fn unusable(name: Option<&Target>, error: &stoop::Error) -> Failure {
    let errno = error.errno_symbol().map(|errno| format!(" ({errno})")).unwrap_or_default();
    let what = match (name, error.detail()) {
        (Some(name), Some(detail)) => format!("cannot use '{name}': {detail}{errno}"),
        _ => error.to_string(),
    };
    explained(error, Failure::new(Exit::of(error.kind()), what)).into()
}

/// Adds the reason, for each way in which a socket can be unusable.
fn explained(error: &stoop::Error, report: Report) -> Report {
    const SHOW: &str = "ls -l /proc/$$/fd    # the file descriptors of this shell";
    let is_connection = error.detail().is_some_and(|detail| detail.contains("Accept=yes"));
    match (error.errno_symbol(), error.kind()) {
        (Some("EBADF"), _) => {
            report.why("this process did not inherit a file descriptor with that number").next(SHOW)
        }
        (Some("ENOTSOCK"), _) => report.why("the file descriptor refers to a file, a pipe or a terminal").next(SHOW),
        (_, ErrorKind::Unsupported) => {
            report.why("stoop supports Unix sockets only (address family 1, AF_UNIX)")
        }
        (_, ErrorKind::WrongKind) => {
            report.why("the kind was fixed when the socket was created; omit --kind to use it")
        }
        (_, ErrorKind::NotConnected) => report.why("a server's socket must be listening when it is passed"),
        (_, ErrorKind::Protocol) if is_connection => report
            .why(
                "with Accept=yes the service manager accepts clients and passes each connection; a server needs \
                 the listening socket",
            )
            .next("systemctl edit --full UNIT.socket    # Accept=no"),
        _ => report,
    }
}
