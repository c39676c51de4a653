//! What clients of a server may take: idle connections end without a lost call, and TCP has the
//! limits that it can have.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::running::{Running, client, message, run, test};
use common::{Echo, EchoClient};
use stoop::serve::{self, Counters};
use stoop::{Bind, aio};
use stoop_grpc::{Endpoint, Incoming, Server, connect};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::service::Routes;

/// Serves [`Echo`] here, and ends connections on which no call is under way for this time.
async fn start_with_idle(path: &std::path::Path, idle: Duration) -> (Running, Counters) {
    let server = serve::Server::new(Bind::new(path).listen_async().await.unwrap()).idle_timeout(idle);
    let counters = server.counters();
    (run(server, "one"), counters)
}

/// Clients that call just when their connection is about to be ended: some before, some after, some
/// meanwhile.
#[test]
fn who_calls_at_the_edge_of_idleness_loses_no_call() {
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
fn a_call_that_is_silent_is_not_idle() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let (server, counters) = start_with_idle(&path, Duration::from_millis(50)).await;
        let mut client = client(&path).await;
        assert_eq!(client.unary("Slow", message("1500")).await.unwrap(), "1500");
        assert_eq!(counters.snapshot().accepted, 1);
        // It has not been called since.
        while counters.snapshot().active > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(client.unary("Unary", message("x")).await.unwrap(), "x");
        server.stop().await;
    });
}

/// Serves [`Echo`] over TCP on a port that is free.
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
fn over_tcp_who_comes_too_many_waits() {
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
fn over_tcp_the_end_has_its_deadline() {
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
fn over_tcp_a_call_has_its_time() {
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

/// What is too large ends its call, not the connection.
#[test]
fn messages_have_their_size() {
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

/// One user has so many connections, whatever else there is room for.
#[test]
fn a_user_has_a_share_of_the_connections() {
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
