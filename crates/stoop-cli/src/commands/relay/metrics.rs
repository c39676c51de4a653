//! Answers requests for the counters, in the format of OpenMetrics over HTTP.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use stoop::{Listener, Stream};

use super::place::Front;
use crate::args::BindFlags;
use crate::failure::Failure;
use crate::target::{self, BoundSocket};

/// The longest request that is read.
const REQUEST_BYTES: usize = 8192;

/// How long a client may take for each read and write.
const PATIENCE: Duration = Duration::from_secs(2);

/// The delay after a failed accept.
const PAUSE: Duration = Duration::from_millis(50);

/// The socket of those who ask.
pub(crate) enum Asked {
    Unix(Box<Listener<Stream>>),
    Tcp(TcpListener),
}

/// Binds the address of `--metrics`, with the permissions that the umask leaves.
pub(crate) fn bind(place: &Front, flags: &BindFlags) -> Result<Asked, Failure> {
    match place {
        Front::Tcp(place) => super::tcp::listen(place).map(|(listener, _)| Asked::Tcp(listener)),
        Front::Wire(wire) => Err(Failure::usage(
            format!("'{wire}' cannot be used with --metrics"),
            "counters are read at a Unix socket or over TCP",
        )),
        Front::Unix(address) => match target::serve(address, stoop::Kind::Stream, flags, |bind, _| bind)? {
            BoundSocket::Stream(listener) => Ok(Asked::Unix(Box::new(listener))),
            _ => Err(Failure::usage(
                format!("'{address}' cannot be used with --metrics"),
                "counters are read over HTTP, which needs a stream socket",
            )),
        },
    }
}

/// Answers with what `body` returns, on a thread of its own, as long as the process lives.
pub(crate) fn answer(asked: Asked, body: impl Fn() -> String + Send + 'static) -> io::Result<()> {
    let serve = move || loop {
        let answered = match &asked {
            Asked::Unix(listener) => listener.accept().map_err(io::Error::from).and_then(|(client, _)| {
                client.set_read_timeout(Some(PATIENCE))?;
                client.set_write_timeout(Some(PATIENCE))?;
                converse(client, &body);
                Ok(())
            }),
            Asked::Tcp(listener) => listener.accept().and_then(|(client, _)| {
                client.set_read_timeout(Some(PATIENCE))?;
                client.set_write_timeout(Some(PATIENCE))?;
                converse(client, &body);
                Ok(())
            }),
        };
        if answered.is_err() {
            thread::sleep(PAUSE);
        }
    };
    thread::Builder::new().name("metrics".into()).spawn(serve).map(drop)
}

/// Reads one request and answers it. What fails is the client's.
fn converse(mut client: impl Read + Write, body: impl Fn() -> String) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < REQUEST_BYTES {
        match client.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => head.extend_from_slice(&buffer[..len]),
        }
    }
    let _ = client.write_all(response(&head, body).as_bytes());
}

/// Returns the response to a request. Pure, but for what `body` reads.
fn response(head: &[u8], body: impl FnOnce() -> String) -> String {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/" | "/metrics") => {
            ("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", body())
        }
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain", "the counters are at /metrics\n".into()),
        _ => ("405 Method Not Allowed", "text/plain", "only GET and HEAD\n".into()),
    };
    let length = body.len();
    let body = if method == "HEAD" { "" } else { &body };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_counters_are_answered() {
        let status = |request: &str| {
            let answer = response(request.as_bytes(), || "text".into());
            answer[9..12].to_owned()
        };
        assert_eq!(status("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "200");
        assert_eq!(status("GET /metrics?name=x HTTP/1.1\r\n\r\n"), "200");
        assert_eq!(status("GET /other HTTP/1.1\r\n\r\n"), "404");
        assert_eq!(status("POST /metrics HTTP/1.1\r\n\r\n"), "405");
        assert_eq!(status("nonsense"), "405");
        assert!(response(b"HEAD / HTTP/1.1\r\n\r\n", || "text".into()).ends_with("\r\n\r\n"));
    }
}
