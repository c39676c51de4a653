//! Clients that shut down their write half or disconnect while their request is handled.

mod common;

use std::convert::Infallible;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::place;
use common::slow::test as run;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use stoop::serve::{self, End};
use stoop::{Bind, aio};
use stoop_http::Server;
use stoop_testkit::{has_program, skip};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

/// Sends when it is dropped.
struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

/// Serves a handler that tells of its beginning and its end, and needs a permit to respond.
fn serving_slowly(
    listener: aio::Listener,
    permits: &Arc<Semaphore>,
) -> (mpsc::UnboundedReceiver<&'static str>, JoinHandle<stoop::Result<End>>) {
    let (events, told) = mpsc::unbounded_channel();
    let permits = permits.clone();
    let slow = service_fn(move |request: Request<Incoming>| {
        let (events, permits) = (events.clone(), permits.clone());
        async move {
            let guard = Dropped(events);
            guard.0.send("begun").unwrap();
            permits.acquire().await.unwrap().forget();
            let body = request.into_body().collect().await?.to_bytes();
            if body == "stream" {
                // The response's body is never complete.
                let (pieces, response) = mpsc::channel(1);
                pieces.send(Ok(Frame::data(Bytes::from_static(b"first")))).await.unwrap();
                let response: BoxBody<_, Infallible> = StreamBody::new(ReceiverStream::new(response)).boxed();
                tokio::spawn(async move {
                    pieces.closed().await;
                    drop(guard);
                });
                return Ok(Response::new(response));
            }
            guard.0.send("read").unwrap();
            Ok::<_, hyper::Error>(Response::new(Full::new(body).boxed()))
        }
    });
    let server = Server::new(serve::Server::new(listener));
    (told, tokio::spawn(server.run(slow, std::future::pending::<()>())))
}

fn post(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_half_closed_client_receives_its_response() {
    run(async {
        let (_dir, path) = place();
        let permits = Arc::new(Semaphore::new(0));
        let (mut told, _server) = serving_slowly(Bind::new(&path).listen_async().await.unwrap(), &permits);
        for pipelined in [1, 2] {
            let mut client = aio::Stream::connect(&path).await.unwrap();
            client.write_all(post("hello").repeat(pipelined).as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(told.recv().await, Some("begun"));
            permits.add_permits(pipelined);
            let mut heard = String::new();
            client.read_to_string(&mut heard).await.unwrap();
            assert_eq!(heard.matches("hello").count(), pipelined, "{heard}");
            let events = 3 * pipelined - 1;
            for _ in 0..events {
                told.recv().await.unwrap();
            }
        }
    });
}

#[test]
fn socats_response_arrives_after_its_end_of_input() {
    if !has_program("socat") {
        skip!("lacks socat");
    }
    run(async {
        let (_dir, path) = place();
        let permits = Arc::new(Semaphore::new(0));
        let (mut told, _server) = serving_slowly(Bind::new(&path).listen_async().await.unwrap(), &permits);
        let connect = format!("UNIX-CONNECT:{path}");
        let mut socat = Command::new("socat");
        socat.args(["-t20", "-", &connect]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut socat = socat.spawn().unwrap();
        socat.stdin.take().unwrap().write_all(post("done").as_bytes()).unwrap();
        assert_eq!(told.recv().await, Some("begun"));
        permits.add_permits(1);
        let output = tokio::task::spawn_blocking(move || socat.wait_with_output().unwrap()).await.unwrap();
        assert!(output.stdout.ends_with(b"done"), "{output:?}");
    });
}

#[test]
fn a_handler_is_cancelled_when_its_client_disconnects() {
    run(async {
        let (_dir, path) = place();
        let permits = Arc::new(Semaphore::new(0));
        let (mut told, _server) = serving_slowly(Bind::new(&path).listen_async().await.unwrap(), &permits);
        for half_closed_first in [false, true] {
            let mut client = aio::Stream::connect(&path).await.unwrap();
            client.write_all(post("").as_bytes()).await.unwrap();
            if half_closed_first {
                client.shutdown().await.unwrap();
            }
            assert_eq!(told.recv().await, Some("begun"));
            let early = tokio::time::timeout(Duration::from_millis(20), told.recv()).await;
            assert!(early.is_err(), "it waits for a permit");
            client.shutdown_now(std::net::Shutdown::Both).unwrap();
            assert_eq!(told.recv().await, Some("dropped"));
        }
    });
}

#[test]
fn a_streamed_response_is_cancelled_when_its_client_disconnects() {
    run(async {
        let (_dir, path) = place();
        let permits = Arc::new(Semaphore::new(2));
        let (mut told, _server) = serving_slowly(Bind::new(&path).listen_async().await.unwrap(), &permits);
        for half_closed_first in [false, true] {
            let mut client = aio::Stream::connect(&path).await.unwrap();
            client.write_all(post("stream").as_bytes()).await.unwrap();
            if half_closed_first {
                client.shutdown().await.unwrap();
            }
            let mut heard = Vec::new();
            while !heard.ends_with(b"first\r\n") {
                assert!(client.read_buf(&mut heard).await.unwrap() > 0);
            }
            client.shutdown_now(std::net::Shutdown::Both).unwrap();
            assert_eq!(told.recv().await, Some("begun"));
            assert_eq!(told.recv().await, Some("dropped"));
        }
    });
}

#[test]
fn a_request_is_read_although_its_client_has_closed() {
    run(async {
        let (_dir, path) = place();
        let permits = Arc::new(Semaphore::new(0));
        let (mut told, _server) = serving_slowly(Bind::new(&path).listen_async().await.unwrap(), &permits);
        let mut client = aio::Stream::connect(&path).await.unwrap();
        client.write_all(post(&"x".repeat(100_000)).as_bytes()).await.unwrap();
        client.shutdown_now(std::net::Shutdown::Both).unwrap();
        assert_eq!(told.recv().await, Some("begun"));
        permits.add_permits(1);
        assert_eq!(told.recv().await, Some("read"));
    });
}
