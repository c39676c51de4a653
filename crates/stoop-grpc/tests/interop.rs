//! Clients and servers in other languages: gRPC's C core through Python's grpcio, and Node's
//! @grpc/grpc-js.

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Echo, EchoClient, block_on, finished, node, python};
use stoop_grpc::{Endpoint, Server, connect};
use stoop_testkit::KillOnDrop;
use tonic::service::Routes;

const LIMIT: Duration = Duration::from_secs(20);

/// Serves [`Echo`] at this endpoint while the command runs, and returns the command's output.
fn served(endpoint: &str, mut command: Command) -> String {
    let endpoint = endpoint.to_owned();
    stoop_testkit::deadline(LIMIT, move || {
        block_on(async {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            let incoming = endpoint.listen(|bind| bind).await.unwrap();
            let (end, ended) = tokio::sync::oneshot::channel::<()>();
            let routes = Routes::new(Echo { name: "stoop" });
            let server = tokio::spawn(Server::new(routes).serve(incoming, ended));
            let client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let pid = client.id();
            let output = finished(client).await;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            drop(end);
            server.await.unwrap().unwrap();
            assert!(text.contains(&format!("Some({pid})")), "the caller is {pid}, and this was seen: {text}");
            text
        })
    })
}

/// Returns a path that needs percent-encoding in an authority, as most do.
fn place() -> (stoop_testkit::TempDir, String) {
    let directory = stoop_testkit::tempdir();
    let path = directory.path().join("a place.sock").to_str().unwrap().to_owned();
    (directory, path)
}

fn abstract_name() -> String {
    format!("stoop-grpc-test-{}-{:?}", std::process::id(), std::thread::current().id())
        .replace(['(', ')'], "")
}

#[test]
fn grpcio_calls_us_at_a_path() {
    let (_directory, path) = place();
    let Some(client) = python("client.py", &[&format!("unix:{path}"), "40"]) else {
        stoop_testkit::skip!("lacks python3 with grpcio");
    };
    served(&path, client);
}

#[test]
fn grpcio_calls_us_at_a_name() {
    let name = abstract_name();
    let Some(client) = python("client.py", &[&format!("unix-abstract:{name}"), "3"]) else {
        stoop_testkit::skip!("lacks python3 with grpcio");
    };
    served(&format!("@{name}"), client);
}

#[test]
fn grpcio_may_send_any_authority() {
    for authority in ["/run/app.sock", "%2Frun%2Fapp.sock", "a b", "localhost"] {
        let (_directory, path) = place();
        let Some(client) = python("client.py", &[&format!("unix:{path}"), "2", authority]) else {
            stoop_testkit::skip!("lacks python3 with grpcio");
        };
        served(&path, client);
    }
}

#[test]
fn grpc_js_calls_us_at_a_path() {
    let (_directory, path) = place();
    let Some(client) = node("client.js", &[&format!("unix:{path}")]) else {
        stoop_testkit::skip!("lacks node with @grpc/grpc-js");
    };
    served(&path, client);
}

#[test]
fn grpc_aio_calls_us() {
    let (_directory, path) = place();
    let name = abstract_name();
    for (at, endpoint) in
        [(format!("unix:{path}"), path), (format!("unix-abstract:{name}"), format!("@{name}"))]
    {
        let Some(client) = python("aio_client.py", &[&at]) else {
            stoop_testkit::skip!("lacks python3 with grpcio");
        };
        served(&endpoint, client);
    }
}

#[test]
fn we_call_grpc_aio() {
    let (_directory, path) = place();
    let name = abstract_name();
    we_call("aio_server.py", &format!("unix:{path}"), &path);
    we_call("aio_server.py", &format!("unix-abstract:{name}"), &format!("@{name}"));
}

fn we_call(script: &str, at: &str, endpoint: &str) {
    let Some(mut server) = python(script, &[at]) else {
        stoop_testkit::skip!("lacks python3 with grpcio");
    };
    let server = stoop_testkit::spawn(server.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
    let mut server = KillOnDrop(server);
    server.line("serving", LIMIT);
    let endpoint = endpoint.to_owned();
    let calls = async move {
        let mut client = EchoClient::new(connect(endpoint.parse::<Endpoint>().unwrap()).await.unwrap());
        for _ in 0..3 {
            client.everything().await;
        }
    };
    stoop_testkit::deadline(LIMIT, || block_on(calls));
}

#[test]
fn we_call_grpcio_at_a_path() {
    let (_directory, path) = place();
    we_call("server.py", &format!("unix:{path}"), &path);
}

#[test]
fn we_call_grpcio_at_a_name() {
    let name = abstract_name();
    we_call("server.py", &format!("unix-abstract:{name}"), &format!("@{name}"));
}
