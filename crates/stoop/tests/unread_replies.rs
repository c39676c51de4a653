//! Senders of datagrams that do not read their replies, or exceed their share: they lose messages,
//! and other senders lose none.

mod async_test;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_test::async_test;
use stoop::serve::{Counters, Datagrams, Message, Snapshot};
use stoop::{Address, Bind, Datagram, ErrorKind, aio};
use stoop_testkit::{TempDir, tempdir};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// How a reply ended.
type Outcome = Result<(), ErrorKind>;

struct Running {
    path: PathBuf,
    stop: Arc<Notify>,
    counters: Counters,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Running {
    /// An echo server.
    async fn echo(settings: impl FnOnce(Datagrams) -> Datagrams) -> Running {
        Running::with(settings, |message: Message| async move {
            message.reply(&message.bytes).await.map_err(|error| error.kind())
        })
        .await
    }

    async fn with<H, F>(settings: impl FnOnce(Datagrams) -> Datagrams, mut handler: H) -> Running
    where
        H: FnMut(Message) -> F + Send + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = settings(Datagrams::new(Bind::new(&path).datagram_async().await.unwrap()));
        let server = server.drain_deadline(Duration::ZERO);
        let (counters, stop) = (server.counters(), Arc::new(Notify::new()));
        let (tell, outcomes) = mpsc::unbounded_channel();
        let handler = move |message| {
            let (handled, tell) = (handler(message), tell.clone());
            async move {
                let _ = tell.send(handled.await);
            }
        };
        let shutdown = stop.clone().notified_owned();
        let task = tokio::spawn(async move {
            server.run(handler, shutdown).await.unwrap();
        });
        Running { path, stop, counters, outcomes, task, _dir: dir }
    }

    /// Waits until the counts are as wanted.
    async fn until(&self, wanted: impl Fn(Snapshot) -> bool) {
        while !wanted(self.counters.snapshot()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn end(self) -> Snapshot {
        self.stop.notify_one();
        self.task.await.unwrap();
        self.counters.snapshot()
    }
}

/// A client that sends and never reads.
async fn mute(path: &Path, messages: usize) -> aio::Datagram {
    let client = aio::Datagram::client(path).await.unwrap();
    for _ in 0..messages {
        client.send(b"x").await.unwrap();
    }
    client
}

/// The same, not connected: its queue is short.
async fn mute_and_unconnected(path: &Path, messages: usize) -> aio::Datagram {
    let (client, to) = (aio::Datagram::autobind().unwrap(), Address::path(path).unwrap());
    for _ in 0..messages {
        client.send_to(b"x", &to).await.unwrap();
    }
    client
}

async fn is_answered(client: &aio::Datagram, times: usize) {
    for _ in 0..times {
        client.send(b"hello").await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 5);
    }
}

#[test]
fn a_client_that_never_reads_makes_nobody_else_wait() {
    async_test(|| async {
        let running = Running::echo(|server| server).await;
        let _mute = mute(&running.path, 600).await;
        let other = aio::Datagram::client(&running.path).await.unwrap();
        is_answered(&other, 400).await;
        assert!(running.end().await.dropped_over_share > 0);
    });
}

#[test]
fn many_clients_that_never_read_make_nobody_else_wait() {
    async_test(|| async {
        let running = Running::echo(|server| server).await;
        let mut crowd = Vec::new();
        for _ in 0..15 {
            crowd.push(mute(&running.path, 40).await);
            crowd.push(mute_and_unconnected(&running.path, 40).await);
        }
        let other = aio::Datagram::client(&running.path).await.unwrap();
        is_answered(&other, 50).await;
        let seen = running.end().await;
        assert!(seen.dropped_over_share + seen.replies_refused > 0, "{seen:?}");
    });
}

#[test]
fn a_reply_fails_in_time_and_its_handler_goes_on() {
    async_test(|| async {
        let mut running = Running::echo(|server| server.reply_timeout(Duration::from_millis(20))).await;
        let mute = mute_and_unconnected(&running.path, 15).await;
        running.until(|seen| seen.replies_timed_out == 4).await;
        let mut outcomes = Vec::new();
        for _ in 0..15 {
            outcomes.push(running.outcomes.recv().await.unwrap());
        }
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(ErrorKind::TimedOut)).count(), 4);
        for _ in 0..11 {
            assert_eq!(mute.recv(&mut [0; 8]).await.unwrap(), 1);
        }
        mute.get_ref().connect(&running.path).unwrap();
        is_answered(&mute, 3).await;
        assert_eq!(running.end().await.finished, 18);
    });
}

#[test]
fn half_of_the_handlers_wait_for_those_who_do_not_read() {
    async_test(|| async {
        let mut running = Running::echo(|server| server.max_in_flight(16)).await;
        let mut crowd = Vec::new();
        for _ in 0..5 {
            crowd.push(mute_and_unconnected(&running.path, 11 + 2).await);
        }
        running.until(|seen| seen.replies_refused == 2).await;
        assert_eq!(running.counters.snapshot().active, 8);
        let mut refused = 0;
        while let Ok(outcome) = running.outcomes.try_recv() {
            refused += usize::from(outcome == Err(ErrorKind::WouldBlock));
        }
        assert_eq!(refused, 2);
        running.end().await;
    });
}

#[test]
fn one_sender_and_one_user_have_their_share_of_the_handlers() {
    for per_uid in [false, true] {
        async_test(move || async move {
            let free = Arc::new(Notify::new());
            let wait = free.clone();
            let handler = move |message: Message| {
                let wait = wait.clone();
                async move {
                    if message.bytes == b"slow" {
                        wait.notified().await;
                    }
                    message.reply(&message.bytes).await.map_err(|error| error.kind())
                }
            };
            let settings = move |server: Datagrams| match per_uid {
                false => server.max_in_flight_per_sender(2),
                true => server.max_in_flight_per_uid(2),
            };
            let running = Running::with(settings, handler).await;
            let client = aio::Datagram::client(&running.path).await.unwrap();
            for _ in 0..5 {
                client.send(b"slow").await.unwrap();
            }
            running.until(|seen| seen.dropped_over_share == 3).await;
            let other = aio::Datagram::client(&running.path).await.unwrap();
            if per_uid {
                other.send(b"hello").await.unwrap();
                running.until(|seen| seen.dropped_over_share == 4).await;
            } else {
                is_answered(&other, 3).await;
            }
            free.notify_waiters();
            for _ in 0..2 {
                assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 4);
            }
            running.until(|seen| seen.active == 0).await;
            is_answered(&other, 3).await;
            running.end().await;
        });
    }
}

#[test]
fn a_sender_that_is_faster_than_its_handlers_loses_nothing() {
    async_test(|| async {
        let handler = |_| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(())
        };
        let running = Running::with(|server| server.max_in_flight(4), handler).await;
        let unnamed = Datagram::from(std::os::unix::net::UnixDatagram::unbound().unwrap());
        unnamed.connect(&running.path).unwrap();
        let unnamed = aio::Datagram::try_from(unnamed).unwrap();
        for _ in 0..50 {
            unnamed.send(b"one-way").await.unwrap();
        }
        drop(mute(&running.path, 50).await);
        running.until(|seen| seen.finished == 100).await;
        assert_eq!(running.end().await.dropped_over_share, 0);
    });
}
