//! Clients in the test's own process, with plain system calls: for tests that need many at once, or
//! ones that misbehave.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::sockopt::set_socket_timeout;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    recv, send, shutdown, socket_with,
};

use crate::LIMIT;

/// The longest message that [`Raw::hear`] receives.
const LARGEST: usize = 1 << 20;

/// A connected socket of any type. No call waits longer than [`LIMIT`].
#[derive(Debug)]
pub struct Raw(OwnedFd);

impl Raw {
    /// Connects to a path or `@name`. `kind` is `stream`, `dgram` or `seqpacket`; a datagram client
    /// can be answered.
    pub fn connect(kind: &str, place: &str) -> Result<Raw, Errno> {
        let socket = Raw::socket(kind);
        if kind == "dgram" {
            bind(&socket, &SocketAddrUnix::new_unnamed()).expect("autobind");
        }
        connect(&socket, &address(place))?;
        Ok(Raw(socket))
    }

    /// Creates a socket that is bound there, and neither listens nor receives.
    pub fn bound(kind: &str, place: &str) -> Raw {
        let socket = Raw::socket(kind);
        bind(&socket, &address(place)).expect("bind a fresh name");
        Raw(socket)
    }

    /// Sets the timeout of all calls.
    pub fn patience(self, limit: Duration) -> Raw {
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&self.0, side, Some(limit)).expect("set a time limit");
        }
        self
    }

    fn socket(kind: &str) -> OwnedFd {
        let kind = match kind {
            "stream" => SocketType::STREAM,
            "dgram" => SocketType::DGRAM,
            "seqpacket" => SocketType::SEQPACKET,
            other => panic!("no kind '{other}'"),
        };
        let socket =
            socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).expect("make a socket");
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, side, Some(LIMIT)).expect("set a time limit");
        }
        socket
    }

    /// Sends, and panics unless everything was sent.
    #[track_caller]
    pub fn say(&self, message: &[u8]) {
        let taken = send(&self.0, message, SendFlags::NOSIGNAL).expect("the server takes it");
        assert_eq!(taken, message.len(), "the server takes all of it");
    }

    /// Sends, and ignores the result.
    pub fn try_say(&self, message: &[u8]) -> Result<usize, Errno> {
        send(&self.0, message, SendFlags::NOSIGNAL)
    }

    /// Receives a message, or the available bytes of a stream. Empty at the end.
    pub fn try_hear(&self) -> Result<Vec<u8>, Errno> {
        let mut buffer = vec![0; LARGEST];
        let (len, _) = recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
        buffer.truncate(len);
        Ok(buffer)
    }

    /// Calls [`Raw::try_hear`], and panics on an error.
    #[track_caller]
    pub fn hear(&self) -> Vec<u8> {
        self.try_hear().expect("hear the server")
    }

    /// Returns whether a message is echoed.
    #[track_caller]
    pub fn is_echoed(&self, message: &[u8]) {
        self.say(message);
        assert_eq!(self.hear(), message);
    }

    /// Shuts down the write half.
    pub fn end(&self) {
        shutdown(&self.0, Shutdown::Write).expect("half-close");
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn address(place: &str) -> SocketAddrUnix {
    match place.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
        None => SocketAddrUnix::new(place),
    }
    .expect("an address that fits")
}
