//! Connections between the two processes: how each transport is set up, and the few operations that
//! all of them support.
//!
//! This process creates both ends and passes one to the other process, so that every transport
//! starts alike.
//!
//! | family | file |
//! |---|---|
//! | what all of them share | `link.rs` |
//! | Unix sockets | `unix.rs` |
//! | TCP and UDP | `inet.rs` |
//! | pipes, FIFOs, a file | `pipe.rs` |
//! | POSIX message queues | `queue.rs` |
//! | System V message queues | `sysv.rs` |
//! | shared memory | `memory.rs` |
//! | listeners | `listener.rs` |

mod inet;
mod link;
mod listener;
mod memory;
mod pipe;
mod queue;
mod sysv;
mod unix;

use super::error::Result;
use super::transport::Transport;

pub(super) use link::{Ends, Link, PEER_TIMEOUT, QueueNames, UniqueNames, Wire};
pub(super) use listener::{Acceptor, Dialer};

/// Creates the two ends of a transport for messages of this size.
pub(super) fn link(transport: Transport, unique: &UniqueNames, size: usize) -> Result<Link> {
    match transport {
        Transport::Tcp => inet::tcp(),
        Transport::Udp => inet::udp(),
        Transport::Pipe => pipe::pipes(),
        Transport::Fifo => pipe::fifos(unique),
        Transport::File => pipe::files(unique),
        Transport::PosixQueue => queue::queues(unique, size),
        Transport::SysVQueue => sysv::queues(size),
        Transport::SharedFutex | Transport::SharedSpin => memory::rings(size),
        local => unix::link(local, unique),
    }
}

/// Opens one end for messages of this size.
pub(super) fn open(transport: Transport, ends: Ends, size: usize) -> Result<Box<dyn Wire>> {
    match transport {
        Transport::Tcp => inet::open_tcp(ends),
        Transport::Udp => inet::open_udp(ends),
        Transport::Pipe | Transport::Fifo => pipe::open_pipe(ends),
        Transport::File => pipe::open_file(ends),
        Transport::PosixQueue => queue::open(ends),
        Transport::SysVQueue => sysv::open(ends),
        Transport::SharedFutex | Transport::SharedSpin => memory::open(transport, ends),
        local => unix::open(local, ends, size),
    }
}
