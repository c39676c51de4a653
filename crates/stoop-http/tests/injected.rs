//! Fault injection: each system call of an HTTP server fails once, with each errno that its manual
//! page lists. The next request succeeds, and so does a request on an existing connection.

mod common;

use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use common::faults::{ANNOUNCED, SOON, bound, start};
use stoop_testkit::inject::{Campaign, lacking};
use stoop_testkit::{Injector, deadline, role, skip, tempdir};

/// Sends a request, and returns whether a complete response arrived before the connection closed.
fn ask(mut connection: &UnixStream) -> Result<bool, String> {
    if connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").is_err() {
        return Ok(false);
    }
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\nan answer") {
        let mut buffer = [0; 512];
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(len) => heard.extend(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err("a request waits in vain".into());
            }
            Err(_) => return Ok(false),
        }
        let right = b"HTTP/1.1 200 OK\r\n";
        let len = heard.len().min(right.len());
        if heard[..len] != right[..len] {
            return Err(format!("the answer is {:?}", String::from_utf8_lossy(&heard)));
        }
    }
    Ok(true)
}

fn connect(path: &Path) -> Result<UnixStream, String> {
    let connection = UnixStream::connect(path).map_err(|error| format!("refused: {error}"))?;
    connection.set_read_timeout(Some(SOON)).unwrap();
    Ok(connection)
}

#[test]
fn an_http_server() {
    if role().is_some() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(async {
            let answer = hyper::service::service_fn(|_| async {
                Ok::<_, Infallible>(hyper::Response::new(http_body_util::Full::new(Bytes::from("an answer"))))
            });
            let server = stoop_http::Server::new(bound().await);
            server.run(answer, std::future::pending::<()>()).await.unwrap();
        });
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    deadline(Duration::from_secs(100), || {
        let (dir, injector) = (tempdir(), Injector::new());
        let path = dir.path().join("app.sock");
        let child = start("an_http_server", &path, &injector);
        let there = RefCell::new(connect(&path).unwrap());
        let round = || connect(&path).map_or(Ok(()), |connection| ask(&connection).map(drop));
        let resumed = || match (ask(&connect(&path)?)?, ask(&there.borrow())?) {
            (true, true) => Ok(()),
            other => {
                *there.borrow_mut() = connect(&path)?;
                Err(format!("the next request, and one on a connection that was there: {other:?}"))
            }
        };
        let report = Campaign::new(&injector, child.id()).except(ANNOUNCED).run(round, resumed);
        eprintln!("HTTP: {} faults", report.faults);
        report.check(15);
    });
}
