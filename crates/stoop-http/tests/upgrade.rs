//! Upgraded connections: within the limits and the drain of the server, also after the body was
//! taken, and with WebSocket on both sides.

use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use stoop::serve::{self, Counters};
use stoop::{Bind, aio};
use stoop_http::{Client, Server, UpgradedStream, upgraded, upgraded_request};
use stoop_testkit::{KillOnDrop, TempDir, deadline, spawn, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, test).await.expect("in time") });
}

/// A server that upgrades every connection, after it has read the whole body, and passes on the
/// stream.
struct Serving {
    path: String,
    counters: Counters,
    upgraded: mpsc::UnboundedReceiver<UpgradedStream>,
    shut_down: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    _dir: TempDir,
}

async fn serving(limit: impl FnOnce(serve::Server) -> serve::Server) -> Serving {
    let dir = tempdir();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let server = limit(serve::Server::new(Bind::new(&path).listen_async().await.unwrap()));
    let counters = server.counters();
    let (streams, upgraded) = mpsc::unbounded_channel();
    let upgrade = service_fn(move |request: Request<Incoming>| {
        let streams = streams.clone();
        async move {
            let (head, body) = request.into_parts();
            let length = body.collect().await.unwrap().to_bytes().len();
            tokio::spawn(async move {
                let (stream, _) = upgraded_request(Request::from_parts(head, ())).await.unwrap();
                let _ = streams.send(stream);
            });
            let response = Response::builder().status(101).header("connection", "upgrade");
            let response = response.header("upgrade", "tcp").header("x-length", length);
            Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
        }
    });
    let (shut_down, shutdown) = oneshot::channel();
    let ended = tokio::spawn(async move {
        Server::new(server).run(upgrade, shutdown).await.unwrap();
    });
    Serving { path, counters, upgraded, shut_down, ended, _dir: dir }
}

impl Serving {
    /// Returns both ends of an upgraded connection.
    async fn connect(&mut self) -> (aio::Stream, UpgradedStream) {
        let mut client = Client::connect(&self.path).await.unwrap();
        let request = Request::post("/").header("connection", "upgrade").header("upgrade", "tcp");
        let response = client.send(request.body(Full::new(Bytes::from("12345"))).unwrap()).await.unwrap();
        assert_eq!(response.headers()["x-length"], "5");
        // The body was taken: what is left is enough.
        let (head, body) = response.into_parts();
        drop(body);
        let (stream, first) = upgraded(Response::from_parts(head, ())).await.unwrap();
        assert!(first.is_empty());
        (stream, self.upgraded.recv().await.unwrap())
    }

    async fn until_active(&self, count: u64) {
        while self.counters.snapshot().active != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[test]
fn an_upgraded_connection_counts_until_it_is_dropped() {
    run(async {
        let mut server = serving(|server| server.max_connections(1)).await;
        let (mut client, mut stream) = server.connect().await;
        stream.write_all(b"hi").await.unwrap();
        client.read_exact(&mut [0; 2]).await.unwrap();
        assert_eq!(server.counters.snapshot().active, 1);
        // Another client has to wait for its turn.
        assert!(timeout(Duration::from_millis(100), server.connect()).await.is_err());
        drop(stream);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the stream is closed with its last owner");
        server.connect().await;
    });
}

#[test]
fn draining_waits_for_upgraded_connections_and_ends_them_at_the_deadline() {
    run(async {
        let mut server = serving(|server| server.drain_deadline(Duration::from_secs(20))).await;
        let (mut client, mut stream) = server.connect().await;
        server.shut_down.send(()).unwrap();
        assert!(timeout(Duration::from_millis(100), &mut server.ended).await.is_err(), "it waits");
        stream.write_all(b"goodbye").await.unwrap();
        drop(stream);
        server.ended.await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"goodbye");

        let mut server = serving(|server| server.drain_deadline(Duration::from_millis(50))).await;
        let (mut client, mut stream) = server.connect().await;
        server.shut_down.send(()).unwrap();
        server.ended.await.unwrap();
        // Both ends see that it is over, although the server's task never ends by itself.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(server.counters.snapshot().aborted, 1);
    });
}

#[test]
fn an_idle_upgraded_connection_is_ended() {
    run(async {
        let mut server = serving(|server| server.idle_timeout(Duration::from_millis(300))).await;
        let (mut client, mut stream) = server.connect().await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stream.write_all(b".").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(server.counters.snapshot().idle, 1);
        server.until_active(0).await;
    });
}

#[test]
fn a_request_that_is_not_upgraded_holds_nothing() {
    run(async {
        let dir = tempdir();
        let path = dir.path().join("s").to_str().unwrap().to_owned();
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        let counters = server.counters();
        let refuse = service_fn(|request: Request<Incoming>| {
            tokio::spawn(upgraded_request(request));
            async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
        });
        tokio::spawn(Server::new(server).run(refuse, std::future::pending::<()>()));
        let mut client = Client::connect(&path).await.unwrap();
        let request = Request::get("/").header("connection", "upgrade").header("upgrade", "tcp");
        let response = client.send(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(client);
        while counters.snapshot().active > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

fn example() -> Command {
    // This test is target/PROFILE/deps/upgrade-HASH.
    let test = std::env::current_exe().unwrap();
    let program: PathBuf = test.parent().and_then(Path::parent).unwrap().join("examples/http_websocket");
    assert!(program.exists(), "{} is not built: cargo build -p stoop-http --examples", program.display());
    Command::new(program)
}

#[test]
fn websocket_works_on_both_sides() {
    let dir = tempdir();
    let path = dir.path().join("ws.sock").to_str().unwrap().to_owned();
    let mut server = KillOnDrop(spawn(example().args(["serve", &path]).stdout(Stdio::piped())).unwrap());
    server.line("listening", LIMIT);
    let mut hello = example();
    hello.args(["send", &path, "hello, Grüße"]);
    let output = deadline(LIMIT, move || hello.output().unwrap());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello, Grüße\ngoodbye\n");
    // A client that waits is told when the server drains, and the server waits for it.
    let mut waiting = KillOnDrop(spawn(example().args(["listen", &path]).stdout(Stdio::piped())).unwrap());
    waiting.line("connected", LIMIT);
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    waiting.line("goodbye", LIMIT);
    server.line("exited", LIMIT);
    assert!(waiting.finish(LIMIT).success() && server.finish(LIMIT).success());
}
