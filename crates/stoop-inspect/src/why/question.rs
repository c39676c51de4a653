//! The question: a system call, its address, and who makes it. No I/O.

use stoop::{Address, Kind};

/// The call to explain: the operation, the address and the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The system call.
    pub operation: Operation,
    /// The kind of socket that makes it.
    ///
    /// If `None`: a stream socket for a bind, a datagram socket for a send. For a connect, the kind
    /// of the socket found, or else a stream socket.
    pub kind: Option<Kind>,
    /// The address that is passed to it.
    pub address: Address,
    /// The user or process that makes it.
    pub subject: Who,
}

/// A system call that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `connect`.
    Connect,
    /// `bind`.
    Bind,
    /// `sendto`, of one message, from a socket that is neither bound nor connected and has the
    /// default send buffer.
    Send {
        /// The length of the message in bytes.
        len_bytes: usize,
    },
}

/// The user or process that makes the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// This process.
    CurrentProcess,
    /// A fresh login process of this user, given by name or number, in the namespaces and the
    /// working directory of this process.
    User(String),
    /// The process with this pid, with its user, groups, capabilities, root, working directory and
    /// namespaces.
    Process(u32),
}
