//! Servers: sockets of every kind, in every state that affects the result of a call.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    listen, sendto, shutdown, socket_with,
};
use stoop::Kind;

use super::rng::Rng;

/// A bound socket, and the sockets that keep it in its state.
pub struct Server {
    pub kind: Kind,
    pub state: State,
    pub name: Name,
    /// The socket itself, or `None` once it is closed.
    pub socket: Option<OwnedFd>,
    /// Clients, datagram peers, and accepted sockets that outlive their listener.
    pub around: Vec<OwnedFd>,
}

/// The name by which it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    File { dev: u64, ino: u64 },
    Abstract { name: Vec<u8>, other_network: bool },
}

/// The state that decides. Not every combination is possible for every kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    pub closed: bool,
    /// For stream and seqpacket sockets: whether it never called listen.
    pub silent: bool,
    /// Whether it was bound by a client, and is connected.
    pub client: bool,
    pub shut: bool,
    pub full: bool,
    /// For datagram sockets: whether it is connected to another peer.
    pub elsewhere: bool,
}

pub fn raw_kind(kind: Kind) -> SocketType {
    match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::Datagram => SocketType::DGRAM,
        Kind::SeqPacket => SocketType::SEQPACKET,
    }
}

pub fn socket(kind: Kind) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, raw_kind(kind), flags, None).expect("make a socket")
}

impl State {
    fn random(rng: &mut Rng, kind: Kind) -> State {
        let (often, seldom) = (20, 8);
        let closed = rng.chance(12);
        if kind == Kind::Datagram {
            let (elsewhere, full) = (rng.chance(often), rng.chance(often));
            // Both at once is a separate case: the kernel checks one first (K-DGRAM-20).
            let shut = rng.chance(if full { often } else { seldom });
            return State { closed, elsewhere, full, shut, ..State::default() };
        }
        let client = rng.chance(seldom);
        let silent = client || rng.chance(often);
        State { closed, client, silent, shut: rng.chance(seldom), full: rng.chance(often), elsewhere: false }
    }
}

/// Binds a socket and brings it into a random state. Must run in the network namespace in which the
/// socket is to exist.
pub fn random(rng: &mut Rng, kind: Kind, address: &SocketAddrUnix, name: impl FnOnce() -> Name) -> Server {
    let state = State::random(rng, kind);
    let server = socket(kind);
    bind(&server, address).expect("bind a server's socket");
    let mut server = Server { kind, state, name: name(), socket: Some(server), around: Vec::new() };
    server.settle(rng, address);
    server
}

impl Server {
    /// Creates a server for which every call succeeds.
    pub fn good(kind: Kind, address: &SocketAddrUnix, name: impl FnOnce() -> Name) -> Server {
        let server = socket(kind);
        bind(&server, address).expect("bind a server's socket");
        if kind.is_connected() {
            listen(&server, 5).expect("listen");
        }
        Server { kind, state: State::default(), name: name(), socket: Some(server), around: Vec::new() }
    }

    fn settle(&mut self, rng: &mut Rng, address: &SocketAddrUnix) {
        match self.kind {
            Kind::Datagram => self.settle_datagram(rng, address),
            _ if self.state.client => self.settle_client(),
            _ if !self.state.silent => self.settle_listener(rng, address),
            _ => {}
        }
        let socket = self.socket.as_ref().expect("it is open");
        if self.state.shut {
            // An unconnected socket can be shut down as well. For some kinds the call fails with
            // ENOTCONN nevertheless.
            let _ = shutdown(socket, Shutdown::Read);
        }
        if self.state.closed {
            self.socket = None;
        }
    }

    fn settle_listener(&mut self, rng: &mut Rng, address: &SocketAddrUnix) {
        let socket = self.socket.as_ref().expect("it is open");
        let backlog = rng.below(3);
        listen(socket, backlog as i32).expect("listen");
        // Accepted sockets have the listener's name, but cannot be connected to.
        for _ in 0..rng.below(3) {
            let client = self::socket(self.kind);
            connect(&client, address).expect("connect");
            self.around.extend([client, rustix::net::accept(socket).expect("accept")]);
        }
        let full = backlog + 1;
        let waiting = if self.state.full { full } else { rng.below(full) };
        for _ in 0..waiting {
            let client = self::socket(self.kind);
            connect(&client, address).expect("fill the backlog");
            self.around.push(client);
        }
        if self.state.closed && waiting > 0 {
            // An accepted socket that outlives its listener keeps its name, but cannot be connected
            // to.
            self.around.push(rustix::net::accept(socket).expect("accept a survivor"));
        }
    }

    fn settle_client(&mut self) {
        let socket = self.socket.as_ref().expect("it is open");
        let other = self::socket(self.kind);
        rustix::net::bind(&other, &SocketAddrUnix::new_unnamed()).expect("let the kernel choose a name");
        listen(&other, 1).expect("listen");
        connect(socket, &rustix::net::getsockname(&other).expect("its name")).expect("connect");
        self.around.push(other);
    }

    fn settle_datagram(&mut self, rng: &mut Rng, address: &SocketAddrUnix) {
        let socket = self.socket.as_ref().expect("it is open");
        let sender = self::socket(Kind::Datagram);
        let mut room = if self.state.full { usize::MAX } else { rng.below(4) };
        while room > 0 && sendto(&sender, b"x", SendFlags::DONTWAIT, address).is_ok() {
            room -= 1;
        }
        if rng.chance(25) {
            // The kernel reports both as connected, but this one still receives from any sender.
            connect(&sender, address).expect("name the receiver");
            self.around.push(sender);
        }
        if self.state.elsewhere {
            let partner = self::socket(Kind::Datagram);
            rustix::net::bind(&partner, &SocketAddrUnix::new_unnamed())
                .expect("let the kernel choose a name");
            connect(socket, &rustix::net::getsockname(&partner).expect("its name")).expect("connect");
            // A socket does not notice that its peer was closed.
            self.around.extend(Some(partner).filter(|_| rng.chance(80)));
        }
    }

    /// Accepts and receives everything that is queued, so that the next call finds queue space.
    pub fn drain(&self) {
        let Some(socket) = &self.socket else { return };
        // Limited, because a socket that was shut down is always readable.
        for _ in 0..64 {
            let _ = rustix::net::accept_with(socket, SocketFlags::CLOEXEC);
            let _ = rustix::net::recv(socket, &mut [0; 16], RecvFlags::DONTWAIT | RecvFlags::TRUNC);
        }
    }
}

/// Returns the device and inode of the file at this path.
pub fn file_at(path: &Path) -> Name {
    let stat = rustix::fs::lstat(path).expect("what was just made is there");
    Name::File { dev: stat.st_dev, ino: stat.st_ino }
}
