//! Determines which path a socket was bound to, as far as that is still known. The result is shown,
//! or compared with what a user asked for, and never acted on.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use stoop::internal::responding;

use crate::model::{Pid, Snapshot, SocketId};

impl Snapshot {
    /// Returns whether the socket was bound to this path.
    ///
    /// Both paths are compared as they are written, without `.` components, and with the symbolic
    /// links of their directories resolved (`/var/run` leads to `/run`). A relative name is
    /// resolved against the *present* working directory of one of the socket's owners, even if that
    /// was removed. `path` must be absolute. Files are read only for sockets whose name has the
    /// same last component.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// # let path = std::env::temp_dir().join(format!("stoop-doc-bound-{}", std::process::id()));
    /// let server = stoop::Bind::new(&path).listen()?;
    /// std::fs::remove_file(&path).unwrap();
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let id = snapshot.socket_of(&server).unwrap();
    /// // The kernel keeps the name, whatever has become of the file.
    /// assert!(snapshot.was_bound_to(id, &path));
    /// assert!(!snapshot.was_bound_to(id, &path.with_extension("other")));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn was_bound_to(&self, id: SocketId, path: &Path) -> bool {
        let Some(name) = self[id].name.as_pathname() else { return false };
        if name.file_name() != path.file_name() {
            return false;
        }
        let is_path = |name: &Path| plain(name) == plain(path) || resolved(name) == resolved(path);
        if name.is_absolute() {
            return is_path(name);
        }
        let mut directories = self.processes_of(id).filter_map(|process| working_directory(process.pid));
        directories.any(|directory| is_path(&directory.join(name)))
    }
}

/// Returns the path of a working directory, or the one that it had if it was removed.
fn working_directory(pid: Pid) -> Option<PathBuf> {
    let link = format!("/proc/{pid}/cwd");
    let path = fs::read_link(&link).ok()?;
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let is_removed = statx(CWD, link, flags, StatxFlags::NLINK).is_ok_and(|stat| stat.stx_nlink == 0);
    let bytes = path.as_os_str().as_bytes();
    match bytes.strip_suffix(b" (deleted)").filter(|_| is_removed) {
        Some(before) => Some(PathBuf::from(OsStr::from_bytes(before))),
        None => Some(path),
    }
}

/// Returns the path without `.` and redundant slashes.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Returns the path with the links of its directory resolved, or as it is if that does not exist,
/// or its file system does not respond.
fn resolved(path: &Path) -> PathBuf {
    let directory = path.parent().filter(|parent| responding::check(parent).is_ok());
    match (directory.and_then(|parent| fs::canonicalize(parent).ok()), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => plain(path),
    }
}
