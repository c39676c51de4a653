//! What all transports share: the operations on one side of a connection, the two ends before they
//! are opened, and names for them.

use std::cell::Cell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mqueue::mq_unlink;
use stoop::internal::Socket;
use stoop_memory::Queue;

use crate::commands::bench::error::{Error, Result};

/// How long to wait for the other process: after that it is considered stuck.
pub(in crate::commands::bench) const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// One side of a connection.
pub(in crate::commands::bench) trait Wire {
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
pub(in crate::commands::bench) struct Ends {
    pub(in crate::commands::bench) descriptors: Vec<OwnedFd>,
    /// The names of the objects opened by name: to receive from, and to send to.
    pub(in crate::commands::bench) names: Option<(String, String)>,
    /// The queues, in the process that created them, which removes them when it exits.
    pub(in crate::commands::bench) queues: Option<(Queue, Queue)>,
}

impl Ends {
    pub(super) fn of(descriptors: impl IntoIterator<Item = OwnedFd>) -> Ends {
        Ends { descriptors: descriptors.into_iter().collect(), names: None, queues: None }
    }

    /// Creates an end from what the other process passed.
    pub(in crate::commands::bench) fn passed(
        names: Option<(String, String)>,
        descriptors: Vec<OwnedFd>,
    ) -> Ends {
        Ends { descriptors, names, queues: None }
    }

    /// Returns exactly this many file descriptors.
    pub(super) fn exactly<const N: usize>(self) -> Result<[OwnedFd; N]> {
        self.descriptors.try_into().map_err(|_| Error::failed("an end arrived without its file descriptors"))
    }
}

/// Two ends that belong together.
pub(in crate::commands::bench) struct Link {
    pub(in crate::commands::bench) ours: Ends,
    pub(in crate::commands::bench) theirs: Ends,
    /// The names, removed when both ends are open.
    pub(in crate::commands::bench) names: Option<QueueNames>,
}

impl Link {
    pub(super) fn of(ours: Ends, theirs: Ends) -> Link {
        Link { ours, theirs, names: None }
    }
}

/// The directory and a generator of unique names.
pub(in crate::commands::bench) struct UniqueNames {
    directory: PathBuf,
    names: Cell<u32>,
}

impl UniqueNames {
    pub(in crate::commands::bench) fn new(directory: &Path) -> UniqueNames {
        UniqueNames { directory: directory.to_owned(), names: Cell::new(0) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.number().to_string())
    }

    /// Returns a name that no other process uses.
    pub(super) fn name(&self) -> String {
        format!("stoop-bench-{}-{}", std::process::id(), self.number())
    }

    fn number(&self) -> u32 {
        self.names.set(self.names.get() + 1);
        self.names.get()
    }
}

/// Names of POSIX message queues, removed on drop. A process that has a queue open keeps it.
pub(in crate::commands::bench) struct QueueNames([String; 2]);

impl QueueNames {
    /// Takes the names before the queues are created.
    pub(super) fn new(names: [&str; 2]) -> QueueNames {
        QueueNames(names.map(str::to_owned))
    }
}

impl Drop for QueueNames {
    fn drop(&mut self) {
        for name in &self.0 {
            // If this fails, the queue was not created.
            let _ = mq_unlink(name.as_str());
        }
    }
}
