//! Why a measurement has no result: it is not possible on this machine, or something failed.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// The error of one measurement. The others continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trouble {
    /// This machine or this transport does not support it. Not a failure.
    NotMeasured(String),
    /// It should have worked, but failed.
    Failed(String),
    /// The time was over before anything was counted: a longer run may help.
    TooShort,
}

pub(super) type Result<T> = std::result::Result<T, Trouble>;

impl Trouble {
    pub(super) fn failed(what: impl Into<String>) -> Trouble {
        Trouble::Failed(what.into())
    }

    /// Reports that the other side exited early.
    pub(super) fn ended() -> Trouble {
        Trouble::failed("the other process ended too early")
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotMeasured(why) => write!(f, "not measured: {why}"),
            Trouble::Failed(why) => write!(f, "failed: {why}"),
            Trouble::TooShort => f.write_str("failed: too slow to measure in the time that it was given"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MSGSIZE) => Trouble::NotMeasured("too large for one message here".into()),
            _ => Trouble::Failed(error.to_string()),
        }
    }
}

impl From<stoop::Error> for Trouble {
    fn from(error: stoop::Error) -> Trouble {
        match error.kind() {
            stoop::ErrorKind::MessageTooLarge => {
                Trouble::NotMeasured("larger than net.core.wmem_max allows".into())
            }
            stoop::ErrorKind::Unsupported => Trouble::NotMeasured(error.to_string()),
            _ => Trouble::Failed(error.to_string()),
        }
    }
}

impl From<stoop_memory::Error> for Trouble {
    fn from(error: stoop_memory::Error) -> Trouble {
        use stoop_memory::ErrorKind::{LimitReached, Unsupported};
        match error.kind() {
            LimitReached | Unsupported => Trouble::NotMeasured(error.to_string()),
            _ => Trouble::Failed(error.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for Trouble {
    fn from(errno: rustix::io::Errno) -> Trouble {
        io::Error::from(errno).into()
    }
}

impl From<nix::Error> for Trouble {
    fn from(errno: nix::Error) -> Trouble {
        io::Error::from(errno).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_large_is_no_failure() {
        let error = io::Error::from_raw_os_error(rustix::io::Errno::MSGSIZE.raw_os_error());
        assert!(matches!(Trouble::from(error), Trouble::NotMeasured(_)));
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Trouble::from(error), Trouble::Failed(_)));
    }
}
