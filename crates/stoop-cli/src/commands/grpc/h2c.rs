//! Upgrades an HTTP/1 connection to gRPC: a request with `Upgrade: h2c`, after whose response both
//! sides speak HTTP/2 with prior knowledge. Docker offers its BuildKit so.

use std::io;

use stoop::aio::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the head of a response may be.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How much of the body of a refusal is shown.
const MAX_BODY_BYTES: usize = 300;

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

/// Why a connection was not upgraded.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The response has another status.
    Answer {
        status: u16,
        line: String,
        body: String,
    },
    /// It is not HTTP/1: these are its first bytes.
    Other(Vec<u8>),
    /// The connection was closed before the first byte.
    Closed,
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Io(error)
    }
}

/// Sends the request, and reads its response to the end of its head, but no further: what follows
/// is HTTP/2.
pub(super) async fn upgrade(stream: &mut Stream, path: &str) -> Result<(), Refusal> {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: stoop/{}\r\nConnection: Upgrade\r\nUpgrade: \
         h2c\r\nContent-Length: 0\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(END) && head.len() < MAX_HEAD_BYTES && is_http_so_far(&head) {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
    }
    match judge(&head) {
        Err(Refusal::Answer { status, line, .. }) => {
            let mut body = Vec::new();
            // What arrives with the head is enough for a reason.
            let _ = stream.read_buf(&mut body).await;
            body.truncate(MAX_BODY_BYTES);
            let body = String::from_utf8_lossy(&body).into_owned();
            Err(Refusal::Answer { status, line, body })
        }
        judged => judged,
    }
}

/// Returns whether these may be the first bytes of an HTTP/1 response.
fn is_http_so_far(head: &[u8]) -> bool {
    let start = b"HTTP/1.";
    let length = head.len().min(start.len());
    head[..length] == start[..length]
}

/// Judges the head of a response. Pure.
fn judge(head: &[u8]) -> Result<(), Refusal> {
    if head.is_empty() {
        return Err(Refusal::Closed);
    }
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(status) if is_http_so_far(head) && head.ends_with(END) => match status {
            101 => Ok(()),
            _ => Err(Refusal::Answer { status, line, body: String::new() }),
        },
        _ => Err(Refusal::Other(head.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_judged_by_their_heads() {
        assert!(judge(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n").is_ok());
        let refused = judge(b"HTTP/1.1 404 Not Found\r\n\r\n");
        assert!(
            matches!(&refused, Err(Refusal::Answer { status: 404, line, .. }) if line == "HTTP/1.1 404 Not Found")
        );
        assert!(matches!(judge(b""), Err(Refusal::Closed)));
        for other in [&b"\0\0\x12\x04"[..], b"HTTP/1.1 101 UPGRADED\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/2"] {
            assert!(matches!(judge(other), Err(Refusal::Other(_))), "{other:?}");
        }
    }

    #[tokio::test]
    async fn nothing_behind_the_head_is_read() {
        let (mut client, mut server) = Stream::pair().unwrap();
        server.write_all(b"HTTP/1.1 101 UPGRADED\r\n\r\n\0\0\x12").await.unwrap();
        upgrade(&mut client, "/grpc").await.unwrap();
        let mut rest = [0; 3];
        client.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"\0\0\x12");
        let mut asked = vec![0; 400];
        let length = server.read(&mut asked).await.unwrap();
        assert!(asked[..length].starts_with(b"POST /grpc HTTP/1.1\r\nHost: localhost\r\n"));
    }
}
