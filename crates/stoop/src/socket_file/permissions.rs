//! Exact mode, owner and group of a socket file, without changing the process's umask.
//!
//! The mode of the unbound socket is the upper limit for the mode of the new file ([K-BIND-3]).
//! Bits that the umask removed are added afterwards. If the file is to change its owner, it is
//! created accessible to the creator alone, and opened up once it has its new owner.
//!
//! [K-BIND-3]: crate::kernel_facts#K-BIND-3

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid};
use rustix::io::Errno;

use super::binding;
use super::location::descriptor_path;
use super::release::SocketFile;
use crate::error::{ErrorKind, Operation, Result};
use crate::socket::Socket;

/// The requested mode and owner of a socket file. What is `None` stays as the kernel sets it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Permissions {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

impl Permissions {
    /// Returns whether any of them is requested.
    pub(super) fn are_requested(self) -> bool {
        self.mode.is_some() || self.changes_owner()
    }

    fn changes_owner(self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }

    pub(super) fn before_bind(self, socket: &Socket) -> Result<()> {
        let Some(mode) = self.mode else { return Ok(()) };
        let birth = if self.changes_owner() { mode & 0o700 } else { mode };
        rustix::fs::fchmod(socket.as_fd(), Mode::from_raw_mode(birth)).map_err(failed)
    }

    /// Applies them to the file that was bound, wherever its name refers to by now.
    pub(super) fn after_bind(self, file: &SocketFile) -> Result<()> {
        if self.changes_owner() {
            require_proven(file)?;
            let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
            rustix::fs::chownat(file.handle(), "", uid, gid, AtFlags::EMPTY_PATH).map_err(failed)?;
        }
        let Some(mode) = self.mode else { return Ok(()) };
        let now = rustix::fs::fstat(file.handle()).map_err(failed)?;
        if now.st_mode & 0o7777 == mode {
            return Ok(());
        }
        require_proven(file)?;
        let path = descriptor_path(&file.handle());
        rustix::fs::chmodat(CWD, &path, Mode::from_raw_mode(mode), AtFlags::empty()).map_err(failed)
    }
}

/// Refuses to change a file that another process may have put in the place of the socket's.
fn require_proven(file: &SocketFile) -> Result<()> {
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
