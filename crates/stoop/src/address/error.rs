//! The error of a text or a string of bytes that is not an address. Pure.

use std::fmt;

use super::escaped::escaped;
use super::limits::{ABSTRACT_NAME_MAX_BYTES, DIRECT_PATH_MAX_BYTES};

/// The error of a text or a string of bytes that is not the address of a Unix domain socket.
///
/// It converts into [`stoop::Error`](crate::Error) and into [`std::io::Error`].
///
/// ```
/// let error = "/run/100%.sock".parse::<stoop::Address>().unwrap_err();
/// assert_eq!(error.input(), b"/run/100%.sock");
/// assert_eq!(
///     error.to_string(),
///     "invalid address '/run/100%.sock': '%' at byte 8 is not followed by two hexadecimal \
///      digits; a literal '%' is written %25"
/// );
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    kind: AddressErrorKind,
    input: Vec<u8>,
}

impl AddressError {
    pub(super) fn new(kind: AddressErrorKind, input: &[u8]) -> AddressError {
        AddressError { kind, input: input.to_vec() }
    }

    /// Returns the reason.
    #[doc(hidden)]
    pub fn kind(&self) -> AddressErrorKind {
        self.kind
    }

    /// Returns what was given as an address.
    #[doc(hidden)]
    pub fn input(&self) -> &[u8] {
        &self.input
    }

    /// Formats the input as it was typed, except for what is not printable.
    pub(crate) fn shown(&self) -> String {
        // Only `%` itself is escaped as `%25`.
        escaped(&self.input).to_string().replace("%25", "%")
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid address '{}': {}", self.shown(), self.kind)
    }
}

impl std::error::Error for AddressError {}

/// The reason why a text or a string of bytes is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressErrorKind {
    /// The path is empty.
    EmptyPath,
    /// The path contains a NUL byte.
    NulInPath {
        /// The position of the NUL byte, in bytes from the start.
        at: usize,
    },
    /// The abstract name is longer than [`ABSTRACT_NAME_MAX_BYTES`].
    NameTooLong {
        /// The length of the name in bytes.
        len_bytes: usize,
    },
    /// The path is longer than [`DIRECT_PATH_MAX_BYTES`], and a
    /// `sockaddr_un` is asked for.
    PathTooLong {
        /// The length of the path in bytes.
        len_bytes: usize,
    },
    /// The bytes are not a socket address of the family `AF_UNIX`.
    NotUnix,
    /// A `%` is not followed by two hexadecimal digits.
    BadEscape {
        /// The position of the `%`, in bytes from the start of the path or name.
        at: usize,
    },
    /// `fd:` is not followed by a plain number.
    BadDescriptor,
    /// A kind or a file descriptor is given where only an address is allowed.
    NotAPlainAddress,
}

impl fmt::Display for AddressErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressErrorKind::EmptyPath => f.write_str("empty path"),
            AddressErrorKind::NulInPath { at } => {
                write!(f, "NUL byte in the path at byte {at}; the kernel would truncate the path there")
            }
            AddressErrorKind::NameTooLong { len_bytes } => {
                write!(f, "abstract name too long: {len_bytes} bytes, at most {ABSTRACT_NAME_MAX_BYTES}")
            }
            AddressErrorKind::PathTooLong { len_bytes } => {
                write!(f, "path too long for sun_path: {len_bytes} bytes, at most {DIRECT_PATH_MAX_BYTES}")
            }
            AddressErrorKind::NotUnix => f.write_str("not a Unix socket address (AF_UNIX)"),
            AddressErrorKind::BadEscape { at } => {
                write!(
                    f,
                    "'%' at byte {at} is not followed by two hexadecimal digits; a literal '%' is written %25"
                )
            }
            AddressErrorKind::BadDescriptor => {
                f.write_str("'fd:' is not followed by a file descriptor number, as in fd:3")
            }
            AddressErrorKind::NotAPlainAddress => {
                f.write_str("an address is expected, without a socket type or 'fd:' in front")
            }
        }
    }
}
