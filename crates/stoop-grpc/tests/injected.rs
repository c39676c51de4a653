//! Fault injection: each system call of a gRPC server fails once, with each errno that its manual
//! page lists. The next call succeeds, and so does a call on an existing connection.

mod common;
#[path = "../../stoop-http/tests/common/mod.rs"]
mod http_common;

use std::time::Duration;

use bytes::Bytes;
use common::harness::{client, message};
use common::{Echo, EchoClient, block_on};
use http_common::faults::{ANNOUNCED, SOON, bound, start};
use stoop_grpc::Server;
use stoop_testkit::inject::{Campaign, lacking};
use stoop_testkit::{Injector, deadline, role, skip, tempdir};
use tonic::service::Routes;

/// Makes a call, and returns whether it succeeded.
async fn call(client: &mut EchoClient) -> Result<bool, String> {
    let answer = tokio::time::timeout(SOON, client.unary("Unary", message("a word"))).await;
    match answer.map_err(|_| "a call waits in vain".to_owned())? {
        Ok(answer) if answer == Bytes::from_static(b"a word") => Ok(true),
        Ok(answer) => Err(format!("a call is answered by {answer:?}")),
        Err(_) => Ok(false),
    }
}

#[test]
fn a_grpc_server() {
    if role().is_some() {
        return block_on(async {
            let server = Server::new(Routes::new(Echo { name: "one" }));
            server.serve(bound().await, std::future::pending::<()>()).await.unwrap();
        });
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    deadline(Duration::from_secs(100), || {
        let (dir, injector) = (tempdir(), Injector::new());
        let path = dir.path().join("app.sock");
        let child = start("a_grpc_server", &path, &injector);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut there = runtime.block_on(client(&path));
        let round = || {
            runtime.block_on(async {
                let Ok(channel) = stoop_grpc::connect(path.as_path()).await else { return Ok(()) };
                call(&mut EchoClient::new(channel)).await.map(drop)
            })
        };
        let resumed = || {
            runtime.block_on(async {
                let channel =
                    stoop_grpc::connect(path.as_path()).await.map_err(|error| format!("refused: {error}"))?;
                let next = call(&mut EchoClient::new(channel)).await?;
                match (next, call(&mut there).await?) {
                    (true, true) => Ok(()),
                    other => Err(format!("the next call, and one on a connection that was there: {other:?}")),
                }
            })
        };
        let report = Campaign::new(&injector, child.id()).except(ANNOUNCED).run(round, resumed);
        eprintln!("gRPC: {} faults", report.faults);
        report.check(15);
    });
}
