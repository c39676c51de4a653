//! Errors of framed streams, and their conversion into this crate's error type.

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind, Operation};

/// The reason why a stream of frames cannot be decoded any further, or a message cannot be framed.
///
/// [`Error`] carries it as the inner error of its source.
/// [`FrameReader::failure`](super::FrameReader::failure) returns it directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A message exceeds the limit. No memory was allocated for it.
    TooLong {
        /// The length in the header; for a line, the number of bytes received so far.
        len_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The header is invalid: no header of this framing begins with this byte, or continues like
    /// this.
    BadHeader {
        /// The first byte.
        first: u8,
    },
    /// The stream ended inside a frame.
    CutShort {
        /// The number of bytes of the frame that arrived.
        came_bytes: usize,
    },
    /// The message contains the delimiter of this framing.
    ContainsDelimiter,
    /// More file descriptors were announced or received than the reader allows.
    SurplusDescriptors {
        /// The number of file descriptors.
        count: usize,
        /// The number allowed.
        allowed: usize,
    },
    /// A header announced file descriptors that did not arrive with it.
    MissingDescriptors {
        /// The number announced.
        announced: usize,
        /// The number received.
        came: usize,
    },
    /// File descriptors arrived that no header announced.
    StrayDescriptors {
        /// The number of file descriptors.
        count: usize,
    },
    /// The kernel truncated the ancillary data: this process's file descriptor table is full.
    CutDescriptors,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FrameError::TooLong { len_bytes, max_bytes } => {
                write!(f, "a message of {len_bytes} bytes where at most {max_bytes} are allowed")
            }
            FrameError::BadHeader { first } => {
                write!(
                    f,
                    "no frame begins like this (first byte 0x{first:02x}): the peer uses another framing"
                )
            }
            FrameError::CutShort { came_bytes } => {
                write!(f, "the stream ended inside a frame, after {came_bytes} bytes of it")
            }
            FrameError::ContainsDelimiter => f.write_str("a line cannot contain a line feed"),
            FrameError::SurplusDescriptors { count, allowed } => {
                write!(f, "a message with {count} descriptors where {allowed} are allowed; all were closed")
            }
            FrameError::MissingDescriptors { announced, came } => {
                write!(f, "a message announced {announced} descriptors and {came} came with it")
            }
            FrameError::StrayDescriptors { count } => {
                write!(f, "{count} descriptors came that no message announced; all were closed")
            }
            FrameError::CutDescriptors => f.write_str("the kernel could not deliver all descriptors"),
        }
    }
}

impl std::error::Error for FrameError {}

impl FrameError {
    fn kind(self) -> ErrorKind {
        match self {
            FrameError::TooLong { .. } => ErrorKind::MessageTooLarge,
            FrameError::CutShort { .. } => ErrorKind::PeerGone,
            FrameError::ContainsDelimiter => ErrorKind::Unsupported,
            FrameError::SurplusDescriptors { .. } => ErrorKind::SurplusDescriptors,
            FrameError::CutDescriptors => ErrorKind::ControlTruncated,
            FrameError::BadHeader { .. }
            | FrameError::MissingDescriptors { .. }
            | FrameError::StrayDescriptors { .. } => ErrorKind::Protocol,
        }
    }

    #[cold]
    pub(crate) fn during(self, operation: Operation) -> Error {
        Error::system(operation, io::Error::other(self)).with_kind(self.kind()).with_detail(self.to_string())
    }
}
