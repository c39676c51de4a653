//! Fault injection: each system call of a program that uses the library fails once, with each errno
//! that its manual page names. Servers continue to serve. Clients get an error or an answer and can
//! continue. No peer receives a wrong byte.
//!
//! | file | holds |
//! |---|---|
//! | `servers.rs` | [`stoop::serve`], the blocking listener, the server that hands over |
//! | `clients.rs` | the three kinds and the service manager's socket, blocking and async |
//!
//! A program is a process of its own. Its peer is in the test process, in which no call fails.

mod clients;
mod servers;

use rustix::io::Errno;

/// Faults that the kernel never has: "not now" from a socket that epoll has just announced, with
/// nothing taken since. Who waits for the next announcement after that waits for what cannot come.
const ANNOUNCED: &[(&str, Errno)] = &[
    ("accept4", Errno::AGAIN),
    ("recvfrom", Errno::AGAIN),
    ("recvmsg", Errno::AGAIN),
    ("sendto", Errno::AGAIN),
    ("sendmsg", Errno::AGAIN),
    ("read", Errno::AGAIN),
    ("write", Errno::AGAIN),
];
