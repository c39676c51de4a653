//! The accept loop: policies, limits, failing handlers, and draining.

mod async_test;

use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_test::{Usage, async_test, runtime};
use stoop::serve::{Counters, Datagrams, End, Server, Snapshot};
use stoop::{Address, Bind, Credentials, Packet, Policy, ReplyTo, aio, handover};
use stoop_kernel_facts::leave_room_for;
use stoop_testkit::{NOBODY, Role, TempDir, is_root, public_tempdir, role, skip, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

async fn echo(mut stream: aio::Stream, _: stoop::Peer) {
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

/// Asks an echo server something.
async fn is_served(client: &mut aio::Stream) -> bool {
    let mut answer = [0; 5];
    client.write_all(b"hello").await.is_ok()
        && client.read_exact(&mut answer).await.is_ok()
        && &answer == b"hello"
}

/// Whether the server has closed this connection.
async fn is_closed(client: &mut aio::Stream) -> bool {
    !matches!(client.read(&mut [0; 8]).await, Ok(1..))
}

/// A server that runs, and the means to end it.
struct Running {
    path: PathBuf,
    stop: Arc<Notify>,
    counters: Counters,
    task: JoinHandle<stoop::Result<End>>,
    _dir: TempDir,
}

impl Running {
    async fn echo(settings: impl FnOnce(Server) -> Server) -> Running {
        Running::with(|bind| bind, settings, echo).await
    }

    async fn with<H, F>(
        bind: impl FnOnce(Bind) -> Bind,
        settings: impl FnOnce(Server) -> Server,
        handler: H,
    ) -> Running
    where
        H: FnMut(aio::Stream, stoop::Peer) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let dir = public_tempdir();
        let path = dir.path().join("socket");
        let listener = bind(Bind::new(&path).mode(0o666)).listen_async().await.unwrap();
        let server = settings(Server::new(listener));
        let (counters, stop) = (server.counters(), Arc::new(Notify::new()));
        let task = tokio::spawn(server.run(handler, stop.clone().notified_owned()));
        Running { path, stop, counters, task, _dir: dir }
    }

    async fn client(&self) -> aio::Stream {
        aio::Stream::connect(&self.path).await.unwrap()
    }

    async fn end(self) -> Snapshot {
        self.stop.notify_one();
        assert_eq!(self.task.await.unwrap().unwrap(), End::ShutDown);
        self.counters.snapshot()
    }
}

#[test]
fn clients_are_served_at_once_and_counted() {
    async_test(|| async {
        let running = Running::echo(|server| server).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(running.client().await);
        }
        for client in clients.iter_mut().rev() {
            assert!(is_served(client).await);
        }
        let seen = running.counters.snapshot();
        assert_eq!((seen.accepted, seen.active, seen.peak), (20, 20, 20));
        drop(clients);
        let path = running.path.clone();
        let seen = running.end().await;
        assert_eq!((seen.active, seen.finished, seen.aborted), (0, 20, 0));
        assert!(!path.exists());
        assert_eq!(seen.iter().find(|(name, _)| *name == "finished"), Some(("finished", 20)));
    });
}

#[test]
fn a_panic_ends_its_own_connection_only() {
    async_test(|| async {
        let handler = |mut stream: aio::Stream, peer| async move {
            let first = stream.read_u8().await.unwrap();
            assert!(first != b'!', "a handler's panic, as the test wants it");
            stream.write_u8(first).await.unwrap();
            echo(stream, peer).await;
        };
        let running = Running::with(|bind| bind, |server| server, handler).await;
        let mut bystander = running.client().await;
        assert!(is_served(&mut bystander).await);
        let mut bad = running.client().await;
        bad.write_all(b"!").await.unwrap();
        assert!(is_closed(&mut bad).await);
        assert!(is_served(&mut bystander).await);
        drop(bystander);
        assert_eq!(running.end().await.panicked, 1);
    });
}

#[test]
fn clients_over_the_total_wait_their_turn() {
    async_test(|| async {
        let running = Running::echo(|server| server.max_connections(2)).await;
        let (mut one, mut two, mut three) =
            (running.client().await, running.client().await, running.client().await);
        assert!(is_served(&mut one).await && is_served(&mut two).await);
        three.write_all(b"hello").await.unwrap();
        let usage = Usage::begin();
        let early = tokio::time::timeout(Duration::from_millis(200), three.readable()).await;
        assert!(early.is_err(), "served although the house is full");
        assert!(usage.share() < 0.05, "{} of a processor", usage.share());
        drop(one);
        three.read_exact(&mut [0; 5]).await.unwrap();
        assert!(is_served(&mut two).await);
        drop((two, three));
        let seen = running.end().await;
        assert_eq!((seen.peak, seen.accepted), (2, 3));
    });
}

