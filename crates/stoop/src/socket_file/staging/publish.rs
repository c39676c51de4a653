//! Binding a socket in the private directory, and giving it its name from there: if the name is
//! free, or in exchange for the file that had it.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::{MARKER, Staging, failed};
use crate::error::{Error, Result};
use crate::file_id::FileId;
use crate::socket::Socket;
use crate::socket_file::refusal::refused;
use crate::socket_file::release::SocketFile;
use crate::socket_file::{binding, in_use, stat};
use crate::sys;

/// The name of a socket in the directory if its own name is too long for `bind`, or is the
/// marker's.
const STAGED: &str = "new";

impl Staging<'_> {
    /// Binds a socket in the directory.
    pub(in crate::socket_file) fn bind(&self, socket: &Socket) -> Result<SocketFile> {
        let own_name = self.inside(self.location.name.clone())?;
        let inside =
            match own_name.name != MARKER && own_name.bindable().is_some() && self.is_free(&own_name.name) {
                true => own_name,
                false => self.inside(self.free_name(STAGED))?,
            };
        let too_long = || binding(std::io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        let bindable = inside.bindable().ok_or_else(too_long)?;
        sys::bind(socket.as_fd(), &bindable.raw).map_err(|cause| refused(&inside, cause))?;
        SocketFile::new(&inside, inside.bound_file(socket)?)
    }

    /// Exchanges the socket bound in here with the file that was seen under the name, and removes
    /// that file. If another file has taken the name meanwhile, the exchange is undone.
    pub(in crate::socket_file) fn publish_over(&self, file: SocketFile, seen: FileId) -> Result<SocketFile> {
        // Clone before the exchange: nothing may fail once the name belongs to this socket.
        let published = self.location.try_clone().map_err(binding)?;
        let (entry, location) = (file.name().to_owned(), self.location);
        let exchanged = match self.exchange(&entry) {
            // The file was removed meanwhile, so this is an ordinary bind.
            Err(Errno::NOENT) => return self.publish_new(file),
            // The file system has no RENAME_EXCHANGE. A plain rename replaces as well, but cannot be
            // undone: the check comes right before it.
            Err(Errno::INVAL | Errno::NOSYS) => match stat::at(&location.directory, &location.name) {
                Err(Errno::NOENT) => return self.publish_new(file),
                Ok(there) if there.id == seen => {
                    rustix::fs::renameat(&self.directory, &entry, &location.directory, &location.name)
                }
                there => there.and(Err(Errno::EXIST)),
            },
            exchanged => exchanged.and_then(|()| self.dispose(&entry, seen)),
        };
        match exchanged {
            Ok(()) => Ok(file.moved_to(published)),
            Err(Errno::EXIST) => {
                let error = in_use().with_detail("another server took the name at the same moment");
                Err(self.discard(file, error))
            }
            Err(errno) => Err(self.discard(file, failed(errno))),
        }
    }

    /// Moves the socket bound in here to its name, which is free.
    pub(in crate::socket_file) fn publish_new(&self, file: SocketFile) -> Result<SocketFile> {
        let published = self.location.try_clone().map_err(binding)?;
        match self.move_out(file.name()) {
            Ok(()) => Ok(file.moved_to(published)),
            Err(errno) => Err(self.discard(file, failed(errno))),
        }
    }

    /// Removes a socket that was bound in here, and returns the reason.
    pub(in crate::socket_file) fn discard(&self, file: SocketFile, why: Error) -> Error {
        if self.id_of(file.name()).is_ok_and(|there| there == file.id()) {
            let _ = rustix::fs::unlinkat(&self.directory, file.name(), AtFlags::empty());
        }
        file.keep();
        why
    }
}
