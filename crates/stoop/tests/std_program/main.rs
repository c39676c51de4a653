//! One program on the sockets of `std::os::unix::net` and on those of stoop: replacing the prefix
//! `std::os::unix::net::Unix` by `stoop::` compiles, and behaves the same.
//!
//! `program.rs` uses every stable call of the three types. It leaves out what differs on purpose,
//! which the table in the crate's documentation lists.

use stoop_kernel_facts::SOON;
use stoop_testkit::{deadline, tempdir};

#[expect(
    clippy::useless_conversion,
    clippy::unnecessary_fallible_conversions,
    reason = "the conversions are needed on stoop's side, where an error is another type and a kind is checked"
)]
mod on_std {
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    include!("program.rs");
}

mod on_stoop {
    use stoop::{Datagram as UnixDatagram, Listener as UnixListener, Stream as UnixStream};

    include!("program.rs");
}

#[test]
fn runs_on_std() {
    deadline(SOON, || on_std::run(tempdir().path()).unwrap());
}

#[test]
fn runs_on_stoop() {
    deadline(SOON, || on_stoop::run(tempdir().path()).unwrap());
}
