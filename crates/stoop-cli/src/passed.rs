//! Sockets that we were started with: the `fd:N` of an address, and those of a service manager.
//!
//! What they are is the kernel's word. Those that cannot be used are explained; flags that come too
//! late, since the socket has its address already, are refused.

use stoop::activation::{self, Activation};
use stoop::{Connection, Datagram, ErrorKind, Kind, Place, SeqPacket, Stream, Target};

use crate::args::Serving;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::target::{self, Server, kind_of};

/// A socket passed to us, and what it is wanted as.
#[derive(Debug)]
pub(crate) struct Passed {
    socket: activation::Passed,
    kind: Option<Kind>,
    /// How it was named, for errors.
    name: Option<Target>,
}

impl Passed {
    /// Those of a service manager, or else the one that the address names. To be called before this
    /// process opens anything: it could get a number that was to be passed.
    pub(crate) fn take(address: Option<&Target>, kind: Option<Kind>) -> Result<Vec<Passed>, Failure> {
        let sockets = match activation::take() {
            Ok(Activation::Sockets(sockets)) => {
                sockets.into_iter().map(|socket| Passed { socket, kind: None, name: None }).collect()
            }
            Ok(_) => Vec::new(),
            Err(error) => return Err(unusable(None, &error)),
        };
        match address {
            Some(address) if sockets.is_empty() => Ok(Passed::named(address, kind)?.into_iter().collect()),
            _ => Ok(sockets),
        }
    }

    /// The one that the address names, where it does. To be called as early as [`Passed::take`].
    pub(crate) fn named(address: &Target, kind: Option<Kind>) -> Result<Option<Passed>, Failure> {
        let Place::Descriptor(number) = address.place else { return Ok(None) };
        let kind = kind_of(address, kind)?;
        let socket = activation::inherited(number).map_err(|error| unusable(Some(address), &error))?;
        Ok(Some(Passed { socket, kind, name: Some(address.clone()) }))
    }

    /// Serves at it, as a server of the kind wanted or of its own.
    pub(crate) fn into_server(self, flags: &Serving) -> Result<Server, Failure> {
        let Passed { socket, kind, name } = self;
        self::heed(&socket, name.as_ref(), flags)?;
        let server = || {
            let address = socket.address()?;
            let mut server = match kind.map_or_else(|| socket.kind(), Ok)? {
                Kind::Stream => Server::Stream(socket.into_listener()?),
                Kind::SeqPacket => Server::SeqPacket(socket.into_seqpacket_listener()?),
                Kind::Datagram => Server::Datagram(socket.into_datagram()?),
            };
            server.set_policy(target::policy(&address, flags))?;
            Ok(server)
        };
        server().map_err(|error| unusable(name.as_ref(), &error))
    }

    /// Talks through it. Not as a server's socket, for which a datagram socket would be taken else.
    pub(crate) fn into_connection(self) -> Result<Connection, Failure> {
        let connection = || {
            let kind = self.kind.map_or_else(|| self.socket.kind(), Ok)?;
            let fd = self.socket.into_descriptor();
            Ok(match kind {
                Kind::Stream => Connection::Stream(Stream::from_descriptor(fd)?),
                Kind::SeqPacket => Connection::SeqPacket(SeqPacket::from_descriptor(fd)?),
                Kind::Datagram => Connection::Datagram(Datagram::from_descriptor(fd)?),
            })
        };
        connection().map_err(|error| unusable(self.name.as_ref(), &error))
    }
}

/// Refuses the flags that can only be heeded by whoever binds.
fn heed(socket: &activation::Passed, name: Option<&Target>, flags: &Serving) -> Result<(), Failure> {
    let subject = name.map_or_else(|| format!("descriptor {}", socket.number()), Target::to_string);
    let given = [("--backlog", flags.backlog.is_some()), ("--replace", flags.replace)];
    let why = "the socket has its address already: whoever passed it has bound it (systemd: SocketMode= and its \
               neighbours in the unit of the socket)";
    target::refuse(&[&target::about_the_file(flags)[..], &given].concat(), subject, why)
}

/// Says what cannot be used, and why not.
fn unusable(name: Option<&Target>, error: &stoop::Error) -> Failure {
    let errno = error.errno_symbol().map(|errno| format!(" ({errno})")).unwrap_or_default();
    let what = match (name, error.detail()) {
        (Some(name), Some(detail)) => format!("cannot use '{name}': {detail}{errno}"),
        _ => error.to_string(),
    };
    explained(error, Failure::new(Exit::of(error.kind()), what)).into()
}

/// Adds why, for each way in which a socket can be of no use.
fn explained(error: &stoop::Error, report: Report) -> Report {
    const SHOW: &str = "ls -l /proc/$$/fd    # what this shell passes on";
    let is_connection = error.detail().is_some_and(|detail| detail.contains("Accept=yes"));
    match (error.errno_symbol(), error.kind()) {
        (Some("EBADF"), _) => {
            report.why("this process was started without a descriptor of that number").next(SHOW)
        }
        (Some("ENOTSOCK"), _) => report.why("a file, a pipe or a terminal is open there").next(SHOW),
        (_, ErrorKind::Unsupported) => {
            report.why("stoop speaks over local sockets only (address family 1, AF_UNIX)")
        }
        (_, ErrorKind::WrongKind) => {
            report.why("the kind was decided when the socket was made; without --kind that kind is taken")
        }
        (_, ErrorKind::NotConnected) => report.why("a server's socket has to listen before it is passed on"),
        (_, ErrorKind::Protocol) if is_connection => report
            .why(
                "with Accept=yes the service manager lets clients in and passes each connection; a server needs \
                 the socket that they queue at",
            )
            .next("systemctl edit --full UNIT.socket    # Accept=no"),
        _ => report,
    }
}
