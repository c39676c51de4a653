//! A server in a process without free file descriptors: connected clients are served, new clients
//! wait, and no thread spins. Each test runs in a process of its own, whose limit it lowers.

mod common;

use std::time::{Duration, Instant};

use common::harness::{message, test};
use common::{Echo, EchoClient};
use stoop_grpc::{Endpoint, Server, connect};
use stoop_testkit::Role;
use tokio::sync::oneshot;
use tonic::service::Routes;

#[test]
fn a_unix_server_survives_fd_exhaustion() {
    const TEST: &str = "a_unix_server_survives_fd_exhaustion";
    if stoop_testkit::role().is_none() {
        return Role::new(TEST, "exhausted").run();
    }
    test(async |directory| {
        let path = directory.join("app.sock");
        // Connected, but not accepted until a file descriptor is free.
        let waiting = || stoop::Stream::connect(&path).ok();
        serve_without_descriptors(path.as_path().try_into().unwrap(), waiting).await;
    });
}

#[test]
fn a_tcp_server_survives_fd_exhaustion() {
    const TEST: &str = "a_tcp_server_survives_fd_exhaustion";
    if stoop_testkit::role().is_none() {
        return Role::new(TEST, "exhausted").run();
    }
    test(async |_| {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let waiting = || std::net::TcpStream::connect(free).ok();
        serve_without_descriptors(format!("http://{free}").parse().unwrap(), waiting).await;
    });
}

/// Serves at this endpoint, and uses up all file descriptors for a second while a client connects.
async fn serve_without_descriptors<W>(endpoint: Endpoint, come: impl Fn() -> Option<W>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let incoming = endpoint.listen(|bind| bind).await.unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(Server::new(Routes::new(Echo { name: "one" })).serve(incoming, ended));
    let mut steady = EchoClient::new(connect(endpoint.clone()).await.unwrap());
    assert_eq!(steady.unary("Unary", message("x")).await.unwrap(), "x");
    let early = come().unwrap();
    let limit = getrlimit(Resource::Nofile);
    let used = stoop_testkit::open_descriptors() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(used), ..limit }).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // One for the client, none for the server.
    hoard.pop();
    let late = come();
    let (before, begun) = (processor_time(), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let share = (processor_time() - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(share < 0.05, "{share}");
    assert_eq!(steady.unary("Unary", message("x")).await.unwrap(), "x", "who is connected is served");
    assert!(!server.is_finished());
    setrlimit(Resource::Nofile, limit).unwrap();
    drop(hoard);
    let mut new = EchoClient::new(connect(endpoint).await.unwrap());
    assert_eq!(new.unary("Unary", message("x")).await.unwrap(), "x");
    drop((early, late, new, steady, end));
    server.await.unwrap().unwrap();
}

/// Returns the CPU time that this process has used.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
