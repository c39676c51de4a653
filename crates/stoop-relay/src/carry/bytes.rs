//! Bytes, read into the worker's buffer and written from there. Only what the sink does not take at
//! once is kept. File descriptors that come with them have nowhere to go: they are closed, and
//! counted.

use std::io::IoSliceMut;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use stoop::{Allow, DESCRIPTORS_MAX};

use super::outcome::{Drained, EndKind, Filled, drained, errno_of, filled};
use super::tools::{PIECE_BYTES, Tools};
use crate::counters::Counters;
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

    pub(super) fn fill(
        &mut self,
        source: &End,
        sink: &End,
        tools: &mut Tools,
        counters: &Counters,
    ) -> (Filled, Drained) {
        let buffer = &mut tools.buffer[..PIECE_BYTES];
        let len = match read(source, buffer, counters) {
            Ok(0) if source.is_reset_beyond() => return (Filled::End(EndKind::Reset), Drained::All),
            Ok(0) => return (Filled::End(EndKind::Shutdown), Drained::All),
            Ok(len) => len,
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

fn read(source: &End, buffer: &mut [u8], counters: &Counters) -> Result<usize, Errno> {
    let End::Stream(stream) = source else {
        return recv(source, buffer, RecvFlags::DONTWAIT).map(|(len, _)| len);
    };
    let received = stream.recv_with(&mut [IoSliceMut::new(buffer)], Allow::descriptors(DESCRIPTORS_MAX));
    let received = received.map_err(|error| errno_of(&error))?;
    counters.lost_descriptors(received.descriptors.len());
    Ok(received.len)
}

/// Writes until the sink takes no more. Returns how much it took.
pub(super) fn write(sink: &End, bytes: &[u8]) -> (usize, Drained) {
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
