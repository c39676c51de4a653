//! Cancel safety: every method that waits is dropped in the middle of it, and nothing is lost, sent
//! twice or left behind.
//!
//! Each part below drops one method's future while it waits, then lets happen what it waited for,
//! and calls again.

mod async_test;

use std::io::{IoSlice, IoSliceMut};
use std::time::Duration;

use async_test::{abandon, async_test, cancel};
use stoop::{Address, Allow, Bind, Connect, Outgoing, Packet, aio};
use stoop_testkit::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn stream() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        // One of many is registered in another way than a few.
        let mut crowd = Vec::new();
        for _ in 0..20 {
            crowd.push((aio::Stream::connect(&path).await.unwrap(), listener.accept().await.unwrap().0));
        }
        let (client, end) = crowd.pop().unwrap();
        for (mut one, mut other) in [(client, end)].into_iter().chain([aio::Stream::pair().unwrap()]) {
            for _ in 0..2 {
                std::mem::swap(&mut one, &mut other);
                receiving(&mut one, &other).await;
                sending(&mut one, &mut other).await;
            }
        }
    });
}

async fn receiving(reader: &mut aio::Stream, writer: &aio::Stream) {
    let mut room = [0; 8];
    cancel(reader.read(&mut room)).await;
    cancel(reader.recv_with(&mut [IoSliceMut::new(&mut room)], Allow::NOTHING)).await;
    cancel(reader.peek(&mut room)).await;
    cancel(reader.readable()).await;
    cancel(reader.ready(tokio::io::Interest::READABLE)).await;
    let (mut half, _) = reader.split();
    cancel(half.read(&mut room)).await;
    cancel(half.recv_with(&mut [IoSliceMut::new(&mut room)], Allow::NOTHING)).await;
    writer.try_write(b"once").unwrap();
    reader.readable().await.unwrap();
    assert_eq!(reader.peek(&mut room).await.unwrap(), 4);
    assert_eq!(reader.read(&mut room).await.unwrap(), 4);
    assert!(reader.try_read(&mut room).is_err(), "nothing came twice");
}

async fn sending(writer: &mut aio::Stream, reader: &mut aio::Stream) {
    let mut sent = 0;
    while let Ok(len) = writer.try_write(&[7; 1000]) {
        sent += len;
    }
    let part = [IoSlice::new(b"lost?")];
    cancel(writer.write(b"lost?")).await;
    cancel(writer.write_vectored(&part)).await;
    cancel(writer.send_with(&part, &Outgoing::new())).await;
    cancel(writer.writable()).await;
    cancel(writer.ready(tokio::io::Interest::WRITABLE)).await;
    let (_, mut half) = writer.split();
    cancel(half.write(b"lost?")).await;
    cancel(half.send_with(&part, &Outgoing::new())).await;
    let mut heard = vec![0; sent];
    reader.read_exact(&mut heard).await.unwrap();
    assert!(reader.try_read(&mut [0; 8]).is_err(), "what was dropped has not been sent");
    writer.writable().await.unwrap();
    writer.write_all(b"after").await.unwrap();
    reader.read_exact(&mut heard[..5]).await.unwrap();
    assert_eq!(&heard[..5], b"after");
}

