//! Classifies hyper's errors by the first bytes that the server sent.

use std::error::Error as StdError;
use std::io;

use crate::error::causes;
use crate::protocol::{Protocol, Version};
use crate::stream::record_prefix::Opening;
use crate::{Error, ErrorKind};

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
    match (version, Protocol::of(opening)) {
        _ if error.is_user() => ErrorKind::RequestBody,
        (_, Protocol::Nothing) => ErrorKind::NoAnswer,
        (_, Protocol::Other) => ErrorKind::NotHttp,
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
