//! The owner of an address, for the error that reports it.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::diag::{self, Entry, FileId};
use crate::{Kind, escaped};

/// The socket and process that own an address, as far as this process may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The kind of its socket.
    pub kind: Option<Kind>,
    /// Whether the socket listens. A datagram socket never does.
    pub listening: Option<bool>,
    /// A process that has the socket open. There may be several. Without privilege, only processes
    /// of our own user are visible.
    pub pid: Option<u32>,
    /// The command name of that process.
    pub command: Option<String>,
    /// The user who created the socket.
    pub uid: Option<u32>,
}

impl Holder {
    pub(crate) fn of(socket: &Entry) -> Holder {
        let owner = owner_of(socket.ino);
        Holder {
            kind: socket.kind,
            listening: socket.kind.filter(|kind| kind.is_connected()).map(|_| socket.is_listening),
            pid: owner,
            command: owner.and_then(command_of),
            uid: socket.uid,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.command) {
            (Some(pid), Some(command)) => write!(f, "process {pid} ({})", escaped(command))?,
            (Some(pid), None) => write!(f, "process {pid}")?,
            (None, _) => match self.uid {
                Some(uid) => write!(f, "a process of user {uid}")?,
                None => f.write_str("a process that this one may not inspect")?,
            },
        }
        if let Some(kind) = self.kind {
            write!(f, ", {kind} socket")?;
        }
        match self.listening {
            Some(false) => f.write_str(", not listening yet"),
            _ => Ok(()),
        }
    }
}

/// Returns the owner of the socket bound to this file.
pub(crate) fn of_file(file: FileId) -> Holder {
    diag::bound_to(file).first().map(Holder::of).unwrap_or_default()
}

/// Returns the owner of this abstract name among sockets of this kind. Each kind has its own
/// namespace of names (K-NAME-15).
pub(crate) fn of_abstract_name(name: &[u8], kind: Kind) -> Holder {
    diag::named(name).iter().find(|socket| socket.kind == Some(kind)).map(Holder::of).unwrap_or_default()
}

/// Returns a process that has the socket with this inode number open.
pub(crate) fn owner_of(ino: u32) -> Option<u32> {
    let wanted = format!("socket:[{ino}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let mut descriptors = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let has_it = descriptors.any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str().as_bytes() == wanted.as_bytes())
        });
        has_it.then_some(pid)
    })
}

/// Returns the command name of a process, as `ps` shows it.
pub(crate) fn command_of(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(name.strip_suffix(b"\n").unwrap_or(&name)).into_owned())
}
