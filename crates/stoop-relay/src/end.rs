//! One end of a relayed connection: a socket of any family, or a program's.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use stoop::{Datagram, Peer, SeqPacket, SocketExt, Stream};

use crate::fate::Fate;

/// How long a TCP connection may be silent before the kernel asks whether its peer still exists.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The socket of one end. Nonblocking.
#[derive(Debug)]
pub(crate) enum End {
    /// A Unix stream socket.
    Stream(Stream),
    /// A Unix seqpacket socket.
    SeqPacket(SeqPacket),
    /// A client's socket of a datagram server, which has no end of its own.
    Datagram(Datagram),
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection to or from a virtual machine.
    Vsock(socket2::Socket),
    /// This side of a socketpair. A bridge moves what goes through it to and from elsewhere.
    Bridged(Stream, Arc<Fate>),
}

/// A connection to the server, and the process that serves it, if it was started for it.
pub(crate) struct Connected {
    pub(crate) end: End,
    pub(crate) child: Option<std::process::Child>,
}

impl From<End> for Connected {
    fn from(end: End) -> Connected {
        Connected { end, child: None }
    }
}

impl End {
    /// Ends one direction, or both. An end whose peer has closed needs none.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // An error means that the peer has closed, so there is nobody to tell.
        let _ = match self {
            End::Stream(stream) | End::Bridged(stream, _) => stream.shutdown(how).map_err(drop),
            End::SeqPacket(socket) => socket.shutdown(how).map_err(drop),
            End::Datagram(_) => Ok(()),
            End::Tcp(stream) => stream.shutdown(how).map_err(drop),
            End::Vsock(socket) => socket.shutdown(how).map_err(drop),
        };
    }

    /// Prepares a reset: when this end is closed, its peer gets one. Returns false if the peer will
    /// see an end instead.
    ///
    /// A Unix socket resets its peer if it is closed with unread data ([K-END-3]), and only then;
    /// TCP, if it is told not to linger ([K-TCP-1]).
    ///
    /// [K-END-3]: stoop::kernel_facts#K-END-3
    /// [K-TCP-1]: stoop::kernel_facts#K-TCP-1
    pub(crate) fn reset(&self) -> bool {
        match self {
            End::Stream(stream) => stream.unread_bytes().is_ok_and(|bytes| bytes > 0),
            End::SeqPacket(socket) => socket.unread_bytes().is_ok_and(|bytes| bytes > 0),
            End::Datagram(_) | End::Vsock(_) => false,
            End::Tcp(stream) => sockopt::set_socket_linger(stream, Some(Duration::ZERO)).is_ok(),
            End::Bridged(_, fate) => {
                fate.reset_other_side();
                true
            }
        }
    }

    /// Returns whether a reset would discard bytes that are still on their way.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            End::Tcp(stream) => {
                stoop::internal::query::unsent_bytes(stream.as_fd()).is_ok_and(|bytes| bytes > 0)
            }
            _ => false,
        }
    }

    /// Returns whether this end was reset on the other side of its bridge, so that what reads as
    /// an end is a reset.
    pub(crate) fn is_reset_beyond(&self) -> bool {
        matches!(self, End::Bridged(_, fate) if fate.was_reset())
    }

    /// Returns why its bridge was broken, once.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        match self {
            End::Bridged(_, fate) => fate.take_error(),
            _ => None,
        }
    }

    /// Returns whether it carries bytes without boundaries.
    pub(crate) fn is_byte_stream(&self) -> bool {
        !matches!(self, End::SeqPacket(_) | End::Datagram(_))
    }

    /// Returns the process at the other end. The kernel knows none behind TCP.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            End::Stream(stream) => Some(stream.peer()),
            End::SeqPacket(socket) => Some(socket.peer()),
            End::Datagram(_) | End::Tcp(_) | End::Vsock(_) | End::Bridged(..) => None,
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            End::Stream(stream) | End::Bridged(stream, _) => stream.set_nonblocking(true).map_err(into_io),
            End::SeqPacket(socket) => socket.set_nonblocking(true).map_err(into_io),
            End::Datagram(socket) => socket.set_nonblocking(true).map_err(into_io),
            End::Tcp(stream) => stream.set_nonblocking(true).and_then(|()| prepare_tcp(stream)),
            End::Vsock(socket) => socket.set_nonblocking(true),
        }
    }
}

/// So much in one piece is bulk. The larger the send buffer then, the fewer times the processes at
/// both ends and the relay take turns.
pub(crate) const BULK_BYTES: usize = 128 * 1024;
const SEND_BUFFER_BYTES: usize = 512 * 1024;

/// Enlarges the send buffer, as far as the system allows.
pub(crate) fn enlarge_send_buffer(stream: &Stream) {
    if stream.send_buffer_bytes().is_ok_and(|bytes| bytes < SEND_BUFFER_BYTES) {
        // With a smaller one it is slower, and no more than that.
        let _ = stream.set_send_buffer_bytes(SEND_BUFFER_BYTES);
    }
}

/// Prepares a TCP connection: no delay, and an end if its peer's machine no longer answers.
pub(crate) fn prepare_tcp(stream: impl AsFd) -> io::Result<()> {
    let stream = stream.as_fd();
    sockopt::set_tcp_nodelay(stream, true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE / 6)?;
    sockopt::set_tcp_keepcnt(stream, 6)?;
    Ok(())
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            End::Stream(stream) | End::Bridged(stream, _) => stream.as_fd(),
            End::SeqPacket(socket) => socket.as_fd(),
            End::Datagram(socket) => socket.as_fd(),
            End::Tcp(stream) => stream.as_fd(),
            End::Vsock(socket) => socket.as_fd(),
        }
    }
}

/// Converts an error of `stoop`, which has the errno within.
pub(crate) fn into_io(error: stoop::Error) -> io::Error {
    error.into()
}
