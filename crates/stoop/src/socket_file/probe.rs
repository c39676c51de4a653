//! Whether a socket is bound to the inode of a file.
//!
//! To find out, a datagram socket is connected to the file. A dead file answers `ECONNREFUSED`. A
//! live one answers `EPROTOTYPE` or accepts the connection, even before it listens and from any
//! network namespace. A stream server does not notice the probe ([K-PROBE-1] … [K-PROBE-5]).
//!
//! [K-PROBE-1]: crate::kernel_facts#K-PROBE-1
//! [K-PROBE-5]: crate::kernel_facts#K-PROBE-5

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::location::descriptor_path;
use crate::Kind;
use crate::sys::{self, RawAddress};

/// What is bound to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Nothing,
    Datagram,
    /// A socket of another kind, or one that does not accept messages from this process.
    Another,
}

/// Returns whether any socket is bound to this file's inode. `file` is an `O_PATH` file descriptor,
/// so the answer is about exactly that inode.
pub fn is_alive(file: &OwnedFd) -> io::Result<bool> {
    Ok(bound(file)? != Bound::Nothing)
}

/// Returns whether a datagram socket is bound to this file's inode that accepts messages from this
/// process.
pub(super) fn is_datagram(file: &OwnedFd) -> io::Result<bool> {
    Ok(bound(file)? == Bound::Datagram)
}

fn bound(file: &OwnedFd) -> io::Result<Bound> {
    let probe = sys::socket(Kind::Datagram, sys::Blocking::Waits)?;
    let target = RawAddress::path(&descriptor_path(file))?;
    match sys::connect(probe.as_fd(), &target) {
        Ok(()) => {
            // Disconnect, or the receiver would appear connected indefinitely (K-PROBE-9).
            let _ = rustix::net::connect_unspec(&probe);
            Ok(Bound::Datagram)
        }
        Err(error) => match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Ok(Bound::Nothing),
            Some(libc::EPROTOTYPE | libc::EPERM) => Ok(Bound::Another),
            _ => Err(error),
        },
    }
}
