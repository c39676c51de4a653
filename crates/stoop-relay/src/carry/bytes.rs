//! Bytes, read into the worker's buffer and written from there. Only what the sink does not take at
//! once is kept.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::outcome::{Drained, EndKind, Filled, drained, filled};
use super::tools::{PIECE_BYTES, Tools};
use crate::end::End;

/// What is held of one direction.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    held: Vec<u8>,
    written: usize,
}

impl Bytes {
    pub(super) fn is_holding(&self) -> bool {
        self.written < self.held.len()
    }

    pub(super) fn fill(&mut self, source: &End, sink: &End, tools: &mut Tools) -> (Filled, Drained) {
        let buffer = &mut tools.buffer[..PIECE_BYTES];
        let len = match recv(source, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return (Filled::End(EndKind::Shutdown), Drained::All),
            Ok((len, _)) => len,
            Err(errno) => return (filled(errno), Drained::All),
        };
        let (written, outcome) = write(sink, &buffer[..len]);
        if outcome != Drained::All {
            self.keep(&buffer[written..len]);
        }
        (Filled::Some(len), outcome)
    }

    pub(super) fn drain(&mut self, sink: &End) -> Drained {
        let (written, outcome) = write(sink, &self.held[self.written..]);
        self.written += written;
        if outcome == Drained::All {
            *self = Bytes::default();
        }
        outcome
    }

    fn keep(&mut self, rest: &[u8]) {
        *self = Bytes { held: rest.to_vec(), written: 0 };
    }
}

/// Writes until the sink takes no more. Returns how much it took.
fn write(sink: &End, bytes: &[u8]) -> (usize, Drained) {
    let mut written = 0;
    while written < bytes.len() {
        match send(sink, &bytes[written..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(len) => written += len,
            Err(Errno::INTR) => {}
            Err(errno) => return (written, drained(errno)),
        }
    }
    (written, Drained::All)
}
