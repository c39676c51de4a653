//! Listeners for the workload that connects repeatedly, and how to connect to them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use stoop::{Address, Bind, Connect, Listener, SeqPacket, Stream};

use super::inet::{LOOPBACK, tcp_wire};
use super::link::{Ends, UniqueNames, Wire};
use super::unix::{address, patient, stream};
use crate::commands::bench::error::Result;
use crate::commands::bench::transport::Transport;

/// A listener, in the process that accepts.
pub(in crate::commands::bench) enum Acceptor {
    Stream(Transport, Listener<Stream>),
    SeqPacket(Listener<SeqPacket>),
    Tcp(TcpListener),
}

impl Acceptor {
    pub(in crate::commands::bench) fn new(transport: Transport, ends: Ends) -> Result<Acceptor> {
        let [descriptor] = ends.exactly()?;
        Ok(match transport {
            Transport::Tcp => Acceptor::Tcp(descriptor.into()),
            Transport::SeqPacket => Acceptor::SeqPacket(Listener::try_from(descriptor)?),
            _ => Acceptor::Stream(transport, Listener::try_from(descriptor)?),
        })
    }

    /// Waits for the next connection.
    pub(in crate::commands::bench) fn accept(&self) -> Result<Box<dyn Wire>> {
        match self {
            Acceptor::Stream(transport, listener) => stream(*transport, listener.accept()?.0),
            Acceptor::SeqPacket(listener) => seqpacket(listener.accept()?.0),
            Acceptor::Tcp(listener) => tcp_wire(listener.accept()?.0),
        }
    }
}

/// The address of a listener, in the process that connects.
pub(in crate::commands::bench) enum Dialer {
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

impl Dialer {
    /// Creates a listener, and what the other process needs to accept on it.
    pub(in crate::commands::bench) fn new(
        transport: Transport,
        unique: &UniqueNames,
    ) -> Result<(Dialer, Ends)> {
        use std::os::fd::AsFd;
        let (dialer, descriptor): (Dialer, OwnedFd) = match transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(LOOPBACK)?;
                (Dialer::Tcp(listener.local_addr()?), listener.into())
            }
            Transport::SeqPacket => {
                let address = address(transport, unique)?;
                let listener = Bind::new(&address).listen_seqpacket()?;
                let copy = listener.as_fd().try_clone_to_owned()?;
                (Dialer::SeqPacket(address, listener), copy)
            }
            _ => {
                let address = address(transport, unique)?;
                let listener = Bind::new(&address).listen()?;
                let copy = listener.as_fd().try_clone_to_owned()?;
                (Dialer::Stream(transport, address, listener), copy)
            }
        };
        Ok((dialer, Ends::of([descriptor])))
    }

    /// Connects.
    pub(in crate::commands::bench) fn connect(&self) -> Result<Box<dyn Wire>> {
        match self {
            Dialer::Stream(transport, address, _) => stream(*transport, Stream::connect(address)?),
            Dialer::SeqPacket(address, _) => seqpacket(Connect::new(address).seqpacket()?),
            Dialer::Tcp(address) => {
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
    patient(socket.as_ref())?;
    Ok(Box::new(socket))
}
