//! Floods of refused clients and of clients that send nothing: what they use is bounded, and other
//! clients are served.

mod async_test;

use std::io::IoSliceMut;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use async_test::async_test;
use stoop::handover::{self, Next};
use stoop::serve::{Datagrams, End, Server};
use stoop::{Allow, Batch, Bind, Datagram, Error, Listener, Policy, SeqPacket, Stream, aio};
use stoop_kernel_facts::SOON;
use stoop_testkit::{deadline, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// More than a call may refuse, many times over.
const MANY: usize = 200;

/// Returns a receiver whose policy denies every sender, with many messages in its queue: between
/// two that are connected to each other only the send buffer limits how many (K-DGRAM-3).
fn flooded(path: &Path) -> (Datagram, Datagram) {
    let server = Bind::new(path).policy(Policy::nobody()).datagram().unwrap();
    let client = Datagram::client(path).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    for _ in 0..MANY {
        client.send(b"x").unwrap();
    }
    (server, client)
}

fn queued(path: &Path) -> (Listener, Vec<Stream>) {
    let listener = Bind::new(path).policy(Policy::nobody()).listen().unwrap();
    let clients = (0..MANY).map(|_| Stream::connect(path).unwrap()).collect();
    (listener, clients)
}

/// Counts how often another task of the same thread runs until something is done.
async fn turns_until(done: impl Fn() -> bool) -> usize {
    let mut turns = 0;
    while !done() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    turns
}

#[test]
fn a_nonblocking_receive_returns_from_messages_that_are_refused() {
    deadline(SOON, || {
        let dir = tempdir();
        let (server, _client) = flooded(&dir.path().join("socket"));
        server.set_nonblocking(true).unwrap();
        let mut batch = Batch::new(8, 8);
        let mut buffer = [0; 8];
        let mut seen = 0;
        let mut returned = |error: Error| {
            assert!(error.is_refusal_limit() && error.is_would_block(), "{error}");
            assert_eq!(server.refused() - seen, 16);
            seen = server.refused();
        };
        returned(server.recv(&mut buffer).unwrap_err());
        returned(server.recv_from(&mut buffer).unwrap_err());
        returned(server.recv_vec().unwrap_err());
        returned(server.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).unwrap_err());
        returned(server.recv_batch(&mut batch).unwrap_err());
        while server.recv(&mut buffer).is_err_and(|error| error.is_refusal_limit()) {}
        assert_eq!(server.refused(), MANY as u64);
    });
}

#[test]
fn a_read_timeout_ends_a_flood_of_refused_messages() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Bind::new(&path).policy(Policy::nobody()).datagram().unwrap();
        server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let client = Datagram::client(&path).unwrap();
                    client.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
                    while !stop.load(Relaxed) {
                        let _ = client.send(b"x");
                    }
                });
            }
            for _ in 0..5 {
                assert!(server.recv_vec().unwrap_err().is_would_block());
            }
            stop.store(true, Relaxed);
        });
    });
}

#[test]
fn an_accept_returns_from_clients_that_are_refused() {
    deadline(SOON, || {
        let dir = tempdir();
        let (listener, _clients) = queued(&dir.path().join("socket"));
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().unwrap_err().is_refusal_limit());
        assert_eq!(listener.counts().refused, 16);
        assert_eq!(listener.drain().unwrap().count(), 0);
        assert_eq!(listener.counts().refused, MANY as u64);
        assert!(!listener.accept().unwrap_err().is_refusal_limit());
    });
}

#[test]
fn tasks_have_their_turn_between_messages_that_are_refused() {
    async_test(|| async {
        let dir = tempdir();
        let (server, _client) = flooded(&dir.path().join("socket"));
        let server = aio::Datagram::try_from(server).unwrap();
        let turns = tokio::select! {
            biased;
            _ = server.recv_vec() => unreachable!("everybody is refused"),
            turns = turns_until(|| server.get_ref().refused() == MANY as u64) => turns,
        };
        assert!(turns >= MANY / 16, "{turns}");
    });
}

#[test]
fn tasks_have_their_turn_between_clients_that_are_refused() {
    async_test(|| async {
        let dir = tempdir();
        let (listener, _clients) = queued(&dir.path().join("socket"));
        let listener = aio::Listener::try_from(listener).unwrap();
        assert!(listener.try_accept().unwrap_err().is_refusal_limit());
        let turns = tokio::select! {
            biased;
            _ = listener.accept() => unreachable!("everybody is refused"),
            turns = turns_until(|| listener.counts().refused == MANY as u64) => turns,
        };
        assert!(turns >= MANY / 16 - 1, "{turns}");
    });
}

#[test]
fn servers_have_their_turn_and_end_between_those_that_they_refuse() {
    async_test(|| async {
        let dir = tempdir();
        let (listener, _clients) = queued(&dir.path().join("stream"));
        let server: Server = Server::new(aio::Listener::try_from(listener).unwrap());
        let counters = server.counters();
        let turns = turns_until(|| counters.snapshot().refused_by_policy >= MANY as u64 / 2);
        server.run(|_, _| async {}, async { assert!(turns.await >= MANY / 2 / 16 - 1) }).await.unwrap();
        assert_eq!(counters.snapshot().refused_by_policy, MANY as u64);

        let (socket, _client) = flooded(&dir.path().join("datagram"));
        let server = Datagrams::new(aio::Datagram::try_from(socket).unwrap());
        tokio::time::timeout(SOON / 2, server.run(|_| async {}, async { turns_until(|| true).await }))
            .await
            .unwrap()
            .unwrap();
    });
}

