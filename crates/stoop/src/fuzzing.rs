//! Entry points for fuzz targets into parsers that are private. Not part of the interface.

pub use crate::bind::handover::fuzzing::{message as handover_message, protocol as handover_protocol};

use crate::bind::{activation, notify};

/// Reads the variables a service manager sets, one piece each: `LISTEN_FDS`, `LISTEN_PID`,
/// `LISTEN_FDNAMES`, `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`. The pieces are separated by
/// zero bytes; a piece that is only `-` is an unset variable.
///
/// # Panics
/// Panics if one is misread: this is what the fuzzer looks for.
pub fn manager_variables(data: &[u8]) {
    let mut pieces = data.splitn(6, |&byte| byte == 0).map(|piece| (piece != b"-").then_some(piece));
    let [fds, pid, names, socket, interval, watched] = [(); 6].map(|()| pieces.next().flatten());
    activation::fuzz(fds, pid, names);
    notify::fuzz(socket, interval, watched);
}
