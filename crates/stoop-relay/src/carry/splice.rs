//! Bytes between two Unix streams through a pipe, without a copy into this process. The kernel
//! closes file descriptors among them, so this is for connections that may have none.

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::outcome::{Drained, EndKind, Filled, drained, filled};
use super::tools::{PIECE_BYTES, Pipe, Tools};
use crate::end::{BULK_BYTES, End, enlarge_send_buffer};

/// What is held of one direction.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    pipe: Option<Pipe>,
    held: usize,
    /// Whether the sink's send buffer was enlarged: once it is known that much is moved.
    is_enlarged: bool,
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
            Ok(0) => {
                self.release(tools);
                let kind = if source.is_reset_beyond() { EndKind::Reset } else { EndKind::Shutdown };
                (Filled::End(kind), Drained::All)
            }
            Ok(len) => {
                self.held = len;
                if len >= BULK_BYTES && !self.is_enlarged {
                    self.is_enlarged = true;
                    if let End::Stream(sink) = sink {
                        enlarge_send_buffer(sink);
                    }
                }
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
