//! The server that clients are relayed to.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stoop::{Address, Connect, Datagram, Kind, Stream};

use crate::behind::Behind;
use crate::end::{Connected, End, into_io};
use crate::exec::{self, Program};
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{once, vsock};

/// The server that clients are relayed to.
///
/// A host name is looked up for each client, so a server may move.
#[derive(Clone, Debug)]
pub struct Server {
    inner: Inner,
    kind: Option<Kind>,
}

#[derive(Clone, Debug)]
enum Inner {
    Unix(Address),
    Behind(Behind),
    Tcp {
        host: String,
        port: u16,
    },
    Vsock {
        cid: u32,
        port: u32,
    },
    Exec(Program),
    Once {
        name: &'static str,
        end: Arc<Mutex<Option<End>>>,
    },
    #[cfg(feature = "tls")]
    Tls {
        host: String,
        port: u16,
        tls: Tls,
    },
    Custom(Custom),
}

type Connecting = dyn Fn(&Caller<'_>) -> io::Result<Stream> + Send + Sync;

/// Connects a client by itself.
#[derive(Clone)]
struct Custom(Arc<Connecting>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// The client for which a [custom](Server::custom) server is connected to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Caller<'c> {
    /// Its number, as in [`Event`](crate::Event).
    pub number: u64,
    /// The names in its certificate, if it came with TLS.
    pub names: &'c [String],
}

impl Server {
    fn new(inner: Inner) -> Server {
        Server { inner, kind: None }
    }

    /// Returns a Unix server, of the kind that clients connect with.
    pub fn unix(address: Address) -> Server {
        Server::new(Inner::Unix(address))
    }

    /// Returns a TCP server. A host name is looked up for each client.
    pub fn tcp(host: impl Into<String>, port: u16) -> Server {
        Server::new(Inner::Tcp { host: host.into(), port })
    }

    /// Returns the server that a relay stands in front of.
    pub(crate) fn behind(behind: Behind) -> Server {
        Server::new(Inner::Behind(behind))
    }

    /// Returns the address, if it is a Unix server.
    fn address(&self) -> Option<Cow<'_, Address>> {
        match &self.inner {
            Inner::Unix(address) => Some(Cow::Borrowed(address)),
            Inner::Behind(behind) => behind.address().map(Cow::Owned),
            _ => None,
        }
    }

    /// Returns a server in a virtual machine, or in its host (`AF_VSOCK`).
    pub fn vsock(cid: u32, port: u32) -> Server {
        Server::new(Inner::Vsock { cid, port })
    }

    /// Returns a program that is started for each client, with a socket as its standard input and
    /// output. It sees the end of what the client sends as the end of its input.
    pub fn exec(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Server {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Server::new(Inner::Exec(Program { program: program.into(), arguments }))
    }

    /// Returns this process's standard input and output, for one client.
    ///
    /// # Errors
    /// Returns an error if no thread can be started or no descriptor is left.
    pub fn stdio() -> io::Result<Server> {
        let end = once::stdio()?;
        Ok(Server::new(Inner::Once { name: "-", end: Arc::new(Mutex::new(Some(end))) }))
    }

    /// Returns a TCP server that is reached with TLS.
    #[cfg(feature = "tls")]
    pub fn tls(host: impl Into<String>, port: u16, tls: &Tls) -> Server {
        Server::new(Inner::Tls { host: host.into(), port, tls: tls.clone() })
    }

    /// Returns a server to which this function connects.
    pub fn custom(connect: impl Fn(&Caller<'_>) -> io::Result<Stream> + Send + Sync + 'static) -> Server {
        Server::new(Inner::Custom(Custom(Arc::new(connect))))
    }

    /// Sets the kind of a Unix server's socket, if it is not the one that clients connect with: see
    /// [`Relay::framed`](crate::Relay::framed).
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Server {
        self.kind = Some(kind);
        self
    }

    /// Returns whether datagrams can be sent to it as they are.
    pub(crate) fn takes_datagrams(&self) -> bool {
        matches!(self.inner, Inner::Unix(_) | Inner::Behind(_))
            && matches!(self.kind, None | Some(Kind::Datagram))
    }

    /// Creates a socket that sends datagrams to the server and gets the answers.
    pub(crate) fn datagram(&self) -> io::Result<Datagram> {
        let Some(address) = self.address() else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a byte stream does not keep the boundaries of datagrams unless they are framed",
            ));
        };
        let socket = Datagram::client(&*address).map_err(into_io)?;
        socket.set_nonblocking(true).map_err(into_io)?;
        Ok(socket)
    }

    /// Returns whether a connection is made without waiting, unless the backlog is full.
    pub(crate) fn may_answer_at_once(&self) -> bool {
        matches!(self.inner, Inner::Unix(_) | Inner::Behind(_) | Inner::Once { .. })
    }

    /// Connects a client that came with a socket of this kind, within the limit.
    pub(crate) fn connect(&self, caller: &Caller<'_>, kind: Kind, limit: Duration) -> io::Result<Connected> {
        if let Some(address) = self.address() {
            return unix(&address, self.kind.unwrap_or(kind), limit).map(Connected::from);
        }
        match &self.inner {
            Inner::Unix(_) | Inner::Behind(_) => Err(io::ErrorKind::InvalidInput.into()),
            Inner::Tcp { host, port } => {
                tcp(host, *port, limit).map(|stream| Connected::from(End::Tcp(stream)))
            }
            Inner::Vsock { cid, port } => {
                vsock::connect(*cid, *port, limit).map(|socket| Connected::from(End::Vsock(socket)))
            }
            Inner::Exec(program) => exec::start(program, self.kind.unwrap_or(kind)),
            Inner::Once { end, .. } => {
                let end = end.lock().unwrap_or_else(PoisonError::into_inner).take();
                end.map(Connected::from).ok_or_else(|| io::Error::other("it serves one client only"))
            }
            #[cfg(feature = "tls")]
            Inner::Tls { host, port, tls } => tls.connect(host, *port, limit).map(Connected::from),
            Inner::Custom(custom) => (custom.0)(caller).map(|stream| Connected::from(End::Stream(stream))),
        }
    }
}

fn unix(address: &Address, kind: Kind, limit: Duration) -> io::Result<End> {
    let connect = Connect::new(address).timeout(limit);
    match kind {
        Kind::SeqPacket => connect.seqpacket().map(End::SeqPacket),
        Kind::Datagram => Datagram::client(address).map(End::Datagram),
        _ => connect.stream().map(End::Stream),
    }
    .map_err(into_io)
}

/// Tries each address of the host.
pub(crate) fn tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
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
        match &self.inner {
            Inner::Unix(address) => address.fmt(f),
            Inner::Behind(behind) => behind.fmt(f),
            Inner::Tcp { host, port } => host_and_port(f, "tcp", host, *port),
            Inner::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Inner::Exec(program) => write!(f, "exec:{}", program.program.display()),
            Inner::Once { name, .. } => f.write_str(name),
            #[cfg(feature = "tls")]
            Inner::Tls { host, port, .. } => host_and_port(f, "tls", host, *port),
            Inner::Custom(_) => f.write_str("a program"),
        }
    }
}

fn host_and_port(f: &mut fmt::Formatter<'_>, scheme: &str, host: &str, port: u16) -> fmt::Result {
    match host.contains(':') {
        true => write!(f, "{scheme}:[{host}]:{port}"),
        false => write!(f, "{scheme}:{host}:{port}"),
    }
}
