//! The waits that the kernel has no readiness for: room in a backlog, room in a datagram queue, a
//! server that is to come.

mod async_test;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use async_test::{Usage, async_test, runtime};
use stoop::{Address, Bind, Connect, ErrorKind, SocketExt, aio};
use stoop_testkit::{NOBODY, Role, is_root, public_tempdir, role, skip, tempdir};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// A listener with room for one client, and that room taken.
async fn full(path: &std::path::Path) -> (aio::Listener, aio::Stream) {
    let listener = Bind::new(path).backlog(0).listen_async().await.unwrap();
    let filler = aio::Stream::connect(path).await.unwrap();
    (listener, filler)
}

#[test]
fn connecting_waits_for_room_and_no_longer_than_told() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let (listener, _filler) = full(&path).await;
        let began = Instant::now();
        let error = Connect::new(&path).timeout(Duration::from_millis(100)).stream_async().await.unwrap_err();
        assert!(error.is_timed_out(), "{error}");
        assert!(began.elapsed() >= Duration::from_millis(100));
        assert_eq!(error.subject(), Some(&Address::path(&path).unwrap()));

        let waiting = tokio::spawn(Connect::new(&path).timeout(Duration::from_secs(15)).stream_async_owned());
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        listener.accept().await.unwrap();
        let client = waiting.await.unwrap().unwrap();
        assert_eq!(client.peer_addr().unwrap(), Address::path(&path).unwrap(), "it is connected");
    });
}

/// `stream_async` for a task of its own.
trait Owned {
    fn stream_async_owned(self) -> impl Future<Output = stoop::Result<aio::Stream>> + Send;
}

impl Owned for Connect {
    async fn stream_async_owned(self) -> stoop::Result<aio::Stream> {
        self.stream_async().await
    }
}

/// Hundreds of attempts wait at once: no thread for any of them, little processor time, and each
/// gets in, connected.
#[test]
fn many_attempts_wait_without_threads() {
    if role().is_none() {
        return Role::new("many_attempts_wait_without_threads", "clients").run();
    }
    runtime().block_on(async {
        const CLIENTS: usize = 300;
        let dir = tempdir();
        let path = dir.path().join("socket");
        let (listener, _filler) = full(&path).await;
        let before = threads();
        let usage = Usage::begin();
        let attempts: Vec<_> =
            (0..CLIENTS).map(|_| tokio::spawn(Connect::new(&path).stream_async_owned())).collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(threads(), before);
        assert!(usage.share() < 0.5, "{} of a processor for {CLIENTS} attempts", usage.share());
        let serving = tokio::spawn(async move {
            for _ in 0..=CLIENTS {
                listener.accept().await.unwrap();
            }
        });
        for attempt in attempts {
            let client = attempt.await.unwrap().unwrap();
            client.peer_addr().unwrap();
        }
        serving.await.unwrap();
    });
}

#[test]
fn a_server_that_comes_later_is_found() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let early = Connect::new(&path).stream_async().await.unwrap_err();
        assert!(early.is_not_found());
        let wait = Connect::new(&path).wait_for_server(Duration::from_millis(50));
        assert!(wait.seqpacket_async().await.unwrap_err().is_not_found(), "told what was seen last");
        // A stale file is no server either.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let waiting = Connect::new(&path).wait_for_server(Duration::from_secs(15));
        let waiting = tokio::spawn(waiting.stream_async_owned());
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = Bind::new(&path).listen_async().await.unwrap();
        waiting.await.unwrap().unwrap();
        listener.accept().await.unwrap();
        let error = aio::Datagram::client(&path).await.unwrap_err();
        assert_eq!((error.kind(), error.socket_kind()), (ErrorKind::WrongKind, Some(stoop::Kind::Datagram)));
    });
}

