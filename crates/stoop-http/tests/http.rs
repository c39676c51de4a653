//! HTTP between this library's client and server, hyper's pooling client, curl, and peers that
//! violate the protocol.

mod common;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use common::place;
use common::slow::test as run;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioExecutor;
use stoop::serve::{self, Counters, End};
use stoop::{Bind, Connect, Policy, aio};
use stoop_http::{Caller, Client, Connector, ErrorKind, Server, Version};
use stoop_testkit::{TempDir, has_program, skip};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

type Body = BoxBody<Bytes, Infallible>;
type Pieces = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// Returns a body, and the sender of its frames.
fn fed() -> (Pieces, Body) {
    let (pieces, receiver) = mpsc::channel(1);
    (pieces, StreamBody::new(ReceiverStream::new(receiver)).boxed())
}

fn piece(text: &'static str) -> Result<Frame<Bytes>, Infallible> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

/// The service of the server under test.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let peer = request.extensions().get::<Caller>().expect("the server knows who asks").clone();
    Ok(match request.uri().path() {
        "/who" => Response::new(full(format!("{} {}", peer.uid, peer.pid))),
        "/version" => Response::new(full(format!("{:?}", request.version()))),
        "/echo" => Response::new(echo(request.into_body())),
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Response::new(full("done"))
        }
        "/refuse" => {
            let mut answer = Response::new(full("too large"));
            *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            answer
        }
        "/panic" => panic!("a handler's panic, as the test wants it"),
        "/upgrade" => {
            tokio::spawn(converse(request));
            let mut answer = Response::new(full(""));
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert("connection", "upgrade".parse().unwrap());
            answer.headers_mut().insert("upgrade", "tcp".parse().unwrap());
            answer
        }
        _ => {
            let mut answer = Response::new(full("no"));
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
    })
}

fn echo(mut body: Incoming) -> Body {
    let (pieces, echoed) = fed();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            if pieces.send(Ok(frame)).await.is_err() {
                return;
            }
        }
    });
    echoed
}

async fn converse(request: Request<Incoming>) {
    let (stream, first) = stoop_http::upgraded_request(request).await.unwrap();
    let (mut reads, mut writes) = (&*stream, &*stream);
    writes.write_all(&first).await.unwrap();
    tokio::io::copy(&mut reads, &mut writes).await.unwrap();
    writes.write_all(b"the end").await.unwrap();
}

/// A server in this process.
struct Serving {
    path: String,
    counters: Counters,
    shutdown: oneshot::Sender<()>,
    server: JoinHandle<stoop::Result<End>>,
    _dir: TempDir,
}

async fn serving() -> Serving {
    serving_as(Policy::same_user(), |server| server).await
}

async fn serving_as(policy: Policy, adjust: impl FnOnce(Server) -> Server) -> Serving {
    let (dir, path) = place();
    let listener = Bind::new(&path).policy(policy).listen_async().await.unwrap();
    let server = serve::Server::new(listener).drain_deadline(Duration::from_secs(10));
    let counters = server.counters();
    let (shutdown, told) = oneshot::channel();
    let server = tokio::spawn(adjust(Server::new(server)).run(service_fn(answer), told));
    Serving { path, counters, shutdown, server, _dir: dir }
}

impl Serving {
    async fn client(&self, version: Version) -> Client<Body> {
        Client::over(Connect::new(&self.path).stream_async().await.unwrap(), version).await.unwrap()
    }

    async fn end(self) {
        let _ = self.shutdown.send(());
        assert_eq!(self.server.await.unwrap().unwrap(), End::ShutDown);
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Empty::new().boxed()).unwrap()
}

async fn text(answer: Response<stoop_http::Body>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

#[test]
fn both_versions_are_detected_and_carry_the_caller() {
    run(async {
        let server = serving().await;
        let uid = std::fs::metadata("/proc/self").unwrap().uid();
        for (version, name) in BOTH.into_iter().zip(["HTTP/1.1", "HTTP/2.0"]) {
            let mut client = server.client(version).await;
            assert_eq!(text(client.send(get("/version")).await.unwrap()).await, name);
            // Again on the same connection.
            let who = format!("{uid} {}", std::process::id());
            assert_eq!(text(client.send(get("/who")).await.unwrap()).await, who);
            assert_eq!(client.send(get("/nothing")).await.unwrap().status(), 404);
        }
        assert_eq!(server.counters.snapshot().accepted, 2);
        server.end().await;
    });
}

#[test]
fn bodies_stream_in_both_directions() {
    run(async {
        let server = serving().await;
        for version in BOTH {
            let mut client = server.client(version).await;
            let (pieces, body) = fed();
            pieces.send(piece("one")).await.unwrap();
            let answer = client.send(Request::post("/echo").body(body).unwrap()).await.unwrap();
            let mut answer = answer.into_body();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
            pieces.send(piece("two")).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "two");
            drop(pieces);
            // HTTP/2 may signal the end with a separate empty frame.
            while let Some(frame) = answer.frame().await {
                assert_eq!(frame.unwrap().into_data().unwrap(), "");
            }
            assert_eq!((answer.received_bytes(), answer.announced_bytes()), (6, None));
        }
        server.end().await;
    });
}

