//! Each system call of a program of the library fails once, with each errno that its manual page
//! names, by the injector of the test kit: servers serve on, clients get an error or an answer and
//! can go on, and nobody hears a wrong byte.
//!
//! | file | holds |
//! |---|---|
//! | `servers.rs` | [`stoop::serve`], the blocking listener, the server that hands over |
//! | `clients.rs` | streams, packets, datagrams and the service manager's socket; blocking, and driven by tokio |
//!
//! The program is a process of its own. Whom it talks to is in the test, where nothing fails.

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
