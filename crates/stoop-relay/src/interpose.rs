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
    /// # Errors
    /// Returns an error if no server is bound to the path, if the server's socket has another kind,
    /// if another relay stands there already, if the file system cannot exchange two names, or if
    /// this process may not connect to the server or give the file the same permissions.
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

/// Looks, from time to time, whether the name still leads here and the server lives.
#[derive(Debug)]
pub(crate) struct NameWatch {
    last_look: Instant,
    is_displaced: bool,
}

impl NameWatch {
    /// How often it looks.
    pub(crate) const EVERY: Duration = Duration::from_millis(200);

    pub(crate) fn new() -> NameWatch {
        NameWatch { last_look: Instant::now(), is_displaced: false }
    }

    /// Returns, once, why the relay can no longer stand there.
    pub(crate) fn look(&mut self, file: Option<&SocketFile>) -> Option<Displaced> {
        if self.is_displaced || self.last_look.elapsed() < NameWatch::EVERY {
            return None;
        }
        self.last_look = Instant::now();
        let why = displaced(file);
        self.is_displaced = why.is_some();
        why
    }
}

/// Returns what has become of the name or the server, if a relay can no longer stand there.
fn displaced(file: Option<&SocketFile>) -> Option<Displaced> {
    let file = file?;
    let behind = internal::behind(file)?;
    if !file.is_in_place() {
        return Some(match file.path().symlink_metadata() {
            Err(_) => {
                wait_for_exit(file.path(), &behind.file);
                Displaced::NameRemoved
            }
            Ok(_) => Displaced::NameTaken,
        });
    }
    // Without an answer it is asked again.
    (internal::is_bound(&behind.file).ok() == Some(false)).then_some(Displaced::ServerClosed)
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