#[test]
fn large_bodies_round_trip() {
    run(async {
        let server = serving().await;
        let large: Vec<u8> = (0..8_000_000u32).map(|number| (number % 251) as u8).collect();
        for version in BOTH {
            let mut client = server.client(version).await;
            let answer =
                client.send(Request::post("/echo").body(full(large.clone())).unwrap()).await.unwrap();
            assert!(answer.into_body().collect().await.unwrap().to_bytes() == large);
        }
        server.end().await;
    });
}

#[test]
fn http2_requests_are_concurrent() {
    run(async {
        let server = serving().await;
        assert!(server.client(Version::Http1).await.try_clone().is_none());
        let mut client = server.client(Version::Http2).await;
        let mut other = client.try_clone().unwrap();
        let (pieces, body) = fed();
        let waits = client.send(Request::post("/echo").body(body).unwrap()).await.unwrap();
        // The first request is still under way.
        assert_eq!(text(other.send(get("/version")).await.unwrap()).await, "HTTP/2.0");
        drop(client);
        pieces.send(piece("still here")).await.unwrap();
        drop((pieces, other));
        assert_eq!(text(waits).await, "still here");
        assert_eq!(server.counters.snapshot().accepted, 2);
        server.end().await;
    });
}

#[test]
fn hypers_pool_reconnects_after_a_restart() {
    run(async {
        let (_dir, path) = place();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let connect = Connect::new(&path).wait_for_server(Duration::from_secs(10));
        let client = client.build::<_, Empty<Bytes>>(Connector::with(connect));
        for _ in 0..3 {
            let listener = Bind::new(&path).listen_async().await.unwrap();
            let (shutdown, told) = oneshot::channel::<()>();
            let server = Server::new(serve::Server::new(listener)).run(service_fn(answer), told);
            let server = tokio::spawn(server);
            for _ in 0..2 {
                let answer = client.get("http://any/version".parse().unwrap()).await.unwrap();
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "HTTP/1.1");
            }
            shutdown.send(()).unwrap();
            server.await.unwrap().unwrap();
        }
    });
}

#[test]
fn curl_is_served() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    run(async {
        let server = serving().await;
        let curl = |words: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--max-time", "20", "--unix-socket", &server.path])
                .args(words);
            let output = tokio::task::spawn_blocking(move || curl.stdin(Stdio::null()).output().unwrap());
            async { String::from_utf8(output.await.unwrap().stdout).unwrap() }
        };
        assert_eq!(curl(&["http://localhost/version"]).await, "HTTP/1.1");
        assert_eq!(curl(&["--http2-prior-knowledge", "http://localhost/version"]).await, "HTTP/2.0");
        // One connection for both, a body in each direction, and `Expect: 100-continue`.
        let urls = ["http://localhost/echo", "http://localhost/echo"];
        let sent = ["--data", "twice;", "--header", "Expect: 100-continue"];
        assert_eq!(curl(&[&urls[..], &sent].concat()).await, "twice;twice;");
        assert_eq!(server.counters.snapshot().accepted, 3);
        server.end().await;
    });
}

#[test]
fn refused_clients_receive_no_byte() {
    run(async {
        let server = serving_as(Policy::nobody(), |server| server).await;
        for version in BOTH {
            let stream = Connect::new(&server.path).stream_async().await.unwrap();
            let refused = async { Client::over(stream, version).await?.send(get("/who")).await };
            assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::NoAnswer);
        }
        assert_eq!(server.counters.snapshot().refused_by_policy, 2);
        server.end().await;
    });
}

#[test]
fn a_slow_header_is_disconnected() {
    run(async {
        let server =
            serving_as(Policy::same_user(), |server| server.header_timeout(Duration::from_millis(100))).await;
        let mut slow = aio::Stream::connect(&server.path).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let mut heard = Vec::new();
        slow.read_to_end(&mut heard).await.unwrap();
        assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&heard));
        server.end().await;
    });
}

#[test]
fn a_panic_ends_its_own_connection() {
    run(async {
        let server = serving().await;
        let mut client = server.client(Version::Http1).await;
        assert_eq!(client.send(get("/panic")).await.unwrap_err().kind(), ErrorKind::NoAnswer);
        let mut client = server.client(Version::Http1).await;
        assert_eq!(client.send(get("/version")).await.unwrap().status(), 200);
        drop(client);
        let counters = server.counters.clone();
        server.end().await;
        assert_eq!(counters.snapshot().panicked, 1);
    });
}

