//! Entry points for fuzz targets into private parsers. Not part of the interface.

pub use crate::bind::handover::fuzzing::{message as handover_message, protocol as handover_protocol};

use crate::bind::{activation, notify};

/// The codec of control messages.
pub mod control {
    pub use crate::control::{Encoder, Item, decode, space};
}

/// Parses the variables that a service manager sets, one piece each: `LISTEN_FDS`, `LISTEN_PID`,
/// `LISTEN_FDNAMES`, `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
///
/// The pieces are separated by zero bytes. A piece that is only `-` is an unset variable.
///
/// # Panics
/// Panics if a variable is parsed wrongly, which the fuzzer then reports.
pub fn manager_variables(data: &[u8]) {
    let mut pieces = data.splitn(6, |&byte| byte == 0).map(|piece| (piece != b"-").then_some(piece));
    let [fds, pid, names, socket, interval, watched] = [(); 6].map(|()| pieces.next().flatten());
    activation::fuzz(fds, pid, names);
    notify::fuzz(socket, interval, watched);
}
