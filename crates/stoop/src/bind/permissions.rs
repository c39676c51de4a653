//! Exact mode, owner and group of a socket file, without touching the process's umask.
//!
//! The socket's own mode before `bind` is the most that the file is born with (K-BIND-3); what the
//! umask cut is added afterwards. Where the file is to change owner, it is born for its maker alone
//! and opened when it has its new owner.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use rustix::io::Errno;

use super::binding;
use super::place::descriptor_path;
use super::release::SocketFile;
use crate::error::{ErrorKind, Operation, Result};
use crate::socket::Socket;

/// What a socket file is to have; what is not said stays as the kernel makes it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Permissions {
    pub(super) mode: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

impl Permissions {
    fn changes_owner(self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }

    pub(super) fn before_bind(self, socket: &Socket) -> Result<()> {
        let Some(mode) = self.mode else { return Ok(()) };
        let birth = if self.changes_owner() { mode & 0o700 } else { mode };
        rustix::fs::fchmod(socket.as_fd(), Mode::from_raw_mode(birth)).map_err(failed)
    }

    /// Works on the very file that was bound, wherever its name leads by now.
    pub(super) fn after_bind(self, file: &SocketFile) -> Result<()> {
        if self.changes_owner() {
            certain(file)?;
            let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
            rustix::fs::chownat(file.handle(), "", uid, gid, AtFlags::EMPTY_PATH).map_err(failed)?;
        }
        let Some(mode) = self.mode else { return Ok(()) };
        let now = rustix::fs::fstat(file.handle()).map_err(failed)?;
        if now.st_mode & 0o7777 == mode {
            return Ok(());
        }
        certain(file)?;
        let path = descriptor_path(&file.handle());
        rustix::fs::chmodat(CWD, &path, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(failed)
    }
}

/// Refuses to change a file that a neighbour may have put in the place of the socket's.
fn certain(file: &SocketFile) -> Result<()> {
    if file.is_proven() {
        return Ok(());
    }
    let detail = "others may write to the directory, and without sock_diag it cannot be verified that the file is still the socket's: \
                  its mode and owner are left alone";
    Err(crate::Error::new(Operation::Bind, ErrorKind::NotPermitted, detail))
}

fn failed(errno: Errno) -> crate::Error {
    binding(errno.into())
}