#[test]
fn no_user_takes_all_the_places() {
    const TEST: &str = "no_user_takes_all_the_places";
    if role().is_some() {
        // Another user, who is served although the first one has used up its share.
        let path = std::env::var("SOCKET").unwrap();
        return runtime().block_on(async {
            let mut client = aio::Stream::connect(path.as_str()).await.unwrap();
            assert!(is_served(&mut client).await);
        });
    }
    async_test(|| async {
        let running = Running::echo(|server| server.max_connections_per_uid(2)).await;
        let (mut one, mut two) = (running.client().await, running.client().await);
        assert!(is_served(&mut one).await && is_served(&mut two).await);
        assert!(is_closed(&mut running.client().await).await);
        if is_root() {
            let child = Role::new(TEST, "other user").env("SOCKET", running.path.to_str().unwrap());
            let child = child.user(NOBODY, NOBODY);
            tokio::task::spawn_blocking(move || child.run()).await.unwrap();
        }
        drop(one);
        until(|| running.counters.snapshot().active == 1).await;
        assert!(is_served(&mut running.client().await).await, "the place is free again");
        drop(two);
        assert_eq!(running.end().await.refused_by_uid, 1);
    });
    if !is_root() {
        skip!("lacks root, to come as a second user");
    }
}

/// Waits for something without holding up the runtime.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn the_policy_comes_before_the_handler() {
    async_test(|| async {
        let nobody = |bind: Bind| bind.policy(Policy::nobody());
        let never = |_, _| async { panic!("the handler saw a client that the policy refuses") };
        let running = Running::with(nobody, |server| server, never).await;
        assert!(is_closed(&mut running.client().await).await);
        let seen = running.end().await;
        assert_eq!((seen.refused_by_policy, seen.accepted, seen.panicked), (1, 0, 0));
    });
}

#[test]
fn handlers_know_who_came() {
    async_test(|| async {
        let tell = |mut stream: aio::Stream, peer: stoop::Peer| async move {
            let text = format!("{:?}", (peer.pid.known(), peer.uid.known()));
            stream.write_all(text.as_bytes()).await.unwrap();
        };
        let running = Running::with(|bind| bind, |server| server, tell).await;
        let mut told = String::new();
        running.client().await.read_to_string(&mut told).await.unwrap();
        let own = Credentials::own();
        assert_eq!(told, format!("{:?}", (Some(own.pid), Some(own.uid))));
        running.end().await;
    });
}

#[test]
fn the_idle_are_cut_and_the_slow_too() {
    async_test(|| async {
        let idle = Duration::from_millis(200);
        let settings = |server: Server| server.idle_timeout(idle).max_lifetime(Duration::from_millis(900));
        let running = Running::echo(settings).await;
        let began = Instant::now();
        let (mut silent, mut slow) = (running.client().await, running.client().await);
        let dripping = async {
            // A byte now and then keeps it from being idle, and not for ever.
            while slow.write_all(b".").await.is_ok() && slow.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
            began.elapsed()
        };
        let waiting = async {
            assert!(is_closed(&mut silent).await);
            began.elapsed()
        };
        let (slow_after, silent_after) = tokio::join!(dripping, waiting);
        assert!(silent_after >= idle && slow_after >= Duration::from_millis(900));
        let seen = running.end().await;
        assert_eq!((seen.idle, seen.overdue, seen.aborted), (1, 1, 0));
    });
}

#[test]
fn a_client_that_does_not_read_is_idle() {
    async_test(|| async {
        let flood =
            |mut stream: aio::Stream, _| async move { while stream.write_all(&[7; 4096]).await.is_ok() {} };
        let settings = |server: Server| server.idle_timeout(Duration::from_millis(100));
        let running = Running::with(|bind| bind, settings, flood).await;
        let _client = running.client().await;
        until(|| running.counters.snapshot().idle == 1).await;
        running.end().await;
    });
}

