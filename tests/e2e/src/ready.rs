//! Waits for a server without connecting to it: the kernel's table of Unix sockets shows which are
//! bound and which listen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stoop_testkit::eventually;

/// The state bit that `/proc/net/unix` shows for a listening socket (`__SO_ACCEPTCON`).
const LISTENING: u32 = 0x1_0000;
/// `SOCK_DGRAM` as that table shows it.
const DATAGRAM: u32 = 2;
const LIMIT: Duration = Duration::from_secs(20);

/// Returns whether a socket that was bound as `name` (a path, or `@name`) accepts clients: it
/// listens, or is a datagram socket.
pub fn is_served(name: impl AsRef<Path>) -> bool {
    let table = fs::read("/proc/net/unix").expect("read the table of local sockets");
    let table = String::from_utf8_lossy(&table);
    let wanted = name.as_ref().to_str().expect("a name that is text");
    table.lines().skip(1).any(|line| serves(line, wanted))
}

/// A line is `address: references protocol flags type state inode path`.
fn serves(line: &str, wanted: &str) -> bool {
    let mut words = line.split_whitespace();
    let (Some(flags), Some(kind)) = (words.nth(3), words.next()) else { return false };
    let name = words.nth(2).unwrap_or_default();
    let number = |text| u32::from_str_radix(text, 16).unwrap_or_default();
    name == wanted && (number(flags) & LISTENING != 0 || number(kind) == DATAGRAM)
}

/// Waits until [`is_served`].
#[track_caller]
pub fn wait_served(name: impl AsRef<Path>) {
    eventually(LIMIT, || is_served(&name));
}

/// Waits until no file is at `path`.
#[track_caller]
pub fn wait_gone(path: impl AsRef<Path>) {
    eventually(LIMIT, || fs::symlink_metadata(path.as_ref()).is_err());
}
