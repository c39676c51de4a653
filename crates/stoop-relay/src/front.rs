//! The sockets that clients come from.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};

use stoop::{Arrival, Connected, Datagram, Kind, Listener, Refusal, SeqPacket, SocketFile, Stream};

use crate::end::{End, into_io};

/// The socket that clients come from: a listener of `stoop`, its datagram socket, or a TCP
/// listener.
#[derive(Debug)]
pub struct Front(pub(crate) Source);

#[derive(Debug)]
pub(crate) enum Source {
    Connections(Listening),
    Datagrams(Datagram),
}

impl Source {
    /// Returns the socket file, if there is one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Source::Connections(listener) => listener.file(),
            Source::Datagrams(socket) => socket.file(),
        }
    }
}

/// A listener.
#[derive(Debug)]
pub(crate) enum Listening {
    Stream(Listener<Stream>),
    SeqPacket(Listener<SeqPacket>),
    Tcp(TcpListener),
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

/// Who came.
pub(crate) enum Arrived {
    Client(End),
    Refused { pid: Option<u32>, uid: Option<u32>, reason: Refusal },
    Nobody,
}

impl Listening {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Listening::Stream(_) | Listening::Tcp(_) => Kind::Stream,
            Listening::SeqPacket(_) => Kind::SeqPacket,
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listening::Stream(listener) => listener.set_nonblocking(true).map_err(into_io),
            Listening::SeqPacket(listener) => listener.set_nonblocking(true).map_err(into_io),
            Listening::Tcp(listener) => listener.set_nonblocking(true),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Arrived> {
        let arrived = match self {
            Listening::Stream(listener) => listener.accept_any().map(|arrival| arrived(arrival, End::Stream)),
            Listening::SeqPacket(listener) => {
                listener.accept_any().map(|arrival| arrived(arrival, End::SeqPacket))
            }
            Listening::Tcp(listener) => {
                return match listener.accept() {
                    Ok((stream, _)) => Ok(Arrived::Client(End::Tcp(stream))),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Arrived::Nobody),
                    Err(error) => Err(error),
                };
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
            Listening::Tcp(_) => Ok(()),
        };
        released.map_err(into_io)
    }

    /// Returns the socket file, if it has one.
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match self {
            Listening::Stream(listener) => listener.file(),
            Listening::SeqPacket(listener) => listener.file(),
            Listening::Tcp(_) => None,
        }
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listening::Stream(listener) => listener.as_fd(),
            Listening::SeqPacket(listener) => listener.as_fd(),
            Listening::Tcp(listener) => listener.as_fd(),
        }
    }
}

fn arrived<C: Connected>(arrival: Arrival<C>, end: fn(C) -> End) -> Arrived {
    match arrival {
        Arrival::Accepted(client) => Arrived::Client(end(client)),
        Arrival::Refused { pid, uid, reason } => Arrived::Refused { pid, uid, reason },
    }
}
