//! Taking a live server's name over and keeping the server's file, so that the name can be given
//! back: for a relay in front of the server.
//!
//! The two files are exchanged in one step, so clients reach one server or the other at any time.
//! The server's file stays in the private directory `.NAME.stoop`, where its inode keeps leading to
//! the server. A successor is exchanged with its predecessor in the same way. If the process in
//! front is killed, that is what a killed process leaves in any case: the next one to enter the
//! directory gives the live server its name back (`staging.rs`).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, Mode};
use rustix::io::Errno;

use super::behind::{Behind, waiting_name};
use super::location::{Location, descriptor_path};
use super::permissions::Permissions;
use super::release::SocketFile;
use super::staging::Staging;
use super::stale::Occupant;
use super::stat::{self, Stat};
use super::{LOCK_WAIT, binding, in_use, inherit, probe};
use crate::Kind;
use crate::diag::{Show, Table};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::file_id::FileId;

/// What came of [`restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Nothing had been left at this name.
    Nothing,
    /// The live server has its name again.
    Server,
    /// Only dead sockets had been left. They are removed.
    Leftovers,
    /// The name belongs to a live socket, so the server's file stays where it is.
    Taken,
}

/// Returns the server's file to take over, or why there is none.
pub(super) fn server(occupant: Occupant) -> Result<FileId> {
    let refused = |kind, detail: &str| Err(Error::new(Operation::Bind, kind, detail));
    match occupant {
        Occupant::Live(file, None) => Ok(file),
        Occupant::Live(_, Some(path)) => {
            let detail = format!("the server is bound to the file by another path, '{}'", path.display());
            refused(ErrorKind::Unsupported, &detail)
        }
        Occupant::Nothing => refused(ErrorKind::NotFound, "there is no socket file to stand in front of"),
        Occupant::Stale(_) => refused(ErrorKind::Refused, "no socket is bound to the socket file"),
        Occupant::MaybeStale(_, why) => refused(
            ErrorKind::LivenessUnknown,
            &format!("no socket of this machine is bound here, but {why}"),
        ),
        Occupant::Unknown(detail) => Err(in_use().with_detail(detail)),
    }
}

/// What the file in front takes over from the server's file.
pub(super) struct Model {
    file: OwnedFd,
    stat: Stat,
    gid: u32,
    /// Extended attributes that decide who may connect.
    attributes: Vec<inherit::Attribute>,
}

impl Model {
    /// Reads the server's file, and checks that a relay of this kind can connect to it.
    pub(super) fn of(location: &Location, seen: FileId, kind: Kind) -> Result<Model> {
        let file = location.open_entry(&location.name).map_err(binding)?;
        let failed = |errno: Errno| binding(errno.into());
        let stat = stat::of(&file).map_err(failed)?;
        if stat.id != seen || stat.kind != FileType::Socket {
            return Err(changed());
        }
        let path = descriptor_path(&file);
        rustix::fs::accessat(CWD, &path, Access::WRITE_OK, AtFlags::EACCESS).map_err(failed)?;
        require_kind(&file, kind)?;
        let gid = rustix::fs::fstat(&file).map_err(failed)?.st_gid;
        let attributes = inherit::read(&path).map_err(failed)?;
        Ok(Model { file, stat, gid, attributes })
    }

    /// Returns the permissions that let the same clients connect.
    pub(super) fn permissions(&self) -> Permissions {
        let is_for_everyone = self.stat.mode & 0o222 == 0o222 && self.attributes.is_empty();
        let keeps_owner = !is_for_everyone || rustix::process::geteuid().is_root();
        let mode = Some(self.stat.mode & 0o777);
        match keeps_owner {
            true => {
                Permissions { mode, uid: Some(self.stat.uid), gid: Some(self.gid), ..Permissions::default() }
            }
            false => Permissions { mode, ..Permissions::default() },
        }
    }

