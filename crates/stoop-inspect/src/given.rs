//! Which path a socket was given, as far as that can be told now. What it says is shown and
//! compared with what a person asked for, and never acted on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Snapshot, SocketId};

impl Snapshot {
    /// Whether the socket was given this path when it was bound. Both are compared as they are
    /// written, without `.` in them; what a relative name was relative to is taken to be the
    /// working directory that one of its owners has *now*.
    ///
    /// `path` is absolute. Reads links of `/proc` for sockets with a relative name of the same last
    /// part, and nothing else.
    pub fn was_given(&self, id: SocketId, path: &Path) -> bool {
        let Some(name) = self[id].name.as_path() else { return false };
        if name.file_name() != path.file_name() {
            return false;
        }
        let path = plain(path);
        if name.is_absolute() {
            return plain(name) == path;
        }
        let directory = |pid| fs::read_link(format!("/proc/{pid}/cwd")).ok();
        let mut directories = self.processes_of(id).filter_map(|process| directory(process.pid));
        directories.any(|directory| plain(&directory.join(name)) == path)
    }
}

/// The same path without `.` and without slashes that mean nothing.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}
