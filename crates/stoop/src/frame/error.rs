//! What can be wrong with a framed stream, and what that is as an error of this crate.

use std::fmt;
use std::io;

use crate::error::{Error, ErrorKind, Operation};

/// Why a stream of frames cannot be read on, or a message not be framed.
///
/// [`Error`] carries it as its source's inner error;
/// [`FrameReader::failure`](super::FrameReader::failure) gives it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A message longer than the limit. Nothing was allocated for it.
    TooLong {
        /// The length that the header gives; of a line, what had come of it.
        len_bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// No header of this framing begins with this byte, or goes on like this.
    BadHeader {
        /// The first byte.
        first: u8,
    },
    /// The stream ended inside a frame.
    CutShort {
        /// How many bytes of the frame had come.
        came_bytes: usize,
    },
    /// The message contains the byte that would end it.
    ContainsDelimiter,
    /// More descriptors were announced, or came, than the reader allows.
    SurplusDescriptors {
        /// How many.
        count: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// A header announced descriptors that did not come with it.
    MissingDescriptors {
        /// How many it announced.
        announced: usize,
        /// How many came.
        came: usize,
    },
    /// Descriptors came that no header announced.
    StrayDescriptors {
        /// How many.
        count: usize,
    },
    /// The kernel could not deliver all descriptors: this process's table is full.
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
