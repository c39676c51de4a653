//! Messages over a byte stream, and out of one: in the native framing of `stoop`, so that their
//! boundaries arrive at the other side of a network.

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use stoop::frame::Native;
use stoop::internal::{Decoder, Encoder};

use super::bytes::write;
use super::messages::Messages;
use super::outcome::{Drained, EndKind, Filled, drained, filled};
use crate::counters::Counters;
use crate::end::End;

/// The longest message that is taken from a stream. What a peer announces is believed only so far.
const MESSAGE_MAX_BYTES: usize = 16 << 20;

/// So much is collected before it is written.
const BATCH_BYTES: usize = 64 << 10;

/// Messages on their way to a byte stream.
#[derive(Default)]
pub(crate) struct Pack {
    encoder: Option<Box<Encoder<Native>>>,
    /// The message that did not fit behind the others.
    next: Option<Vec<u8>>,
}

impl Pack {
    pub(super) fn is_holding(&self) -> bool {
        self.encoder.is_some()
    }

    /// Reads the messages that have come, up to a batch.
    pub(super) fn fill(
        &mut self,
        source: Messages<'_>,
        sink: &End,
        counters: &Counters,
    ) -> (Filled, Drained) {
        let mut len = None;
        while self.next.is_none() && self.pending_bytes() < BATCH_BYTES / 2 {
            match source.receive() {
                Ok((message, fds)) => {
                    len = Some(len.unwrap_or(0) + message.len());
                    counters.lost_descriptors(fds.len());
                    self.push(message, counters);
                }
                Err(nothing) if len.is_none() => return (nothing, Drained::All),
                // It shows again at the next read.
                Err(_) => break,
            }
        }
        (Filled::Some(len.unwrap_or(0)), self.drain(sink, counters))
    }

    fn pending_bytes(&self) -> usize {
        self.encoder.as_ref().map_or(0, |encoder| encoder.pending().len())
    }

    fn push(&mut self, message: Vec<u8>, counters: &Counters) {
        let encoder = self.encoder.get_or_insert_with(|| {
            Box::new(Encoder::new(Native).max_bytes(MESSAGE_MAX_BYTES).batch_bytes(BATCH_BYTES))
        });
        match encoder.push(&message) {
            Ok(true) => counters.message(0),
            Ok(false) => self.next = Some(message),
            Err(_) => counters.lost_message(),
        }
    }

    pub(super) fn drain(&mut self, sink: &End, counters: &Counters) -> Drained {
        while let Some(encoder) = &mut self.encoder {
            let (written, outcome) = write(sink, encoder.pending());
            encoder.consume(written);
            if outcome != Drained::All {
                return outcome;
            }
            // An empty encoder takes a message of any length.
            self.encoder = None;
            if let Some(next) = self.next.take() {
                self.push(next, counters);
            }
        }
        Drained::All
    }
}

/// Messages on their way out of a byte stream.
pub(crate) struct Unpack {
    decoder: Decoder<Native>,
    /// The message that the sink did not take.
    held: Option<Vec<u8>>,
    /// The stream has ended, or is not what it should be.
    end: Option<EndKind>,
}

impl Unpack {
    pub(super) fn new() -> Unpack {
        Unpack { decoder: Decoder::new(Native).max_bytes(MESSAGE_MAX_BYTES), held: None, end: None }
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn fill(
        &mut self,
        source: &End,
        sink: Messages<'_>,
        counters: &Counters,
    ) -> (Filled, Drained) {
        if let Some(end) = self.end {
            return (Filled::End(end), Drained::All);
        }
        match recv(source, self.decoder.room(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => (Filled::End(self.finish(source, counters)), Drained::All),
            Ok((len, _)) => {
                self.decoder.filled(len);
                (Filled::Some(len), self.deliver(sink, counters))
            }
            Err(errno) => {
                let outcome = filled(errno);
                if matches!(outcome, Filled::End(_)) {
                    self.finish(source, counters);
                }
                (outcome, Drained::All)
            }
        }
    }

    /// The stream has ended. An end within a message does not count as one.
    fn finish(&mut self, source: &End, counters: &Counters) -> EndKind {
        let is_whole = self.decoder.finish().is_ok();
        if !is_whole {
            counters.lost_message();
        }
        if is_whole && !source.is_reset_beyond() { EndKind::Shutdown } else { EndKind::Reset }
    }

    pub(super) fn drain(&mut self, sink: Messages<'_>, counters: &Counters) -> Drained {
        if let Some(message) = self.held.take() {
            let outcome = deliver(&message, sink, counters);
            if outcome != Drained::All {
                self.held = Some(message);
                return outcome;
            }
        }
        self.deliver(sink, counters)
    }

    /// Sends the messages that have come whole.
    fn deliver(&mut self, sink: Messages<'_>, counters: &Counters) -> Drained {
        loop {
            match self.decoder.next() {
                Ok(Some(message)) => {
                    let outcome = deliver(message, sink, counters);
                    if outcome != Drained::All {
                        self.held = Some(message.to_vec());
                        return outcome;
                    }
                }
                Ok(None) => return Drained::All,
                Err(_) => {
                    counters.lost_message();
                    self.end = Some(EndKind::NotFramed);
                    return Drained::All;
                }
            }
        }
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("is_holding", &self.is_holding()).finish()
    }
}

impl std::fmt::Debug for Unpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpack").field("is_holding", &self.is_holding()).finish()
    }
}

fn deliver(message: &[u8], sink: Messages<'_>, counters: &Counters) -> Drained {
    loop {
        match sink.send(message, &[]) {
            Ok(()) => counters.message(0),
            Err(Errno::MSGSIZE) if sink.enlarge(message.len()) => continue,
            Err(Errno::MSGSIZE) => counters.lost_message(),
            Err(errno) => return drained(errno),
        }
        return Drained::All;
    }
}
