//! One error: what was being done, what class of failure it is, and what the kernel said.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Why a call on a ring or a queue failed.
#[derive(Debug)]
pub struct Error {
    operation: &'static str,
    kind: ErrorKind,
    source: Option<io::Error>,
}

/// The classes of failure that a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The other side did nothing for as long as the limit allows. It may be dead, stopped or slow.
    TimedOut,
    /// The other side has closed its end, or somebody has removed the queue.
    Closed,
    /// What the other side wrote into shared memory, or a descriptor it passed, makes no sense.
    Corrupt,
    /// The message, or the ring that was asked for, is larger than possible.
    TooLarge,
    /// The kernel allows no more queues (`kernel.msgmni`) or no more memory.
    LimitReached,
    /// This kernel does not have what it takes.
    Unsupported,
    /// Anything else: see the source.
    Failed,
}

impl Error {
    pub(crate) fn new(operation: &'static str, kind: ErrorKind) -> Error {
        Error { operation, kind, source: None }
    }

    /// What a failed system call means.
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

    /// The class.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::TimedOut => "the other side took too long",
            ErrorKind::Closed => "the other side has ended",
            ErrorKind::Corrupt => "the other side left something that makes no sense",
            ErrorKind::TooLarge => "too large",
            ErrorKind::LimitReached => "a limit of the system is reached",
            ErrorKind::Unsupported => "this kernel does not have it",
            ErrorKind::Failed => "the system refused",
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
        let text = Error::os("make a queue", Errno::PERM).to_string();
        assert!(text.starts_with("cannot make a queue: the system refused: "), "{text}");
    }
}
