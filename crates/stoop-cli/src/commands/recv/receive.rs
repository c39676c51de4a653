//! A source of messages: a datagram socket, or a client's connection. Never blocks.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd};

use stoop::internal::Socket;
use stoop::{Allow, Datagram, Kind, Received, SeqPacket, SocketExt, Stream};

use super::render;
use crate::output::{Data, Message, PeerInfo, Text};

/// How much of a stream is shown as one message.
const PIECE_BYTES: usize = 1 << 16;

/// A client's connection.
#[derive(Debug)]
pub(super) enum ClientConnection {
    Stream(Stream),
    SeqPacket(SeqPacket),
}

/// The result of a receive.
pub(super) enum ReceiveResult {
    /// Nothing is available at the moment.
    Nothing,
    /// A message, or a piece of a stream.
    Message(Message),
    /// Part of what was received was lost or refused. The rest of it is included, if there is any.
    Partial(Option<Message>, stoop::Error),
    /// The client has closed the connection.
    End,
}

impl ClientConnection {
    pub(super) fn stream(stream: Stream) -> stoop::Result<ClientConnection> {
        prepare(stream.as_ref())?;
        Ok(ClientConnection::Stream(stream))
    }

    pub(super) fn seqpacket(socket: SeqPacket) -> stoop::Result<ClientConnection> {
        prepare(socket.as_ref())?;
        Ok(ClientConnection::SeqPacket(socket))
    }

    /// Receives one message, or a piece of the stream.
    pub(super) fn receive(&self, allow: Allow) -> ReceiveResult {
        match self {
            ClientConnection::Stream(stream) => {
                receive(stream.as_ref(), Ok(PIECE_BYTES), |buffer| stream.recv_with(&mut [buffer], allow))
            }
            ClientConnection::SeqPacket(socket) => {
                receive(socket.as_ref(), socket.next_len(), |buffer| socket.recv_with(&mut [buffer], allow))
            }
        }
    }
}

/// Enables credentials on each message: a connection may be used by processes other than the one
/// that created it.
fn prepare(socket: &Socket) -> stoop::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_pass_credentials(true)
}

/// Receives one datagram from an allowed sender.
pub(super) fn datagram(socket: &Datagram, allow: Allow) -> ReceiveResult {
    receive(socket.as_ref(), socket.next_len(), |buffer| socket.recv_with(&mut [buffer], allow))
}

/// Receives one message. `room` returns the size of the next message, and `take` receives it.
fn receive(
    socket: &Socket,
    room: stoop::Result<usize>,
    take: impl FnOnce(IoSliceMut<'_>) -> stoop::Result<Received>,
) -> ReceiveResult {
    let mut buffer = Vec::new();
    let received = room.and_then(|room| {
        buffer.resize(room, 0);
        take(IoSliceMut::new(&mut buffer))
    });
    match received {
        Ok(received) if ends(socket.kind(), &received) => ReceiveResult::End,
        Ok(received) => ReceiveResult::Message(message(socket, received, buffer)),
        Err(error) if error.is_would_block() => ReceiveResult::Nothing,
        // If a client closes with unread data, or is killed, the connection may end with a reset.
        Err(error) if error.is_peer_closed() => ReceiveResult::End,
        Err(error) => {
            let came = error.received_bytes().map(|len| {
                buffer.truncate(len);
                let sender = PeerInfo::from(&socket.peer());
                Message { from: None, sender, size: len, descriptors: Vec::new(), data: Data(buffer) }
            });
            ReceiveResult::Partial(came, error)
        }
    }
}

/// Returns whether this is the end of a connection. At the end of a stream, the kernel may still
/// report credentials.
fn ends(kind: Kind, received: &Received) -> bool {
    match kind {
        Kind::Stream => received.len == 0,
        Kind::SeqPacket => received.is_end(),
        Kind::Datagram => false,
    }
}

fn message(socket: &Socket, received: Received, mut buffer: Vec<u8>) -> Message {
    buffer.truncate(received.len);
    let sender = match received.credentials {
        None => PeerInfo::from(&socket.peer()),
        sender => PeerInfo::from(sender),
    };
    Message {
        from: (!received.from.is_unnamed()).then(|| Text::from(&received.from)),
        sender,
        size: received.len,
        descriptors: received.descriptors.iter().map(render::describe).collect(),
        data: Data(buffer),
    }
}

impl AsFd for ClientConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            ClientConnection::Stream(stream) => stream.as_fd(),
            ClientConnection::SeqPacket(socket) => socket.as_fd(),
        }
    }
}
