//! The exit codes of the command, and which error leads to which. They never change their meaning.

use std::fmt::Write;
use std::process::ExitCode;

use stoop::ErrorKind;

/// An exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Done,
    /// The command ran, and the result is negative.
    No,
    /// The command line is invalid.
    Usage,
    /// The operation failed.
    Failed,
    /// Not permitted.
    NotPermitted,
    /// This kernel or this build does not support it.
    Unsupported,
    /// Partial success.
    Partial,
    /// `http`, `grpc` and `cri`: no server is listening.
    NoServer,
    /// `http`, `grpc` and `cri`: the connection was closed before the response was complete.
    CutOff,
    /// `http`, `grpc` and `cri`: the response has a status of HTTP that is an error.
    HttpStatus,
    /// `http`, `grpc` and `cri`: the time limit passed.
    TimedOut,
    /// `grpc`: the response has this status, which is not OK.
    GrpcStatus(GrpcCode),
    /// `http --upgrade`: a process of the server has exited with this code; `tap -- CMD`: the
    /// command has.
    Process(u8),
}

/// A status code of gRPC other than OK: 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrpcCode(u8);

impl GrpcCode {
    /// `UNKNOWN`, for which clients take every code that gRPC does not define.
    const UNKNOWN: GrpcCode = GrpcCode(2);

    /// Returns the code with this number. A number that gRPC does not define is `UNKNOWN`.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code, reason = "for grpc"))]
    pub(crate) fn of(number: i32) -> GrpcCode {
        u8::try_from(number).ok().filter(|code| (1..=16).contains(code)).map_or(GrpcCode::UNKNOWN, GrpcCode)
    }
}

/// What is added to a status code of gRPC, as `grpcurl` does.
const GRPC_BASE: u8 = 64;

impl Exit {
    /// The codes of one number, in order.
    pub(crate) const ALL: [Exit; 11] = [
        Exit::Done,
        Exit::No,
        Exit::Usage,
        Exit::Failed,
        Exit::NotPermitted,
        Exit::Unsupported,
        Exit::Partial,
        Exit::NoServer,
        Exit::CutOff,
        Exit::HttpStatus,
        Exit::TimedOut,
    ];

    /// Returns the numeric exit code. Those of `http` and `grpc` are curl's and grpcurl's.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
            Exit::NotPermitted => 4,
            Exit::Unsupported => 5,
            Exit::Partial => 6,
            Exit::NoServer => 7,
            Exit::CutOff => 18,
            Exit::HttpStatus => 22,
            Exit::TimedOut => 28,
            Exit::GrpcStatus(GrpcCode(code)) => GRPC_BASE + code,
            Exit::Process(code) => code,
        }
    }

    /// Returns its meaning, for the help and the manual.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "success (also if the reader of standard output closes it early)",
            Exit::No => "negative result, such as no match",
            Exit::Usage => "usage error",
            Exit::Failed => "the operation failed",
            Exit::NotPermitted => "not permitted",
            Exit::Unsupported => "not supported by this kernel or this build",
            Exit::Partial => "partial success: something could not be read",
            Exit::NoServer => "http, grpc, cri: no server is listening",
            Exit::CutOff => "http, grpc, cri: the connection was closed before the response was complete",
            Exit::HttpStatus => "http --fail: a status of 400 or more; grpc, cri: an HTTP status of a proxy",
            Exit::TimedOut => "http, grpc, cri: the time limit passed",
            Exit::GrpcStatus(_) => "grpc: a status other than OK, plus 64, as in 69 for NOT_FOUND (5)",
            Exit::Process(_) => "http --upgrade, tap -- CMD: the exit code of the process",
        }
    }

    /// Returns the exit code of `http` and `grpc` for a class of error, if it has one of its own.
    pub(crate) fn of_call(kind: ErrorKind) -> Option<Exit> {
        match kind {
            ErrorKind::NotFound | ErrorKind::Refused => Some(Exit::NoServer),
            ErrorKind::TimedOut => Some(Exit::TimedOut),
            ErrorKind::PeerClosed => Some(Exit::CutOff),
            _ => None,
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
            let _ = writeln!(list, "  {:<3} {}", exit.code(), exit.meaning());
        }
        let status = Exit::GrpcStatus(GrpcCode::UNKNOWN).meaning();
        let _ = writeln!(list, "  65–80  {status}");
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
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 18, 22, 28]);
        let pages = ["../../docs/src/reference/exit-codes.md", "../../STABILITY.md"].map(|page| {
            std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
        });
        for exit in Exit::ALL {
            assert!(Exit::list().contains(&format!("  {:<3} {}\n", exit.code(), exit.meaning())));
            assert!(pages.iter().all(|page| page.contains(&format!("\n| {} | ", exit.code()))), "{exit:?}");
        }
    }

    #[test]
    fn a_status_of_grpc_is_counted_from_64() {
        for (number, code) in [(1, 65), (5, 69), (16, 80), (0, 66), (17, 66), (-1, 66), (4711, 66)] {
            assert_eq!(Exit::GrpcStatus(GrpcCode::of(number)).code(), code, "{number}");
        }
    }

    #[test]
    fn calls_have_codes_of_their_own() {
        let codes = [
            ErrorKind::NotFound,
            ErrorKind::Refused,
            ErrorKind::TimedOut,
            ErrorKind::PeerClosed,
            ErrorKind::PermissionDenied,
        ];
        let codes = codes.map(|kind| Exit::of_call(kind).map(Exit::code));
        assert_eq!(codes, [Some(7), Some(7), Some(28), Some(18), None]);
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
