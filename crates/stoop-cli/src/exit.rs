//! The exit codes of the command, and which error leads to which. They never change their meaning.

use std::fmt::Write;
use std::process::ExitCode;

use stoop::ErrorKind;

/// An exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Success.
    Done = 0,
    /// The command ran, and the result is negative.
    No = 1,
    /// The command line is invalid.
    Usage = 2,
    /// The operation failed.
    Failed = 3,
    /// Not permitted.
    NotPermitted = 4,
    /// This kernel or this build does not support it.
    Unsupported = 5,
    /// Partial success.
    Partial = 6,
}

impl Exit {
    /// Every code, in order.
    pub(crate) const ALL: [Exit; 7] = [
        Exit::Done,
        Exit::No,
        Exit::Usage,
        Exit::Failed,
        Exit::NotPermitted,
        Exit::Unsupported,
        Exit::Partial,
    ];

    /// Returns the numeric exit code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// Returns its meaning, for the help and the manual.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "success (also if the reader of standard output closes it early)",
            Exit::No => "negative result, such as no match or an error status",
            Exit::Usage => "usage error",
            Exit::Failed => "the operation failed",
            Exit::NotPermitted => "not permitted",
            Exit::Unsupported => "not supported by this kernel or this build",
            Exit::Partial => "partial success: something could not be read",
        }
    }

    /// Returns the exit code for a class of error.
    pub(crate) fn of(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::PermissionDenied | ErrorKind::NotPermitted => Exit::NotPermitted,
            ErrorKind::Unsupported => Exit::Unsupported,
            ErrorKind::InvalidAddress => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// Returns the list of codes that ends every help text.
    pub(crate) fn list() -> String {
        let mut list = String::from("Exit codes:\n");
        for exit in Exit::ALL {
            let _ = writeln!(list, "  {}  {}", exit.code(), exit.meaning());
        }
        list + SIGNALS
    }
}

/// The codes of a command that a signal has ended, as a shell reports them.
const SIGNALS: &str = "  130, 143  ended by SIGINT (Ctrl-C), SIGTERM\n";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_match_the_documentation() {
        let codes: Vec<u8> = Exit::ALL.map(Exit::code).into();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6]);
        for exit in Exit::ALL {
            assert!(Exit::list().contains(&format!("  {}  {}\n", exit.code(), exit.meaning())));
        }
    }

    #[test]
    fn every_error_kind_maps_to_an_exit_code() {
        let table = [
            (ErrorKind::InvalidAddress, 2),
            (ErrorKind::NotFound, 3),
            (ErrorKind::Refused, 3),
            (ErrorKind::WrongKind, 3),
            (ErrorKind::PermissionDenied, 4),
            (ErrorKind::NotPermitted, 4),
            (ErrorKind::AddressInUse, 3),
            (ErrorKind::LivenessUnknown, 3),
            (ErrorKind::WouldBlock, 3),
            (ErrorKind::TimedOut, 3),
            (ErrorKind::MessageTooLarge, 3),
            (ErrorKind::MessageTruncated, 3),
            (ErrorKind::ControlTruncated, 3),
            (ErrorKind::SurplusDescriptors, 3),
            (ErrorKind::NotConnected, 3),
            (ErrorKind::PeerClosed, 3),
            (ErrorKind::Interrupted, 3),
            (ErrorKind::OutOfDescriptors, 3),
            (ErrorKind::OutOfMemory, 3),
            (ErrorKind::TooManyInFlight, 3),
            (ErrorKind::Unsupported, 5),
            (ErrorKind::Protocol, 3),
            (ErrorKind::Other, 3),
        ];
        for (kind, code) in table {
            assert_eq!(Exit::of(kind).code(), code, "{kind:?}");
        }
    }
}
