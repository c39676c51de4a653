//! TCP and UDP over the loopback interface only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use super::link::{Ends, Link, PEER_TIMEOUT, Wire};
use crate::commands::bench::error::Result;

pub(super) const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

pub(super) fn tcp() -> Result<Link> {
    let listener = TcpListener::bind(LOOPBACK)?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    let ours = client.local_addr()?;
    // Another process of the machine may connect first: its connection is ignored.
    let theirs = loop {
        let (stream, from) = listener.accept()?;
        if from == ours {
            break stream;
        }
    };
    Ok(Link::of(Ends::of([client.into()]), Ends::of([theirs.into()])))
}

pub(super) fn udp() -> Result<Link> {
    let (ours, theirs) = (UdpSocket::bind(LOOPBACK)?, UdpSocket::bind(LOOPBACK)?);
    ours.connect(theirs.local_addr()?)?;
    theirs.connect(ours.local_addr()?)?;
    Ok(Link::of(Ends::of([ours.into()]), Ends::of([theirs.into()])))
}

pub(super) fn open_tcp(ends: Ends) -> Result<Box<dyn Wire>> {
    let [descriptor] = ends.exactly()?;
    tcp_wire(TcpStream::from(descriptor))
}

/// Creates a wire that sends small messages without delay (`TCP_NODELAY`).
pub(super) fn tcp_wire(stream: TcpStream) -> Result<Box<dyn Wire>> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PEER_TIMEOUT))?;
    stream.set_write_timeout(Some(PEER_TIMEOUT))?;
    Ok(Box::new(stream))
}

pub(super) fn open_udp(ends: Ends) -> Result<Box<dyn Wire>> {
    let [descriptor] = ends.exactly()?;
    let socket = UdpSocket::from(descriptor);
    socket.set_read_timeout(Some(PEER_TIMEOUT))?;
    Ok(Box::new(socket))
}

impl Wire for TcpStream {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.write_all(message)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        self.read_exact(room)?;
        Ok(room)
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Wire for UdpSocket {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        UdpSocket::send(self, message)?;
        Ok(())
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        let len = self.recv(room)?;
        Ok(&room[..len])
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}
