//! Answers requests for the counters over HTTP: as OpenMetrics, or in the older text format of
//! Prometheus for clients that accept that one alone.

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

const OPEN_METRICS: &str = "application/openmetrics-text";
const PROMETHEUS: &str = "text/plain";

/// Returns OpenMetrics text in the text format of Prometheus, in which the families of counters
/// have the names of their samples, and which has no units and no end.
pub(crate) fn prometheus(text: &str) -> String {
    let mut counter = None;
    let mut converted = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let [mark, about, name, rest] = [(); 4].map(|()| words.next().unwrap_or_default());
        if mark != "#" {
            converted += &format!("{line}\n");
            continue;
        }
        // The type of a family stands in front of its description.
        if about == "TYPE" {
            counter = Some(name).filter(|_| rest == "counter");
        }
        let suffix = if counter == Some(name) { "_total" } else { "" };
        if matches!(about, "TYPE" | "HELP") {
            converted += &format!("# {about} {name}{suffix} {rest}\n");
        }
    }
    converted
}

/// Returns whether a request accepts the text format of Prometheus, and not OpenMetrics by name.
fn wants_prometheus(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let accepts = |kind: &str| {
        head.lines().any(|line| line.strip_prefix("accept:").is_some_and(|kinds| kinds.contains(kind)))
    };
    accepts(PROMETHEUS) && !accepts(OPEN_METRICS)
}

/// Returns the response to a request. Pure, but for what `body` reads.
fn response(head: &[u8], body: impl FnOnce() -> String) -> String {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/" | "/metrics") if wants_prometheus(head) => {
            ("200 OK", format!("{PROMETHEUS}; version=0.0.4; charset=utf-8"), prometheus(&body()))
        }
        ("GET" | "HEAD", "/" | "/metrics") => {
            ("200 OK", format!("{OPEN_METRICS}; version=1.0.0; charset=utf-8"), body())
        }
        ("GET" | "HEAD", _) => {
            ("404 Not Found", "text/plain".to_owned(), "the counters are at /metrics\n".into())
        }
        _ => ("405 Method Not Allowed", "text/plain".to_owned(), "only GET and HEAD\n".into()),
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
        let answer = |accept: &str| {
            let text = "# TYPE a counter\n# HELP a Some text.\na_total{b=\"# c\"} 1\n# TYPE d gauge\n# UNIT d e\nd 2\n# EOF\n";
            response(format!("GET /metrics HTTP/1.1\r\nACCEPT: {accept}\r\n\r\n").as_bytes(), || text.into())
        };
        let both = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [both, "*/*", ""] {
            assert!(answer(accept).contains("Type: application/openmetrics-text; v"), "{accept}");
        }
        let old = answer("text/plain;version=0.0.4");
        assert!(old.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{old}");
        let expected =
            "# TYPE a_total counter\n# HELP a_total Some text.\na_total{b=\"# c\"} 1\n# TYPE d gauge\nd 2\n";
        assert!(old.ends_with(&format!("\r\n\r\n{expected}")), "{old}");
        assert!(response(b"HEAD / HTTP/1.1\r\n\r\n", || "text".into()).ends_with("\r\n\r\n"));
    }
}
