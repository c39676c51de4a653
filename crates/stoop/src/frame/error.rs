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
    UnexpectedEnd {
        /// The number of bytes of the frame that arrived.
        received_bytes: usize,
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
        received: usize,
    },
    /// File descriptors arrived that no header announced.
    UnannouncedDescriptors {
        /// The number of file descriptors.
        count: usize,
    },
    /// The kernel truncated the ancillary data: this process's file descriptor table is full.
    DescriptorsTruncated,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FrameError::TooLong { len_bytes, max_bytes } => {
                write!(f, "message too long: {len_bytes} bytes, limit {max_bytes}")
            }
            FrameError::BadHeader { first } => {
                write!(f, "invalid frame header (first byte 0x{first:02x}): the peer may use another framing")
            }
            FrameError::UnexpectedEnd { received_bytes } => {
                write!(f, "unexpected end of stream after {received_bytes} bytes of a frame")
            }
            FrameError::ContainsDelimiter => f.write_str("a line cannot contain a line feed"),
            FrameError::SurplusDescriptors { count, allowed } => {
                write!(f, "message with {count} file descriptors, {allowed} allowed; all were closed")
            }
            FrameError::MissingDescriptors { announced, received } => {
                write!(f, "message announced {announced} file descriptors, received {received}")
            }
            FrameError::UnannouncedDescriptors { count } => {
                write!(f, "received {count} file descriptors that no message announced; all were closed")
            }
            FrameError::DescriptorsTruncated => {
                f.write_str("control data truncated (`MSG_CTRUNC`): some file descriptors were not delivered")
            }
        }
    }
}

impl std::error::Error for FrameError {}

impl FrameError {
    fn kind(self) -> ErrorKind {
        match self {
            FrameError::TooLong { .. } => ErrorKind::MessageTooLarge,
            FrameError::UnexpectedEnd { .. } => ErrorKind::PeerClosed,
            FrameError::ContainsDelimiter => ErrorKind::Unsupported,
            FrameError::SurplusDescriptors { .. } => ErrorKind::SurplusDescriptors,
            FrameError::DescriptorsTruncated => ErrorKind::ControlTruncated,
            FrameError::BadHeader { .. }
            | FrameError::MissingDescriptors { .. }
            | FrameError::UnannouncedDescriptors { .. } => ErrorKind::Protocol,
        }
    }

    #[cold]
    pub(crate) fn during(self, operation: Operation) -> Error {
        Error::system(operation, io::Error::other(self)).with_kind(self.kind()).with_detail(self.to_string())
    }
}
