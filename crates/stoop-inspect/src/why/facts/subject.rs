//! The process or user that makes the call. Plain data.

/// The process or user that makes the call, as the kernel's permission checks see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The process id, if the subject is a process.
    pub pid: Option<u32>,
    /// The command name, if the subject is a process.
    pub command: Option<String>,
    /// When the process was started, in clock ticks since boot. With the pid it identifies the
    /// process even if the pid is reused.
    pub began: Option<u64>,
    /// Whether it is a process that has exited, and was not reaped by its parent yet.
    pub has_exited: bool,
    /// The user id for file access (`fsuid`).
    pub uid: u32,
    /// The group id for file access (`fsgid`).
    pub gid: u32,
    /// The supplementary group ids.
    pub groups: Vec<u32>,
    /// The group ids that the group database lists for its user. A process has those of the time of
    /// its login. `None` if the user has no account.
    pub account_groups: Option<Vec<u32>>,
    /// Whether `CAP_DAC_OVERRIDE` is effective, in the subject's user namespace.
    pub dac_override: bool,
    /// Whether `CAP_DAC_READ_SEARCH` is effective, in the subject's user namespace.
    pub dac_read_search: bool,
    /// The user ids that the subject's user namespace maps, as seen from the user namespace of this
    /// process. `None` means all.
    pub mapped_uids: Option<Vec<IdRange>>,
    /// The group ids that the subject's user namespace maps, as seen from the user namespace of
    /// this process. `None` means all.
    pub mapped_gids: Option<Vec<IdRange>>,
    /// Its open file descriptors, if it is a process and they may be counted.
    pub descriptors: Option<Descriptors>,
    /// How the subject's root, mounts and network namespace differ from those of this process.
    pub view: View,
}

/// The file descriptors of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// How many of its file descriptors have a number below the limit.
    pub open: u64,
    /// `RLIMIT_NOFILE`: every number of a new one is below.
    pub limit: u64,
}

/// Whether the subject sees the same files and network as this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Whether it has another root or another mount namespace.
    pub other_files: bool,
    /// Whether it has another network namespace.
    pub other_network: bool,
}

/// A range of ids that starts at `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// The number of ids.
    pub count: u32,
}
