//! Exact mode, owner and group of a socket file, without changing the process's umask.
//!
//! The mode of the unbound socket is the upper limit for the mode of the new file ([K-BIND-3]).
//! Bits that the umask removed are added afterwards. If the file is to change its owner, it is
//! created accessible to the creator alone, and opened up once it has its new owner.
//!
//! `systemd-tmpfiles` deletes old files from `/tmp` and `/var/tmp`. It spares a socket whose path
//! is in the kernel's table, which has the string that was given to `bind` ([K-NAME-1]). For a
//! socket that was renamed, or whose path is too long, that is another string. Such a file has the
//! sticky bit: `systemd-tmpfiles` skips a file that has it, and on a socket it means nothing else
//! ([K-BIND-22]).
//!
//! [K-BIND-3]: crate::kernel_facts#K-BIND-3
//! [K-BIND-22]: crate::kernel_facts#K-BIND-22
//! [K-NAME-1]: crate::kernel_facts#K-NAME-1

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
    /// Whether the file gets the sticky bit, which keeps `systemd-tmpfiles` from deleting it.
    pub(super) is_sticky: bool,
}

/// The mode of a socket that no one has set.
const DEFAULT_MODE: u32 = 0o777;
const STICKY: u32 = 0o1000;

impl Permissions {
    /// Returns whether any of them is requested.
    pub(super) fn are_requested(self) -> bool {
        self.mode.is_some() || self.changes_owner()
    }

    fn changes_owner(self) -> bool {
        self.uid.is_some() || self.gid.is_some()
    }

    fn sticky_bit(self) -> u32 {
        if self.is_sticky { STICKY } else { 0 }
    }

    pub(super) fn before_bind(self, socket: &Socket) -> Result<()> {
        let chmod = |mode| rustix::fs::fchmod(socket.as_fd(), Mode::from_raw_mode(mode | self.sticky_bit()));
        match self.mode {
            Some(mode) if self.changes_owner() => chmod(mode & 0o700).map_err(failed),
            Some(mode) => chmod(mode).map_err(failed),
            None => {
                // Without the bit, the server works as well as with it.
                let _ = self.is_sticky.then(|| chmod(DEFAULT_MODE));
                Ok(())
            }
        }
    }

    /// Applies them to the file that was bound, wherever its name refers to by now.
    pub(super) fn after_bind(self, file: &SocketFile) -> Result<()> {
        if self.changes_owner() {
            require_proven(file)?;
            let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
            rustix::fs::chownat(file.handle(), "", uid, gid, AtFlags::EMPTY_PATH).map_err(failed)?;
        }
        let Some(mode) = self.mode.map(|mode| mode | self.sticky_bit()) else { return Ok(()) };
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
