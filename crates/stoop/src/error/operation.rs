//! The operation that failed, and how a message names it.

use std::fmt;

/// The operation that returned an [`Error`](crate::Error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Converting text or bytes into an address.
    UseAddress,
    /// Binding a server: finding the location, binding, listening, publishing the file.
    Bind,
    /// Connecting a socket, including a datagram socket to its destination.
    Connect,
    /// Accepting a client.
    Accept,
    /// Sending bytes or a message.
    Send,
    /// Receiving bytes or a message.
    Receive,
    /// Reading or setting an option of a socket.
    Configure,
    /// Unlinking a server's socket file.
    Release,
    /// Using sockets passed by a service manager.
    Activate,
    /// Sending a notification to a service manager.
    Notify,
    /// Passing a listener to a successor, or receiving it.
    HandOver,
}

impl Operation {
    /// Returns the verb of an operation, and the preposition that joins it to an address.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Operation::UseAddress => ("use the address", ""),
            Operation::Bind => ("bind", ""),
            Operation::Connect => ("connect", " to"),
            Operation::Accept => ("accept", " on"),
            Operation::Send => ("send", " to"),
            Operation::Receive => ("receive", " from"),
            Operation::Configure => ("configure the socket", ""),
            Operation::Release => ("remove the socket file", ""),
            Operation::Activate => ("use passed sockets", ""),
            Operation::Notify => ("notify the service manager", " at"),
            Operation::HandOver => ("hand over", " at"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words().0)
    }
}
