//! What a snapshot is to hold.

/// What a snapshot is to hold. The default is everything cheap, of the whole machine, and sure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How to find the owners.
    pub owners: OwnersWanted,
    /// Sockets of every network namespace that can be found, not of the own one alone.
    pub all_namespaces: bool,
    /// Leave nothing open that a second question settles, which costs a tenth of the time with the
    /// kernel program, and as much again where owners come from `/proc`:
    ///
    /// * From which listener of an abstract name a socket was accepted, where the name may have had
    ///   another one before. Else it is a [`namesake`](crate::Socket::namesake).
    /// * Where some processes may not be seen: whether each descriptor that was found is of a local
    ///   socket. One of another family may have the number of one whose owner is hidden, once the
    ///   kernel's counter of 32 bits has wrapped.
    pub sure: bool,
    /// [`Process::start`](crate::Process::start) and [`Process::state`](crate::Process::state).
    pub process_states: bool,
    /// [`Process::place`](crate::Process::place) and [`Process::cgroup`](crate::Process::cgroup).
    pub places: bool,
    /// [`Process::command_line`](crate::Process::command_line).
    pub command_lines: bool,
    /// [`Process::namespaces`](crate::Process::namespaces).
    pub process_namespaces: bool,
    /// [`Socket::memory`](crate::Socket::memory).
    pub memory: bool,
    /// [`Socket::in_flight`](crate::Socket::in_flight).
    pub in_flight: bool,
}

/// How to find out who has a socket open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnersWanted {
    /// By a kernel program where that is possible, else from `/proc`. Both give the same answer.
    #[default]
    Auto,
    /// From `/proc`.
    Proc,
    /// Not at all.
    No,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            owners: OwnersWanted::Auto,
            all_namespaces: true,
            sure: true,
            process_states: false,
            places: true,
            command_lines: false,
            process_namespaces: false,
            memory: false,
            in_flight: false,
        }
    }
}
