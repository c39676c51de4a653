//! The server that clients are relayed to.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use stoop::{Address, Connect, Datagram, Kind};

use crate::behind::Behind;
use crate::end::{End, into_io};

/// The server that clients are relayed to.
///
/// A host name is looked up for each client, so a server may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    Unix(Address),
    Behind(Behind),
    Tcp { host: String, port: u16 },
}

impl Server {
    /// Returns a Unix server, of the kind that clients connect with.
    pub fn unix(address: Address) -> Server {
        Server(Inner::Unix(address))
    }

    /// Returns a TCP server. A host name is looked up for each client.
    pub fn tcp(host: impl Into<String>, port: u16) -> Server {
        Server(Inner::Tcp { host: host.into(), port })
    }

    /// Returns the server that a relay stands in front of.
    pub(crate) fn behind(behind: Behind) -> Server {
        Server(Inner::Behind(behind))
    }

    /// Returns the address, if it is a Unix server.
    fn address(&self) -> Option<Cow<'_, Address>> {
        match &self.0 {
            Inner::Unix(address) => Some(Cow::Borrowed(address)),
            Inner::Behind(behind) => behind.address().map(Cow::Owned),
            Inner::Tcp { .. } => None,
        }
    }

    /// Creates a socket that sends datagrams to the server and gets the answers.
    pub(crate) fn datagram(&self) -> io::Result<Datagram> {
        let Some(address) = self.address() else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "TCP does not keep the boundaries of datagrams",
            ));
        };
        let socket = Datagram::client(&*address).map_err(into_io)?;
        socket.set_nonblocking(true).map_err(into_io)?;
        Ok(socket)
    }

    /// Returns whether a connection is made without waiting, unless the backlog is full.
    pub(crate) fn may_answer_at_once(&self) -> bool {
        matches!(self.0, Inner::Unix(_) | Inner::Behind(_))
    }

    /// Connects, within the limit.
    pub(crate) fn connect(&self, kind: Kind, limit: Duration) -> io::Result<End> {
        if let Some(address) = self.address() {
            let connect = Connect::new(&*address).timeout(limit);
            return match kind {
                Kind::SeqPacket => connect.seqpacket().map(End::SeqPacket),
                _ => connect.stream().map(End::Stream),
            }
            .map_err(into_io);
        }
        match &self.0 {
            Inner::Tcp { host, port } => tcp(host, *port, limit).map(End::Tcp),
            Inner::Unix(_) | Inner::Behind(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Tries each address of the host.
fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("'{host}' has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limit) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Unix(address) => address.fmt(f),
            Inner::Behind(behind) => behind.fmt(f),
            Inner::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Inner::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}