    /// Applies the extended attributes.
    pub(super) fn apply_to(&self, file: &SocketFile) -> Result<()> {
        let path = descriptor_path(&file.handle());
        let mode = stat::of(file.handle()).map(|file| file.mode);
        let applied = mode.and_then(|mode| {
            inherit::write(&path, &self.attributes)?;
            // An access control list of the directory has changed the bits of the group.
            rustix::fs::chmodat(
                CWD,
                &path,
                Mode::from_raw_mode(mode & !0o777 | self.stat.mode & 0o777),
                AtFlags::empty(),
            )
        });
        applied.map_err(|errno| not_alike(&binding(errno.into())))
    }

    /// Returns whether the server's file still is the one that was read, under this name.
    pub(super) fn is_at(&self, location: &Location) -> bool {
        stat::of(&self.file).is_ok_and(|file| location.refers_to(file.id))
    }
}

/// The file in front cannot get the server's permissions, so it would accept other clients.
pub(super) fn not_alike(cause: &Error) -> Error {
    let detail = format!(
        "the socket file in front cannot get the owner, the group and the attributes of the server's: {cause}"
    );
    Error::new(Operation::Bind, ErrorKind::NotPermitted, detail)
}

pub(super) fn changed() -> Error {
    in_use().with_detail("the server's file was replaced at the same moment")
}

/// Checks that the server's socket has this kind, as far as the kernel tells.
fn require_kind(file: &OwnedFd, kind: Kind) -> Result<()> {
    match kind_of(file) {
        Some(found) if found != kind => {
            let detail = format!("the server's socket is a {found} socket, and not a {kind} socket");
            Err(Error::new(Operation::Bind, ErrorKind::WrongKind, detail))
        }
        _ => Ok(()),
    }
}

/// Returns the kind of the socket bound to the file at this path, as far as the kernel tells.
pub fn kind_at(path: &Path) -> Option<Kind> {
    let location = Location::open(path).ok()?;
    kind_of(&location.open_entry(&location.name).ok()?)
}

fn kind_of(file: &OwnedFd) -> Option<Kind> {
    match probe::is_datagram(file) {
        Ok(true) => Some(Kind::Datagram),
        _ => listed_kind(stat::of(file).ok()?.id),
    }
}

/// Returns the kind of the socket bound to a file, if it is in this network namespace.
fn listed_kind(file: FileId) -> Option<Kind> {
    let mut sockets = Vec::new();
    // A table that changed meanwhile has the socket of a living server all the same.
    let _ = Table::open().ok()?.dump(Show::FILE, &mut sockets).ok()?;
    let is_it = |bound: FileId| bound.ino as u32 == file.ino as u32 && bound.dev == file.dev;
    sockets.into_iter().find(|socket| socket.file.is_some_and(is_it) && socket.peer.is_none())?.kind
}

/// What is ready for the moment of an exchange, after which nothing may fail.
struct Prepared {
    published: Location,
    behind: Behind,
    /// The name of the server's file in the private directory.
    waiting: OsString,
}

impl Prepared {
    fn new(location: &Location, file: &SocketFile, model: &Model) -> std::io::Result<Prepared> {
        let waiting = waiting_name(file.handle()).unwrap_or_else(|| file.name().to_owned());
        let server = (model.file.try_clone()?, model.stat.id);
        let front = file.handle().try_clone_to_owned()?;
        let behind = Behind::new(location.try_clone()?, front, &waiting, server)?;
        Ok(Prepared { published: location.try_clone()?, behind, waiting })
    }
}

