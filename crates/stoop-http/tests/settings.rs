//! Each setting has its effect, on both sides: header limits, lenient headers, keep-alive, windows,
//! frame size, concurrency.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use stoop::{Bind, Connect, aio, serve};
use stoop_http::{Client, ErrorKind, Server, Settings, Version};
use stoop_testkit::{TempDir, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("in time") });
}

fn get() -> Request<Empty<Bytes>> {
    Request::new(Empty::new())
}

/// Returns the result of one request to a server that sends this response.
async fn answered(response: Vec<u8>, settings: &Settings) -> stoop_http::Result<Response<stoop_http::Body>> {
    let (stream, mut server) = aio::Stream::pair().unwrap();
    tokio::spawn(async move {
        let _ = server.read(&mut [0; 4096]).await;
        let _ = server.write_all(&response).await;
    });
    Client::with(stream, Version::Http1, settings).await?.send(get()).await
}

#[test]
fn a_client_limits_the_number_and_size_of_headers() {
    run(async {
        let many = |count: usize| {
            let headers: String = (0..count).map(|number| format!("X-{number}: 1\r\n")).collect();
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n").into_bytes()
        };
        let kind = |result: stoop_http::Result<_>| result.unwrap_err().kind();
        assert_eq!(kind(answered(many(120), &Settings::new()).await), ErrorKind::HeaderTooLarge);
        let response = answered(many(120), &Settings::new().max_headers(200)).await.unwrap();
        assert_eq!(response.headers().len(), 121);
        let small = Settings::new().max_header_bytes(100);
        assert_eq!(kind(answered(many(20), &small).await), ErrorKind::HeaderTooLarge);
        assert!(answered(many(2), &small).await.is_ok());
    });
}

#[test]
fn lenient_clients_accept_what_curl_accepts() {
    run(async {
        let odd =
            b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nX-B : b\r\nnot a header\r\nContent-Length: 0\r\n\r\n";
        let strict = answered(odd.to_vec(), &Settings::new()).await.unwrap_err();
        assert_eq!(strict.kind(), ErrorKind::Malformed);
        let lenient = Settings::new().lenient_headers(true);
        let response = answered(odd.to_vec(), &lenient).await.unwrap();
        assert_eq!(response.headers()["x-a"], "one two");
        assert_eq!(response.headers()["x-b"], "b");
        assert_eq!(response.headers().len(), 3);
    });
}

async fn served(adjust: impl FnOnce(Server) -> Server) -> (TempDir, String) {
    let dir = tempdir();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    let server = Server::new(serve::Server::new(Bind::new(&path).listen_async().await.unwrap()));
    let answer = service_fn(async |request: Request<Incoming>| {
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    tokio::spawn(adjust(server).run(answer, std::future::pending::<()>()));
    (dir, path)
}

/// Returns the settings that a server announces for HTTP/2: (identifier, value).
async fn announced(path: &str) -> Vec<(u16, u32)> {
    let mut stream = Connect::new(path).stream_async().await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    first_settings(&mut stream).await
}

async fn first_settings(stream: &mut aio::Stream) -> Vec<(u16, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "a frame of type SETTINGS");
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    settings.chunks(6).map(|one| (number(&one[..2]) as u16, number(&one[2..]))).collect()
}

#[test]
fn http2_settings_are_announced_by_both_sides() {
    const EXPECTED: [(u16, u32); 3] = [(4, 70_000), (5, 20_000), (6, 3_000)];
    let settings =
        || Settings::new().windows(70_000, 200_000).max_frame_bytes(20_000).max_header_bytes(3_000);
    run(async move {
        let (_dir, path) = served(|server| server.settings(settings()).max_requests_per_connection(7)).await;
        let found = announced(&path).await;
        assert!(EXPECTED.iter().chain(&[(3, 7)]).all(|one| found.contains(one)), "{found:?}");

        let (stream, mut server) = aio::Stream::pair().unwrap();
        let _client = Client::<Empty<Bytes>>::with(stream, Version::Http2, &settings()).await.unwrap();
        server.read_exact(&mut [0; 24]).await.unwrap();
        let found = first_settings(&mut server).await;
        assert!(EXPECTED.iter().all(|one| found.contains(one)), "{found:?}");
    });
}

#[test]
fn a_server_limits_headers_and_reuse() {
    run(async {
        let small = Settings::new().max_headers(3).reuse(false);
        let (_dir, path) = served(|server| server.settings(small)).await;
        let mut client = Client::connect(&path).await.unwrap();
        assert_eq!(client.send(get()).await.unwrap().status(), 200);
        // The connection is not used again.
        assert!(client.send(get()).await.is_err());
        let mut client = Client::connect(&path).await.unwrap();
        let many = Request::get("/").header("a", "1").header("b", "2").header("c", "3");
        assert_eq!(client.send(many.body(Empty::<Bytes>::new()).unwrap()).await.unwrap().status(), 431);
    });
}

#[test]
fn keep_alive_detects_a_server_that_hangs() {
    run(async {
        let (stream, mut server) = aio::Stream::pair().unwrap();
        server.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let settings = Settings::new().keep_alive(Duration::from_millis(20), Duration::from_millis(40));
        let mut client = Client::with(stream, Version::Http2, &settings).await.unwrap();
        // The server never acknowledges a PING, and its end stays open.
        assert!(client.send(get()).await.is_err());
        drop(server);
    });
}

#[test]
fn keep_alive_detects_a_client_that_hangs() {
    run(async {
        let settings = Settings::new().keep_alive(Duration::from_millis(20), Duration::from_millis(40));
        let (_dir, path) = served(|server| server.settings(settings)).await;
        let mut stream = Connect::new(&path).stream_async().await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        // A request without an end: the connection is not idle.
        stream.write_all(b"\0\0\x04\x01\x04\0\0\0\x01\x83\x86\x84\x41").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
}
