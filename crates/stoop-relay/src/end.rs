//! One end of a relayed connection: a socket of either family, or a program's.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use stoop::{SeqPacket, Stream};

/// The socket of one end. Nonblocking.
#[derive(Debug)]
pub(crate) enum End {
    /// A Unix stream socket.
    Stream(Stream),
    /// A Unix seqpacket socket.
    SeqPacket(SeqPacket),
    /// A TCP connection.
    Tcp(TcpStream),
}

impl End {
    /// Ends one direction, or both. An end whose peer has closed needs none.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // An error means that the peer has closed, so there is nobody to tell.
        let _ = match self {
            End::Stream(stream) => stream.shutdown(how).map_err(drop),
            End::SeqPacket(socket) => socket.shutdown(how).map_err(drop),
            End::Tcp(stream) => stream.shutdown(how).map_err(drop),
        };
    }

    /// Returns the process and the user at the other end, if the kernel reports them.
    pub(crate) fn process_and_user(&self) -> (Option<u32>, Option<u32>) {
        let peer = match self {
            End::Stream(stream) => stream.peer(),
            End::SeqPacket(socket) => socket.peer(),
            End::Tcp(_) => return (None, None),
        };
        (peer.pid.known().copied(), peer.uid.known().copied())
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            End::Stream(stream) => stream.set_nonblocking(true).map_err(into_io),
            End::SeqPacket(socket) => socket.set_nonblocking(true).map_err(into_io),
            End::Tcp(stream) => stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)),
        }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Stream(stream) => stream.as_fd(),
            End::SeqPacket(socket) => socket.as_fd(),
            End::Tcp(stream) => stream.as_fd(),
        }
    }
}

/// Converts an error of `stoop`, which has the errno within.
pub(crate) fn into_io(error: stoop::Error) -> io::Error {
    error.into()
}