#[test]
fn permissions_that_a_server_sets_later_are_waited_for() {
    const TEST: &str = "permissions_that_a_server_sets_later_are_waited_for";
    if role().is_some() {
        let path = std::env::var("SOCKET").unwrap();
        return async_test(move || async move {
            let early = Connect::new(&path).stream_async().await.unwrap_err();
            assert_eq!(early.kind(), ErrorKind::PermissionDenied);
            println!("denied");
            let waiting = Connect::new(&path).wait_for_server(Duration::from_secs(3600));
            println!("then {:?}", waiting.stream_async().await.map(drop).map_err(|error| error.kind()));
        });
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("socket");
    let _server = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    for (mode, result) in [(0o666, "Ok(())"), (0o600, "Err(PermissionDenied)")] {
        set(0o600);
        let stranger = Role::new(TEST, "stranger").env("SOCKET", path.to_str().unwrap());
        let mut stranger = stranger.user(NOBODY, NOBODY).spawn();
        stranger.line("denied", SOON);
        // Meanwhile it has begun to wait.
        std::thread::sleep(Duration::from_millis(100));
        set(mode);
        assert_eq!(stranger.line("then", SOON), result);
    }
}

/// Returns a datagram server whose queue another sender has filled, that sender, and the number of
/// messages in the queue.
async fn full_queue(path: &std::path::Path) -> (aio::Datagram, aio::Datagram, usize) {
    let server = Bind::new(path).datagram_async().await.unwrap();
    let other = aio::Datagram::autobind().unwrap();
    let to = Address::path(path).unwrap();
    let mut count = 0;
    while other.try_send_to(b"in the way", &to).is_ok() {
        count += 1;
    }
    (server, other, count)
}

#[test]
fn a_full_queue_costs_no_processor_time_and_is_left_at_once() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let (server, _other, mut waiting) = full_queue(&path).await;
        let to = Address::path(&path).unwrap();
        let sender = std::sync::Arc::new(aio::Datagram::autobind().unwrap());
        let mut delays = Vec::new();
        for round in 0u32..12 {
            let (sender, to) = (sender.clone(), to.clone());
            let sending = tokio::spawn(async move {
                sender.send_to(&round.to_ne_bytes(), &to).await.unwrap();
                Instant::now()
            });
            let usage = Usage::begin();
            tokio::time::sleep(Duration::from_millis(if round == 0 { 2000 } else { 30 })).await;
            assert!(!sending.is_finished());
            if round == 0 {
                assert!(usage.share() < 0.05, "{} of a processor", usage.share());
            }
            assert_eq!(server.recv(&mut [0; 64]).await.unwrap(), 10);
            let room = Instant::now();
            delays.push(sending.await.unwrap() - room);
            // Its message now takes the place of the one that was taken; the next round waits again.
            waiting -= 1;
            if waiting == 0 {
                break;
            }
        }
        delays.sort();
        // Not the slowest: on a machine with other work a wake-up alone may take longer.
        let usual = delays[delays.len() / 2];
        assert!(usual < Duration::from_millis(10), "delivered after {delays:?}");
    });
}

#[test]
fn a_sender_whose_own_buffer_is_full_waits_for_that() {
    async_test(|| async {
        let dir = tempdir();
        let (full, free) = (dir.path().join("full"), dir.path().join("free"));
        let first = Bind::new(&full).datagram_async().await.unwrap();
        let second = Bind::new(&free).datagram_async().await.unwrap();
        let sender = aio::Datagram::autobind().unwrap();
        let large = vec![7; sender.send_buffer_bytes().unwrap() / 3];
        let (full, free) = (Address::path(&full).unwrap(), Address::path(&free).unwrap());
        while sender.try_send_to(&large, &full).is_ok() {}
        // There is room at the other receiver, and none to send from.
        assert!(sender.try_send_to(b"x", &free).unwrap_err().is_would_block());
        let usage = Usage::begin();
        let sending = sender.send_to(b"small", &free);
        let reading = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(usage.share() < 0.05, "{} of a processor", usage.share());
            while first.try_recv(&mut vec![0; large.len()]).is_ok() {}
            assert_eq!(second.recv(&mut [0; 64]).await.unwrap(), 5);
        };
        tokio::join!(async { sending.await.unwrap() }, reading);
    });
}

