//! Binding a socket to an address. A path is bound directly if the name is free, otherwise under
//! the lock.

use std::os::fd::AsFd;
use std::path::Path;

use super::interpose::{self, Model};
use super::location::{Bindable, Location};
use super::permissions::Permissions;
use super::refusal::refused;
use super::release::SocketFile;
use super::staging::Staging;
use super::stale::{self, Occupant};
use super::{LOCK_WAIT, binding, in_use, parents};
use crate::Address;
use crate::error::{Error, ErrorKind, Result};
use crate::file_id::FileId;
use crate::socket::Socket;
use crate::sys::{self, RawAddress};

/// How often to retry if a process that does not use the lock changes the name in between.
const TRIES: usize = 16;

/// The attributes of a socket file, and whether it replaces that of a live server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FileOptions {
    pub(crate) permissions: Permissions,
    /// The mode of missing parent directories. If `None`, they are not created.
    pub(crate) parents: Option<u32>,
    pub(crate) replace: bool,
    /// Whether a file is stale if no socket of this machine is bound to it by its path.
    pub(crate) assume_stale: bool,
    /// Whether to take over the name of a live server, and keep its file to give it back.
    pub(crate) interpose: bool,
}

impl FileOptions {
    /// Returns whether they have an effect that only a file can have.
    pub(crate) fn sets_attributes(&self) -> bool {
        self.permissions.are_requested() || self.parents.is_some()
    }
}

/// Binds a socket to an address. `make` creates one for each attempt, and `start` makes it ready
/// for clients before it is published under a name that is in use.
///
/// There is a socket file if the address is a path. If it is unnamed, the kernel assigns an
/// abstract name.
pub(crate) fn bind(
    address: &Address,
    options: FileOptions,
    make: &dyn Fn() -> Result<Socket>,
    start: &dyn Fn(&Socket) -> Result<()>,
) -> Result<(Socket, Option<SocketFile>)> {
    if let Some(path) = address.as_pathname() {
        let (socket, file) = Creation { options, start }.bind(path, make)?;
        return Ok((socket, Some(file)));
    }
    let socket = make()?;
    let raw = address.as_abstract_name().map_or(RawAddress::autobind(), RawAddress::abstract_name);
    sys::bind(socket.as_fd(), &raw).map_err(binding)?;
    start(&socket)?;
    Ok((socket, None))
}

/// What to do about the file that has the name.
enum Plan {
    /// There is none.
    Create,
    /// Remove it: it is stale.
    Remove(FileId),
    /// Replace it at once, without a moment in which there is none.
    Replace(FileId),
    /// Take the name over from it, and keep it.
    Interpose(FileId),
}

fn liveness_unknown(why: &str) -> Error {
    let detail =
        format!("no socket of this machine is bound to the socket file through this mount, but {why}");
    in_use().with_kind(ErrorKind::LivenessUnknown).with_detail(detail)
}

struct Creation<'a> {
    options: FileOptions,
    start: &'a dyn Fn(&Socket) -> Result<()>,
}

