//! Carrying one direction's data from its source to its sink, a piece at a time.
//!
//! | file | carries | holds meanwhile |
//! |---|---|---|
//! | `bytes.rs` | bytes, to or from anything | what the sink did not take |
//! | `splice.rs` | bytes between Unix streams, without copying them through this process | a pipe |
//! | `descriptors.rs` | bytes and file descriptors | what the sink did not take |
//! | `packets.rs` | messages with their boundaries and file descriptors | one message |
//!
//! Idle directions hold nothing: buffers and pipes belong to the worker (`tools.rs`). What came of
//! an attempt to read or write is in `outcome.rs`.

mod bytes;
mod descriptors;
mod outcome;
mod packets;
mod splice;
mod tools;

use std::io;

use crate::counters::Counters;
use crate::end::End;

pub(crate) use outcome::{Drained, EndKind, Filled, errno_of};
pub(crate) use tools::{PIECE_BYTES, Tools};

/// How a direction is carried.
#[derive(Debug)]
pub(crate) enum Carry {
    Bytes(bytes::Bytes),
    Splice(splice::Splice),
    Descriptors(descriptors::Descriptors),
    Packets(packets::Packets),
}

impl Carry {
    /// Chooses how to carry from `source` to `sink`.
    ///
    /// # Errors
    /// Returns an error if one has boundaries and the other does not: they would be lost.
    pub(crate) fn new(source: &End, sink: &End, allows_descriptors: bool) -> io::Result<Carry> {
        match (source, sink) {
            (End::SeqPacket(socket), End::SeqPacket(_)) => packets::Packets::new(socket).map(Carry::Packets),
            (End::SeqPacket(_), _) | (_, End::SeqPacket(_)) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a stream does not keep the boundaries of messages",
            )),
            (End::Stream(_), End::Stream(_)) if allows_descriptors => {
                Ok(Carry::Descriptors(Default::default()))
            }
            (End::Stream(_), End::Stream(_)) => Ok(Carry::Splice(Default::default())),
            _ => Ok(Carry::Bytes(Default::default())),
        }
    }

    /// Returns whether something was read that is not yet written.
    pub(crate) fn is_holding(&self) -> bool {
        match self {
            Carry::Bytes(carry) => carry.is_holding(),
            Carry::Splice(carry) => carry.is_holding(),
            Carry::Descriptors(carry) => carry.is_holding(),
            Carry::Packets(carry) => carry.is_holding(),
        }
    }

    /// Reads the next piece, and writes as much of it as the sink takes at once. Nothing may be
    /// held.
    pub(crate) fn fill(
        &mut self,
        source: &End,
        sink: &End,
        tools: &mut Tools,
        counters: &Counters,
    ) -> (Filled, Drained) {
        match (self, source, sink) {
            (Carry::Bytes(carry), ..) => carry.fill(source, sink, tools),
            (Carry::Splice(carry), ..) => carry.fill(source, sink, tools),
            (Carry::Descriptors(carry), End::Stream(source), End::Stream(sink)) => {
                carry.fill(source, sink, tools, counters)
            }
            (Carry::Packets(carry), End::SeqPacket(source), End::SeqPacket(sink)) => {
                carry.fill(source, sink, counters)
            }
            (Carry::Descriptors(_) | Carry::Packets(_), ..) => {
                (Filled::End(EndKind::Shutdown), Drained::Gone)
            }
        }
    }

    /// Writes what is held.
    pub(crate) fn drain(&mut self, sink: &End, tools: &mut Tools, counters: &Counters) -> Drained {
        match (self, sink) {
            (Carry::Bytes(carry), _) => carry.drain(sink),
            (Carry::Splice(carry), _) => carry.drain(sink, tools),
            (Carry::Descriptors(carry), End::Stream(sink)) => carry.drain(sink, counters),
            (Carry::Packets(carry), End::SeqPacket(sink)) => carry.drain(sink, counters),
            (Carry::Descriptors(_) | Carry::Packets(_), _) => Drained::Gone,
        }
    }

    /// Gives back what the worker lent.
    pub(crate) fn end(self, tools: &mut Tools) {
        if let Carry::Splice(carry) = self {
            carry.end(tools);
        }
    }
}
