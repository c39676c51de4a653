//! What arrives at a server behind a guard, byte by byte: only what was judged, written anew, one
//! request on each connection.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stoop_guard::{Guard, Protocol, Rules};
use stoop_testkit::{deadline, tempdir};

const LIMIT: Duration = Duration::from_secs(120);

const RULES: &str = "\
requests = ['GET /containers/json?all', 'GET /containers/{id}/json', 'HEAD /_ping']
[[allow]]
request = 'POST /containers/create?name'
headers = ['x-auth']
json = { Image = 'any', 'HostConfig.Memory' = { max = 9 } }
[[allow]]
request = 'PUT /upload'
stream = ['application/x-tar']
";

/// The only headers that reach the server.
const HEADERS: [&str; 7] =
    ["accept", "user-agent", "host", "content-type", "content-length", "transfer-encoding", "x-auth"];

/// A server that sends what it reads from each connection, and answers `200`.
fn server(path: &Path) -> Receiver<Vec<u8>> {
    let listener = UnixListener::bind(path).unwrap();
    let (sender, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, sender) = (stream.unwrap(), sender.clone());
            thread::spawn(move || {
                let text = read_request(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
                let mut text = text;
                // Until the guard closes: a second request would be here, too.
                let _ = stream.read_to_end(&mut text);
                let _ = sender.send(text);
            });
        }
    });
    received
}

/// Reads a head, and as much of a body as it announces.
fn read_request(stream: &mut UnixStream) -> Vec<u8> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        text.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).is_ok() {
        text.extend(body);
    }
    while head.contains("transfer-encoding: chunked") && !text.ends_with(b"0\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => text.push(byte[0]),
            _ => break,
        }
    }
    text
}

fn guard(directory: &Path) -> Receiver<Vec<u8>> {
    guard_by(directory, RULES)
}

/// Starts a guard in a thread of its own.
fn guard_by(directory: &Path, rules: &'static str) -> Receiver<Vec<u8>> {
    let received = server(&directory.join("server"));
    let (server, path) = (stoop::Address::path(directory.join("server")).unwrap(), directory.join("guard"));
    let (ready, is_ready) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = stoop::Bind::new(&path).listen_async().await.unwrap();
            ready.send(()).unwrap();
            let guard = Guard::new(Rules::parse(rules).unwrap(), Protocol::Http, server);
            let serving = stoop::serve::Server::new(listener);
            guard.run(serving, std::future::pending::<()>()).await.unwrap();
        });
    });
    is_ready.recv_timeout(LIMIT).unwrap();
    received
}

