//! Shared memory: two ring buffers, one for each direction.

use stoop_memory::{Receiver, Ring, Sender, Waiting};

use super::link::{Ends, Link, PEER_TIMEOUT, Wire};
use crate::commands::bench::error::Result;
use crate::commands::bench::transport::Transport;

/// The minimum capacity of a ring: about what fits into a processor's cache.
const RING_BYTES: usize = 256 << 10;

/// The minimum number of messages it holds: one is received while the next is written.
const MESSAGES: usize = 3;

pub(super) fn rings(size: usize) -> Result<Link> {
    let ring = || Ring::new(RING_BYTES.max(MESSAGES * size));
    let (there, back) = (ring()?, ring()?);
    let ours = Ends::of([back.try_clone()?.into(), there.try_clone()?.into()]);
    Ok(Link::of(ours, Ends::of([there.into(), back.into()])))
}

pub(super) fn open(transport: Transport, ends: Ends) -> Result<Box<dyn Wire>> {
    let [receive, send] = ends.exactly()?;
    let waiting = if transport == Transport::SharedSpin { Waiting::Spin } else { Waiting::Futex };
    let receiver = Ring::from_descriptor(receive)?.into_receiver(waiting, PEER_TIMEOUT)?;
    let sender = Ring::from_descriptor(send)?.into_sender(waiting, PEER_TIMEOUT)?;
    Ok(Box::new(Rings { receiver, sender, came: Vec::new() }))
}

struct Rings {
    receiver: Receiver,
    sender: Sender,
    /// The last message received.
    came: Vec<u8>,
}

impl Wire for Rings {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.sender.send(message)?)
    }

    fn receive<'a>(&'a mut self, _room: &'a mut [u8]) -> Result<&'a [u8]> {
        self.receiver.recv(&mut self.came)?;
        Ok(&self.came)
    }
}