impl Staging<'_> {
    /// Exchanges the socket bound in here with the server's file, which then stays in here.
    pub(super) fn publish_before(&self, file: SocketFile, model: Model) -> Result<SocketFile> {
        let prepared = match Prepared::new(self.location(), &file, &model) {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.discard(file, binding(error))),
        };
        if !model.is_at(self.location()) {
            return Err(self.discard(file, changed()));
        }
        let waiting = prepared.waiting.clone();
        if let Err(errno) = self.rename_inside(file.name(), &waiting) {
            return Err(self.discard(file, binding(errno.into())));
        }
        let exchanged = self.exchange(&waiting).and_then(|()| match self.id_of(&waiting)? == model.stat.id {
            true => Ok(()),
            false => self.exchange(&waiting).and(Err(Errno::EXIST)),
        });
        self.published(exchanged, file.renamed(waiting), prepared)
    }

    /// Exchanges the socket bound in here with the file that stands in front of the server now, and
    /// removes that file. The server's file has the name `waiting` in here.
    pub(super) fn publish_in_turn(
        &self,
        file: SocketFile,
        model: Model,
        predecessor: FileId,
        waiting: &OsStr,
    ) -> Result<SocketFile> {
        let prepared = match Prepared::new(self.location(), &file, &model) {
            Ok(prepared) => prepared,
            Err(error) => return Err(self.discard(file, binding(error))),
        };
        // From here on the name says that the server waits behind the new file. The predecessor
        // finds the server's file by its identity.
        if let Err(errno) = self.rename_inside(waiting, &prepared.waiting) {
            return Err(self.discard(file, binding(errno.into())));
        }
        let exchanged = match self.location().refers_to(predecessor) {
            true => self.exchange(file.name()).and_then(|()| self.dispose(file.name(), predecessor)),
            false => Err(Errno::EXIST),
        };
        if exchanged.is_err() {
            let _ = self.rename_inside(&prepared.waiting, waiting);
        }
        self.published(exchanged, file, prepared)
    }

    /// Returns what came of an exchange.
    fn published(
        &self,
        exchanged: rustix::io::Result<()>,
        file: SocketFile,
        prepared: Prepared,
    ) -> Result<SocketFile> {
        let error = match exchanged {
            Ok(()) => return Ok(file.moved_before(prepared.published, prepared.behind)),
            Err(Errno::EXIST | Errno::NOENT) => changed(),
            Err(Errno::INVAL | Errno::NOSYS) => Error::new(
                Operation::Bind,
                ErrorKind::Unsupported,
                "this file system cannot exchange two names, so clients would be refused in between",
            ),
            Err(errno) => binding(errno.into()),
        };
        Err(self.discard(file, error))
    }

    /// Returns the file of the live server that this file stands in front of: its name in here, and
    /// its identity.
    pub(super) fn behind(&self, front: impl AsFd) -> Option<(OsString, FileId)> {
        let name = waiting_name(front)?;
        let id = self.id_of(&name).ok()?;
        Some((name, id))
    }

    /// Gives the name back to the server's file, if it still belongs to this one. A server that has
    /// exited was removed on entering; then the file in front is removed as well.
    pub(super) fn give_back(&self, front: FileId, behind: FileId) -> rustix::io::Result<()> {
        if !self.location().refers_to(front) {
            return Ok(());
        }
        let entries = self.entries()?;
        let is_it = |entry: &&OsString| self.id_of(entry).is_ok_and(|there| there == behind);
        let Some(entry) = entries.iter().find(is_it) else { return self.remove(front) };
        match self.exchange(entry).and_then(|()| self.dispose(entry, front)) {
            // Another server took the name at this moment.
            Err(Errno::EXIST) => Ok(()),
            result => result,
        }
    }

    /// Checks that no other relay keeps its server in here.
    pub(super) fn require_empty(&self) -> Result<()> {
        match self.entries().map_err(|errno| binding(errno.into()))?.is_empty() {
            true => Ok(()),
            false => Err(Error::new(
                Operation::Bind,
                ErrorKind::Unsupported,
                "a relay stands in front of the server already",
            )),
        }
    }
}

/// Gives a live server the name back that a killed process has left without it, and removes what
/// else that process has left.
///
/// # Errors
/// Returns an error if the directory cannot be opened, or if what was left belongs to another user.
pub fn restore(path: &Path) -> Result<Restored> {
    let location = Location::open(path)?;
    let id = || stat::at(&location.directory, &location.name).ok().map(|file| file.id);
    if stat::at(&location.directory, &location.staging_name()).is_err() {
        return Ok(Restored::Nothing);
    }
    let before = id();
    let staging = Staging::enter(&location, LOCK_WAIT)?;
    let is_empty = staging.entries().map_err(|errno| binding(errno.into()))?.is_empty();
    Ok(match (is_empty, before == id()) {
        (false, _) => Restored::Taken,
        (true, true) => Restored::Leftovers,
        (true, false) => Restored::Server,
    })
}