/// Successors that make no sense, in the queue of a control address.
fn nonsense(control: &Path, count: usize) -> Vec<SeqPacket> {
    let knocks = (0..count).map(|_| SeqPacket::connect(control).unwrap());
    knocks.inspect(|knock| knock.send(b"nonsense").unwrap()).collect()
}

/// How many of them have been answered.
fn answered(knocks: &[SeqPacket]) -> usize {
    knocks
        .iter()
        .filter(|knock| knock.set_nonblocking(true).is_ok() && knock.recv(&mut [0; 64]).is_ok())
        .count()
}

#[test]
fn a_crowd_at_the_control_address_leaves_clients_their_turn() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, control) = (dir.path().join("socket"), dir.path().join("control"));
        let mut server: handover::Server =
            handover::Server::start(&Bind::new(&path), &control, SOON).unwrap();
        let knocks = nonsense(&control, MANY);
        let _clients: Vec<_> = (0..3).map(|_| Stream::connect(&path).unwrap()).collect();
        let mut served = 0;
        while served < 3 {
            match server.accept().unwrap() {
                Next::Client(_) => served += 1,
                Next::NotHandedOver(_) => {}
                Next::HandedOver => panic!("to nobody"),
            }
        }
        let answered = answered(&knocks);
        assert!(answered < 10, "{answered}");
    });
}

#[test]
fn a_crowd_at_the_control_address_leaves_clients_of_tasks_their_turn() {
    async_test(|| async {
        let dir = tempdir();
        let (path, control) = (dir.path().join("socket"), dir.path().join("control"));
        let server: handover::Server = handover::Server::start(&Bind::new(&path), &control, SOON).unwrap();
        let knocks = nonsense(&control, MANY);
        let _clients: Vec<_> = (0..3).map(|_| Stream::connect(&path).unwrap()).collect();
        let (served, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Notify::new()));
        let told = all.clone();
        let handler = move |_, _| {
            if served.fetch_add(1, Relaxed) + 1 == 3 {
                told.notify_one();
            }
            async {}
        };
        let shutdown = async {
            all.notified().await;
            let answered = answered(&knocks);
            assert!(answered < 10, "{answered}");
        };
        let server = Server::with_handover(server).unwrap();
        assert_eq!(server.run(handler, shutdown).await.unwrap(), End::ShutDown);
    });
}

#[test]
fn successors_that_say_nothing_take_nobodys_turn() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, control) = (dir.path().join("socket"), dir.path().join("control"));
        let start = || handover::Server::start(&Bind::new(&path), &control, SOON * 10).unwrap();
        let mut server: handover::Server = start();
        let _silent: Vec<_> = (0..20).map(|_| SeqPacket::connect(&control).unwrap()).collect();
        std::thread::scope(|scope| {
            let successor = scope.spawn(start);
            while !matches!(server.accept().unwrap(), Next::HandedOver) {}
            assert!(successor.join().unwrap().took_over());
        });
    });
}

#[test]
fn successors_that_say_nothing_take_nobodys_turn_from_tasks() {
    async_test(|| async {
        let dir = tempdir();
        let (path, control) = (dir.path().join("socket"), dir.path().join("control"));
        let start = {
            let (path, control) = (path.clone(), control.clone());
            move || -> handover::Server {
                handover::Server::start(&Bind::new(&path), &control, SOON * 10).unwrap()
            }
        };
        let server = Server::with_handover(start()).unwrap();
        let _silent: Vec<_> = (0..20).map(|_| SeqPacket::connect(&control).unwrap()).collect();
        let successor = tokio::task::spawn_blocking(start);
        let end = server.run(|_, _| async {}, std::future::pending::<()>()).await.unwrap();
        assert_eq!(end, End::HandedOver);
        assert!(successor.await.unwrap().took_over());
    });
}

#[test]
fn a_drain_may_last_indefinitely() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("stream");
        let server: Server = Server::new(Bind::new(&path).listen_async().await.unwrap());
        let mut client = aio::Stream::connect(&path).await.unwrap();
        let echo = |mut stream: aio::Stream, _| async move {
            let byte = stream.read_u8().await.unwrap();
            stream.write_u8(byte).await.unwrap();
        };
        let serving = server.drain_deadline(Duration::MAX).run(echo, std::future::ready(()));
        let asking = async {
            client.write_u8(7).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), 7);
        };
        let (served, ()) = tokio::join!(serving, asking);
        assert_eq!(served.unwrap(), End::ShutDown);

        let path = dir.path().join("datagram");
        let server = Datagrams::new(Bind::new(&path).datagram_async().await.unwrap());
        let client = aio::Datagram::client(&path).await.unwrap();
        client.send(b"late").await.unwrap();
        let echo =
            |message: stoop::serve::Message| async move { message.reply(&message.bytes).await.unwrap() };
        server.drain_deadline(Duration::MAX).run(echo, std::future::ready(())).await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}