#[test]
fn draining_finishes_requests_and_closes_idle_connections() {
    run(async {
        let server = serving().await;
        let mut asking = Vec::new();
        for version in BOTH {
            let mut client = server.client(version).await;
            // One connection is idle when draining begins, and one has a request under way.
            let mut idle = server.client(version).await;
            text(idle.send(get("/version")).await.unwrap()).await;
            let slow = tokio::spawn(async move { text(client.send(get("/slow")).await.unwrap()).await });
            asking.push((idle, slow));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let counters = server.counters.clone();
        server.end().await;
        // Draining did not take until the deadline.
        assert_eq!(counters.snapshot().aborted, 0);
        for (_, slow) in asking {
            assert_eq!(slow.await.unwrap(), "done");
        }
    });
}

#[test]
fn clients_in_the_queue_are_served_at_the_end() {
    run(async {
        for version in BOTH {
            let (_dir, path) = place();
            let listener = Bind::new(&path).listen_async().await.unwrap();
            let stream = Connect::new(&path).stream_async().await.unwrap();
            let mut client = Client::over(stream, version).await.unwrap();
            let asking = tokio::spawn(async move { text(client.send(get("/version")).await.unwrap()).await });
            tokio::time::sleep(Duration::from_millis(100)).await;
            // The server drains before it has accepted a client.
            let server = Server::new(serve::Server::new(listener));
            server.run(service_fn(answer), std::future::ready(())).await.unwrap();
            assert!(asking.await.unwrap().starts_with("HTTP/"));
        }
    });
}

#[test]
fn upgraded_streams_shut_down_per_direction() {
    run(async {
        let server = serving().await;
        let mut client = server.client(Version::Http1).await;
        let request = Request::post("/upgrade").header("connection", "upgrade").header("upgrade", "tcp");
        let answer = client.send(request.body(full("")).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 101);
        let (mut stream, first) = stoop_http::upgraded(answer).await.unwrap();
        stream.write_all(b"hello, ").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = first.to_vec();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello, the end");

        let mut client = server.client(Version::Http1).await;
        let plain = client.send(get("/who")).await.unwrap();
        assert_eq!(stoop_http::upgraded(plain).await.unwrap_err().kind(), ErrorKind::NotUpgraded);
        drop(client);
        server.end().await;
    });
}

/// A client that sends its whole request before it reads receives the early error response.
#[test]
fn an_early_error_response_reaches_a_sending_client() {
    run(async {
        let server = serving().await;
        let mut stream = UnixStream::connect(&server.path).unwrap();
        let asking = tokio::task::spawn_blocking(move || {
            stream.write_all(b"POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n")?;
            stream.write_all(&vec![0; 8_000_000])?;
            let mut heard = [0; 12];
            stream.read_exact(&mut heard).map(|()| heard)
        });
        assert_eq!(&asking.await.unwrap().unwrap(), b"HTTP/1.1 413");
        server.end().await;
    });
}

/// Connects to a server that handles one connection with this function.
fn broken(converse: impl FnOnce(UnixStream) + Send + 'static) -> UnixStream {
    let (one, other) = UnixStream::pair().unwrap();
    std::thread::spawn(|| converse(other));
    one
}

async fn sent(
    stream: UnixStream,
    version: Version,
    request: Request<Body>,
) -> stoop_http::Result<Response<stoop_http::Body>> {
    let stream = aio::Stream::try_from(stoop::Stream::from(stream)).unwrap();
    Client::over(stream, version).await?.send(request).await
}

#[test]
fn an_early_response_is_read_after_epipe() {
    run(async {
        for _ in 0..20 {
            let stream = broken(|mut stream| {
                stream.read_exact(&mut [0; 16]).unwrap();
                stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno!").unwrap();
            });
            let (pieces, body) = fed();
            let endless = tokio::spawn(async move {
                let large = Bytes::from(vec![0; 1 << 20]);
                while pieces.send(Ok(Frame::data(large.clone()))).await.is_ok() {}
            });
            let answer = sent(stream, Version::Http1, Request::post("/").body(body).unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(text(answer).await, "no!");
            endless.await.unwrap();
        }
    });
}

#[test]
fn abandoned_requests_see_the_connection_close() {
    run(async {
        for version in BOTH {
            let (seen, end) = oneshot::channel();
            let stream = broken(move |mut stream| {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                seen.send(rest.len()).unwrap();
            });
            let given_up = tokio::time::timeout(Duration::from_millis(50), sent(stream, version, get("/")));
            assert!(given_up.await.is_err());
            assert!(end.await.unwrap() > 0);
        }
    });
}

#[test]
fn an_incomplete_body_is_an_error_with_byte_counts() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    run(async {
        for (said, kind, words) in [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort".into(),
                ErrorKind::CutShort,
                "received 5 of 9 bytes",
            ),
            (format!("{CHUNKED}5\r\nshort\r\n"), ErrorKind::CutShort, "received 5 bytes, and no end"),
            (format!("{CHUNKED}nonsense\r\n"), ErrorKind::Malformed, "malformed"),
        ] {
            let stream = broken(move |mut stream| {
                stream.read_exact(&mut [0; 16]).unwrap();
                stream.write_all(said.as_bytes()).unwrap();
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let answer = sent(stream, Version::Http1, get("/")).await.unwrap();
            let error = answer.into_body().collect().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    });
}

#[test]
fn an_unreachable_server_is_a_connect_error() {
    run(async {
        let (_dir, path) = place();
        let error = Client::<Body>::connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.socket().unwrap().is_not_found());
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(Client::<Body>::connect(&path).await.is_ok());
    });
}
