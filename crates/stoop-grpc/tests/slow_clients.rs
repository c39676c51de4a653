//! Clients that never begin a call: the header timeout covers the first call, and no later pause.

#[path = "../../stoop-http/tests/common/mod.rs"]
mod common;

use common::slow::{HEADER, PREFACE, REQUEST, SETTINGS, all_are_disconnected, is_disconnected, test};
use stoop::{Bind, serve};
use stoop_testkit::tempdir;
use tokio::sync::oneshot;
use tokio::time::timeout;

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
