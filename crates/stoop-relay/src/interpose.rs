//! Standing in front of a live server, at the server's own name.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stoop::internal::{self, Restored};
use stoop::{Address, Bind, Kind, SocketFile};

use crate::behind::Behind;
use crate::event::Displaced;
use crate::front::{Front, Listening, Source};
use crate::server::Server;

/// How long a server may take to exit after it has removed the name.
const EXIT_LIMIT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(20);

/// How often what waits in the private directory is touched: programs that clean up remove what has
/// not been used for hours or days.
const KEEP_EVERY: Duration = Duration::from_secs(600);

impl Front {
    /// Takes over the name of a live server, whose socket has this kind, without an instant in
    /// which clients are refused. Returns the socket that clients then reach, and the server behind
    /// it.
    ///
    /// The socket file gets the owner, the mode and the access control list of the server's.
    /// Clients that have connected before stay with the server. Stopping the relay gives the name
    /// back. If the process is killed, [`restore`] does, and so does the next bind of this user at
    /// the name.
    ///
    /// If another relay stands there already, [`Bind::replace`] takes its place: no client is
    /// refused, and the other learns it ([`Displaced::HandedOver`]).
    ///
    /// # Errors
    /// Returns an error if no server is bound to the path, if the server's socket has another kind,
    /// if another relay stands there already and is not to be replaced, if the file system cannot
    /// exchange two names, or if this process may not connect to the server or give the file the
    /// same permissions.
    pub fn interpose(bind: Bind, kind: Kind) -> stoop::Result<(Front, Server)> {
        let bind = internal::interpose(bind);
        let source = match kind {
            Kind::Stream => Source::Connections(Listening::Stream(bind.listen()?)),
            Kind::SeqPacket => Source::Connections(Listening::SeqPacket(bind.listen_seqpacket()?)),
            Kind::Datagram => Source::Datagrams(bind.datagram()?),
        };
        // Only a path has a file to stand in front of; binding has refused anything else.
        let server = match source.server() {
            Some(server) => server,
            None => Server::unix(Address::path("")?),
        };
        Ok((Front(source), server))
    }
}

impl Source {
    /// Returns the server that it stands in front of, if there is one.
    fn server(&self) -> Option<Server> {
        self.file().and_then(internal::behind).map(|behind| Server::behind(Behind::new(behind.clone())))
    }
}

/// Gives a live server the name back that a relay in front of it has left when it was killed.
/// Returns whether it did: `false` if nothing was left, or if a live socket has the name.
///
/// # Errors
/// Returns an error if the directory cannot be opened, or if what was left belongs to another user.
pub fn restore(path: impl AsRef<Path>) -> stoop::Result<bool> {
    internal::restore(path.as_ref()).map(|restored| restored == Restored::Server)
}

/// A socket that stands in front of a live server, at the server's own name: [`Front::interpose`].
#[derive(Debug)]
pub struct Interposition {
    behind: Behind,
    last_look: Instant,
    last_kept: Instant,
    is_displaced: bool,
}

impl Interposition {
    /// How often it should be looked at.
    pub const EVERY: Duration = Duration::from_millis(200);

    /// Returns that of a socket file, if it stands in front of a server.
    pub fn of(file: &SocketFile) -> Option<Interposition> {
        let behind = Behind::new(internal::behind(file)?.clone());
        let now = Instant::now();
        behind.keep_fresh();
        Some(Interposition { behind, last_look: now, last_kept: now, is_displaced: false })
    }

    /// Returns an address that leads to the server behind, as long as this value lives, or the
    /// socket in front is open. `None` without `/proc`.
    pub fn server(&self) -> Option<Address> {
        self.behind.address()
    }

    /// Returns, once, why the socket can no longer stand there. Call it at least as often as
    /// [`Interposition::EVERY`]; more often does nothing. It also keeps what waits in the private
    /// directory from looking old to programs that clean up.
    pub fn displaced(&mut self) -> Option<Displaced> {
        if self.is_displaced || self.last_look.elapsed() < Interposition::EVERY {
            return None;
        }
        self.last_look = Instant::now();
        if self.last_kept.elapsed() >= KEEP_EVERY {
            self.last_kept = self.last_look;
            self.behind.keep_fresh();
        }
        let why = displaced(&self.behind);
        self.is_displaced = why.is_some();
        why
    }
}

/// Returns what has become of the name or the server, if a socket can no longer stand there.
fn displaced(behind: &Behind) -> Option<Displaced> {
    let server = behind.inner();
    if server.is_in_place() {
        // Without an answer it is asked again.
        return (internal::is_bound(&server.file).ok() == Some(false)).then_some(Displaced::ServerClosed);
    }
    let name = server.front_path();
    Some(match name.symlink_metadata() {
        Err(_) => {
            wait_for_exit(&name, &server.file);
            Displaced::NameRemoved
        }
        Ok(_) if server.is_handed_over() => Displaced::HandedOver,
        Ok(_) => Displaced::NameTaken,
    })
}

/// Waits for a server that has removed the name because it exits: given back to it now, the name
/// would be left behind.
fn wait_for_exit(name: &Path, behind: &OwnedFd) {
    let end = Instant::now() + EXIT_LIMIT;
    while Instant::now() < end
        && internal::is_bound(behind).unwrap_or(false)
        && name.symlink_metadata().is_err()
    {
        thread::sleep(RETRY);
    }
}
