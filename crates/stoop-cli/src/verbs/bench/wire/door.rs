//! Listeners for the workload that connects repeatedly, and how to connect to them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use stoop::{Address, Bind, Connect, Listener, SeqPacket, Stream};

use super::inet::{LOOPBACK, tcp_wire};
use super::unix::{address, patient, stream};
use super::{Ends, Place, Wire};
use crate::verbs::bench::transport::Transport;
use crate::verbs::bench::trouble::Result;

/// A listener, in the process that accepts.
pub(in crate::verbs::bench) enum Door {
    Stream(Transport, Listener<Stream>),
    SeqPacket(Listener<SeqPacket>),
    Tcp(TcpListener),
}

impl Door {
    pub(in crate::verbs::bench) fn new(transport: Transport, ends: Ends) -> Result<Door> {
        let [descriptor] = ends.exactly()?;
        Ok(match transport {
            Transport::Tcp => Door::Tcp(descriptor.into()),
            Transport::SeqPacket => Door::SeqPacket(Listener::from_descriptor(descriptor)?),
            _ => Door::Stream(transport, Listener::from_descriptor(descriptor)?),
        })
    }

    /// Waits for the next connection.
    pub(in crate::verbs::bench) fn accept(&self) -> Result<Box<dyn Wire>> {
        match self {
            Door::Stream(transport, listener) => stream(*transport, listener.accept()?),
            Door::SeqPacket(listener) => seqpacket(listener.accept()?),
            Door::Tcp(listener) => tcp_wire(listener.accept()?.0),
        }
    }
}

/// The address of a listener, in the process that connects.
pub(in crate::verbs::bench) enum Dial {
    Stream(
        Transport,
        Address,
        #[expect(dead_code, reason = "kept because its file goes with it")] Listener<Stream>,
    ),
    SeqPacket(
        Address,
        #[expect(dead_code, reason = "kept because its file goes with it")] Listener<SeqPacket>,
    ),
    Tcp(SocketAddr),
}

impl Dial {
    /// Creates a listener, and what the other process needs to accept on it.
    pub(in crate::verbs::bench) fn new(transport: Transport, place: &Place) -> Result<(Dial, Ends)> {
        use std::os::fd::AsFd;
        let (dial, descriptor): (Dial, OwnedFd) = match transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(LOOPBACK)?;
                (Dial::Tcp(listener.local_addr()?), listener.into())
            }
            Transport::SeqPacket => {
                let address = address(transport, place)?;
                let listener = Bind::new(&address).listen_seqpacket()?;
                let copy = listener.as_fd().try_clone_to_owned()?;
                (Dial::SeqPacket(address, listener), copy)
            }
            _ => {
                let address = address(transport, place)?;
                let listener = Bind::new(&address).listen()?;
                let copy = listener.as_fd().try_clone_to_owned()?;
                (Dial::Stream(transport, address, listener), copy)
            }
        };
        Ok((dial, Ends::of([descriptor])))
    }

    /// Connects.
    pub(in crate::verbs::bench) fn connect(&self) -> Result<Box<dyn Wire>> {
        match self {
            Dial::Stream(transport, address, _) => stream(*transport, Stream::connect(address)?),
            Dial::SeqPacket(address, _) => seqpacket(Connect::new(address).seqpacket()?),
            Dial::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                // Otherwise ports of closed connections would remain in TIME_WAIT for a minute, and
                // run out before the measurement ends.
                set_socket_linger(&stream, Some(Duration::ZERO))?;
                tcp_wire(stream)
            }
        }
    }
}

fn seqpacket(socket: SeqPacket) -> Result<Box<dyn Wire>> {
    patient(&socket)?;
    Ok(Box::new(socket))
}
