//! Whom the server sees: what `--as-client` and `--send-proxy` require.

use std::io;

use stoop::Kind;

use super::args::Relay;
use crate::exit::Exit;
use crate::failure::{Failure, Report};

/// Refuses the two flags for sockets that cannot have what they ask for.
pub(super) fn require_kind(flags: &Relay, kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Datagram if flags.as_client => Err(Failure::usage(
            "--as-client cannot be used with datagrams",
            "each carries the ids of the process that sends it, which is the relay",
        )),
        Kind::Datagram | Kind::SeqPacket if flags.send_proxy => Err(Failure::usage(
            format!("--send-proxy cannot be used with {kind} sockets"),
            "the PROXY protocol is a header in front of a stream of bytes",
        )),
        _ => Ok(()),
    }
}

/// Returns the failure of a relay that has not started.
pub(super) fn not_started(flags: &Relay, error: &io::Error) -> Failure {
    if flags.as_client && error.kind() == io::ErrorKind::PermissionDenied {
        return Failure::new(Exit::NotPermitted, "cannot connect as the clients")
            .why("it requires CAP_SETUID and CAP_SETGID, which root has")
            .next("# run the relay as root, or in a unit with AmbientCapabilities=CAP_SETUID CAP_SETGID")
            .into();
    }
    Failure::io("start the relay", error)
}

/// Returns what to know about a relay in front of a server, unless the server sees its clients.
pub(super) fn caution(flags: &Relay) -> Option<Report> {
    let hides_clients = flags.interpose.is_some() && !flags.as_client && !flags.send_proxy;
    hides_clients.then(|| {
        Failure::new(Exit::Done, "the server sees the relay as its client, not the clients")
            .why("the ids of a connection are those of the process that made it")
            .next("stoop relay --as-client …    # as root: with the user and groups of each client")
    })
}
