//! The error type: the operation, the kind of failure, and the kernel's error.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// The error type of this crate.
#[derive(Debug)]
pub struct Error {
    operation: &'static str,
    kind: ErrorKind,
    source: Option<io::Error>,
}

/// The kinds of failure that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The peer made no progress within the limit. It may have exited, be stopped, or be
    /// slow.
    TimedOut,
    /// The peer has closed its end, or a process has removed the queue.
    Closed,
    /// The peer wrote invalid data into shared memory, or passed an unsuitable file
    /// descriptor.
    Corrupt,
    /// The message, or the requested ring, is too large.
    TooLarge,
    /// The kernel allows no more queues (`kernel.msgmni`) or no more memory.
    LimitReached,
    /// The kernel does not support the operation.
    Unsupported,
    /// Another failure; see the source.
    Failed,
}

impl Error {
    pub(crate) fn new(operation: &'static str, kind: ErrorKind) -> Error {
        Error { operation, kind, source: None }
    }

    /// Classifies the error of a failed system call.
    pub(crate) fn os(operation: &'static str, source: impl Into<io::Error>) -> Error {
        let source = source.into();
        let kind = match source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSYS) => ErrorKind::Unsupported,
            Some(Errno::NOSPC | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => ErrorKind::LimitReached,
            Some(Errno::IDRM) => ErrorKind::Closed,
            _ => ErrorKind::Failed,
        };
        Error { operation, kind, source: Some(source) }
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::TimedOut => "timed out",
            ErrorKind::Closed => "the peer has closed",
            ErrorKind::Corrupt => "invalid data from the peer",
            ErrorKind::TooLarge => "message or ring too large",
            ErrorKind::LimitReached => "system limit reached",
            ErrorKind::Unsupported => "not supported by this kernel",
            ErrorKind::Failed => "system call failed",
        };
        write!(f, "cannot {}: {what}", self.operation)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_come_from_the_errno() {
        let kind = |errno: Errno| Error::os("try", errno).kind();
        assert_eq!(kind(Errno::NOSYS), ErrorKind::Unsupported);
        assert_eq!(kind(Errno::NOSPC), ErrorKind::LimitReached);
        assert_eq!(kind(Errno::IDRM), ErrorKind::Closed);
        assert_eq!(kind(Errno::PERM), ErrorKind::Failed);
        let text = Error::os("create a queue", Errno::PERM).to_string();
        assert!(text.starts_with("cannot create a queue: system call failed: "), "{text}");
    }
}
