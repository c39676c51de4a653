//! What every kind of socket promises, for the same kinds driven by tokio: the promises of
//! `contract/`, where each operation is a task that is waited for. Left out are those about sockets
//! that block, which these never do.

#[path = "contract/kinds.rs"]
mod kinds;
#[macro_use]
#[allow(dead_code, reason = "some promises are about sockets that block")]
#[path = "contract/promises.rs"]
mod promises;

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use kinds::Contract;
use stoop::internal::Socket;
use stoop::{
    Allow, Bind, Connect, Datagram, Kind, Outgoing, Packet, Received, Result, SeqPacket, Stream, aio,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

suite! {
    []
    stream: Driven<Stream>
    seqpacket: Driven<SeqPacket>
    datagram: Driven<Datagram>
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

fn wait<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// A socket of the runtime's.
struct Driven<S: AsFd>(aio::Async<S>);

impl<S: AsFd + AsRef<Socket>> AsRef<Socket> for Driven<S> {
    fn as_ref(&self) -> &Socket {
        self.0.as_ref()
    }
}

impl<S: AsFd> AsFd for Driven<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<S: AsFd + AsRef<Socket> + Into<OwnedFd>> From<Driven<S>> for OwnedFd {
    fn from(socket: Driven<S>) -> OwnedFd {
        let fd = OwnedFd::from(socket.0);
        rustix::io::ioctl_fionbio(&fd, false).unwrap();
        fd
    }
}

fn driven<S: AsFd>((one, other): (aio::Async<S>, aio::Async<S>)) -> (Driven<S>, Driven<S>) {
    (Driven(one), Driven(other))
}

impl Contract for Driven<Stream> {
    const KIND: Kind = Kind::Stream;
    type Server = aio::Listener<Stream>;

    fn pair() -> Result<(Self, Self)> {
        wait(async { aio::Stream::pair().map(driven) })
    }

    fn serve(bind: &Bind) -> Result<Self::Server> {
        wait(bind.listen_async())
    }

    fn reach(connect: &Connect) -> Result<Self> {
        wait(connect.stream_async()).map(Driven)
    }

    fn meet(server: &Self::Server, _client: &Self) -> Self {
        Driven(wait(server.accept()).unwrap().0)
    }

    fn from_descriptor(fd: OwnedFd) -> Result<Self> {
        let stream = Stream::try_from(fd)?;
        wait(async { stream.try_into().map(Driven) })
    }

    fn put(&self, mut message: &[u8]) -> io::Result<()> {
        wait(async {
            while !message.is_empty() {
                message = &message[self.0.send_with(&[IoSlice::new(message)], &Outgoing::new()).await?..];
            }
            Ok(())
        })
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        wait(async {
            let (mut message, mut buffer) = (Vec::new(), vec![0; len]);
            while message.len() < len {
                let mut room = [IoSliceMut::new(&mut buffer[message.len()..])];
                match self.0.recv_with(&mut room, Allow::descriptors(0)).await?.len {
                    0 => break,
                    got => message.extend_from_slice(&room[0][..got]),
                }
            }
            Ok(message)
        })
    }

    fn put_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        wait(self.0.send_with(buffers, outgoing))
    }

    fn get_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        wait(self.0.recv_with(buffers, allow))
    }
}

impl Contract for Driven<SeqPacket> {
    const KIND: Kind = Kind::SeqPacket;
    type Server = aio::Listener<SeqPacket>;

    fn pair() -> Result<(Self, Self)> {
        wait(async { aio::SeqPacket::pair().map(driven) })
    }

    fn serve(bind: &Bind) -> Result<Self::Server> {
        wait(bind.listen_seqpacket_async())
    }

    fn reach(connect: &Connect) -> Result<Self> {
        wait(connect.seqpacket_async()).map(Driven)
    }

    fn meet(server: &Self::Server, _client: &Self) -> Self {
        Driven(wait(server.accept()).unwrap().0)
    }

    fn from_descriptor(fd: OwnedFd) -> Result<Self> {
        let socket = SeqPacket::try_from(fd)?;
        wait(async { socket.try_into().map(Driven) })
    }

    fn put(&self, message: &[u8]) -> io::Result<()> {
        Ok(wait(self.0.send(message))?)
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut message = vec![0; len];
        let len = match wait(self.0.recv(&mut message))? {
            Packet::Message(len) => len,
            Packet::End => 0,
        };
        message.truncate(len);
        Ok(message)
    }

    fn put_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        wait(self.0.send_with(buffers, outgoing))
    }

    fn get_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        wait(self.0.recv_with(buffers, allow))
    }
}

impl Contract for Driven<Datagram> {
    const KIND: Kind = Kind::Datagram;
    type Server = aio::Datagram;

    fn pair() -> Result<(Self, Self)> {
        wait(async { aio::Datagram::pair().map(driven) })
    }

    fn serve(bind: &Bind) -> Result<aio::Datagram> {
        wait(bind.datagram_async())
    }

    fn reach(connect: &Connect) -> Result<Self> {
        wait(connect.datagram_async()).map(Driven)
    }

    fn meet(server: &aio::Datagram, client: &Self) -> Self {
        wait(async {
            client.0.send(b"it is me").await.unwrap();
            let (_, from) = server.recv_from(&mut [0; 64]).await.unwrap();
            let end = server.get_ref().try_clone().unwrap();
            end.connect(from).unwrap();
            Driven(end.try_into().unwrap())
        })
    }

    fn from_descriptor(fd: OwnedFd) -> Result<Self> {
        let socket = Datagram::try_from(fd)?;
        wait(async { socket.try_into().map(Driven) })
    }

    fn put(&self, message: &[u8]) -> io::Result<()> {
        wait(self.0.send(message))?;
        Ok(())
    }

    fn get(&self, len: usize) -> io::Result<Vec<u8>> {
        let mut message = vec![0; len];
        let len = wait(self.0.recv(&mut message))?;
        message.truncate(len);
        Ok(message)
    }

    fn put_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        wait(self.0.send_with(buffers, outgoing))
    }

    fn get_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        wait(self.0.recv_with(buffers, allow))
    }
}

/// [`tokio::io`]'s traits take a stream by `&mut`, so they have a promise of their own.
#[test]
fn a_stream_is_read_and_written_by_tokio_s_traits() {
    stoop_testkit::deadline(stoop_kernel_facts::SOON, || {
        wait(async {
            let (mut one, mut other) = aio::Stream::pair().unwrap();
            let writer = tokio::spawn(async move {
                one.write_all(&[7; 1 << 20]).await.unwrap();
                one.flush().await.unwrap();
                one.shutdown().await.unwrap();
                one
            });
            let mut heard = Vec::new();
            other.read_to_end(&mut heard).await.unwrap();
            assert_eq!(heard.len(), 1 << 20);
            drop(writer.await.unwrap());
        });
    });
}
