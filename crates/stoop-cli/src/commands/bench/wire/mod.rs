//! Connections between the two processes: how each transport is set up, and the few operations that
//! all of them support.
//!
//! This process creates both ends and passes one to the other process, so that every transport
//! starts alike.
//!
//! | family | file |
//! |---|---|
//! | Unix sockets | `unix.rs` |
//! | TCP and UDP | `inet.rs` |
//! | pipes, FIFOs, a file | `pipe.rs` |
//! | POSIX message queues | `queue.rs` |
//! | System V message queues | `sysv.rs` |
//! | shared memory | `memory.rs` |
//! | listeners | `listener.rs` |

mod inet;
mod listener;
mod memory;
mod pipe;
mod queue;
mod sysv;
mod unix;

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use stoop::Socket;
use stoop_memory::Queue;

use super::error::{Error, Result};
use super::transport::Transport;

pub(super) use listener::{Acceptor, Dialer};
pub(super) use queue::QueueNames;

/// One side of a connection.
pub(super) trait Wire {
    /// Sends one message, or buffers it until [`flush`](Wire::flush).
    fn send(&mut self, message: &[u8]) -> Result<()>;

    /// Waits for one message that is as long as `room`, and returns a reference to it in `room` or
    /// in a buffer of its own.
    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]>;

    /// Sends what was buffered.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns a file descriptor that is readable if a message has arrived, if the transport has
    /// one.
    fn readable(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Returns the Unix socket, if it is one.
    fn socket(&self) -> Option<&Socket> {
        None
    }
}

/// One end, before it is opened in the process that uses it.
pub(super) struct Ends {
    pub(super) descriptors: Vec<OwnedFd>,
    /// The names of the objects opened by name: to receive from, and to send to.
    pub(super) names: Option<(String, String)>,
    /// The queues, in the process that created them, which removes them when it exits.
    pub(super) queues: Option<(Queue, Queue)>,
}

impl Ends {
    fn of(descriptors: impl IntoIterator<Item = OwnedFd>) -> Ends {
        Ends { descriptors: descriptors.into_iter().collect(), names: None, queues: None }
    }

    /// Creates an end from what the other process passed.
    pub(super) fn passed(names: Option<(String, String)>, descriptors: Vec<OwnedFd>) -> Ends {
        Ends { descriptors, names, queues: None }
    }

    /// Returns exactly this many file descriptors.
    fn exactly<const N: usize>(self) -> Result<[OwnedFd; N]> {
        self.descriptors.try_into().map_err(|_| Error::failed("an end arrived without its file descriptors"))
    }
}

/// Two ends that belong together.
pub(super) struct Link {
    pub(super) ours: Ends,
    pub(super) theirs: Ends,
    /// The names, removed when both ends are open.
    pub(super) names: Option<QueueNames>,
}

impl Link {
    fn of(ours: Ends, theirs: Ends) -> Link {
        Link { ours, theirs, names: None }
    }
}

/// The directory and a generator of unique names.
pub(super) struct UniqueNames {
    directory: PathBuf,
    names: Cell<u32>,
}

impl UniqueNames {
    pub(super) fn new(directory: &Path) -> UniqueNames {
        UniqueNames { directory: directory.to_owned(), names: Cell::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.number().to_string())
    }

    /// Returns a name that no other process uses.
    fn name(&self) -> String {
        format!("stoop-bench-{}-{}", std::process::id(), self.number())
    }

    fn number(&self) -> u32 {
        self.names.set(self.names.get() + 1);
        self.names.get()
    }
}

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
