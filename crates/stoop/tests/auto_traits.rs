//! Traits that the compiler derives, and that programs rely on: a private field can take them away
//! unnoticed. It is enough that this compiles.

use std::panic::{RefUnwindSafe, UnwindSafe};

use stoop::aio::split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
use stoop::{Address, Bind, Connect, Outgoing, Policy, Received, aio};
use tokio::io::Interest;

fn is_plain<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

/// As of tokio's sockets, so that a future that waits for one can be spawned, or shared.
fn is_send_and_sync<F: Future + Send + Sync>(_: impl FnOnce() -> F) {}

#[test]
fn sockets_can_be_sent_shared_moved_and_caught() {
    is_plain::<stoop::Stream>();
    is_plain::<stoop::SeqPacket>();
    is_plain::<stoop::Datagram>();
    is_plain::<stoop::Listener>();
    is_plain::<aio::Stream>();
    is_plain::<aio::SeqPacket>();
    is_plain::<aio::Datagram>();
    is_plain::<aio::Listener>();
    is_plain::<OwnedReadHalf>();
    is_plain::<OwnedWriteHalf>();
    is_plain::<ReuniteError>();
    is_plain::<Address>();
    is_plain::<Bind>();
    is_plain::<Connect>();
    is_plain::<Outgoing<'_>>();
    is_plain::<Policy>();
    is_plain::<Received>();
}

#[test]
fn futures_can_be_sent_and_shared() {
    fn of(stream: &aio::Stream, listener: &aio::Listener) {
        is_send_and_sync(|| aio::Stream::connect("app.sock"));
        is_send_and_sync(|| stream.readable());
        is_send_and_sync(|| stream.writable());
        is_send_and_sync(|| stream.ready(Interest::READABLE));
        is_send_and_sync(|| listener.accept());
    }
    fn of_messages(socket: &aio::Datagram, packets: &aio::SeqPacket, buffer: &mut [u8]) {
        is_send_and_sync(|| aio::Datagram::client("app.sock"));
        is_send_and_sync(|| socket.readable());
        is_send_and_sync(|| socket.writable());
        is_send_and_sync(|| socket.ready(Interest::READABLE));
        is_send_and_sync(|| socket.recv(buffer));
        is_send_and_sync(|| socket.recv_from(buffer));
        is_send_and_sync(|| socket.send(b""));
        is_send_and_sync(|| socket.send_to(b"", "app.sock"));
        is_send_and_sync(|| packets.recv(buffer));
        is_send_and_sync(|| packets.send(b""));
    }
    fn of_builders(bind: &Bind, connect: &Connect) {
        is_send_and_sync(|| bind.listen_async());
        is_send_and_sync(|| connect.stream_async());
    }
    let _ = (of, of_messages, of_builders);
}
