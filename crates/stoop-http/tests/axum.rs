//! axum on a listener of `stoop`: the caller, the policy, a graceful shutdown, and an early
//! response to a client that is still sending.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use axum::extract::{Request, connect_info::ConnectInfo};
use axum::{Router, routing::get, routing::post};
use bytes::Bytes;
use common::slow::test;
use http_body_util::{BodyExt, Empty};
use stoop::{Bind, Policy};
use stoop_http::{AxumListener, Caller, Client};
use stoop_testkit::tempdir;
use tokio::sync::oneshot;

async fn extracted(ConnectInfo(caller): ConnectInfo<Caller>) -> String {
    caller.pid.to_string()
}

async fn looked_up(request: Request) -> String {
    Caller::of(request.extensions()).expect("a caller").pid.to_string()
}

async fn refuse() -> &'static str {
    "too large"
}

fn app() -> Router {
    Router::new()
        .route("/extracted", get(extracted))
        .route("/looked-up", get(looked_up))
        .route("/refuse", post(refuse))
}

#[test]
fn requests_carry_their_caller() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = app().into_make_service_with_connect_info::<Caller>();
        let serving = axum::serve(AxumListener::from(listener), app)
            .with_graceful_shutdown(async { drop(stopped.await) });
        let serving = tokio::spawn(serving.into_future());
        let mut client = Client::connect(&path).await.unwrap();
        for uri in ["/extracted", "/looked-up"] {
            let request = hyper::Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
            let body = client.send(request).await.unwrap().into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), std::process::id().to_string());
        }
        drop(stop);
        serving.await.unwrap().unwrap();
        assert!(!path.exists(), "the socket file is unlinked");
    });
}

#[test]
fn refused_clients_are_closed() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).policy(Policy::nobody()).listen_async().await.unwrap();
        tokio::spawn(axum::serve(AxumListener::from(listener), app()).into_future());
        let mut client = Client::connect(&path).await.unwrap();
        let request = hyper::Request::get("/extracted").body(Empty::<Bytes>::new()).unwrap();
        assert!(client.send(request).await.is_err());
    });
}

#[test]
fn an_early_response_reaches_a_sending_client() {
    test(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        tokio::spawn(axum::serve(AxumListener::from(listener), app()).into_future());
        let response = tokio::task::spawn_blocking(move || {
            let mut client = UnixStream::connect(path).unwrap();
            let head =
                b"POST /refuse HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n";
            client.write_all(head).unwrap();
            client.write_all(&vec![0; 1_000_000]).expect("the server discards the rest");
            let mut response = String::new();
            client.read_to_string(&mut response).unwrap();
            response
        });
        let response = response.await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK") && response.ends_with("too large"), "{response}");
    });
}
