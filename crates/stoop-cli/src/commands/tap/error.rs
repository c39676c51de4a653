//! Why a capture cannot start, and what works instead.

use stoop_tap::{Missing, Unavailable};

use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::sockets::format;

/// What works without privileges: for a program that is started, for a process of the same user,
/// and for a server in whose directory the user may create files.
const INSTEAD: [&str; 3] = [
    "stoop tap -- COMMAND    # a program that you start",
    "strace -f -s 200 -e trace=read,write,sendto,recvfrom,sendmsg,recvmsg -p PID    # a process of yours",
    "stoop relay --interpose SOCKET --record FILE    # a server whose directory you may write to; then stoop replay FILE --show",
];

/// Explains it.
pub(super) fn unavailable(unavailable: Unavailable) -> Failure {
    let what = "cannot capture";
    match unavailable {
        Unavailable::No(missing) => {
            let exit = match missing {
                Missing::Capabilities(_) | Missing::UserNamespace => Exit::NotPermitted,
                _ => Exit::Unsupported,
            };
            let report = Failure::new(exit, what).why(missing.to_string());
            let report = match missing {
                Missing::Capabilities(_) => report.next(format!("sudo {}", format::command_line())),
                Missing::UserNamespace | Missing::PidNamespace => {
                    report.next("# run it on the host, outside of the container")
                }
                _ => report,
            };
            instead(report).into()
        }
        Unavailable::Unknown(cause) => {
            instead(Failure::new(Exit::Failed, what).why(cause.to_string())).into()
        }
    }
}

/// Adds what works instead.
fn instead(report: Report) -> Report {
    report.next_all(INSTEAD.map(str::to_owned))
}
