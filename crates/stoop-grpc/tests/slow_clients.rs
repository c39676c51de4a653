//! Clients that begin slowly, or never: the header timeout covers the whole header, however slowly
//! its bytes arrive.

use std::convert::Infallible;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use stoop::{Bind, aio, serve};
use stoop_grpc::http;
use stoop_testkit::tempdir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Far longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

/// The header timeout of the servers here.
const HEADER: Duration = Duration::from_millis(200);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// `GET http://x/` on stream 1, complete.
const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";

fn test(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, tokio::spawn(test)).await.expect("in time") }).unwrap();
}

/// Sends the first bytes, then the others one by one and repeatedly, until the server disconnects.
async fn is_disconnected(path: &Path, first: &[&[u8]], dripped: &[u8]) {
    let mut client = aio::Stream::connect(path).await.unwrap();
    client.write_all(&first.concat()).await.unwrap();
    let (mut reads, mut writes) = client.split();
    let dripping = async {
        for byte in dripped.iter().cycle() {
            sleep(HEADER / 8).await;
            if writes.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await
    };
    let heard = async {
        let mut room = [0; 4096];
        while let Ok(1..) = reads.read(&mut room).await {}
    };
    tokio::select! {
        () = heard => {}
        () = dripping => {}
    }
}

/// Waits until each of these clients is disconnected.
async fn all_are_disconnected(path: &Path, slow: &[(&[&[u8]], &[u8])]) {
    for (first, dripped) in slow {
        let cut = timeout(LIMIT / 4, is_disconnected(path, first, dripped)).await;
        assert!(cut.is_ok(), "{} and {}", first.concat().escape_ascii(), dripped.escape_ascii());
    }
}

#[test]
fn slow_http_clients_are_disconnected() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        let counters = server.counters();
        let answer = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"answer"))))
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(http::Server::new(server).header_timeout(HEADER).run(answer, stopped));
        let headers_begun: &[u8] = b"\0\0\x06\x01\x01\0\0\0\x01\x82\x86\x84\x41\x01x";
        let continued = b"\0\0\x01\x09\0\0\0\0\x01\x88";
        let pinging = b"\0\0\x08\x06\0\0\0\0\0pingping";
        all_are_disconnected(
            &path,
            &[
                (&[], b""),
                (&[b"PRI * HTT"], b""),
                (&[], &PREFACE[..20]),
                (&[b"GET / HT"], b""),
                (&[b"GET /"], b"x"),
                (&[b"GET / HTTP/1.1\r\nhost: x\r\n"], b"x-y: z\r\n"),
                (&[b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"], b""),
                (&[b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n"], b"x-y: z\r\n"),
                (&[PREFACE], b""),
                (&[PREFACE, SETTINGS], b""),
                (&[PREFACE, SETTINGS], pinging),
                (&[PREFACE, SETTINGS, &REQUEST[..12]], b""),
                (&[PREFACE, SETTINGS, headers_begun], continued),
                (&[PREFACE, SETTINGS, REQUEST], b""),
                (&[PREFACE, SETTINGS, REQUEST], pinging),
            ],
        )
        .await;
        assert_eq!(counters.snapshot().accepted, 15);
        drop(stop);
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn slow_responses_and_readers_are_not_disconnected() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        let large = Bytes::from(vec![7; 2_000_000]);
        let answer = {
            let large = large.clone();
            service_fn(move |_: Request<Incoming>| {
                let large = large.clone();
                async move {
                    sleep(HEADER * 8).await;
                    Ok::<_, Infallible>(Response::new(Full::new(large)))
                }
            })
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(http::Server::new(server).header_timeout(HEADER).run(answer, stopped));
        for version in [http::Version::Http1, http::Version::Http2] {
            let stream = aio::Stream::connect(&path).await.unwrap();
            let mut client = http::Client::over(stream, version).await.unwrap();
            let request = Request::get("http://x/").body(Full::new(Bytes::new())).unwrap();
            let mut body = client.send(request).await.unwrap().into_body();
            let mut heard = 0;
            while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
                heard += frame.unwrap().into_data().map_or(0, |data| data.len());
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(heard, large.len());
        }
        drop(stop);
        serving.await.unwrap().unwrap();
    });
}

#[test]
fn clients_without_a_call_are_disconnected() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        let counters = server.counters();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = tonic::service::Routes::default();
        let server_of_calls = stoop_grpc::Server::new(service).header_timeout(HEADER);
        let serving = tokio::spawn(server_of_calls.serve(server, stopped));
        all_are_disconnected(
            &path,
            &[
                (&[], b""),
                (&[&PREFACE[..9]], b""),
                (&[], &PREFACE[..20]),
                (&[PREFACE, SETTINGS], b""),
                (&[PREFACE, SETTINGS], b"\0\0\x08\x06\0\0\0\0\0pingping"),
                (&[PREFACE, SETTINGS, &REQUEST[..12]], b""),
            ],
        )
        .await;
        let idle = is_disconnected(&path, &[PREFACE, SETTINGS, REQUEST], b"");
        assert!(timeout(HEADER * 8, idle).await.is_err(), "it has called, and nothing bounds how often");
        assert_eq!(counters.snapshot().accepted, 7);
        drop(stop);
        serving.await.unwrap().unwrap();
    });
}
