//! Strangers and mute clients that keep coming: what they take is bounded, and everybody else has a turn.

mod on_tokio;

use std::io::IoSliceMut;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use on_tokio::on_tokio;
use stoop::{Allow, Batch, Bind, Datagram, Error, Listener, Policy, Stream, aio};
use stoop_kernel_facts::SOON;
use stoop_testkit::{deadline, tempdir};

/// More than a call may refuse, many times over.
const MANY: usize = 200;

/// A receiver that refuses everybody, with many messages in its queue: between two that are connected to each other only the
/// send buffer limits how many (K-DGRAM-3).
fn flooded(path: &Path) -> (Datagram, Datagram) {
    let server = Bind::new(path).policy(Policy::nobody()).datagram().unwrap();
    let client = Datagram::connect(path).unwrap();
    server.connect_to(client.local_address().unwrap()).unwrap();
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
                    let client = Datagram::connect(&path).unwrap();
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
    on_tokio(|| async {
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
    on_tokio(|| async {
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
