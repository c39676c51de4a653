//! The server and the channel: every kind of call, callers and policies, deadlines, restarts,
//! hand-overs, invalid bytes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::harness::{client, hand_over, message, run, start, test};
use common::{Echo, EchoClient};
use stoop::serve::{self, End};
use stoop::{Bind, Policy, aio};
use stoop_grpc::{Channel, Connect, Endpoint, Server, connect, only};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::service::{Routes, interceptor::InterceptedService};
use tonic::{Code, Request};

#[test]
fn every_kind_of_call() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let mut client = client(&path).await;
        client.everything().await;
        let large = Bytes::from(vec![7; 3 << 20]);
        assert_eq!(client.unary("Unary", Request::new(large.clone())).await.unwrap(), large);
        assert_eq!(server.stop().await, End::ShutDown);
        assert!(!path.exists());
    });
}

#[test]
fn tonic_itself_calls_us() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let channel = tonic::transport::Endpoint::try_from(format!("unix:{}", path.display())).unwrap();
        EchoClient::new(channel.connect().await.unwrap()).everything().await;
        server.stop().await;
    });
}

#[test]
fn abstract_names_work_as_paths_do() {
    test(async |directory| {
        let endpoint: Endpoint = format!("@{}", directory.display()).parse().unwrap();
        let incoming = endpoint.listen(|bind| bind).await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let server = tokio::spawn(Server::new(Routes::new(Echo { name: "one" })).serve(incoming, ended));
        EchoClient::new(connect(endpoint).await.unwrap()).everything().await;
        drop(end);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn calls_know_their_caller() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let who = client(&path).await.unary("Who", message("")).await.unwrap();
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(who, format!("one Some((Some({}), Some({uid}), Some(false)))", std::process::id()));
        server.stop().await;
    });
}

#[test]
fn a_service_can_be_restricted_to_callers() {
    test(async |directory| {
        let uid = rustix::process::geteuid().as_raw();
        for (policy, code) in [
            (Policy::nobody().allow_uid(uid), None),
            (Policy::nobody().allow_gid(4_000_000), Some(Code::PermissionDenied)),
            (Policy::everyone(), None),
        ] {
            let path = directory.join("app.sock");
            let routes = Routes::new(InterceptedService::new(Echo { name: "one" }, only(policy)));
            let listener = Bind::new(&path).listen_async().await.unwrap();
            let (end, ended) = oneshot::channel::<()>();
            let server = tokio::spawn(Server::new(routes).serve(listener, ended));
            let answer = client(&path).await.unary("Unary", message("x")).await;
            assert_eq!(answer.err().map(|status| status.code()), code);
            drop(end);
            server.await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_policy_closes_the_connection() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let listener = Bind::new(&path).policy(Policy::nobody()).listen_async().await.unwrap();
        let server = serve::Server::new(listener);
        let counters = server.counters();
        let server = run(server, "one");
        let status = client(&path).await.unary("Unary", message("x")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(counters.snapshot().refused_by_policy > 0);
        server.stop().await;
    });
}

#[test]
fn a_call_fails_at_its_deadline() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let mut client = client(&path).await;
        let mut slow = message("20000");
        slow.set_timeout(Duration::from_millis(50));
        let status = client.unary("Slow", slow).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        // The server has ended the call, too, so draining has nothing to wait for.
        let begun = Instant::now();
        server.stop().await;
        assert!(begun.elapsed() < Duration::from_secs(4));
    });
}

#[test]
fn a_deadline_ends_the_wait_for_a_server() {
    test(async |directory| {
        let connect = Connect::new(Endpoint::try_from(directory.join("app.sock").as_path()).unwrap());
        let mut client = EchoClient::new(connect.clone().lazy().unwrap());
        let mut call = message("x");
        call.set_timeout(Duration::from_millis(50));
        assert_eq!(client.unary("Unary", call).await.unwrap_err().code(), Code::DeadlineExceeded);
        // Without a deadline, the wait for the server ends it, for all waiting calls together.
        let client = EchoClient::new(connect.wait_for_server(Duration::from_millis(200)).lazy().unwrap());
        let begun = Instant::now();
        let calls = (0..20).map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary("Unary", message("x")).await.unwrap_err().code() })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), Code::Unavailable);
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "they wait together, not in turn");
    });
}

#[test]
fn a_server_may_start_after_its_clients() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { client(&path).await.unary("Unary", message("x")).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let server = start(&path).await;
        assert_eq!(waiting.await.unwrap().unwrap(), "x");
        server.stop().await;
    });
}

