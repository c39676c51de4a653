//! Carrying one direction's data from its source to its sink, a piece at a time.
//!
//! | file | carries | holds meanwhile |
//! |---|---|---|
//! | `bytes.rs` | bytes, to or from anything | what the sink did not take |
//! | `splice.rs` | bytes between Unix streams, without copying them through this process | a pipe |
//! | `descriptors.rs` | bytes and file descriptors | what the sink did not take |
//! | `packets.rs` | messages with their boundaries and file descriptors | one message |
//! | `framed.rs` | messages to and from byte streams, in a framing | a batch of them |
//! | `hooked.rs` | any of these, recorded and with faults | what is not yet due |
//!
//! Idle directions hold nothing: buffers and pipes belong to the worker (`tools.rs`). What came of
//! an attempt to read or write is in `outcome.rs`.

mod bytes;
mod descriptors;
mod framed;
mod hooked;
mod messages;
mod outcome;
mod packets;
mod splice;
mod tools;

use std::io;
use std::time::Instant;

use crate::counters::Counters;
use crate::end::{End, into_io};

pub(crate) use hooked::Hooks;
pub(crate) use messages::{Message, Messages, borrowed};
pub(crate) use outcome::{Drained, EndKind, Filled};
pub(crate) use tools::{PIECE_BYTES, Tools};

/// Ends of other kinds than those that a carry was made for: not to be expected.
const UNFIT: (Filled, Drained) = (Filled::End(EndKind::Shutdown), Drained::Gone);

/// How a direction is carried.
#[derive(Debug)]
pub(crate) enum Carry {
    Bytes(bytes::Bytes),
    Splice(splice::Splice),
    Descriptors(descriptors::Descriptors),
    Packets(packets::Packets),
    Pack(framed::Pack),
    Unpack(framed::Unpack),
    Hooked(Box<hooked::Hooked>),
}

impl Carry {
    /// Chooses how to carry from `source` to `sink`.
    ///
    /// # Errors
    /// Returns an error if one has boundaries and the other does not, and none are framed: they
    /// would be lost.
    pub(crate) fn new(source: &End, sink: &End, allows_descriptors: bool, frames: bool) -> io::Result<Carry> {
        if let Some(messages) = Messages::of(source) {
            messages.prepare().map_err(into_io)?;
        }
        Ok(match (source.is_byte_stream(), sink.is_byte_stream()) {
            (false, false) => Carry::Packets(Default::default()),
            (false, true) if frames => Carry::Pack(Default::default()),
            (true, false) if frames => Carry::Unpack(framed::Unpack::new()),
            (false, true) | (true, false) => {
                return Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "a stream does not keep the boundaries of messages",
                ));
            }
            (true, true) => match (source, sink) {
                (End::Stream(_), End::Stream(_)) if allows_descriptors => {
                    Carry::Descriptors(Default::default())
                }
                (End::Stream(_) | End::Bridged(..), End::Stream(_) | End::Bridged(..))
                    if !allows_descriptors || matches!(source, End::Bridged(..)) =>
                {
                    Carry::Splice(Default::default())
                }
                _ => Carry::Bytes(Default::default()),
            },
        })
    }

    /// As [`Carry::new`], with everything recorded, or with faults.
    pub(crate) fn hooked(
        source: &End,
        sink: &End,
        hooks: Hooks,
        allows_descriptors: bool,
    ) -> io::Result<Carry> {
        if source.is_byte_stream() != sink.is_byte_stream() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "messages in frames are neither recorded nor delayed",
            ));
        }
        // It is refused for the same reasons, and prepares the source.
        Carry::new(source, sink, allows_descriptors, false)?;
        Ok(Carry::Hooked(Box::new(hooked::Hooked::new(hooks, allows_descriptors))))
    }

    /// Returns when something that is held is due, if only the time is waited for.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Carry::Hooked(carry) => carry.due(),
            _ => None,
        }
    }

    /// Returns whether something was read that is not yet written.
    pub(crate) fn is_holding(&self) -> bool {
        match self {
            Carry::Bytes(carry) => carry.is_holding(),
            Carry::Splice(carry) => carry.is_holding(),
            Carry::Descriptors(carry) => carry.is_holding(),
            Carry::Packets(carry) => carry.is_holding(),
            Carry::Pack(carry) => carry.is_holding(),
            Carry::Unpack(carry) => carry.is_holding(),
            Carry::Hooked(carry) => carry.is_holding(),
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
        match (self, Messages::of(source), Messages::of(sink)) {
            (Carry::Bytes(carry), ..) => carry.fill(source, sink, tools, counters),
            (Carry::Splice(carry), ..) => carry.fill(source, sink, tools),
            (Carry::Hooked(carry), ..) => carry.fill(source, sink, tools, counters),
            (Carry::Descriptors(carry), ..) => match (source, sink) {
                (End::Stream(source), End::Stream(sink)) => carry.fill(source, sink, tools, counters),
                _ => UNFIT,
            },
            (Carry::Packets(carry), Some(source), Some(sink)) => carry.fill(source, sink, counters),
            (Carry::Pack(carry), Some(source), _) => carry.fill(source, sink, counters),
            (Carry::Unpack(carry), _, Some(sink)) => carry.fill(source, sink, counters),
            (Carry::Packets(_) | Carry::Pack(_) | Carry::Unpack(_), ..) => UNFIT,
        }
    }

    /// Writes what is held.
    pub(crate) fn drain(&mut self, sink: &End, tools: &mut Tools, counters: &Counters) -> Drained {
        match (self, Messages::of(sink)) {
            (Carry::Bytes(carry), _) => carry.drain(sink),
            (Carry::Splice(carry), _) => carry.drain(sink, tools),
            (Carry::Hooked(carry), _) => carry.drain(sink, counters),
            (Carry::Descriptors(carry), _) => match sink {
                End::Stream(sink) => carry.drain(sink, counters),
                _ => Drained::Gone,
            },
            (Carry::Packets(carry), Some(sink)) => carry.drain(sink, counters),
            (Carry::Pack(carry), _) => carry.drain(sink, counters),
            (Carry::Unpack(carry), Some(sink)) => carry.drain(sink, counters),
            (Carry::Packets(_) | Carry::Unpack(_), None) => Drained::Gone,
        }
    }

    /// Gives back what the worker lent.
    pub(crate) fn end(self, tools: &mut Tools) {
        match self {
            Carry::Splice(carry) => carry.end(tools),
            Carry::Descriptors(carry) => carry.end(tools),
            _ => {}
        }
    }
}
