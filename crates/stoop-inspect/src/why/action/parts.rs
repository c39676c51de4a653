//! What actions are about.

use stoop::{Address, Kind};

/// An address as this process reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The address. A path of a process with another root, other mounts or another working
    /// directory leads through its directory in `/proc`.
    pub address: Address,
    /// The process whose network namespace has the abstract name, if it is not that of this
    /// process.
    pub netns_of: Option<u32>,
    /// The kind of the socket, if one was asked for.
    pub kind: Option<Kind>,
    /// Whether root is required.
    pub as_root: bool,
}

/// How the program of a server is started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// By the units of a service manager.
    Units {
        /// Their names: that of the socket, if there is one, then that of the service.
        names: Vec<String>,
        /// Whether they are units of the user's service manager.
        of_user: bool,
    },
    /// By a container runtime.
    Container {
        /// The name of the runtime: `docker`, `podman`, ….
        runtime: String,
        /// The container's id or name.
        id: String,
    },
    /// It need not be: at this signal it creates its socket file again, and keeps its state.
    Signal {
        /// The process.
        pid: u32,
        /// The name of the signal, such as `USR1`.
        signal: &'static str,
        /// The program.
        name: &'static str,
    },
    /// By the user or program that started it. What ends the process ends what it holds.
    Process {
        /// The process.
        pid: u32,
        /// Its command name.
        command: String,
    },
}

/// Why a server is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// A new server creates a new socket file.
    SocketFile,
    /// A process has the groups of its user from the time at which it was started.
    Groups,
    /// A process keeps the working directory in which it was started.
    Directory,
}

/// A flag of a file (`chattr(1)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFlag {
    /// The file cannot be changed; if it is a directory, nothing in it can be created or removed.
    Immutable,
    /// What is in the directory cannot be removed.
    AppendOnly,
}

/// A class of users in a file's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeClass {
    /// The file's owner.
    Owner,
    /// The file's group.
    Group,
    /// All other users.
    Other,
}

/// A permission that a subject lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Write permission, on a socket file or a directory.
    Write,
    /// Search permission, on a directory.
    Search,
}
