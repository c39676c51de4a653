//! Messages of a seqpacket or datagram socket: whole, one after the other, with their file
//! descriptors.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::messages::{Message, Messages, borrowed};
use super::outcome::{Drained, Filled, drained};
use crate::counters::Counters;

/// The message that is held.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    held: Option<Message>,
}

impl Packets {
    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn fill(
        &mut self,
        source: Messages<'_>,
        sink: Messages<'_>,
        counters: &Counters,
    ) -> (Filled, Drained) {
        match source.receive() {
            Ok(message) => {
                let len = message.0.len();
                self.held = Some(message);
                (Filled::Some(len), self.drain(sink, counters))
            }
            Err(filled) => (filled, Drained::All),
        }
    }

    pub(super) fn drain(&mut self, sink: Messages<'_>, counters: &Counters) -> Drained {
        let Some((message, fds)) = &mut self.held else { return Drained::All };
        let outcome = deliver(sink, message, fds, counters);
        if outcome == Drained::All {
            self.held = None;
        }
        outcome
    }
}

/// Sends a message, unless no send buffer can hold it.
pub(super) fn deliver(
    sink: Messages<'_>,
    message: &[u8],
    fds: &mut Vec<OwnedFd>,
    counters: &Counters,
) -> Drained {
    loop {
        let Err(errno) = sink.send(message, &borrowed(fds)) else {
            counters.message(fds.len());
            return Drained::All;
        };
        match errno {
            Errno::PERM if !fds.is_empty() => {
                counters.lost_descriptors(fds.len());
                fds.clear();
            }
            Errno::MSGSIZE if sink.enlarge(message.len()) => {}
            Errno::MSGSIZE => {
                counters.lost_message();
                return Drained::All;
            }
            errno => return drained(errno),
        }
    }
}
