//! Where clients come from.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};

use stoop::{Arrival, Connected, Kind, Listener, Refusal, SeqPacket, Stream};

use crate::end::{End, into_io};

/// Where clients come from.
#[derive(Debug)]
pub enum Front {
    /// A Unix stream listener.
    Stream(Listener<Stream>),
    /// A Unix seqpacket listener.
    SeqPacket(Listener<SeqPacket>),
    /// A TCP listener.
    Tcp(TcpListener),
}

/// Who came.
pub(crate) enum Arrived {
    Client(End),
    Refused { pid: Option<u32>, uid: Option<u32>, reason: Refusal },
    Nobody,
}

impl Front {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Front::Stream(_) | Front::Tcp(_) => Kind::Stream,
            Front::SeqPacket(_) => Kind::SeqPacket,
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Front::Stream(listener) => listener.set_nonblocking(true).map_err(into_io),
            Front::SeqPacket(listener) => listener.set_nonblocking(true).map_err(into_io),
            Front::Tcp(listener) => listener.set_nonblocking(true),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Arrived> {
        let arrived = match self {
            Front::Stream(listener) => listener.accept_any().map(|arrival| arrived(arrival, End::Stream)),
            Front::SeqPacket(listener) => {
                listener.accept_any().map(|arrival| arrived(arrival, End::SeqPacket))
            }
            Front::Tcp(listener) => {
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

    /// Removes the socket file. Clients that have connected can still be accepted.
    pub(crate) fn release(&mut self) {
        // What cannot be removed is left to the next start, like the file of a killed server.
        let _ = match self {
            Front::Stream(listener) => listener.release(),
            Front::SeqPacket(listener) => listener.release(),
            Front::Tcp(_) => Ok(()),
        };
    }
}

impl AsFd for Front {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Front::Stream(listener) => listener.as_fd(),
            Front::SeqPacket(listener) => listener.as_fd(),
            Front::Tcp(listener) => listener.as_fd(),
        }
    }
}

fn arrived<C: Connected>(arrival: Arrival<C>, end: fn(C) -> End) -> Arrived {
    match arrival {
        Arrival::Accepted(client) => Arrived::Client(end(client)),
        Arrival::Refused { pid, uid, reason } => Arrived::Refused { pid, uid, reason },
    }
}
