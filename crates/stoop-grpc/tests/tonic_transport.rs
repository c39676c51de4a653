//! tonic's own server and channel over a Unix socket, through the adapters.

mod common;

use common::harness::{client, message, start, test};
use common::{Echo, EchoClient};
use stoop::{Bind, Policy};
use stoop_grpc::{Connections, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tonic::transport::{Endpoint, Server};

async fn tonic_channel(path: &std::path::Path) -> EchoClient<tonic::transport::Channel> {
    let endpoint = Endpoint::from_static("http://localhost");
    EchoClient::new(endpoint.connect_with_connector(Connector::new(path)).await.unwrap())
}

#[test]
fn tonics_server_makes_every_kind_of_call_and_knows_its_callers() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder().add_service(Echo { name: "tonic" });
        let served = server.serve_with_incoming_shutdown(Connections::from(listener), async {
            let _ = stopped.await;
        });
        let served = tokio::spawn(served);
        let mut ours = client(&path).await;
        ours.everything().await;
        let who = ours.unary("Who", message("")).await.unwrap();
        let expected = format!("tonic Some((Some({}), Some(", std::process::id());
        assert!(String::from_utf8_lossy(&who).starts_with(&expected), "{who:?}");
        tonic_channel(&path).await.everything().await;
        drop((ours, stop));
        served.await.unwrap().unwrap();
        assert!(!path.exists(), "the socket file is unlinked");
    });
}

#[test]
fn tonics_server_accepts_the_path_as_authority() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        let server = Server::builder().add_service(Echo { name: "tonic" });
        tokio::spawn(server.serve_with_incoming(Connections::from(listener)));
        let mut stream = stoop::aio::Stream::connect(&path).await.unwrap();
        // `GET`, an authority of `/a.sock`: h2 alone answers with RST_STREAM (type 3).
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let call = b"\0\0\x0c\x01\x05\0\0\0\x01\x82\x86\x84\x41\x07/a.sock";
        stream.write_all(call).await.unwrap();
        let mut received = Vec::new();
        // A frame of HEADERS (type 1) on stream 1.
        while !received.windows(6).any(|frame| frame[0] == 1 && frame[2..] == [0, 0, 0, 1]) {
            let mut buffer = [0; 256];
            let len = stream.read(&mut buffer).await.unwrap();
            assert!(len > 0, "{}", received.escape_ascii());
            received.extend_from_slice(&buffer[..len]);
        }
    });
}

#[test]
fn tonics_server_closes_clients_that_the_policy_refuses() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let listener = Bind::new(&path).policy(Policy::nobody()).listen_async().await.unwrap();
        let server = Server::builder().add_service(Echo { name: "tonic" });
        tokio::spawn(server.serve_with_incoming(Connections::from(listener)));
        let mut ours = client(&path).await;
        assert!(ours.unary("Unary", message("x")).await.is_err());
    });
}

#[test]
fn tonics_channel_reconnects_to_our_server() {
    test(async |directory| {
        let path = directory.join("app.sock");
        let server = start(&path).await;
        let mut channel = tonic_channel(&path).await;
        channel.everything().await;
        server.stop().await;
        let server = start(&path).await;
        // tonic notices the closed connection with a failed call at the latest.
        let mut again = channel.unary("Unary", message("x")).await;
        if again.is_err() {
            again = channel.unary("Unary", message("x")).await;
        }
        assert_eq!(again.unwrap(), "x");
        server.stop().await;
    });
}
