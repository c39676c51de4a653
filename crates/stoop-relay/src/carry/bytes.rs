//! Bytes, read into the worker's buffer and written from there. Only what the sink does not take at
//! once is kept. File descriptors that come with them have nowhere to go: they are closed, and
//! counted.
//!
//! Of bulk to TCP, several reads become one write: each write wakes the reader, and wake-ups cost
//! more than the copies. A Unix socket has no queue for that much.

use std::io::IoSliceMut;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use stoop::{Allow, DESCRIPTORS_MAX};

use super::outcome::{Drained, EndKind, Filled, drained, errno_of, filled};
use super::tools::{PIECE_BYTES, Tools};
use crate::counters::Counters;
use crate::end::{BULK_BYTES, End, enlarge_send_buffer};

/// What is held of one direction.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    held: Vec<u8>,
    written: usize,
    /// What came of a read after the bytes that went on first.
    next: Option<Filled>,
    /// Whether the sink's send buffer was enlarged: once it is known that much is moved.
    is_enlarged: bool,
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
        if let Some(next) = self.next.take() {
            return (next, Drained::All);
        }
        let batch = if matches!(sink, End::Tcp(_)) { tools.buffer.len() } else { PIECE_BYTES };
        let (len, last) = gather(source, &mut tools.buffer[..batch], counters);
        if len == 0 {
            return (last, Drained::All);
        }
        self.next = matches!(last, Filled::End(_)).then_some(last);
        if let (End::Stream(stream), true, false) = (sink, len >= BULK_BYTES, self.is_enlarged) {
            self.is_enlarged = true;
            enlarge_send_buffer(stream);
        }
        let (written, outcome) = write(sink, &tools.buffer[..len]);
        if outcome != Drained::All {
            self.keep(&tools.buffer[written..len]);
        }
        (Filled::Some(len), outcome)
    }

    pub(super) fn drain(&mut self, sink: &End) -> Drained {
        let (written, outcome) = write(sink, &self.held[self.written..]);
        self.written += written;
        if outcome == Drained::All {
            (self.held, self.written) = (Vec::new(), 0);
        }
        outcome
    }

    fn keep(&mut self, rest: &[u8]) {
        (self.held, self.written) = (rest.to_vec(), 0);
    }
}

/// Reads a piece, and of bulk as many as fit. Returns how much came, and what came of the last
/// read.
fn gather(source: &End, buffer: &mut [u8], counters: &Counters) -> (usize, Filled) {
    let mut len = 0;
    loop {
        let came = match read(source, &mut buffer[len..len + PIECE_BYTES], counters) {
            Ok(0) if source.is_reset_beyond() => Filled::End(EndKind::Reset),
            Ok(0) => Filled::End(EndKind::Shutdown),
            Ok(read) => {
                len += read;
                if read >= BULK_BYTES && len + PIECE_BYTES <= buffer.len() {
                    continue;
                }
                Filled::Some(len)
            }
            Err(errno) => filled(errno),
        };
        return (len, came);
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