#[test]
fn seqpacket() {
    async_test(|| async {
        let (one, other) = aio::SeqPacket::pair().unwrap();
        let mut room = [0; 8];
        cancel(one.recv(&mut room)).await;
        cancel(one.recv_vec()).await;
        cancel(one.recv_with(&mut [IoSliceMut::new(&mut room)], Allow::NOTHING)).await;
        cancel(one.recv_vec_with(Allow::NOTHING)).await;
        cancel(one.peek(&mut room)).await;
        other.send(b"once").await.unwrap();
        assert_eq!(one.peek(&mut room).await.unwrap(), Packet::Message(4));
        assert_eq!(one.recv(&mut room).await.unwrap(), Packet::Message(4));
        assert!(one.try_recv(&mut room).unwrap_err().is_would_block());

        let mut sent = 0;
        while one.try_send(&[7; 1000]).is_ok() {
            sent += 1;
        }
        cancel(one.send(b"lost?")).await;
        cancel(one.send_with(&[IoSlice::new(b"lost?")], &Outgoing::new())).await;
        for _ in 0..sent {
            assert_eq!(other.recv_vec().await.unwrap().unwrap().len(), 1000);
        }
        one.send(b"after").await.unwrap();
        assert_eq!(other.recv_vec().await.unwrap().unwrap(), b"after", "what was dropped has not been sent");
    });
}

#[test]
fn datagram() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let to = Address::path(&path).unwrap();
        let server = Bind::new(&path).datagram_async().await.unwrap();
        let mut room = [0; 8];
        cancel(server.recv(&mut room)).await;
        cancel(server.recv_from(&mut room)).await;
        cancel(server.recv_vec()).await;
        cancel(server.recv_with(&mut [IoSliceMut::new(&mut room)], Allow::NOTHING)).await;
        cancel(server.recv_vec_with(Allow::NOTHING)).await;
        cancel(server.peek(&mut room)).await;
        let connected = aio::Datagram::client(&path).await.unwrap();
        let unconnected = aio::Datagram::autobind().unwrap();
        connected.send(b"once").await.unwrap();
        assert_eq!(server.peek(&mut room).await.unwrap(), 4);
        assert_eq!(server.recv(&mut room).await.unwrap(), 4);
        assert!(server.try_recv(&mut room).unwrap_err().is_would_block());

        let mut sent = 0;
        while unconnected.try_send_to(b"filler", &to).is_ok() {
            sent += 1;
        }
        cancel(connected.send(b"lost?")).await;
        cancel(connected.send_with(&[IoSlice::new(b"lost?")], &Outgoing::new())).await;
        cancel(unconnected.send_to(b"lost?", &to)).await;
        cancel(unconnected.send_to_with(b"lost?", &to, &Outgoing::new())).await;
        for _ in 0..sent {
            assert_eq!(server.recv_vec().await.unwrap().0, b"filler");
        }
        connected.send(b"after").await.unwrap();
        assert_eq!(server.recv_vec().await.unwrap().0, b"after", "what was dropped has not been sent");
    });
}

#[test]
fn listener() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let mut listener = Bind::new(&path).backlog(1).listen_async().await.unwrap();
        cancel(listener.accept()).await;
        cancel(listener.accept_any()).await;
        let _one = aio::Stream::connect(&path).await.unwrap();
        let _other = aio::Stream::connect(&path).await.unwrap();
        cancel(Connect::new(&path).stream_async()).await;
        cancel(aio::Stream::connect(&path)).await;
        listener.accept().await.unwrap();
        listener.accept().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(
            listener.try_accept().unwrap_err().is_would_block(),
            "an attempt that was dropped never came"
        );
        assert_eq!(listener.counts().accepted, 2);

        // Another thread does it, and may have done it by now.
        abandon(listener.release()).await;
        stoop_testkit::eventually(Duration::from_secs(10), || !path.exists());
    });
}

#[test]
fn bind() {
    async_test(|| async {
        let dir = tempdir();
        let empty = || std::fs::read_dir(dir.path()).unwrap().count() == 0;
        let bind = |name: &str| Bind::new(dir.path().join(name));
        abandon(bind("stream").listen_async()).await;
        abandon(bind("seqpacket").listen_seqpacket_async()).await;
        abandon(bind("datagram").datagram_async()).await;
        // Each is made all the same, on another thread, and taken away again.
        tokio::time::sleep(Duration::from_millis(50)).await;
        stoop_testkit::eventually(Duration::from_secs(10), empty);
        bind("stream").listen_async().await.unwrap();
    });
}
