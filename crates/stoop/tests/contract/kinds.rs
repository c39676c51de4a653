//! How each kind of socket is created, connected and used: the only part of the contract tests that
//! depends on the kind.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use stoop::internal::Socket;
use stoop::{
    Allow, Bind, Connect, Datagram, Kind, Listener, Outgoing, Packet, Received, Result, SeqPacket, Stream,
};

pub trait Contract: AsRef<Socket> + AsFd + Into<OwnedFd> + Sized + Send + 'static {
    const KIND: Kind;
    type Server: AsRef<Socket> + Send + 'static;

    fn pair() -> Result<(Self, Self)>;
    fn serve(bind: &Bind) -> Result<Self::Server>;
    fn reach(connect: &Connect) -> Result<Self>;
    /// The server's end of its conversation with a client.
    fn meet(server: &Self::Server, client: &Self) -> Self;
    fn from_descriptor(fd: OwnedFd) -> Result<Self>;
    fn put(&self, message: &[u8]) -> io::Result<()>;
    /// Receives one message of this length. It is empty at the end, if the kind has an end.
    fn get(&self, len: usize) -> io::Result<Vec<u8>>;

    fn put_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.as_ref().send_with(buffers, outgoing)
    }

    fn get_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.as_ref().recv_with(buffers, allow)
    }
}

impl Contract for Stream {
    const KIND: Kind = Kind::Stream;
    type Server = Listener<Stream>;

    fn pair() -> Result<(Stream, Stream)> {
        Stream::pair()
    }

    fn serve(bind: &Bind) -> Result<Listener<Stream>> {
        bind.listen()
    }

    fn reach(connect: &Connect) -> Result<Stream> {
        connect.stream()
    }

    fn meet(server: &Listener<Stream>, _client: &Stream) -> Stream {
        server.accept().unwrap().0
    }

    fn from_descriptor(fd: OwnedFd) -> Result<Stream> {
        Stream::try_from(fd)
    }

    fn put(&self, message: &[u8]) -> io::Result<()> {
        (&mut &*self).write_all(message)
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        (&mut &*self).take(len as u64).read_to_end(&mut message)?;
        Ok(message)
    }
}

impl Contract for SeqPacket {
    const KIND: Kind = Kind::SeqPacket;
    type Server = Listener<SeqPacket>;

    fn pair() -> Result<(SeqPacket, SeqPacket)> {
        SeqPacket::pair()
    }

    fn serve(bind: &Bind) -> Result<Listener<SeqPacket>> {
        bind.listen_seqpacket()
    }

    fn reach(connect: &Connect) -> Result<SeqPacket> {
        connect.seqpacket()
    }

    fn meet(server: &Listener<SeqPacket>, _client: &SeqPacket) -> SeqPacket {
        server.accept().unwrap().0
    }

    fn from_descriptor(fd: OwnedFd) -> Result<SeqPacket> {
        SeqPacket::try_from(fd)
    }

    fn put(&self, message: &[u8]) -> io::Result<()> {
        Ok(self.send(message)?)
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut message = vec![0; len];
        let len = match self.recv(&mut message)? {
            Packet::Message(len) => len,
            Packet::End => 0,
        };
        message.truncate(len);
        Ok(message)
    }
}

impl Contract for Datagram {
    const KIND: Kind = Kind::Datagram;
    type Server = Datagram;

    fn pair() -> Result<(Datagram, Datagram)> {
        Datagram::pair()
    }

    fn serve(bind: &Bind) -> Result<Datagram> {
        bind.datagram()
    }

    fn reach(connect: &Connect) -> Result<Datagram> {
        connect.datagram()
    }

    fn meet(server: &Datagram, client: &Datagram) -> Datagram {
        client.send(b"it is me").unwrap();
        let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
        let end = server.try_clone().unwrap();
        end.connect(from).unwrap();
        end
    }

    fn from_descriptor(fd: OwnedFd) -> Result<Datagram> {
        Datagram::try_from(fd)
    }

    fn put(&self, message: &[u8]) -> io::Result<()> {
        Ok(self.send(message).map(drop)?)
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut message = vec![0; len];
        let len = self.recv(&mut message)?;
        message.truncate(len);
        Ok(message)
    }
}
