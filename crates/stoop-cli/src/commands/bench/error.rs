//! Why a measurement has no result: it is not possible on this machine, or something failed.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// The error of one measurement. The others continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Error {
    /// This machine or this transport does not support it. Not a failure.
    NotMeasured(String),
    /// It should have worked, but failed.
    Failed(String),
    /// The time was over before anything was counted: a longer run may help.
    TooShort,
}

pub(super) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn failed(what: impl Into<String>) -> Error {
        Error::Failed(what.into())
    }

    /// Reports that the other side exited early.
    pub(super) fn ended() -> Error {
        Error::failed("the other process exited early")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotMeasured(why) => write!(f, "not measured: {why}"),
            Error::Failed(why) => write!(f, "failed: {why}"),
            Error::TooShort => f.write_str("failed: too slow to measure in the given time"),
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MSGSIZE) => {
                Error::NotMeasured("larger than the maximum message size".into())
            }
            _ => Error::Failed(error.to_string()),
        }
    }
}

impl From<stoop::Error> for Error {
    fn from(error: stoop::Error) -> Error {
        match error.kind() {
            stoop::ErrorKind::MessageTooLarge => {
                Error::NotMeasured("larger than net.core.wmem_max allows".into())
            }
            stoop::ErrorKind::Unsupported => Error::NotMeasured(error.to_string()),
            _ => Error::Failed(error.to_string()),
        }
    }
}

impl From<stoop_memory::Error> for Error {
    fn from(error: stoop_memory::Error) -> Error {
        use stoop_memory::ErrorKind::{LimitReached, Unsupported};
        match error.kind() {
            LimitReached | Unsupported => Error::NotMeasured(error.to_string()),
            _ => Error::Failed(error.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Error {
        io::Error::from(errno).into()
    }
}

impl From<nix::Error> for Error {
    fn from(errno: nix::Error) -> Error {
        io::Error::from(errno).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_large_is_not_a_failure() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MSGSIZE.raw_os_error());
        assert!(matches!(Error::from(error), Error::NotMeasured(_)));
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Error::from(error), Error::Failed(_)));
    }
}