#[test]
fn out_of_descriptors_it_neither_ends_nor_spins() {
    if role().is_none() {
        return Role::new("out_of_descriptors_it_neither_ends_nor_spins", "server").run();
    }
    runtime().block_on(async {
        let running = Running::echo(|server| server).await;
        let mut first = running.client().await;
        assert!(is_served(&mut first).await);
        let mut second = aio::Stream::connect(&running.path).await.unwrap();
        leave_room_for(1);
        let spare = std::fs::File::open("/dev/null").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let usage = Usage::begin();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(usage.share() < 0.05, "{} of a processor", usage.share());
        assert!(is_served(&mut first).await, "those who are in are served");
        drop(spare);
        drop(first);
        let asked = tokio::time::timeout(Duration::from_secs(10), is_served(&mut second)).await;
        // The second may have been accepted before the limit; either way it is served now.
        assert!(asked.unwrap());
        drop(second);
        running.end().await;
    });
}

#[test]
fn the_end_loses_nobody() {
    async_test(|| async {
        let settings = |server: Server| server.max_connections(1).drain_deadline(Duration::from_secs(15));
        let running = Running::echo(settings).await;
        let mut under_way = running.client().await;
        assert!(is_served(&mut under_way).await);
        let mut queued = running.client().await;
        running.stop.notify_one();
        let path = running.path.clone();
        until(|| !path.exists()).await;
        assert!(aio::Stream::connect(&path).await.unwrap_err().is_not_found());
        assert!(is_served(&mut under_way).await, "a conversation under way goes on");
        drop(under_way);
        assert!(is_served(&mut queued).await, "who was in the queue is served");
        queued.shutdown_now(Shutdown::Write).unwrap();
        assert!(is_closed(&mut queued).await);
        assert_eq!(running.task.await.unwrap().unwrap(), End::ShutDown);
        let seen = running.counters.snapshot();
        assert_eq!((seen.finished, seen.aborted), (2, 0));
    });
}

#[test]
fn what_is_left_at_the_deadline_is_cut() {
    async_test(|| async {
        let running = Running::echo(|server| server.drain_deadline(Duration::from_millis(50))).await;
        let mut client = running.client().await;
        assert!(is_served(&mut client).await);
        let seen = running.end().await;
        assert_eq!((seen.aborted, seen.active), (1, 0));
        assert!(is_closed(&mut client).await);
    });
}

#[test]
fn handlers_that_listen_are_told_of_the_end() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Server::new(Bind::new(&path).listen_async().await.unwrap());
        let server = server.drain_deadline(Duration::from_secs(15));
        let (draining, counters) = (server.draining(), server.counters());
        assert!(!draining.has_begun());
        let handler = move |stream: aio::Stream, peer| {
            let mut draining = draining.clone();
            async move {
                tokio::select! {
                    () = echo(stream, peer) => {}
                    () = draining.wait() => {}
                }
            }
        };
        let began = Instant::now();
        let mut client = None;
        let shutdown = async {
            let mut stream = aio::Stream::connect(&path).await.unwrap();
            assert!(is_served(&mut stream).await);
            client = Some(stream);
        };
        server.run(handler, shutdown).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "the idle client did not hold it up");
        assert_eq!((counters.snapshot().finished, counters.snapshot().aborted), (1, 0));
    });
}

#[test]
fn seqpackets_are_served_alike() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Server::new(Bind::new(&path).listen_seqpacket_async().await.unwrap());
        let handler = |socket: aio::SeqPacket, _| async move {
            let mut buffer = [0; 64];
            while let Ok(Packet::Message(len)) = socket.recv(&mut buffer).await {
                socket.send(&buffer[..len]).await.unwrap();
            }
        };
        let shutdown = async {
            let client = aio::SeqPacket::connect(&path).await.unwrap();
            for message in [&b"one"[..], b"three"] {
                client.send(message).await.unwrap();
                assert_eq!(client.recv(&mut [0; 64]).await.unwrap(), Packet::Message(message.len()));
            }
        };
        assert_eq!(server.run(handler, shutdown).await.unwrap(), End::ShutDown);
    });
}

