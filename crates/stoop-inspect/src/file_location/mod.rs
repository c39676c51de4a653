//! The present location of the file of a bound socket.
//!
//! The string given to bind(2) is a name, and only the process that used it knows what it meant:
//! it was resolved in that process's root directory, mounts and working directory at that time.
//! Since then the file may have been renamed, linked, unlinked or covered by a mount. So the name
//! is resolved in the view of the process that has the socket, and what it leads to is compared
//! with the file in the kernel's table. The kernel can also be asked for the file itself.
//!
//! `view` looks at the files, `locate` draws the conclusions.

mod locate;
mod view;

use std::path::PathBuf;

use crate::model::Pid;

pub use locate::FileLocator;
pub(crate) use view::{id_of, path_of};

/// The present location of the file of a bound socket, as far as that can be determined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLocation {
    /// What the name given to bind leads to now, in the view of a process that has the socket.
    pub name: NameTarget,
    /// A path that leads to the file in the view of this process.
    pub here: Option<PathBuf>,
    /// The view of a process that has the socket, if it has the file and differs from ours.
    pub view: Option<OtherView>,
    /// The path of the file in our mounts, if a mount covers it there.
    pub covered: Option<PathBuf>,
    /// Whether no path leads to the file any more. `None` if unknown.
    pub is_removed: Option<bool>,
    /// The place to search for the file, if it exists and its path is not known.
    pub search: FileSearch,
}

/// The place to search for a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FileSearch {
    /// This is not known, or its path is.
    #[default]
    Unknown,
    /// On this mount of its file system.
    OnMount {
        /// The path at which it is mounted here.
        point: PathBuf,
        /// The inode of the file.
        inode: u64,
    },
    /// Its file system is mounted neither here nor in the view of its process.
    Unmounted,
}

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTarget {
    /// The socket's file.
    SameFile,
    /// Nothing: no file has the name.
    Nothing,
    /// Another file.
    OtherFile {
        /// Whether that is a socket.
        is_socket: bool,
    },
    /// The view of the process is not accessible, or only the process knew what a relative name
    /// was relative to.
    Unknown,
}

/// A view of the files that differs from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherView {
    /// The process that has it.
    pub pid: Pid,
    /// The path of the file in that view.
    pub path: PathBuf,
    /// How it differs.
    pub difference: ViewDifference,
}

/// How the view of a process differs from that of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ViewDifference {
    /// It has a private `/tmp` or `/var/tmp` (`PrivateTmp=` of its unit).
    PrivateTmp,
    /// It has another root directory in the same mounts (chroot).
    Root,
    /// It has other mounts: a container, or a mount in a namespace of its own.
    Mounts,
}

impl OtherView {
    /// Returns the file's path through the root directory of the process in `/proc`, which leads
    /// there from any view, if this process may follow it.
    pub fn through_proc(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid));
        root.join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }
}

impl FileLocation {
    /// Nothing is known.
    pub const UNKNOWN: FileLocation = FileLocation {
        name: NameTarget::Unknown,
        here: None,
        view: None,
        covered: None,
        is_removed: None,
        search: FileSearch::Unknown,
    };
}
