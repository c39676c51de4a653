//! The owner of an address, looked up on request.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use crate::diag::{self, Entry, FileId};
use crate::socket_file::is_alive;
use crate::{Address, Kind, escaped, responding};

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
    /// Finds the socket and the process that own an address now.
    ///
    /// Reads the kernel's table of sockets and the file descriptors of every process in `/proc`,
    /// which takes milliseconds on a busy machine. An error of a bind therefore does not include
    /// it. `kind` selects among sockets with the same abstract name, of which there may be one of
    /// each kind.
    ///
    /// Returns `None` if no socket is bound there. For a socket in another network namespace, all
    /// fields are `None`.
    ///
    /// ```
    /// use stoop::{Bind, Holder, Kind};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let address = listener.local_addr()?;
    /// let holder = Holder::find(&address, None).unwrap();
    /// assert_eq!((holder.pid, holder.listening), (Some(std::process::id()), Some(true)));
    ///
    /// drop(listener);
    /// assert_eq!(Holder::find(&address, Some(Kind::Stream)), None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn find(address: &Address, kind: Option<Kind>) -> Option<Holder> {
        match address.as_pathname() {
            Some(path) => of_path(path),
            None => of_abstract_name(address.as_abstract_name()?, kind),
        }
    }

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

/// Returns the owner of the socket bound to this path. Its fields are unknown if the kernel does
/// not show the socket here, but a socket is bound to the file.
fn of_path(path: &Path) -> Option<Holder> {
    responding::check(path).ok()?;
    let file = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let id = FileId::of(&rustix::fs::fstat(&file).ok()?);
    let bound = diag::bound_to(id);
    // Accepted sockets have the file of their listener, so prefer the listener.
    let found = bound.iter().find(|socket| socket.is_listening).or(bound.first());
    found.map(Holder::of).or_else(|| is_alive(&file).is_ok_and(|alive| alive).then(Holder::default))
}

/// Returns the owner of this abstract name among sockets of this kind. Each kind has its own
/// namespace of names ([K-NAME-15]).
///
/// [K-NAME-15]: crate::kernel_facts#K-NAME-15
fn of_abstract_name(name: &[u8], kind: Option<Kind>) -> Option<Holder> {
    let named = diag::named(name);
    let mut of_kind = named.iter().filter(|socket| kind.is_none() || socket.kind == kind);
    of_kind.next().map(Holder::of)
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
