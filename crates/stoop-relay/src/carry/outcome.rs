//! What came of reading and writing a piece.

use rustix::io::Errno;

/// What came of an attempt to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something: this many bytes, perhaps none in a message of no bytes.
    Some(usize),
    /// Nothing at the moment.
    Nothing,
    /// The end. `Reset`, if the peer closed without having read everything.
    End(EndKind),
    /// Nothing, for want of a resource: to be tried again later.
    Exhausted,
    /// Nothing: the connection is to be reset, because a fault says so.
    Fault,
}

/// How a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndKind {
    Shutdown,
    Reset,
    /// By what it sent: it is not in the framing that was agreed on.
    NotFramed,
}

/// What came of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Everything that was held.
    All,
    /// Not everything: the sink takes no more at the moment.
    Some,
    /// Nothing: the sink's reader has closed.
    Gone,
    /// Nothing: the sink was reset. This was told once, and reading will find an end ([K-TCP-2]).
    ///
    /// [K-TCP-2]: stoop::kernel_facts#K-TCP-2
    Reset,
    /// Nothing, for want of a resource: to be tried again later.
    Exhausted,
    /// Nothing more before it is due.
    Later,
}

/// Reads the meaning of an errno of a read.
pub(crate) fn filled(errno: Errno) -> Filled {
    match errno {
        Errno::AGAIN | Errno::INTR => Filled::Nothing,
        Errno::NOMEM | Errno::NOBUFS | Errno::MFILE | Errno::NFILE => Filled::Exhausted,
        _ => Filled::End(EndKind::Reset),
    }
}

/// Reads the meaning of an errno of a write.
pub(crate) fn drained(errno: Errno) -> Drained {
    match errno {
        Errno::AGAIN | Errno::INTR => Drained::Some,
        // As much as may be in flight, or in memory, for everybody: it passes.
        Errno::NOMEM | Errno::NOBUFS | Errno::TOOMANYREFS => Drained::Exhausted,
        Errno::CONNRESET => Drained::Reset,
        _ => Drained::Gone,
    }
}

/// Returns the errno of an error of `stoop`. One without is as final as EPIPE.
pub(crate) fn errno_of(error: &stoop::Error) -> Errno {
    match error.errno() {
        Some(errno) => Errno::from_raw_os_error(errno),
        None if error.is_would_block() => Errno::AGAIN,
        None => Errno::PIPE,
    }
}
