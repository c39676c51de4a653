//! Unix sockets, through the library `stoop`.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use stoop::frame::{FrameReader, FrameWriter, Native};
use stoop::internal::Socket;
use stoop::{Address, Bind, Connect, Datagram, Packet, SeqPacket, SocketExt, Stream};

use super::link::{Ends, Link, PEER_TIMEOUT, UniqueNames, Wire};
use crate::commands::bench::error::{Error, Result};
use crate::commands::bench::transport::Transport;

/// How long the waiting side spins before it sleeps.
pub(super) const SPIN: Duration = Duration::from_micros(20);

/// The size from which a message is read directly into its destination. Smaller ones are borrowed
/// from the reader's buffer.
const LARGE_BYTES: usize = 64 << 10;

/// Returns an address of the kind that the transport uses.
pub(super) fn address(transport: Transport, unique: &UniqueNames) -> Result<Address> {
    let address = match transport {
        Transport::Abstract => Address::abstract_name(unique.name()),
        _ => Address::path(unique.path()),
    };
    address.map_err(|error| Error::failed(error.to_string()))
}

pub(super) fn link(transport: Transport, unique: &UniqueNames) -> Result<Link> {
    let (ours, theirs) = match transport {
        Transport::Pair => Stream::pair().map(|(one, other)| (one.into(), other.into()))?,
        Transport::Datagram => datagrams(unique)?,
        Transport::SeqPacket => {
            let address = address(transport, unique)?;
            let listener = Bind::new(&address).listen_seqpacket()?;
            let client = Connect::new(&address).seqpacket()?;
            (client.into(), listener.accept()?.0.into())
        }
        _ => {
            let address = address(transport, unique)?;
            let listener = Bind::new(&address).listen()?;
            let client = Stream::connect(&address)?;
            (client.into(), listener.accept()?.0.into())
        }
    };
    Ok(Link::of(Ends::of([ours]), Ends::of([theirs])))
}

fn datagrams(unique: &UniqueNames) -> Result<(OwnedFd, OwnedFd)> {
    let (here, there) = (address(Transport::Datagram, unique)?, address(Transport::Datagram, unique)?);
    let (ours, theirs) = (Bind::new(&here).datagram()?, Bind::new(&there).datagram()?);
    ours.connect(&there)?;
    theirs.connect(&here)?;
    Ok((ours.into(), theirs.into()))
}

pub(super) fn open(transport: Transport, ends: Ends, size: usize) -> Result<Box<dyn Wire>> {
    let [descriptor] = ends.exactly()?;
    Ok(match transport {
        Transport::SeqPacket => {
            let socket = SeqPacket::try_from(descriptor)?;
            roomy(socket.as_ref(), size)?;
            Box::new(socket)
        }
        Transport::Datagram => {
            let socket = Datagram::try_from(descriptor)?;
            roomy(socket.as_ref(), size)?;
            Box::new(socket)
        }
        Transport::Framed => Box::new(Framed::new(Stream::try_from(descriptor)?)?),
        _ => stream(transport, Stream::try_from(descriptor)?)?,
    })
}

/// Creates a plain stream, or one that spins before it sleeps.
pub(super) fn stream(transport: Transport, stream: Stream) -> Result<Box<dyn Wire>> {
    patient(stream.as_ref())?;
    if transport == Transport::Spin {
        stream.set_spin(SPIN);
    }
    Ok(Box::new(stream))
}

pub(super) fn patient(socket: &Socket) -> Result<()> {
    socket.set_read_timeout(Some(PEER_TIMEOUT))?;
    socket.set_write_timeout(Some(PEER_TIMEOUT))?;
    Ok(())
}

/// A packet has to fit into the send buffer as a whole, so this enlarges it as far as the kernel
/// permits.
fn roomy(socket: &Socket, size: usize) -> Result<()> {
    patient(socket)?;
    if size * 4 > socket.send_buffer_bytes()? {
        socket.set_send_buffer_bytes(size * 4)?;
    }
    Ok(())
}

impl Wire for Stream {
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

    fn socket(&self) -> Option<&Socket> {
        Some(self.as_ref())
    }
}

impl Wire for SeqPacket {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(SeqPacket::send(self, message)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        match self.recv(room)? {
            Packet::Message(len) => Ok(&room[..len]),
            Packet::End => Err(Error::ended()),
        }
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    fn socket(&self) -> Option<&Socket> {
        Some(self.as_ref())
    }
}

impl Wire for Datagram {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(Datagram::send(self, message).map(drop)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        let len = self.recv(room)?;
        Ok(&room[..len])
    }

    fn readable(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    fn socket(&self) -> Option<&Socket> {
        Some(self.as_ref())
    }
}

/// A stream with length-prefixed messages.
struct Framed {
    reader: FrameReader<Stream>,
    writer: FrameWriter<Stream>,
}

impl Framed {
    fn new(stream: Stream) -> Result<Framed> {
        patient(stream.as_ref())?;
        let writer = FrameWriter::new(stream.try_clone()?, Native);
        Ok(Framed { reader: FrameReader::new(stream, Native), writer })
    }
}

impl Wire for Framed {
    fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.writer.send(message)?)
    }

    fn receive<'a>(&'a mut self, room: &'a mut [u8]) -> Result<&'a [u8]> {
        if room.len() < LARGE_BYTES {
            return self.reader.next()?.ok_or_else(Error::ended);
        }
        match self.reader.read_into(room)? {
            Some(len) => Ok(&room[..len]),
            None => Err(Error::ended()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.writer.flush()?)
    }
}
