//! Fault injection: each system call of a gRPC or HTTP server fails once, with each errno that its
//! manual page lists. The next call succeeds, and so does a call on an existing connection.

mod common;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use common::harness::{client, message};
use common::{Echo, EchoClient, block_on};
use rustix::io::Errno;
use stoop::{Bind, serve};
use stoop_grpc::Server;
use stoop_testkit::inject::{Campaign, lacking};
use stoop_testkit::{Injector, KillOnDrop, Role, deadline, role, skip, tempdir};
use tonic::service::Routes;

const SOON: Duration = Duration::from_secs(20);

/// Faults that the kernel never produces: `EAGAIN` from a socket that epoll has just reported and
/// that was not read since, and any error of a write to the eventfd with which tokio wakes threads.
const ANNOUNCED: &[(&str, Errno)] = &[
    ("accept4", Errno::AGAIN),
    ("recvfrom", Errno::AGAIN),
    ("recvmsg", Errno::AGAIN),
    ("sendto", Errno::AGAIN),
    ("sendmsg", Errno::AGAIN),
    ("read", Errno::AGAIN),
    ("readv", Errno::AGAIN),
    ("write", Errno::AGAIN),
    ("write", Errno::INTR),
    ("write", Errno::IO),
    ("write", Errno::NOSPC),
    ("write", Errno::PIPE),
    ("writev", Errno::AGAIN),
];

fn place() -> PathBuf {
    std::env::var_os("PLACE").unwrap().into()
}

fn start(test: &str, path: &Path, injector: &Injector) -> KillOnDrop {
    let role = Role::new(test, "server").env("PLACE", path.to_str().unwrap());
    let mut child = role.watched(injector).spawn();
    child.line("ready", SOON);
    child
}

async fn bound() -> serve::Server {
    let server = serve::Server::new(Bind::new(place()).listen_async().await.unwrap());
    println!("ready");
    server.max_connections(100).idle_timeout(Duration::from_secs(60))
}

// ---- gRPC ----

/// Makes a call, and returns whether it succeeded.
async fn call(client: &mut EchoClient) -> Result<bool, String> {
    let answer = tokio::time::timeout(SOON, client.unary("Unary", message("a word"))).await;
    match answer.map_err(|_| "a call waits in vain".to_owned())? {
        Ok(answer) if answer == Bytes::from_static(b"a word") => Ok(true),
        Ok(answer) => Err(format!("a call is answered by {answer:?}")),
        Err(_) => Ok(false),
    }
}

#[test]
fn a_grpc_server() {
    if role().is_some() {
        return block_on(async {
            let server = Server::new(Routes::new(Echo { name: "one" }));
            server.serve(bound().await, std::future::pending::<()>()).await.unwrap();
        });
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    deadline(Duration::from_secs(100), || {
        let (dir, injector) = (tempdir(), Injector::new());
        let path = dir.path().join("app.sock");
        let child = start("a_grpc_server", &path, &injector);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut there = runtime.block_on(client(&path));
        let round = || {
            runtime.block_on(async {
                let Ok(channel) = stoop_grpc::connect(path.as_path()).await else { return Ok(()) };
                call(&mut EchoClient::new(channel)).await.map(drop)
            })
        };
        let resumed = || {
            runtime.block_on(async {
                let channel =
                    stoop_grpc::connect(path.as_path()).await.map_err(|error| format!("refused: {error}"))?;
                let next = call(&mut EchoClient::new(channel)).await?;
                match (next, call(&mut there).await?) {
                    (true, true) => Ok(()),
                    other => Err(format!("the next call, and one on a connection that was there: {other:?}")),
                }
            })
        };
        let report = Campaign::new(&injector, child.id()).except(ANNOUNCED).run(round, resumed);
        eprintln!("gRPC: {} faults", report.faults);
        report.check(15);
    });
}

// ---- HTTP ----

/// Sends a request, and returns whether a complete response arrived before the connection closed.
fn ask(mut connection: &UnixStream) -> Result<bool, String> {
    if connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").is_err() {
        return Ok(false);
    }
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\nan answer") {
        let mut buffer = [0; 512];
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(len) => heard.extend(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err("a request waits in vain".into());
            }
            Err(_) => return Ok(false),
        }
        let right = b"HTTP/1.1 200 OK\r\n";
        let len = heard.len().min(right.len());
        if heard[..len] != right[..len] {
            return Err(format!("the answer is {:?}", String::from_utf8_lossy(&heard)));
        }
    }
    Ok(true)
}

fn connect(path: &Path) -> Result<UnixStream, String> {
    let connection = UnixStream::connect(path).map_err(|error| format!("refused: {error}"))?;
    connection.set_read_timeout(Some(SOON)).unwrap();
    Ok(connection)
}

#[test]
fn an_http_server() {
    if role().is_some() {
        return block_on(async {
            let answer = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(http::Response::new(http_body_util::Full::new(Bytes::from("an answer"))))
            });
            let server = stoop_grpc::http::Server::new(bound().await);
            server.run(answer, std::future::pending::<()>()).await.unwrap();
        });
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    deadline(Duration::from_secs(100), || {
        let (dir, injector) = (tempdir(), Injector::new());
        let path = dir.path().join("app.sock");
        let child = start("an_http_server", &path, &injector);
        let there = RefCell::new(connect(&path).unwrap());
        let round = || connect(&path).map_or(Ok(()), |connection| ask(&connection).map(drop));
        let resumed = || match (ask(&connect(&path)?)?, ask(&there.borrow())?) {
            (true, true) => Ok(()),
            other => {
                *there.borrow_mut() = connect(&path)?;
                Err(format!("the next request, and one on a connection that was there: {other:?}"))
            }
        };
        let report = Campaign::new(&injector, child.id()).except(ANNOUNCED).run(round, resumed);
        eprintln!("HTTP: {} faults", report.faults);
        report.check(15);
    });
}
