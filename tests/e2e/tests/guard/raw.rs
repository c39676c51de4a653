//! Requests byte by byte, as no client would send them.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Sends these bytes, and returns everything that comes back until the end. The last request must
/// ask for it.
pub fn send(path: &Path, bytes: impl AsRef<[u8]>) -> String {
    exchange(path, bytes.as_ref(), false)
}

/// Sends what may not be a whole request, and ends.
pub fn send_whole(path: &Path, bytes: &[u8]) -> String {
    exchange(path, bytes, true)
}

fn exchange(path: &Path, bytes: &[u8], ends: bool) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The guard may have refused it already.
    let _ = stream.write_all(bytes);
    if ends {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    String::from_utf8_lossy(&received).into_owned()
}

/// Returns the text of a request with these headers, the last of its connection.
pub fn request(line: &str, headers: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{headers}\r\n{body}")
}

/// Returns the statuses of the responses in a text.
pub fn statuses(text: &str) -> Vec<u16> {
    let parts = text.split("HTTP/1.1 ").skip(1);
    parts.filter_map(|part| part.get(..3)?.parse().ok()).collect()
}
