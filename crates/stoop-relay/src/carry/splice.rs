//! Bytes between two Unix streams through a pipe, without a copy into this process. File descriptors
//! among them are closed by the kernel, so this is for connections on which none may come.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::{Drained, EndKind, Filled, PIECE_BYTES, Tools, drained, filled};
use crate::end::End;

/// How many unused pipes a worker keeps.
const SPARE_PIPES: usize = 64;

/// A pipe, and how much is in it.
#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// The unused pipes of a worker, all empty.
#[derive(Debug, Default)]
pub(crate) struct Pipes(Vec<Pipe>);

impl Pipes {
    fn take(&mut self) -> Result<Pipe, Errno> {
        if let Some(pipe) = self.0.pop() {
            return Ok(pipe);
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An ordinary user may have no more pages: the usual 64 KiB then do, too.
        let _ = fcntl_setpipe_size(&write, PIECE_BYTES);
        Ok(Pipe { read, write })
    }

    fn give_back(&mut self, pipe: Pipe) {
        if self.0.len() < SPARE_PIPES {
            self.0.push(pipe);
        }
    }
}

/// What is held of one direction.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    pipe: Option<Pipe>,
    held: usize,
}

impl Splice {
    pub(super) fn is_holding(&self) -> bool {
        self.held > 0
    }

    pub(super) fn fill(&mut self, source: &End, sink: &End, tools: &mut Tools) -> (Filled, Drained) {
        let pipe = match self.pipe.take().map_or_else(|| tools.pipes.take(), Ok) {
            Ok(pipe) => self.pipe.insert(pipe),
            Err(errno) => return (filled(errno), Drained::All),
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let got = splice(source, None, &pipe.write, None, PIECE_BYTES, flags);
        match got {
            Ok(0) => (Filled::End(EndKind::Shutdown), Drained::All),
            Ok(len) => {
                self.held = len;
                (Filled::Some(len), self.drain(sink, tools))
            }
            Err(errno) => {
                self.release(tools);
                (filled(errno), Drained::All)
            }
        }
    }

    pub(super) fn drain(&mut self, sink: &End, tools: &mut Tools) -> Drained {
        let Some(pipe) = &self.pipe else { return Drained::All };
        while self.held > 0 {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match splice(&pipe.read, None, sink, None, self.held, flags) {
                Ok(len) => self.held -= len,
                Err(Errno::INTR) => {}
                Err(errno) => return drained(errno),
            }
        }
        self.release(tools);
        Drained::All
    }

    /// Gives the empty pipe back, so that an idle connection has none.
    fn release(&mut self, tools: &mut Tools) {
        if let Some(pipe) = self.pipe.take() {
            tools.pipes.give_back(pipe);
        }
    }

    pub(super) fn end(mut self, tools: &mut Tools) {
        if !self.is_holding() {
            self.release(tools);
        }
    }
}
