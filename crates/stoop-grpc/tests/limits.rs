//! Limits of a server: idle connections close without a lost call, and TCP has connection limits,
//! deadlines and timeouts.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::harness::{Running, client, message, run, test};
use common::{Echo, EchoClient};
use stoop::serve::{self, Counters};
use stoop::{Bind, aio};
use stoop_grpc::{Endpoint, Incoming, Server, connect};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::service::Routes;

/// Serves [`Echo`] at this path, and closes connections that are idle for this time.
async fn start_with_idle(path: &std::path::Path, idle: Duration) -> (Running, Counters) {
    let server = serve::Server::new(Bind::new(path).listen_async().await.unwrap()).idle_timeout(idle);
    let counters = server.counters();
    (run(server, "one"), counters)
}

/// Clients that call around the moment when their connection is closed as idle.
#[test]
fn calls_at_the_idle_deadline_are_not_lost() {
    const IDLE: Duration = Duration::from_millis(20);
    test(async |directory| {
        let path = directory.join("app.sock");
        let (server, counters) = start_with_idle(&path, IDLE).await;
        let callers: Vec<_> = (0..16)
            .map(|nth| {
                let path = path.clone();
                tokio::spawn(async move {
                    let mut client = client(&path).await;
                    for round in 0..100_u32 {
                        client.unary("Unary", message("x")).await.unwrap();
                        let jitter = Duration::from_micros(u64::from(round * 97 % 50 + nth) * 40);
                        tokio::time::sleep(IDLE - Duration::from_millis(1) + jitter).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let accepted = counters.snapshot().accepted;
        assert!(accepted > 32, "connections were ended and made again: {accepted}");
        assert_eq!(counters.snapshot().idle, 0, "none was cut");
        server.stop().await;
    });
}

#[test]
fn a_silent_call_is_not_idle() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let (server, counters) = start_with_idle(&path, Duration::from_millis(50)).await;
        let mut client = client(&path).await;
        assert_eq!(client.unary("Slow", message("1500")).await.unwrap(), "1500");
        assert_eq!(counters.snapshot().accepted, 1);
        // No call has been made since.
        while counters.snapshot().active > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(client.unary("Unary", message("x")).await.unwrap(), "x");
        server.stop().await;
    });
}

/// Serves [`Echo`] over TCP on a free port.
async fn start_over_tcp(
    settings: impl FnOnce(Incoming) -> Incoming,
) -> (Endpoint, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let port = {
        let free = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        free.local_addr().unwrap().port()
    };
    let endpoint: Endpoint = format!("http://127.0.0.1:{port}").parse().unwrap();
    let incoming = settings(endpoint.listen(|bind| bind).await.unwrap());
    let (end, ended) = oneshot::channel::<()>();
    let server = Server::new(Routes::new(Echo { name: "one" }));
    let task = tokio::spawn(async move {
        server.serve(incoming, ended).await.unwrap();
    });
    (endpoint, end, task)
}

#[test]
fn tcp_connections_are_limited() {
    test(async |_| {
        let (endpoint, end, server) = start_over_tcp(|incoming| incoming.max_connections(1)).await;
        let mut first = EchoClient::new(connect(endpoint.clone()).await.unwrap());
        first.everything().await;
        let second = tokio::spawn(async move {
            let mut second = EchoClient::new(connect(endpoint).await.unwrap());
            second.unary("Unary", message("x")).await
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!second.is_finished(), "there is one place");
        assert_eq!(first.unary("Unary", message("y")).await.unwrap(), "y");
        drop(first);
        assert_eq!(second.await.unwrap().unwrap(), "x");
        drop(end);
        server.await.unwrap();
    });
}

#[test]
fn tcp_draining_has_a_deadline() {
    test(async |_| {
        let drain = Duration::from_millis(300);
        let (endpoint, end, server) = start_over_tcp(|incoming| incoming.drain_deadline(drain)).await;
        let mut client = EchoClient::new(connect(endpoint).await.unwrap());
        let mut other = client.clone();
        let short = tokio::spawn(async move { other.unary("Slow", message("150")).await });
        let long = tokio::spawn(async move { client.unary("Slow", message("50000")).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(end);
        assert_eq!(short.await.unwrap().unwrap(), "150");
        server.await.unwrap();
        assert!(!long.is_finished());
        long.abort();
    });
}

#[test]
fn tcp_calls_have_a_timeout() {
    test(async |_| {
        let (endpoint, end, server) = start_over_tcp(|incoming| incoming).await;
        let mut client = EchoClient::new(connect(endpoint).await.unwrap());
        let mut slow = message("50000");
        slow.set_timeout(Duration::from_millis(50));
        assert_eq!(client.unary("Slow", slow).await.unwrap_err().code(), Code::DeadlineExceeded);
        let begun = Instant::now();
        drop(end);
        server.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "nothing was left to wait for");
    });
}

/// An oversized message ends its call, but not the connection.
#[test]
fn message_sizes_are_limited() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let (server, counters) = start_with_idle(&path, Duration::from_secs(60)).await;
        let mut client = client(&path).await;
        let large = tonic::Request::new(Bytes::from(vec![7; 5 << 20]));
        let status = client.unary("Unary", large).await.unwrap_err();
        assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
        assert_eq!(client.unary("Unary", message("x")).await.unwrap(), "x");
        assert_eq!(counters.snapshot().accepted, 1);
        server.stop().await;
    });
}

/// A user's connections are limited even if the total is not reached.
#[test]
fn connections_are_limited_per_user() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let endpoint = Endpoint::try_from(path.as_path()).unwrap();
        let incoming = endpoint.listen(|bind| bind).await.unwrap();
        let incoming = incoming.max_connections(100).limits(|server| server.max_connections_per_uid(2));
        let (end, ended) = oneshot::channel::<()>();
        let server = tokio::spawn(Server::new(Routes::new(Echo { name: "one" })).serve(incoming, ended));
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = client(&path).await;
            client.unary("Unary", message("x")).await.unwrap();
            clients.push(client);
        }
        let mut third = aio::Stream::connect(&path).await.unwrap();
        assert_eq!(third.read(&mut [0; 8]).await.unwrap_or(0), 0, "it is hung up on");
        clients[0].everything().await;
        drop((clients, end));
        server.await.unwrap().unwrap();
    });
}