#[test]
fn dropping_the_channel_closes_the_connection() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        let counters = server.counters();
        let server = run(server, "one");
        let mut client = client(&path).await;
        assert_eq!(client.unary("Unary", message("x")).await.unwrap(), "x");
        assert_eq!(counters.snapshot().active, 1);
        drop(client);
        while counters.snapshot().active > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.stop().await;
    });
}

/// Sixty-four tasks that call without pause until stopped.
struct Callers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Callers {
    fn start(channel: &Channel) -> Callers {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let caller = |nth: usize| {
            let (stop, answered) = (stop.clone(), answered.clone());
            let mut client = EchoClient::new(channel.clone());
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(Relaxed) {
                    // Some are slow, so that calls are under way when a server ends.
                    let (method, text) = if nth.is_multiple_of(4) { ("Slow", "3") } else { ("Unary", "x") };
                    match client.unary(method, message(text)).await {
                        Ok(answer) => assert_eq!(answer, text),
                        Err(status) => failed.push(format!("{status:?}")),
                    }
                    answered.fetch_add(1, Relaxed);
                }
                failed
            })
        };
        let tasks = (0..64).map(caller).collect();
        Callers { stop, answered, tasks }
    }

    /// Waits until this many more calls have succeeded.
    async fn more(&self, calls: usize) {
        let target = self.answered.load(Relaxed) + calls;
        while self.answered.load(Relaxed) < target {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Stops the tasks. Returns how many calls failed, and the first error.
    async fn stop(self) -> Option<(usize, String)> {
        self.stop.store(true, Relaxed);
        let mut failed = Vec::new();
        for task in self.tasks {
            failed.extend(task.await.unwrap());
        }
        let count = failed.len();
        failed.into_iter().next().map(|first| (count, first))
    }
}

#[test]
fn a_restart_loses_no_call() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let mut server = start(&path).await;
        let callers = Callers::start(&connect(path.as_path()).await.unwrap());
        for _ in 0..8 {
            callers.more(500).await;
            server.stop().await;
            server = start(&path).await;
        }
        callers.more(500).await;
        assert_eq!(callers.stop().await, None);
        server.stop().await;
    });
}

#[test]
fn a_hand_over_loses_no_call() {
    test(async |directory| {
        let (path, control) = (directory.join("app.sock"), directory.join("app.handover"));
        let mut server = hand_over(&path, &control).await;
        let channels = [connect(path.as_path()).await.unwrap(), connect(path.as_path()).await.unwrap()];
        let callers = channels.each_ref().map(Callers::start);
        for _ in 0..8 {
            callers[0].more(300).await;
            let successor = hand_over(&path, &control).await;
            assert_eq!(server.task.await.unwrap().unwrap(), End::HandedOver);
            server = successor;
            // New clients reach the successor.
            assert_eq!(client(&path).await.unary("Unary", message("x")).await.unwrap(), "x");
        }
        for callers in callers {
            callers.more(300).await;
            assert_eq!(callers.stop().await, None);
        }
        server.stop().await;
    });
}

#[test]
fn a_killed_server_fails_only_calls_under_way() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let mut client = client(&path).await;
        let mut other = client.clone();
        let slow = tokio::spawn(async move { other.unary("Slow", message("20000")).await });
        while client.unary("Unary", message("x")).await.is_err() {}
        server.task.abort();
        assert_eq!(slow.await.unwrap().unwrap_err().code(), Code::Unavailable);
        let server = start(&path).await;
        assert_eq!(client.unary("Unary", message("x")).await.unwrap(), "x");
        server.stop().await;
    });
}

#[test]
fn invalid_bytes_end_only_their_connection() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let mut steady = client(&path).await;
        // A block whose authority is rewritten, and then an invalid frame.
        let bad = b"\0\0\x07\x01\x04\0\0\0\x01\x83\x86\x84\x41\x02/a";
        let hostile: [&[u8]; 7] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            &[PREFACE, b"\0\0\x01\x01\x04\0\0\0\x01\x80"].concat(),
            &[PREFACE, b"\xff\xff\xff\x01\x04\0\0\0\x01\x80"].concat(),
            &[PREFACE, bad, b"\0\0\x01\x01\x04\0\0\0\x03\x80"].concat(),
            &[PREFACE, bad, b"\0\0\x01\x01\0\0\0\0\x03\x83\0\0\0\0\0\0\0\0\x03"].concat(),
            &[PREFACE, bad, b"\0\0\x02\x01\x0c\0\0\0\x03\xff\x83"].concat(),
        ];
        for bytes in hostile {
            let mut stream = aio::Stream::connect(&path).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            // It closes the connection, with or without `GOAWAY`, and waits for no more bytes.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            assert_eq!(steady.unary("Unary", message("x")).await.unwrap(), "x");
        }
        server.stop().await;
    });
}
