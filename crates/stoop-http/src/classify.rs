//! Classifies hyper's errors by the first bytes that the server sent.

use std::error::Error as StdError;
use std::io;

use crate::error::causes;
use crate::stream::record_prefix::Opening;
use crate::{Error, ErrorKind, Version};

impl Error {
    /// Classifies hyper's error, given the version spoken on the connection and the server's first
    /// bytes.
    pub(crate) fn of(error: hyper::Error, version: Version, opening: &Opening) -> Error {
        let opening = opening.bytes();
        let kind = classify(&error, version, &opening);
        Error::new(kind).after(opening).caused(error)
    }
}

fn classify(error: &hyper::Error, version: Version, opening: &[u8]) -> ErrorKind {
    let protocol = Protocol::from(opening);
    match (version, protocol) {
        _ if error.is_user() => ErrorKind::RequestBody,
        (_, Protocol::Nothing) => ErrorKind::NoAnswer,
        (_, Protocol::SomethingElse) => ErrorKind::NotHttp,
        (Version::Http1, Protocol::Http2) => ErrorKind::Http2Only,
        (Version::Http2, Protocol::Http1) => ErrorKind::Http1Only,
        _ if error.is_parse_too_large() => ErrorKind::HeaderTooLarge,
        _ if error.is_parse() => ErrorKind::Malformed,
        _ if error.is_incomplete_message() => ErrorKind::CutShort,
        _ => match io_kind(error) {
            Some(io::ErrorKind::UnexpectedEof) => ErrorKind::CutShort,
            Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => ErrorKind::Malformed,
            _ => ErrorKind::Other,
        },
    }
}

/// Returns whether a body ended too early.
pub(crate) fn ends_early(error: &(dyn StdError + 'static)) -> bool {
    io_kind(error) == Some(io::ErrorKind::UnexpectedEof)
}

/// Returns the kind of the I/O error behind this one. hyper reports a malformed body as one, too.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    causes(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// The protocol that a server's first bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Nothing,
    Http1,
    Http2,
    SomethingElse,
}

impl From<&[u8]> for Protocol {
    fn from(opening: &[u8]) -> Protocol {
        const VERSION: &[u8] = b"HTTP/1.";
        let shared = opening.len().min(VERSION.len());
        match opening {
            [] => Protocol::Nothing,
            _ if opening[..shared] == VERSION[..shared] => Protocol::Http1,
            // A frame of type SETTINGS (4) or GOAWAY (7) on stream 0, no longer than a server's
            // first one can be.
            [0, 0..=1, _, 4 | 7, _, 0, 0, 0, 0, ..] => Protocol::Http2,
            _ => Protocol::SomethingElse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_are_classified() {
        assert_eq!(Protocol::from(&b""[..]), Protocol::Nothing);
        for http1 in [&b"HTTP/1.1 200 OK"[..], b"HTTP/1.0 400 Bad", b"H", b"HTTP/1"] {
            assert_eq!(Protocol::from(http1), Protocol::Http1);
        }
        for http2 in
            [&b"\0\0\0\x04\0\0\0\0\0"[..], b"\0\0\x12\x04\0\0\0\0\0\0\x03", b"\0\0\x08\x07\0\0\0\0\0"]
        {
            assert_eq!(Protocol::from(http2), Protocol::Http2);
        }
        for other in [&b"220 ready"[..], b"SSH-2.0-x", b"\0\0\0\x04\0\0\0\0\x01", b"HTTPS", b"HTTP/2 200"] {
            assert_eq!(Protocol::from(other), Protocol::SomethingElse);
        }
    }
}
