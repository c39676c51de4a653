//! The error of this crate.

use std::error::Error as StdError;
use std::fmt;

use stoop::escaped;

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
    pub(crate) fn new(kind: ErrorKind) -> Error {
        Error { kind, opening: Vec::new(), detail: None, cause: None }
    }

    #[cfg(any(feature = "client", feature = "server"))]
    pub(crate) fn detailed(kind: ErrorKind, detail: impl Into<String>) -> Error {
        Error { detail: Some(detail.into()), ..Error::new(kind) }
    }

    #[cfg(feature = "client")]
    pub(crate) fn after(self, opening: Vec<u8>) -> Error {
        Error { opening, ..self }
    }

    pub(crate) fn caused(self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error { cause: Some(cause.into()), ..self }
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
    /// use stoop_http::{Error, ErrorKind};
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

/// Iterates over an error, its source, the source of that, and so on.
pub(crate) fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

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
