//! Clients that begin slowly, or never: the header timeout covers the whole header, however slowly
//! its bytes arrive.

mod common;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use common::slow::{HEADER, PREFACE, REQUEST, SETTINGS, all_are_disconnected, test};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use stoop::{Bind, aio, serve};
use stoop_http::{Client, Server, Version};
use stoop_testkit::tempdir;
use tokio::sync::oneshot;
use tokio::time::sleep;

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
        let serving = tokio::spawn(Server::new(server).header_timeout(HEADER).run(answer, stopped));
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
        let serving = tokio::spawn(Server::new(server).header_timeout(HEADER).run(answer, stopped));
        for version in [Version::Http1, Version::Http2] {
            let stream = aio::Stream::connect(&path).await.unwrap();
            let mut client = Client::over(stream, version).await.unwrap();
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
