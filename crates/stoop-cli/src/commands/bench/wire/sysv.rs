//! System V message queues. The measuring process creates and removes them, and the other opens
//! them by id.

use stoop_memory::Queue;

use super::link::{Ends, Link, PEER_TIMEOUT, Wire};
use crate::commands::bench::error::{Error, Result};

pub(super) fn queues(size: usize) -> Result<Link> {
    let (there, back) = (Queue::new(PEER_TIMEOUT)?, Queue::new(PEER_TIMEOUT)?);
    if size > there.message_max_bytes() {
        return Err(Error::NotMeasured("larger than kernel.msgmax allows".into()));
    }
    let names = (there.id().to_string(), back.id().to_string());
    let ours = Ends { queues: Some((back, there)), ..Ends::of([]) };
    Ok(Link::of(ours, Ends::passed(Some(names), Vec::new())))
}

pub(super) fn open(ends: Ends) -> Result<Box<dyn Wire>> {
    let (receive, send) = match ends {
        Ends { queues: Some(queues), .. } => queues,
        Ends { names: Some((receive, send)), .. } => (opened(&receive)?, opened(&send)?),
        _ => return Err(Error::failed("a queue arrived without its id")),
    };
    Ok(Box::new(Queues { receive, send, came: Vec::new() }))
}

fn opened(number: &str) -> Result<Queue> {
    let id = number.parse().map_err(|_| Error::failed("invalid queue id"))?;
    Ok(Queue::open(id, PEER_TIMEOUT)?)
}

/// A queue to receive from and another to send to.
struct Queues {
    receive: Queue,
    send: Queue,
    /// The last message received.
    came: Vec<u8>,
}

impl Wire for Queues {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.send.send(message)?)
    }

    fn receive<'a>(&'a mut self, _room: &'a mut [u8]) -> Result<&'a [u8]> {
        self.receive.recv(&mut self.came)?;
        Ok(&self.came)
    }
}
