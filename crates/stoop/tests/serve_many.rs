//! Ten thousand clients at once, each served: a server process and a client process, each with the
//! descriptors it takes.

mod async_test;

use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use async_test::runtime;
use stoop::serve::Server;
use stoop::{Bind, Connect, Stream};
use stoop_testkit::{KillOnDrop, Role, allow_descriptors, deadline, role, skip, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TEST: &str = "ten_thousand_clients_at_once";
const CLIENTS: u64 = 10_000;

/// File descriptors in addition to the connections: the harness, the runtime, the listener.
const SPARE: u64 = 100;

/// For everything together; a machine with other work may be slow.
const LIMIT: Duration = Duration::from_secs(55);

#[test]
fn ten_thousand_clients_at_once() {
    let path = std::env::var("SOCKET").unwrap_or_default();
    match role().as_deref() {
        Some("server") => return serve(Path::new(&path)),
        Some(_) => return talk(Path::new(&path)),
        None => {}
    }
    if allow_descriptors(CLIENTS + SPARE) < CLIENTS + SPARE {
        skip!("lacks the limit for {CLIENTS} descriptors a process");
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    deadline(LIMIT, move || {
        let part = |name| Role::new(TEST, name).env("SOCKET", path.to_str().unwrap()).spawn();
        let (mut server, mut clients): (KillOnDrop, KillOnDrop) = (part("server"), part("clients"));
        clients.line("served", LIMIT);
        assert!(clients.finish(LIMIT).success());
        // The end of its stdin tells the server to end.
        drop(server.0.stdin.take());
        assert_eq!(server.line("peak", LIMIT), format!("{CLIENTS} of {CLIENTS}, finished {CLIENTS}"));
        assert!(server.finish(LIMIT).success());
    });
}

fn serve(path: &Path) {
    assert!(allow_descriptors(CLIENTS + SPARE) >= CLIENTS + SPARE);
    runtime().block_on(async {
        let server = Server::new(Bind::new(path).listen_async().await.unwrap());
        let counters = server.counters();
        let handler = |mut stream: stoop::aio::Stream, _| async move {
            let mut question = [0; 8];
            while stream.read_exact(&mut question).await.is_ok() {
                stream.write_all(&question).await.unwrap();
            }
        };
        let told_to_end = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        server.run(handler, told_to_end).await.unwrap();
        let seen = counters.snapshot();
        println!("peak {} of {}, finished {}", seen.peak, seen.accepted, seen.finished);
    });
}

fn talk(path: &Path) {
    assert!(allow_descriptors(CLIENTS + SPARE) >= CLIENTS + SPARE);
    let connect = Connect::new(path).timeout(LIMIT).wait_for_server(LIMIT);
    let clients: Vec<Stream> = (0..CLIENTS).map(|_| connect.stream().unwrap()).collect();
    for (number, mut client) in (0u64..).zip(&clients) {
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(&number.to_ne_bytes()).unwrap();
    }
    for (number, mut client) in (0u64..).zip(&clients) {
        let mut answer = [0; 8];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(u64::from_ne_bytes(answer), number);
    }
    println!("served {}", clients.len());
}
