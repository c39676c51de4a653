//! What the directions of a worker share: a buffer, and unused pipes.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// How many bytes are read at a time.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// How many bytes are collected at most before they are written: the last read may begin at two
/// thirds.
const BATCH_BYTES: usize = 3 * PIECE_BYTES;

/// How many unused pipes a worker keeps.
const SPARE_PIPES: usize = 64;

/// How many directions of a worker keep the file with the count of file descriptors open.
const OPEN_COUNTERS: usize = 256;

/// A pipe, and how much is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
}

/// The unused pipes of a worker, all empty.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Vec<Pipe>);

impl Pipes {
    pub(super) fn take(&mut self) -> Result<Pipe, Errno> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An ordinary user may have no more pages: the usual 64 KiB then do, too.
        let _ = fcntl_setpipe_size(&write, PIECE_BYTES);
        Ok(Pipe { read, write })
    }

    pub(super) fn give_back(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE_PIPES {
            self.0.push(pipe);
        }
    }
}

/// What the directions of a worker share.
pub(crate) struct Tools {
    pub(crate) buffer: Vec<u8>,
    pub(crate) pipes: Pipes,
    /// How many more directions may keep the file of their counter open.
    pub(super) spare_counters: usize,
}

impl Tools {
    pub(crate) fn new() -> Tools {
        Tools { buffer: vec![0; BATCH_BYTES], pipes: Pipes::default(), spare_counters: OPEN_COUNTERS }
    }
}
