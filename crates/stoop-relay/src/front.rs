//! The sockets that clients come from.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use stoop::{Arrival, Connected, Datagram, Kind, Listener, Peer, Refusal, SeqPacket, SocketFile, Stream};

use crate::end::{End, into_io};
use crate::queue::{Introduction, Newcomer, Queue, Queued};
#[cfg(feature = "tls")]
use crate::tls::{self, Tls};
use crate::{once, vsock};

/// The socket that clients come from: a listener of `stoop`, its datagram socket, or a TCP
/// listener.
#[derive(Debug)]
pub struct Front(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Connections(Listening),
    Datagrams(Datagram),
}

impl Front {
    /// Returns the kind of its socket.
    pub fn kind(&self) -> Kind {
        self.0.kind()
    }
}

impl Source {
    /// Returns the socket file, if there is one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Source::Connections(listener) => listener.file(),
            Source::Datagrams(socket) => socket.file(),
        }
    }

    /// Returns the kind of its socket.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Source::Connections(listener) => listener.kind(),
            Source::Datagrams(_) => Kind::Datagram,
        }
    }

    /// Returns its address, for those who read it.
    pub(crate) fn address(&self) -> String {
        let address = match self {
            Source::Connections(Listening::Stream(listener)) => listener.local_addr(),
            Source::Connections(Listening::SeqPacket(listener)) => listener.local_addr(),
            Source::Datagrams(socket) => socket.local_addr(),
            Source::Connections(Listening::Tcp(listener)) => {
                return listener.local_addr().map(|address| format!("tcp:{address}")).unwrap_or_default();
            }
            Source::Connections(Listening::Vsock(_)) => return "vsock".into(),
            Source::Connections(Listening::Queued(_)) => return String::new(),
        };
        address.map(|address| address.to_string()).unwrap_or_default()
    }
}

/// A listener.
#[derive(Debug)]
pub(crate) enum Listening {
    Stream(Listener<Stream>),
    SeqPacket(Listener<SeqPacket>),
    Tcp(TcpListener),
    Vsock(socket2::Socket),
    Queued(Queued),
}

impl From<Listener<Stream>> for Front {
    fn from(listener: Listener<Stream>) -> Front {
        Front(Source::Connections(Listening::Stream(listener)))
    }
}

impl From<Listener<SeqPacket>> for Front {
    fn from(listener: Listener<SeqPacket>) -> Front {
        Front(Source::Connections(Listening::SeqPacket(listener)))
    }
}

impl From<Datagram> for Front {
    fn from(socket: Datagram) -> Front {
        Front(Source::Datagrams(socket))
    }
}

impl From<TcpListener> for Front {
    fn from(listener: TcpListener) -> Front {
        Front(Source::Connections(Listening::Tcp(listener)))
    }
}

impl Front {
    /// Returns a front for one client: this process's standard input and output.
    ///
    /// # Errors
    /// Returns an error if no thread can be started or no descriptor is left.
    pub fn stdio() -> io::Result<Front> {
        let queue = Queue::new()?;
        queue.push(once::stdio().map(Newcomer::from));
        let queued = Queued { queue: Arc::new(queue), filler: None };
        Ok(Front(Source::Connections(Listening::Queued(queued))))
    }

    /// Returns a front without an address, and what connects to it: code of this process, and
    /// nothing else.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use stoop_relay::{Front, Relay, Server};
    ///
    /// let (front, connector) = Front::private()?;
    /// let server = Server::unix(stoop::Address::path("/run/app.sock")?);
    /// let relay = Relay::to(server).start(front)?;
    /// let client = connector.connect()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn private() -> io::Result<(Front, Connector)> {
        let queue = Arc::new(Queue::new()?);
        let queued = Queued { queue: Arc::clone(&queue), filler: None };
        Ok((Front(Source::Connections(Listening::Queued(queued))), Connector(queue)))
    }

    /// Listens for connections from virtual machines, or from their host (`AF_VSOCK`).
    ///
    /// # Errors
    /// Returns an error if the kernel has no such sockets, or the address cannot be bound.
    pub fn vsock(cid: u32, port: u32) -> io::Result<Front> {
        vsock::listen(cid, port).map(|socket| Front(Source::Connections(Listening::Vsock(socket))))
    }

    /// Accepts TLS connections of clients whose certificates are trusted.
    ///
    /// # Errors
    /// Returns an error if `tls` has no certificate of its own, or no thread can be started.
    #[cfg(feature = "tls")]
    pub fn tls(listener: TcpListener, tls: &Tls) -> io::Result<Front> {
        tls::listen(listener, tls).map(|queued| Front(Source::Connections(Listening::Queued(queued))))
    }
}