#[test]
fn a_receiver_that_was_replaced_or_went_is_noticed() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let to = Address::path(&path).unwrap();
        let (server, _other, _) = full_queue(&path).await;
        let sender = aio::Datagram::autobind().unwrap();
        let replacing = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            Bind::new(&path).replace(true).datagram_async().await.unwrap()
        };
        let (sent, successor) = tokio::join!(sender.send_to(b"hello", &to), replacing);
        sent.unwrap();
        assert_eq!(successor.recv(&mut [0; 64]).await.unwrap(), 5);
        drop(server);

        while sender.try_send_to(b"in the way", &to).is_ok() {}
        let going = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            drop(successor);
        };
        let (sent, ()) = tokio::join!(sender.send_to(b"hello", &to), going);
        let error = sent.unwrap_err();
        assert!(error.is_refused() || error.is_not_found(), "{error}");
    });
}

/// The message goes to the socket that has the name when there is room.
#[test]
fn an_answer_waits_for_the_socket_that_asked_and_for_no_other() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("client");
        let server = Bind::new(dir.path().join("server")).datagram_async().await.unwrap();
        let (client, _other, mut count) = full_queue(&path).await;
        client.send_to(b"question", &server.local_addr().unwrap()).await.unwrap();
        let (_, origin) = server.recv_request().await.unwrap();

        // Given up half-way, it has sent nothing.
        for _ in 0..3 {
            let given_up =
                tokio::time::timeout(Duration::from_millis(20), server.reply(b"given up", &origin));
            given_up.await.unwrap_err();
        }
        let usage = Usage::begin();
        let replacing = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(usage.share() < 0.2, "{} of a processor", usage.share());
            let successor = Bind::new(&path).replace(true).datagram_async().await.unwrap();
            tokio::time::sleep(Duration::from_millis(150)).await;
            while client.try_recv(&mut [0; 64]).is_ok_and(|len| len == 10) {
                count -= 1;
            }
            successor
        };
        let (sent, successor) = tokio::join!(server.reply(b"answer", &origin), replacing);
        sent.unwrap();
        assert_eq!(count, 0);
        assert_eq!(client.recv_vec().await.unwrap().0, b"answer");
        assert!(successor.try_recv(&mut [0; 64]).unwrap_err().is_would_block());

        // The socket itself closes while its queue is full, without a name.
        drop(successor);
        let (client, other, _) = full_queue(&path).await;
        client.send_to(b"question", &server.local_addr().unwrap()).await.unwrap();
        let (_, origin) = server.recv_request().await.unwrap();
        let closing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop((client, other));
        };
        let (sent, ()) = tokio::join!(server.reply(b"answer", &origin), closing);
        assert!(sent.unwrap_err().is_refused());
    });
}

#[test]
fn many_senders_get_through_a_full_queue() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Bind::new(&path).datagram_async().await.unwrap();
        let to = Address::path(&path).unwrap();
        let senders: Vec<_> = (0..20u32)
            .map(|number| {
                let to = to.clone();
                tokio::spawn(async move {
                    let sender = aio::Datagram::autobind().unwrap();
                    for _ in 0..20 {
                        sender.send_to(&number.to_ne_bytes(), &to).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..400 {
            assert_eq!(server.recv(&mut [0; 8]).await.unwrap(), 4);
        }
        for sender in senders {
            sender.await.unwrap();
        }
    });
}

#[test]
fn a_connected_sender_waits_for_room_too() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let (server, _other, count) = full_queue(&path).await;
        let client = aio::Datagram::client(&path).await.unwrap();
        let usage = Usage::begin();
        let reading = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(usage.share() < 0.05, "{} of a processor", usage.share());
            for _ in 0..count {
                server.recv(&mut [0; 64]).await.unwrap();
            }
            assert_eq!(server.recv_from(&mut [0; 64]).await.unwrap().0, 5);
        };
        let (sent, ()) = tokio::join!(client.send(b"hello"), reading);
        sent.unwrap();
    });
}
