//! Connects to the URL of a stream, and upgrades the connection from HTTP to SPDY.

use http::Uri;
use stoop::escaped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::error::ErrorContext;
use crate::exit::Exit;
use crate::failure::{Failure, Report, describe};

/// The longest response to a request for an upgrade.
const RESPONSE_MAX_BYTES: usize = 64 * 1024;

/// An upgraded connection, and what arrived after the response.
#[derive(Debug)]
pub(super) struct Upgraded {
    pub(super) stream: TcpStream,
    pub(super) first: Vec<u8>,
}

/// What a stream is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The input and output of a process.
    Process,
    /// Connections to ports of a pod.
    Ports,
}

impl Purpose {
    /// Returns the name of Kubernetes' protocol for it.
    fn protocol(self) -> &'static str {
        match self {
            // The version that reports exit codes.
            Purpose::Process => "v4.channel.k8s.io",
            Purpose::Ports => "portforward.k8s.io",
        }
    }

    /// Returns an action that needs no stream.
    fn without_stream(self) -> &'static str {
        match self {
            Purpose::Process => "exec --sync ID CMD    # runs a command without a stream",
            Purpose::Ports => "inspectp POD    # its IP address, for programs on the machine of the runtime",
        }
    }
}

/// Connects, and upgrades the connection.
pub(super) async fn upgrade(url: &str, purpose: Purpose, errors: &ErrorContext) -> Result<Upgraded, Failure> {
    let refused = |url: &str, errors: &ErrorContext| refused(url, purpose, errors);
    let (authority, path) = target(url).map_err(|why| refused(url, errors).why(why))?;
    let mut stream = TcpStream::connect(authority.as_str()).await.map_err(|error| {
        refused(url, errors)
            .why(format!("nothing is reached there: {}", describe(&error)))
            .seen("the runtime serves streams on a TCP address of its own network namespace")
    })?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: {}\r\nContent-Length: 0\r\n\r\n",
        purpose.protocol()
    );
    let cut = |error: std::io::Error| refused(url, errors).why(describe(&error));
    stream.write_all(request.as_bytes()).await.map_err(cut)?;
    // Small frames, such as keys, are not delayed.
    stream.set_nodelay(true).map_err(cut)?;
    let mut received = Vec::with_capacity(4096);
    let end = loop {
        if let Some(end) = end_of_head(&received) {
            break end;
        }
        if received.len() > RESPONSE_MAX_BYTES || stream.read_buf(&mut received).await.map_err(cut)? == 0 {
            let seen = format!("it sent '{}'", escaped(&received[..received.len().min(200)]));
            return Err(refused(url, errors).why("it did not answer as an HTTP server").seen(seen).into());
        }
    };
    let first = received.split_off(end);
    let status = received.split(|&byte| byte == b'\r').next().unwrap_or_default();
    if status.split(|&byte| byte == b' ').nth(1) != Some(b"101") {
        let seen = format!("it answered '{}' '{}'", escaped(status), escaped(&first[..first.len().min(200)]));
        return Err(refused(url, errors).why("it did not upgrade the connection").seen(seen).into());
    }
    Ok(Upgraded { stream, first })
}

fn refused(url: &str, purpose: Purpose, errors: &ErrorContext) -> Report {
    let url = Uri::try_from(url).ok().and_then(|url| Some(url.authority()?.to_string()));
    let place = url.unwrap_or_else(|| "the address that the runtime returned".into());
    Failure::new(Exit::Failed, format!("cannot open a stream at '{}'", escaped(&place)))
        .next(errors.command(purpose.without_stream()))
}

/// Returns the host and port of a URL, and its path.
fn target(url: &str) -> Result<(String, String), String> {
    let uri = Uri::try_from(url).map_err(|_| format!("it returned no URL, but '{}'", escaped(url)))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err("the runtime is configured to serve streams over TLS, which is not supported".into());
        }
        _ => return Err(format!("it returned no URL of an HTTP server, but '{}'", escaped(url))),
    }
    let host = uri.host().ok_or("the URL has no host")?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((format!("{host}:{}", uri.port_u16().unwrap_or(80)), path.to_owned()))
}

fn end_of_head(received: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    received.windows(END.len()).position(|window| window == END).map(|at| at + END.len())
}

#[cfg(test)]
mod tests {
    use stoop::internal::{Place, Target};

    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn urls_are_split() {
        let target = |url| target(url).ok();
        let expected = Some(("127.0.0.1:4321".to_owned(), "/exec/a?b".to_owned()));
        assert_eq!(target("http://127.0.0.1:4321/exec/a?b"), expected);
        assert_eq!(target("http://[::1]:1/x"), Some(("[::1]:1".to_owned(), "/x".to_owned())));
        assert_eq!((target("/exec/a"), target("ftp://127.0.0.1/x"), target("")), (None, None, None));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn streams_over_tls_are_refused() {
        let place = Place::Address("/run/cri.sock".parse().unwrap());
        let errors = ErrorContext { endpoint: Endpoint::At(Target { kind: None, place }) };
        for (purpose, next) in [(Purpose::Process, "exec --sync ID CMD"), (Purpose::Ports, "inspectp POD")] {
            let failure = upgrade("https://127.0.0.1:1/exec/a", purpose, &errors).await.unwrap_err();
            let Failure::Report(report) = failure else { panic!("{failure:?}") };
            let text = report.text();
            assert!(text.starts_with("error: cannot open a stream at '127.0.0.1:1'\n  why:  "), "{text}");
            assert!(text.contains("serve streams over TLS, which is not supported"), "{text}");
            assert!(text.contains(&format!("next: stoop cri -r /run/cri.sock {next}")), "{text}");
        }
    }

    #[test]
    fn the_end_of_the_head_is_found() {
        assert_eq!(end_of_head(b"HTTP/1.1 101 x\r\na: b\r\n\r\nmore"), Some(24));
        assert_eq!(end_of_head(b"HTTP/1.1 101 x\r\n"), None);
    }
}