#[test]
fn messages_are_served_in_parallel_and_to_the_last() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let to = Address::path(&path).unwrap();
        let server = Datagrams::new(Bind::new(&path).datagram_async().await.unwrap()).max_in_flight(2);
        let counters = server.counters();
        let gate = Arc::new(Notify::new());
        let handler = {
            let gate = gate.clone();
            move |message: stoop::serve::Message| {
                let gate = gate.clone();
                async move {
                    if message.bytes == b"slow" {
                        gate.notified().await;
                    }
                    message.reply(&message.bytes).await.unwrap();
                }
            }
        };
        let client = aio::Datagram::client(&path).await.unwrap();
        let other = aio::Datagram::autobind().unwrap();
        let shutdown = async {
            client.send(b"slow").await.unwrap();
            other.send_to(b"quick", &to).await.unwrap();
            assert_eq!(other.recv(&mut [0; 64]).await.unwrap(), 5, "not behind the slow one");
            // These come before the end, and are handled after it has begun.
            client.send(b"slow").await.unwrap();
            client.send(b"late").await.unwrap();
        };
        let answers = async {
            let mut heard = Vec::new();
            for _ in 0..3 {
                if heard.is_empty() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                gate.notify_waiters();
                gate.notify_one();
                heard.push(client.recv_vec().await.unwrap().0);
            }
            heard.sort();
            assert_eq!(heard, [&b"late"[..], b"slow", b"slow"]);
        };
        let (end, ()) = tokio::join!(server.run(handler, shutdown), answers);
        assert_eq!(end.unwrap(), End::ShutDown);
        let seen = counters.snapshot();
        assert_eq!((seen.accepted, seen.finished, seen.peak), (4, 4, 2));
        assert!(!path.exists());
    });
}

/// Two versions of a server; clients come and go all the while, and none is refused or dropped.
#[test]
fn a_successor_takes_over_and_no_client_notices() {
    async_test(|| async {
        let dir = tempdir();
        let (path, control) = (dir.path().join("socket"), dir.path().join("control"));
        let old = start(&path, &control).await;
        let clients = {
            let path = path.clone();
            tokio::spawn(async move {
                let mut served = 0;
                let began = Instant::now();
                while began.elapsed() < Duration::from_millis(600) {
                    let mut client = aio::Stream::connect(&path).await.unwrap();
                    assert!(is_served(&mut client).await);
                    served += 1;
                }
                served
            })
        };
        let mut staying = aio::Stream::connect(&path).await.unwrap();
        assert!(is_served(&mut staying).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let new = start(&path, &control).await;
        assert!(is_served(&mut staying).await, "the old one finishes what it began");
        drop(staying);
        assert_eq!(old.0.await.unwrap().unwrap(), End::HandedOver);
        assert!(path.exists() && control.exists());
        assert!(clients.await.unwrap() > 0);
        assert!(old.2.snapshot().accepted > 0 && new.2.snapshot().accepted > 0);
        new.1.notify_one();
        assert_eq!(new.0.await.unwrap().unwrap(), End::ShutDown);
        assert!(!path.exists() && !control.exists());
    });
}

async fn start(path: &Path, control: &Path) -> (JoinHandle<stoop::Result<End>>, Arc<Notify>, Counters) {
    let (bind, control) = (Bind::new(path), control.to_owned());
    let starting = move || handover::Server::start(&bind, control, Duration::from_secs(10)).unwrap();
    let server = tokio::task::spawn_blocking(starting).await.unwrap();
    let server = Server::with_handover(server).unwrap().drain_deadline(Duration::from_secs(15));
    let (stop, counters) = (Arc::new(Notify::new()), server.counters());
    (tokio::spawn(server.run(echo, stop.clone().notified_owned())), stop, counters)
}

/// The name may lead elsewhere by the time a message is answered.
#[test]
fn a_server_of_messages_answers_the_sender_unless_told_to_follow_the_name() {
    async_test(|| async {
        let dir = tempdir();
        let at = |name: &str| dir.path().join(name);
        for (reply_to, expected) in [(ReplyTo::Sender, false), (ReplyTo::Name, true)] {
            let server =
                Datagrams::new(Bind::new(at("server")).datagram_async().await.unwrap()).reply_to(reply_to);
            let other = Bind::new(at("other")).datagram_async().await.unwrap();
            let client = Bind::new(at("client")).datagram_async().await.unwrap();
            let (outcome, replied) = tokio::sync::oneshot::channel();
            let outcome = std::sync::Mutex::new(Some(outcome));
            client.send_to(b"ping", &Address::path(at("server")).unwrap()).await.unwrap();
            std::fs::remove_file(at("client")).unwrap();
            std::os::unix::fs::symlink(at("other"), at("client")).unwrap();
            let handler = |message: stoop::serve::Message| {
                let outcome = outcome.lock().unwrap().take().unwrap();
                async move { outcome.send(message.reply(b"pong").await).unwrap() }
            };
            let shutdown = async {
                let result = replied.await.unwrap();
                match expected {
                    true => result.unwrap(),
                    false => assert!(result.unwrap_err().is_permission()),
                }
            };
            server.run(handler, shutdown).await.unwrap();
            assert_eq!(other.try_recv(&mut [0; 8]).is_ok(), expected);
            std::fs::remove_file(at("client")).unwrap();
        }
    });
}