impl Creation<'_> {
    fn bind(&self, path: &Path, make: &dyn Fn() -> Result<Socket>) -> Result<(Socket, SocketFile)> {
        if let Some(mode) = self.options.parents {
            parents::create_parents(path, mode)?;
        }
        let location = Location::open(path)?;
        for _ in 0..TRIES {
            // A socket can be bound only once, so each attempt needs a new one (K-BIND-12).
            let socket = make()?;
            // What a killed relay has left is recovered under the lock, before the name is judged.
            let is_first_recovered = self.options.interpose && Staging::is_there(&location);
            let plan = match is_first_recovered {
                true => None,
                false => Some(self.plan(stale::examine(&location)?)?),
            };
            let placed = match (plan, location.bindable()) {
                // bind(2) fails if the name exists, so it needs no lock here, and no other file
                // ever appears in the directory.
                (Some(Plan::Create), Some(bindable)) if !Staging::is_there(&location) => {
                    self.directly(&socket, &location, &bindable, None)
                }
                _ => self.under_lock(&socket, &Staging::enter(&location, LOCK_WAIT)?, &location),
            };
            match placed {
                // Another process bound the name first: examine it again.
                Err(error) if error.is_in_use() => {}
                placed => return placed.map(|file| (socket, file)),
            }
        }
        Err(in_use().with_detail("another process keeps binding and removing the same name"))
    }

    /// Returns what to do about the file that has the name, or why nothing is done.
    fn plan(&self, occupant: Occupant) -> Result<Plan> {
        let FileOptions { replace, assume_stale, interpose, .. } = self.options;
        if interpose {
            return interpose::server(occupant).map(Plan::Interpose);
        }
        match occupant {
            Occupant::Nothing => Ok(Plan::Create),
            Occupant::Stale(file) => Ok(Plan::Remove(file)),
            Occupant::MaybeStale(file, _) if assume_stale && !replace => Ok(Plan::Remove(file)),
            Occupant::MaybeStale(file, _) | Occupant::Live(file, _) if replace => Ok(Plan::Replace(file)),
            Occupant::MaybeStale(_, why) => Err(liveness_unknown(&why)),
            Occupant::Live(_, Some(path)) => Err(in_use().with_server_at(path)),
            Occupant::Live(_, None) => Err(in_use()),
            Occupant::Unknown(detail) => Err(in_use().with_detail(detail)),
        }
    }

    /// Binds under the final name, which is free. Tools then show that path indefinitely
    /// ([K-NAME-1]).
    ///
    /// [K-NAME-1]: crate::kernel_facts#K-NAME-1
    fn directly(
        &self,
        socket: &Socket,
        location: &Location,
        bindable: &Bindable,
        staging: Option<&Staging>,
    ) -> Result<SocketFile> {
        let permissions = self.permissions(bindable.is_own_path);
        permissions.before_bind(socket)?;
        let reserved = location.reserve()?;
        sys::bind(socket.as_fd(), &bindable.raw).map_err(|cause| refused(location, cause))?;
        drop(reserved);
        let file = SocketFile::new(location, location.bound_file(socket)?)?;
        match self.finish(socket, &file, permissions) {
            Ok(()) => Ok(file),
            Err(error) => {
                // If this call does not hold the lock, dropping the file takes it.
                if let Some(staging) = staging {
                    file.discard(staging);
                }
                Err(error)
            }
        }
    }

    /// Binds, under the lock, a name that is occupied or too long for the kernel. Under the lock,
    /// the occupant is examined once more.
    fn under_lock(&self, socket: &Socket, staging: &Staging, location: &Location) -> Result<SocketFile> {
        match self.plan(stale::examine(location)?)? {
            Plan::Replace(file) => {
                let new = self.in_staging(socket, staging)?;
                return staging.publish_over(new, file);
            }
            Plan::Interpose(file) => return self.interpose(socket, staging, location, file),
            Plan::Remove(file) => staging.remove(file).map_err(|errno| binding(errno.into()))?,
            Plan::Create => {}
        }
        match location.bindable() {
            Some(bindable) => self.directly(socket, location, &bindable, Some(staging)),
            // Bind under a short name first, then rename.
            None => staging.publish_new(self.in_staging(socket, staging)?),
        }
    }

    /// Binds in the staging directory with the permissions of the server's file, and exchanges the
    /// two; or, if another relay is to be replaced, the two files in front of the server.
    fn interpose(
        &self,
        socket: &Socket,
        staging: &Staging,
        location: &Location,
        server: FileId,
    ) -> Result<SocketFile> {
        let front = location.open_entry(&location.name).map_err(binding)?;
        let waiting = staging.behind(&front).filter(|_| self.options.replace);
        let model = match &waiting {
            Some((name, id)) => Model::of(&staging.inside(name.clone())?, *id, socket.kind())?,
            None => {
                staging.require_empty()?;
                Model::of(location, server, socket.kind())?
            }
        };
        let options = FileOptions { permissions: model.permissions(), ..self.options };
        let new = Creation { options, start: self.start }.in_staging(socket, staging);
        let new = new.map_err(|error| match error.kind() {
            ErrorKind::NotPermitted => interpose::not_alike(&error),
            _ => error,
        })?;
        match model.apply_to(&new) {
            Ok(()) => match waiting {
                Some((name, _)) => staging.publish_in_turn(new, model, server, &name),
                None => staging.publish_before(new, model),
            },
            Err(error) => Err(staging.discard(new, error)),
        }
    }

    /// Binds in the staging directory, sets permissions and listens: the socket is ready to be
    /// published.
    fn in_staging(&self, socket: &Socket, staging: &Staging) -> Result<SocketFile> {
        let permissions = self.permissions(false);
        permissions.before_bind(socket)?;
        let file = staging.bind(socket)?;
        match self.finish(socket, &file, permissions) {
            Ok(()) => Ok(file),
            Err(error) => Err(staging.discard(file, error)),
        }
    }

    /// Returns the permissions for a file. Without its own path in the kernel's table, it needs the
    /// bit that keeps cleaners away.
    fn permissions(&self, is_own_path: bool) -> Permissions {
        Permissions { is_sticky: !is_own_path, ..self.options.permissions }
    }

    /// Sets the permissions of a bound file, then starts listening.
    fn finish(&self, socket: &Socket, file: &SocketFile, permissions: Permissions) -> Result<()> {
        permissions.after_bind(file).and_then(|()| (self.start)(socket))
    }
}
