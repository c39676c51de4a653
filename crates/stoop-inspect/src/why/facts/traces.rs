//! What the machine reveals about the program that an address belongs to. Plain data.

use std::path::PathBuf;

use crate::workload::Workload;

/// What the machine reveals about the program that an address belongs to, whether that runs or not,
/// and about the place of the address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// The container, unit or session of the subject, if that is a process.
    pub subject_workload: Workload,
    /// Whether systemd manages the services of this machine.
    pub has_systemd: bool,
    /// Whether systemd or OpenRC manages them.
    pub has_manager: bool,
    /// The systemd units that name the path, those of sockets first.
    pub units: Vec<Unit>,
    /// The lock or pid file that a program left next to the socket.
    pub lock: Option<Lock>,
    /// Whether a server of `stoop` was here: its private directory is next to the socket.
    pub is_of_stoop: bool,
    /// The user whose relay took the name over from a live server, and keeps the server's file in
    /// the private directory.
    pub interposed: Option<u32>,
    /// The private directory for sockets of the user of this process (`$XDG_RUNTIME_DIR`), if that
    /// exists.
    pub runtime_dir: Option<PathBuf>,
    /// Whether what the path leads to is an empty directory.
    pub is_empty_directory: bool,
    /// What the file system of the last directory has no more of.
    pub exhausted: Option<Exhausted>,
    /// The home directory of the user of this process.
    pub home: Option<PathBuf>,
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Its name, such as `app.socket`.
    pub name: String,
    /// Whether it is one of the user's own service manager.
    pub of_user: bool,
}

/// A file by which a program marks that it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Its path.
    pub path: PathBuf,
    /// The program that it names, or that names such files.
    pub program: Option<String>,
}

/// What a file system may lack for another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// Free inodes.
    Inodes,
    /// Free blocks.
    Blocks,
}

impl Exhausted {
    /// Returns what it lacks, in a word.
    pub const fn word(self) -> &'static str {
        match self {
            Exhausted::Inodes => "inode",
            Exhausted::Blocks => "block",
        }
    }
}
