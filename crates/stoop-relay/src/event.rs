//! What a relay reports.

use std::io;
use std::process::ExitStatus;

use stoop::Refusal;

/// Something that happened to a client. `number` counts the clients from 1.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client is connected to the server.
    Accepted {
        /// The number of the client.
        number: u64,
        /// Its process, if the kernel reports it.
        pid: Option<u32>,
        /// Its user, if the kernel reports it.
        uid: Option<u32>,
        /// The names in its certificate, if it came with TLS.
        names: Vec<String>,
    },
    /// The policy of the listener refused a client.
    Refused {
        /// Its process, if the kernel reports it.
        pid: Option<u32>,
        /// Its user, if the kernel reports it.
        uid: Option<u32>,
        /// Why.
        reason: Refusal,
    },
    /// A client was closed because the program refused it, or because its user or its group had as
    /// many connections as allowed.
    Rejected {
        /// Its process, if the kernel reports it.
        pid: Option<u32>,
        /// Its user, if the kernel reports it.
        uid: Option<u32>,
        /// Why.
        reason: Rejection,
    },
    /// A client was closed, or its datagram lost, because the server could not be reached.
    Unreached {
        /// The number of the client; 0, if it got none.
        number: u64,
        /// Why.
        error: io::Error,
    },
    /// Accepting failed, and is tried again.
    NotAccepted {
        /// Why.
        error: io::Error,
    },
    /// The relay can no longer stand in front of its server. It should be stopped.
    Displaced(Displaced),
    /// At the end the socket file could not be removed, or the name not given back to the server.
    NotReleased {
        /// Why.
        error: io::Error,
    },
    /// The program that was started for a client has exited.
    Exited {
        /// The number of the client.
        number: u64,
        /// Its exit status.
        status: ExitStatus,
    },
    /// A connection has ended.
    Closed {
        /// The number of the client.
        number: u64,
        /// Bytes from the client to the server.
        bytes_up: u64,
        /// Bytes from the server to the client.
        bytes_down: u64,
        /// Why.
        ended: Ended,
    },
}

/// Why a client was closed before it was connected to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The program refused it, for this reason.
    Refused(String),
    /// Its user has as many connections as allowed.
    PerUser,
    /// Its group, which this names, has as many connections as allowed.
    PerGroup(String),
}

/// Why a relay can no longer stand in front of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Displaced {
    /// The name has been removed.
    NameRemoved,
    /// Another file has the name.
    NameTaken,
    /// The server has closed its socket.
    ServerClosed,
    /// Another relay stands in front of the server now. This one has to relay its clients to their
    /// end, and does not give the name back.
    HandedOver,
}

/// Why a connection has ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Ended {
    /// Its ends have closed.
    Closed,
    /// Nothing came for the idle timeout.
    Idle,
    /// It had lasted for as long as it may.
    OutOfTime,
    /// The relay was stopped.
    Stopped,
    /// It could not be relayed.
    Failed(io::Error),
    /// A fault was injected that resets it.
    Fault,
}
