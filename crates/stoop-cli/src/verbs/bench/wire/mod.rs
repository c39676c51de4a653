//! Connections between the two processes: how each transport is set up, and the few calls that all
//! of them have.
//!
//! This process makes both ends and hands one to the other process, so that every transport begins
//! alike.
//!
//! | family | file |
//! |---|---|
//! | local sockets | `unix.rs` |
//! | TCP and UDP | `inet.rs` |
//! | pipes, FIFOs, a file | `pipe.rs` |
//! | POSIX message queues | `queue.rs` |
//! | System V message queues | `sysv.rs` |
//! | shared memory | `memory.rs` |
//! | what can be connected to again and again | `door.rs` |

mod door;
mod inet;
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

use super::transport::Transport;
use super::trouble::{Result, Trouble};

pub(super) use door::{Dial, Door};
pub(super) use queue::QueueNames;

/// One side of a connection.
pub(super) trait Wire {
    /// Sends one message, or leaves it for [`flush`](Wire::flush).
    fn send(&mut self, message: &[u8]) -> Result<()>;

    /// Waits for one message as long as `room`, and lends it: from `room` or from a buffer of its
    /// own.
    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]>;

    /// Sends what was left.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// What becomes readable when a message has come, where there is such a thing.
    fn readable(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// The local socket that it is.
    fn socket(&self) -> Option<&Socket> {
        None
    }
}

/// One end, before it is opened in the process that uses it.
pub(super) struct Ends {
    pub(super) descriptors: Vec<OwnedFd>,
    /// For what is opened by name: where to receive, and where to send.
    pub(super) names: Option<(String, String)>,
    /// The same for what goes away with the process that made it, in that process.
    pub(super) queues: Option<(Queue, Queue)>,
}

impl Ends {
    fn of(descriptors: impl IntoIterator<Item = OwnedFd>) -> Ends {
        Ends { descriptors: descriptors.into_iter().collect(), names: None, queues: None }
    }

    /// What came from the process that made both ends.
    pub(super) fn passed(names: Option<(String, String)>, descriptors: Vec<OwnedFd>) -> Ends {
        Ends { descriptors, names, queues: None }
    }

    /// Exactly these many descriptors.
    fn exactly<const N: usize>(self) -> Result<[OwnedFd; N]> {
        self.descriptors.try_into().map_err(|_| Trouble::failed("an end came without its descriptors"))
    }
}

/// Two ends that belong together.
pub(super) struct Link {
    pub(super) ours: Ends,
    pub(super) theirs: Ends,
    /// Names that go when both ends are open.
    pub(super) names: Option<QueueNames>,
}

impl Link {
    fn of(ours: Ends, theirs: Ends) -> Link {
        Link { ours, theirs, names: None }
    }
}

/// Where files and names are made, none twice.
pub(super) struct Place {
    directory: PathBuf,
    names: Cell<u32>,
}

impl Place {
    pub(super) fn new(directory: &Path) -> Place {
        Place { directory: directory.to_owned(), names: Cell::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(self.number().to_string())
    }

    /// A name that no other process uses.
    fn name(&self) -> String {
        format!("stoop-bench-{}-{}", std::process::id(), self.number())
    }

    fn number(&self) -> u32 {
        self.names.set(self.names.get() + 1);
        self.names.get()
    }
}

/// Makes the two ends of a transport for messages of this size.
pub(super) fn link(transport: Transport, place: &Place, size: usize) -> Result<Link> {
    match transport {
        Transport::Tcp => inet::tcp(),
        Transport::Udp => inet::udp(),
        Transport::Pipe => pipe::pipes(),
        Transport::Fifo => pipe::fifos(place),
        Transport::File => pipe::files(place),
        Transport::PosixQueue => queue::queues(place, size),
        Transport::SysVQueue => sysv::queues(size),
        Transport::SharedFutex | Transport::SharedSpin => memory::rings(size),
        local => unix::link(local, place),
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
