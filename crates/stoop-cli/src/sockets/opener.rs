//! The process that opened a connection, and thereby how old the connection is at most. The kernel
//! records no time ([K-PROC-9]), but the process, at the accepted end: the connection is not older.
//!
//! [K-PROC-9]: stoop::kernel_facts#K-PROC-9

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use stoop::{Kind, Peer, SeqPacket, Stream};
use stoop_inspect::{Snapshot, Socket, SocketId};

use super::clock::Now;

/// Longer than the 52 fields of a process are.
const STAT_MAX_BYTES: usize = 2048;

/// The process that called connect, or socketpair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opener {
    pub(crate) pid: u32,
    /// How long it has run.
    pub(crate) age: Duration,
}

/// Returns the process that opened the connection of a socket, if it still runs.
pub(crate) fn of(snapshot: &Snapshot, id: SocketId, now: Now) -> Option<Opener> {
    let end = recording_end(snapshot, id)?;
    let peer = recorded(snapshot[end].kind?, snapshot[end].dup_fd().ok()?)?;
    let pid = *peer.pid.known()?;
    let start = start_ticks(&stat(pid)?)?;
    // Only now, since another process may have got the id before the file was read.
    (peer.has_ended() == Some(false)).then(|| Opener { pid, age: now.since(start) })
}

/// Returns the end at which the kernel recorded the process that opened the connection: the
/// accepted one, or either end of a pair. The client's end records the process that called listen.
fn recording_end(snapshot: &Snapshot, id: SocketId) -> Option<SocketId> {
    let peer = snapshot[id].peer.filter(|&peer| snapshot[peer].peer == Some(id))?;
    let is_accepted = |socket: &Socket| socket.may_be_from().is_some();
    let (own, other) = (&snapshot[id], &snapshot[peer]);
    match (is_accepted(own), is_accepted(other)) {
        (true, false) => Some(id),
        (false, true) => Some(peer),
        // A client has no name, but a server's end has one.
        (false, false) if own.name.is_unnamed() && other.name.is_unnamed() => Some(id),
        _ => None,
    }
}

/// Returns what the kernel recorded at a socket, with a pidfd, which no other process can get.
fn recorded(kind: Kind, socket: OwnedFd) -> Option<Peer> {
    match kind {
        Kind::Stream => Some(Stream::try_from(socket).ok()?.peer()),
        Kind::SeqPacket => Some(SeqPacket::try_from(socket).ok()?.peer()),
        Kind::Datagram => None,
    }
}

/// Returns the text of `/proc/PID/stat`, which has no length to read it by, with one call.
fn stat(pid: u32) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(STAT_MAX_BYTES);
    let file = File::open(format!("/proc/{pid}/stat")).ok()?;
    file.take(STAT_MAX_BYTES as u64).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Returns the start time in the text of `/proc/PID/stat`, in clock ticks since boot. The command
/// may contain any bytes, so the fields are counted behind its last parenthesis.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|&byte| byte == b')')? + 2;
    let field = stat.get(behind..)?.split(|&byte| byte == b' ').nth(19)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::sample;

    #[test]
    fn the_start_time_is_read() {
        let stat = b"7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 1 2";
        assert_eq!(start_ticks(stat), Some(8812));
        for wrong in [b"".as_slice(), b"7 (a", b"7 (a)", b"7 (a) S 1"] {
            assert_eq!(start_ticks(wrong), None);
        }
    }

    #[test]
    fn the_accepted_end_records_the_opener() {
        let machine = sample::machine();
        let waiting = SocketId::new(sample::WAITING);
        assert_eq!(recording_end(&machine, waiting), None, "it has not been accepted");
        for connection in machine.connections() {
            let Some(server) = connection.server.filter(|&end| machine[end].listener.is_some()) else {
                continue;
            };
            let ends = [server, connection.client].map(|id| recording_end(&machine, id));
            assert_eq!(ends, [Some(server), Some(server)]);
        }
    }
}