/// Connects to a relay that has no address: see [`Front::private`].
#[derive(Clone, Debug)]
pub struct Connector(Arc<Queue>);

impl Connector {
    /// Returns the client's end of a new connection to the relay. The relay closes it if it cannot
    /// reach its server.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left.
    pub fn connect(&self) -> stoop::Result<Stream> {
        self.introduce(None)
    }

    /// Connects on behalf of another process. The relay then takes that process for the client: in
    /// recordings, in PROXY headers, and when it connects as the client.
    ///
    /// # Errors
    /// Returns an error if no descriptor is left.
    pub fn connect_for(&self, client: &Peer) -> stoop::Result<Stream> {
        self.introduce(Some(client.clone()))
    }

    fn introduce(&self, peer: Option<Peer>) -> stoop::Result<Stream> {
        let (client, accepted) = Stream::pair()?;
        let introduction = Introduction { peer, ..Introduction::default() };
        self.0.push(Ok(Newcomer { end: End::Stream(accepted), introduction }));
        Ok(client)
    }
}

/// Who came.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum Arrived {
    Client(Newcomer),
    Refused {
        pid: Option<u32>,
        uid: Option<u32>,
        reason: Refusal,
    },
    /// A client that could not be accepted, for reasons of its own.
    Failed(io::Error),
    Nobody,
}

impl Listening {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Listening::Stream(_) | Listening::Tcp(_) | Listening::Vsock(_) | Listening::Queued(_) => {
                Kind::Stream
            }
            Listening::SeqPacket(_) => Kind::SeqPacket,
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listening::Stream(listener) => listener.set_nonblocking(true).map_err(into_io),
            Listening::SeqPacket(listener) => listener.set_nonblocking(true).map_err(into_io),
            Listening::Tcp(listener) => listener.set_nonblocking(true),
            Listening::Vsock(listener) => listener.set_nonblocking(true),
            Listening::Queued(_) => Ok(()),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Arrived> {
        let arrived = match self {
            Listening::Stream(listener) => listener.accept_any().map(|arrival| arrived(arrival, End::Stream)),
            Listening::SeqPacket(listener) => {
                listener.accept_any().map(|arrival| arrived(arrival, End::SeqPacket))
            }
            Listening::Tcp(listener) => {
                return accepted(listener.accept().map(|(stream, _)| End::Tcp(stream)));
            }
            Listening::Vsock(listener) => {
                return accepted(listener.accept().map(|(socket, _)| End::Vsock(socket)));
            }
            Listening::Queued(queued) => {
                return Ok(match queued.queue.pop() {
                    Some(Ok(newcomer)) => Arrived::Client(newcomer),
                    Some(Err(error)) => Arrived::Failed(error),
                    None => Arrived::Nobody,
                });
            }
        };
        match arrived {
            Err(error) if error.is_would_block() => Ok(Arrived::Nobody),
            other => other.map_err(into_io),
        }
    }

    /// Removes the socket file, or gives the name back to the server that had it. Clients that have
    /// connected can still be accepted.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        let released = match self {
            Listening::Stream(listener) => listener.release(),
            Listening::SeqPacket(listener) => listener.release(),
            Listening::Tcp(_) | Listening::Vsock(_) => Ok(()),
            Listening::Queued(queued) => {
                queued.filler = None;
                Ok(())
            }
        };
        released.map_err(into_io)
    }

    /// Returns the socket file, if it has one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Listening::Stream(listener) => listener.file(),
            Listening::SeqPacket(listener) => listener.file(),
            Listening::Tcp(_) | Listening::Vsock(_) | Listening::Queued(_) => None,
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listening::Stream(listener) => listener.as_fd(),
            Listening::SeqPacket(listener) => listener.as_fd(),
            Listening::Tcp(listener) => listener.as_fd(),
            Listening::Vsock(listener) => listener.as_fd(),
            Listening::Queued(queued) => queued.as_fd(),
        }
    }
}

fn accepted(result: io::Result<End>) -> io::Result<Arrived> {
    match result {
        Ok(end) => Ok(Arrived::Client(end.into())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Arrived::Nobody),
        Err(error) => Err(error),
    }
}

fn arrived<C: Connected>(arrival: Arrival<C>, end: fn(C) -> End) -> Arrived {
    match arrival {
        Arrival::Accepted(client) => Arrived::Client(end(client).into()),
        Arrival::Refused { pid, uid, reason } => Arrived::Refused { pid, uid, reason },
    }
}
