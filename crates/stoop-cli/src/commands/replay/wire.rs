//! A connection to play on.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use stoop::{Datagram, SeqPacket, Stream};

/// How much is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A connection, or the socket of a client of a datagram socket. Nonblocking.
#[derive(Debug)]
pub(super) enum Wire {
    Stream(Stream),
    SeqPacket(SeqPacket),
    Datagram(Datagram),
    Tcp(TcpStream),
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    Data(Vec<u8>),
    End,
    Nothing,
}

impl Wire {
    pub(super) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Wire::Stream(stream) => stream.set_nonblocking(true).map_err(io::Error::from),
            Wire::SeqPacket(socket) => socket.set_nonblocking(true).map_err(io::Error::from),
            Wire::Datagram(socket) => socket.set_nonblocking(true).map_err(io::Error::from),
            Wire::Tcp(stream) => stream.set_nonblocking(true),
        }
    }

    pub(super) fn is_stream(&self) -> bool {
        matches!(self, Wire::Stream(_) | Wire::Tcp(_))
    }

    /// Sends what the other end takes at once. Returns how much: all of a message, or none.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Stream(stream) => (&*stream).write(bytes),
            Wire::Tcp(stream) => (&*stream).write(bytes),
            Wire::SeqPacket(socket) => socket.send(bytes).map(|_| bytes.len()).map_err(io::Error::from),
            Wire::Datagram(socket) => socket.send(bytes).map(|_| bytes.len()).map_err(io::Error::from),
        }
    }

    /// Receives what has come. A reset is an end.
    pub(super) fn receive(&self) -> io::Result<Came> {
        let result = match self {
            Wire::Stream(stream) => piece(stream),
            Wire::Tcp(stream) => piece(stream),
            Wire::SeqPacket(socket) => socket.recv_vec().map_err(io::Error::from),
            Wire::Datagram(socket) => {
                socket.recv_vec().map(|(bytes, _)| Some(bytes)).map_err(io::Error::from)
            }
        };
        match result {
            Ok(Some(bytes)) => Ok(Came::Data(bytes)),
            Ok(None) => Ok(Came::End),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(Came::Nothing),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(Came::End),
                _ => Err(error),
            },
        }
    }

    /// Ends the sending direction. A datagram socket has none.
    pub(super) fn shut(&self) {
        // An error means that the other end has closed.
        let _ = match self {
            Wire::Stream(stream) => stream.shutdown(Shutdown::Write).map_err(drop),
            Wire::SeqPacket(socket) => socket.shutdown(Shutdown::Write).map_err(drop),
            Wire::Tcp(stream) => stream.shutdown(Shutdown::Write).map_err(drop),
            Wire::Datagram(_) => Ok(()),
        };
    }

    /// Waits until something came, or until more can be sent. Returns false if the time has passed.
    pub(super) fn wait(&self, to_send: bool, until: Instant) -> io::Result<bool> {
        let flags = if to_send { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let limit = Timespec::try_from(left).unwrap_or_else(|_| longest());
            match poll(&mut [PollFd::new(self, flags)], Some(&limit)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Reads a piece of a stream, or its end.
fn piece(mut stream: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut room = vec![0; PIECE_BYTES];
    let len = stream.read(&mut room)?;
    room.truncate(len);
    Ok((len > 0).then_some(room))
}

fn longest() -> Timespec {
    Timespec::try_from(Duration::from_secs(86_400)).unwrap_or_default()
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Wire::Stream(stream) => stream.as_fd(),
            Wire::SeqPacket(socket) => socket.as_fd(),
            Wire::Datagram(socket) => socket.as_fd(),
            Wire::Tcp(stream) => stream.as_fd(),
        }
    }
}
