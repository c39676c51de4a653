//! axum, tonic, hyper-util and tower.

use std::path::Path;
use std::process::{Command, Stdio};

use ::hyper_util::service::TowerToHyperService;
use axum::{Extension, Router, routing::get};
use stoop::{Bind, Policy};
use stoop_http::{AxumListener, Caller, Server};
use stoop_testkit::{has_program, skip, tempdir};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::examples::{axum as axum_example, hyper_util, tonic as tonic_example, tower};
use crate::{block_on, myself};

/// Sends a request by curl. Returns curl's pid and the body of the response.
async fn curl(path: &Path, arguments: &[&str]) -> (u32, String) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--unix-socket"]).arg(path).args(arguments);
    let child = stoop_testkit::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped())).unwrap();
    let pid = child.id();
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    (pid, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn axum_knows_the_caller_and_unlinks_its_socket_file() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    assert_eq!(block_on(axum_example::run(&path)).unwrap(), myself());
    assert!(!path.exists(), "the server's task ended with its runtime");
}

#[test]
fn axum_tells_clients_apart_and_shuts_down_gracefully() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    block_on(async {
        let listener = AxumListener::from(Bind::new(&path).listen_async().await.unwrap());
        let app = axum_example::app().into_make_service_with_connect_info::<Caller>();
        let (shut_down, shutdown) = tokio::sync::oneshot::channel::<()>();
        let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(shutdown.await) });
        let server = tokio::spawn(server.into_future());
        for protocol in ["--http1.1", "--http2-prior-knowledge"] {
            let (pid, body) = curl(&path, &[protocol, "http://localhost/whoami"]).await;
            assert!(body.ends_with(&format!(", pid {pid}")), "{protocol}: {body}");
        }
        drop(shut_down);
        server.await.unwrap().unwrap();
        assert!(!path.exists());
    });
}

#[test]
fn an_axum_router_runs_in_the_server_of_stoop() {
    if !has_program("curl") {
        skip!("lacks curl");
    }
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    block_on(async {
        let whoami = get(async |Extension(caller): Extension<Caller>| caller.pid.to_string());
        let app = TowerToHyperService::new(Router::new().route("/whoami", whoami));
        let server = stoop::serve::Server::new(Bind::new(&path).listen_async().await.unwrap());
        tokio::spawn(Server::new(server.max_connections(2)).run(app, std::future::pending::<()>()));
        let (pid, body) = curl(&path, &["http://localhost/whoami"]).await;
        assert_eq!(body, pid.to_string());
    });
}

#[test]
fn hyper_util_serves_both_versions() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let expected = format!("HTTP/2.0 for pid {}", std::process::id());
    assert_eq!(block_on(hyper_util::run(&path)).unwrap(), expected);
    if !has_program("curl") {
        skip!("lacks curl");
    }
    block_on(async {
        tokio::spawn(hyper_util::serve(Bind::new(&path).listen_async().await.unwrap()));
        let (pid, body) = curl(&path, &["http://localhost/"]).await;
        assert_eq!(body, format!("HTTP/1.1 for pid {pid}"));
    });
}

#[test]
fn tower_services_get_the_caller() {
    let dir = tempdir();
    assert_eq!(block_on(tower::run(&dir.path().join("app.sock"))).unwrap(), myself());
}

#[test]
fn tonic_serves_callers_that_the_policy_allows() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    assert_eq!(block_on(tonic_example::run(&path)).unwrap(), "SERVING");
    block_on(async {
        tonic_example::serve(&path, Policy::nobody()).await.unwrap();
        let mut client = HealthClient::new(tonic_example::connect(&path).await.unwrap());
        let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied);
    });
}
