//! Errors between a client and a server, classified by the first bytes that the server sent.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use stoop::escaped;

use super::Version;
use crate::stream::record_prefix::Opening;

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a response is missing or incomplete.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    opening: Vec<u8>,
    detail: Option<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// The class of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server could not be reached: [`Error::socket`] has the reason.
    Connect,
    /// The server closed the connection without sending anything.
    NoAnswer,
    /// The server speaks HTTP/2 only, as gRPC servers do, and the request was HTTP/1.1.
    Http2Only,
    /// The server speaks HTTP/1 only, and the request was HTTP/2.
    Http1Only,
    /// The server speaks another protocol: [`Error::opening`] has its first bytes.
    NotHttp,
    /// The response violates HTTP.
    Malformed,
    /// The header of the response is too large.
    HeaderTooLarge,
    /// The connection ended in the middle of the response.
    CutShort,
    /// The request's own body failed.
    RequestBody,
    /// The response is not an upgrade.
    NotUpgraded,
    /// Any other error, such as a reset stream or a broken connection.
    Other,
}

impl ErrorKind {
    fn words(self) -> &'static str {
        match self {
            ErrorKind::Connect => "cannot connect",
            ErrorKind::NoAnswer => "the server closed the connection without a response",
            ErrorKind::Http2Only => "the server speaks HTTP/2 only",
            ErrorKind::Http1Only => "the server speaks HTTP/1 only",
            ErrorKind::NotHttp => "the server does not speak HTTP",
            ErrorKind::Malformed => "the response is malformed",
            ErrorKind::HeaderTooLarge => "the response header is too large",
            ErrorKind::CutShort => "the response is incomplete",
            ErrorKind::RequestBody => "the request body failed",
            ErrorKind::NotUpgraded => "the server did not upgrade the connection",
            ErrorKind::Other => "the connection failed",
        }
    }
}

impl Error {
    pub(super) fn new(kind: ErrorKind) -> Error {
        Error { kind, opening: Vec::new(), detail: None, cause: None }
    }

    pub(super) fn detailed(kind: ErrorKind, detail: impl Into<String>) -> Error {
        Error { detail: Some(detail.into()), ..Error::new(kind) }
    }

    pub(super) fn caused(self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error { cause: Some(cause.into()), ..self }
    }

    /// Classifies hyper's error, given the version spoken on the connection and the server's first
    /// bytes.
    pub(super) fn of(error: hyper::Error, version: Version, opening: &Opening) -> Error {
        let opening = opening.bytes();
        let kind = classify(&error, version, &opening);
        Error { opening, ..Error::new(kind).caused(error) }
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the first bytes that the server sent, up to the end of the line.
    ///
    /// Empty if it sent nothing, or was never reached.
    pub fn opening(&self) -> &[u8] {
        &self.opening
    }

    /// Returns the error of the socket if the server could not be reached. It can explain itself.
    ///
    /// ```
    /// use stoop_grpc::http::{Error, ErrorKind};
    ///
    /// let missing = std::env::temp_dir().join("stoop-http-missing.sock");
    /// let error = Error::from(stoop::Stream::connect(&missing).unwrap_err());
    /// assert_eq!(error.kind(), ErrorKind::Connect);
    /// assert_eq!(error.socket().unwrap().kind(), stoop::ErrorKind::NotFound);
    /// ```
    pub fn socket(&self) -> Option<&stoop::Error> {
        self.cause.as_deref()?.downcast_ref()
    }

    /// Returns what is known beyond the class, as text.
    pub fn detail(&self) -> Option<String> {
        self.detail.clone().or_else(|| {
            let innermost = causes(self.source()?).last()?;
            Some(escaped(&innermost.to_string()).to_string())
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = self.socket() {
            return socket.fmt(f);
        }
        f.write_str(self.kind.words())?;
        match self.kind {
            ErrorKind::NotHttp => write!(f, ": it said '{}'", escaped(first_line(self.opening()))),
            ErrorKind::NoAnswer | ErrorKind::Http2Only | ErrorKind::Http1Only => Ok(()),
            _ => self.detail().map_or(Ok(()), |detail| write!(f, ": {detail}")),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<stoop::Error> for Error {
    fn from(error: stoop::Error) -> Error {
        Error::new(ErrorKind::Connect).caused(error)
    }
}

/// Returns the bytes up to the end of the first line, or all of them.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or(bytes)
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
pub(super) fn ends_early(error: &(dyn StdError + 'static)) -> bool {
    io_kind(error) == Some(io::ErrorKind::UnexpectedEof)
}

/// Returns the kind of the I/O error behind this one. hyper reports a malformed body as one, too.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    causes(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Iterates over an error, its source, the source of that, and so on.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
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

    #[test]
    fn a_banner_is_shown_escaped_up_to_its_first_line() {
        let error = Error::new(ErrorKind::NotHttp);
        assert_eq!(first_line(b"220 \x1b[31mhi\r\nmore"), b"220 \x1b[31mhi");
        assert_eq!(error.to_string(), "the server does not speak HTTP: it said ''");
    }

    #[test]
    fn a_connect_error_shows_the_socket_error() {
        let error = Error::from(stoop::Stream::connect("/nowhere/app.sock").unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().starts_with("cannot connect to '/nowhere/app.sock'"));
    }
}
