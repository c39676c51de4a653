//! Options of a snapshot.

/// What a snapshot contains, and how it is taken.
///
/// The default covers the whole machine, is reliable, and includes everything that is cheap to
/// read.
///
/// # Examples
///
/// ```
/// use stoop_inspect::{Inspector, Options, Pid};
///
/// let mut options = Options::default();
/// options.command_lines = true;
/// options.workloads = false;
/// let (one, _other) = stoop::Stream::pair()?;
/// let snapshot = Inspector::new(options).snapshot();
/// let process = &snapshot.processes[&Pid(std::process::id())];
/// // What was not requested is `None`, or the default.
/// assert!(process.command_line.is_some() && process.cgroup.is_none());
/// # drop(one);
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How to find the owners of sockets. The default is [`OwnersWanted::Auto`].
    pub owners: OwnersWanted,
    /// Inspects every network namespace that can be found, instead of only the caller's own. On by
    /// default.
    pub all_namespaces: bool,
    /// Resolves every ambiguity that a second query can resolve. On by default. The BPF program
    /// leaves none. If owners come from `/proc` and some processes are hidden, this doubles the
    /// time: it checks whether each file descriptor found refers to a Unix domain socket. Once the
    /// kernel's 32-bit inode counter has wrapped, a socket of another family may have the inode of
    /// one whose owner is hidden.
    pub sure: bool,
    /// Reads [`Process::start`](crate::Process::start), [`Process::state`](crate::Process::state)
    /// and [`Process::parent`](crate::Process::parent). Off by default.
    pub process_states: bool,
    /// Reads [`Process::workload`](crate::Process::workload) and
    /// [`Process::cgroup`](crate::Process::cgroup). On by default.
    pub workloads: bool,
    /// Reads [`Process::command_line`](crate::Process::command_line). Off by default.
    pub command_lines: bool,
    /// Reads [`Process::namespaces`](crate::Process::namespaces). Off by default.
    pub process_namespaces: bool,
    /// Reads [`Socket::memory`](crate::Socket::memory). Off by default.
    pub memory: bool,
    /// Reads [`Socket::in_flight`](crate::Socket::in_flight). Off by default.
    pub in_flight: bool,
}

/// How to find the processes that have a socket open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnersWanted {
    /// By a BPF program if possible, else from `/proc`. Both give the same answer.
    #[default]
    Auto,
    /// From `/proc` only.
    Proc,
    /// Do not look for owners.
    No,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            owners: OwnersWanted::Auto,
            all_namespaces: true,
            sure: true,
            process_states: false,
            workloads: true,
            command_lines: false,
            process_namespaces: false,
            memory: false,
            in_flight: false,
        }
    }
}
