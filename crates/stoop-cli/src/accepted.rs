//! Whether a server has accepted the connection of this process: a connection succeeds, and takes
//! data, while it still waits in the backlog ([K-CONNECT-1]).
//!
//! [K-CONNECT-1]: stoop::kernel_facts#K-CONNECT-1

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;

use stoop::diag::{Entry, Show, Table};

/// Why there is no answer, if no process has accepted the connection.
pub(crate) const NOT_ACCEPTED: &str =
    "no process has accepted the connection: it waits in the backlog of the server";

/// Returns whether a connection of this process waits to be accepted. `None` if the kernel cannot
/// be asked.
fn is_waiting() -> Option<bool> {
    any_waits().ok()
}

/// Returns whether it is known to wait.
pub(crate) fn surely_waits() -> bool {
    is_waiting() == Some(true)
}

/// Says what is known of a server that has not answered. Its connection must still be open.
pub(crate) fn no_answer() -> &'static str {
    match is_waiting() {
        Some(true) => NOT_ACCEPTED,
        None => "it has not answered",
        Some(false) => "it accepted the connection, and has not answered",
    }
}

/// Returns the command that shows what the server at this address, quoted, is doing.
pub(crate) fn show_server(address: &str) -> String {
    format!("stoop who {address}    # what its server does, and how much is waiting")
}

fn any_waits() -> io::Result<bool> {
    let mut table = Table::open()?;
    for entry in fs::read_dir("/proc/self/fd")? {
        let link = fs::read_link(entry?.path()).unwrap_or_default();
        let Some(ino) = socket_inode(link.as_os_str().as_bytes()) else { continue };
        if table.lookup(ino, Show::PEER)?.is_some_and(|found| waits(&found)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A client that was not accepted has a peer without an inode. So has one whose peer was closed,
/// which is shut down as well ([K-DIAG-7]).
///
/// [K-DIAG-7]: stoop::kernel_facts#K-DIAG-7
fn waits(entry: &Entry) -> bool {
    let is_connected = entry.kind.is_some_and(|kind| kind.is_connected());
    is_connected && entry.is_established && entry.peer == Some(0) && entry.shutdown != 3
}

/// Returns the inode in the text of a link in `/proc/PID/fd`.
fn socket_inode(link: &[u8]) -> Option<u32> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    /// Other tests of this process may have waiting clients, so only this one is asked for.
    fn of(stream: &UnixStream) -> bool {
        let link = fs::read_link(format!("/proc/self/fd/{}", stream.as_raw_fd())).unwrap();
        let ino = socket_inode(link.as_os_str().as_bytes()).unwrap();
        waits(&Table::open().unwrap().lookup(ino, Show::PEER).unwrap().unwrap())
    }

    #[test]
    fn a_connection_waits_until_it_is_accepted() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).unwrap();
        assert!(of(&client) && surely_waits());
        let (accepted, _) = listener.accept().unwrap();
        assert!(!of(&client) && !of(&accepted));
        drop(accepted);
        assert!(!of(&client), "it was closed");
        let refused = UnixStream::connect(&path).unwrap();
        drop(listener);
        assert!(!of(&refused), "the listener was closed");
    }
}
