//! Clients that send their first bytes slowly. Shared with the tests of `stoop-grpc`.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use stoop::aio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// Far longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The header timeout of the servers here.
pub const HEADER: Duration = Duration::from_millis(200);

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// `GET http://x/` on stream 1, complete.
pub const REQUEST: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x";

pub fn test(test: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { timeout(LIMIT, tokio::spawn(test)).await.expect("in time") }).unwrap();
}

/// Sends the first bytes, then the others one by one and repeatedly, until the server disconnects.
pub async fn is_disconnected(path: &Path, first: &[&[u8]], dripped: &[u8]) {
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
pub async fn all_are_disconnected(path: &Path, slow: &[(&[&[u8]], &[u8])]) {
    for (first, dripped) in slow {
        let cut = timeout(LIMIT / 4, is_disconnected(path, first, dripped)).await;
        assert!(cut.is_ok(), "{} and {}", first.concat().escape_ascii(), dripped.escape_ascii());
    }
}