fn send(path: &Path, text: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = stream.write_all(text);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn requests() -> impl Strategy<Value = String> {
    let method = prop_oneof![4 => "GET", 6 => "POST", 4 => "PUT", 1 => "HEAD|DELETE"];
    let path = prop_oneof![
        3 => Just("/containers/json".to_owned()),
        6 => Just("/containers/create".to_owned()),
        3 => Just("/upload".to_owned()),
        2 => "/containers/[a-z%2fE.]{1,6}/json",
        1 => "/(containers|\\.\\.|%2e|)/(json|create|%6ason)",
    ];
    let query = prop_oneof![3 => Just(String::new()), 1 => "\\?(all|name|x)=[a-z%&+;=]{0,6}"];
    let header = prop_oneof![
        4 => Just("Accept: a/b".to_owned()),
        4 => Just("X-Auth: secret".to_owned()),
        4 => Just("Cookie: c".to_owned()),
        1 => Just("Host: other".to_owned()),
        2 => Just("Expect: 100-continue".to_owned()),
        20 => Just("Content-Type: application/json".to_owned()),
        8 => Just("Content-Type: application/x-tar".to_owned()),
        1 => Just("X-HTTP-Method-Override: DELETE".to_owned()),
        1 => Just("Transfer-Encoding: identity".to_owned()),
        1 => Just("Upgrade: tcp".to_owned()),
    ];
    let body = prop_oneof![
        Just(String::new()),
        Just("{\"Image\": \"a\", \"HostConfig\": {\"Memory\": 5}}".to_owned()),
        Just("{\"Image\": \"a\", \"image\": \"b\"}".to_owned()),
        Just("GET /secret HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
    ];
    let chunked = any::<bool>();
    (method, path, query, proptest::collection::vec(header, 0..3), body, chunked).prop_map(
        |(method, path, query, headers, body, chunked)| {
            let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
            let (length, body) = match chunked {
                true if !body.is_empty() => {
                    let body = format!("{:x}\r\n{body}\r\n0\r\nX-Trailer: t\r\n\r\n", body.len());
                    ("Transfer-Encoding: chunked".to_owned(), body)
                }
                _ => (format!("Content-Length: {}", body.len()), body),
            };
            format!("{method} {path}{query} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{headers}{length}\r\n\r\n{body}")
        },
    )
}

/// Checks a request as the server read it.
fn check(text: &[u8]) -> Result<(), TestCaseError> {
    let text = String::from_utf8_lossy(text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap();
    let parts: Vec<&str> = line.split(' ').collect();
    prop_assert_eq!((parts.len(), parts[2]), (3, "HTTP/1.1"));
    let path = parts[1].split('?').next().unwrap();
    let allowed = match (parts[0], path) {
        ("GET", "/containers/json") | ("POST", "/containers/create") | ("PUT", "/upload") => true,
        ("GET", path) => {
            path.starts_with("/containers/") && path.ends_with("/json") && path.matches('/').count() == 3
        }
        _ => false,
    };
    prop_assert!(allowed && !path.contains('%') && !path.contains("/."), "{}", line);
    let mut seen: Vec<String> = Vec::new();
    for header in lines {
        let name = header.split(':').next().unwrap().to_ascii_lowercase();
        prop_assert!(HEADERS.contains(&name.as_str()) && !seen.contains(&name), "{}", head);
        seen.push(name);
    }
    prop_assert_eq!(head.contains("secret"), head.contains("x-auth: secret"));
    if parts[0] == "POST" && !body.is_empty() {
        prop_assert_eq!(body, "{\"HostConfig\":{\"Memory\":5},\"Image\":\"a\"}");
    }
    if parts[0] == "GET" {
        prop_assert_eq!(body, "");
    }
    prop_assert!(!head.contains("X-Trailer") && !body.contains("X-Trailer"), "{}", text);
    Ok(())
}

#[test]
fn only_what_was_judged_arrives() {
    deadline(LIMIT, || {
        let directory = tempdir();
        let received = guard(directory.path());
        let path = directory.path().join("guard");
        let config = Config { cases: 2000, failure_persistence: None, ..Config::default() };
        let (arrived, refused) = (Cell::new(0), Cell::new(0));
        TestRunner::new(config)
            .run(&requests(), |request| {
                let answer = send(&path, request.as_bytes());
                let is_forwarded = answer.split("HTTP/1.1 ").skip(1).any(|answer| answer.starts_with("200"));
                match is_forwarded {
                    true => {
                        arrived.set(arrived.get() + 1);
                        check(&received.recv_timeout(LIMIT).expect("a request that was answered arrived"))?;
                    }
                    false => refused.set(refused.get() + 1),
                }
                prop_assert!(received.try_recv().is_err(), "a request that was refused arrived: {request}");
                Ok(())
            })
            .unwrap();
        let (arrived, refused) = (arrived.get(), refused.get());
        assert!(arrived > 30 && refused > 30, "{arrived} arrived, {refused} were refused");
    });
}

#[test]
fn a_server_that_is_missing_is_said_and_one_that_returns_is_found() {
    deadline(LIMIT, || {
        let directory = tempdir();
        let _received = guard(directory.path());
        let path = directory.path().join("guard");
        let ping = b"GET /containers/json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert!(send(&path, ping).starts_with("HTTP/1.1 200"));
        std::fs::rename(directory.path().join("server"), directory.path().join("away")).unwrap();
        let answer = send(&path, ping);
        assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("{\"message\":\""), "{answer}");
        std::fs::rename(directory.path().join("away"), directory.path().join("server")).unwrap();
        assert!(send(&path, ping).starts_with("HTTP/1.1 200"));
    });
}

/// Whatever the rule looks like that allows it.
#[test]
fn each_container_that_is_created_gets_the_label() {
    deadline(LIMIT, || {
        let directory = tempdir();
        let rules = "own-label = 'by=guard'\n[[allow]]\nrequest = 'POST /containers/{any}'\njson = 'any'\n\
                     [[allow]]\nrequest = 'POST /containers/create'\nstream = ['application/octet-stream']\n";
        let received = guard_by(directory.path(), rules);
        let post = |path: &str, kind: &str| {
            let body = "{\"Labels\":{\"by\":\"me\"}}";
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}",
                body.len()
            );
            send(&directory.path().join("guard"), format!("{head}\r\n\r\n{body}").as_bytes())
        };
        for (path, label) in [("/containers/create", "guard"), ("/containers/prune", "me")] {
            assert!(post(path, "application/json").starts_with("HTTP/1.1 200"));
            let text = String::from_utf8(received.recv_timeout(LIMIT).unwrap()).unwrap();
            assert!(text.ends_with(&format!("{{\"Labels\":{{\"by\":\"{label}\"}}}}")), "{text}");
        }
        let unjudged = post("/containers/create", "application/octet-stream");
        assert!(unjudged.starts_with("HTTP/1.1 403"), "{unjudged}");
        assert!(received.try_recv().is_err());
    });
}
