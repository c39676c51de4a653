//! Why a capture cannot start, and what works instead.

use stoop_tap::{Missing, Unavailable};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::sockets::format;

/// Shows what a process of one's own sends and receives, without privileges.
const STRACE: &str =
    "strace -f -s 200 -e trace=read,write,sendto,recvfrom,sendmsg,recvmsg -p PID    # a process of yours";

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
            match missing {
                Missing::Capabilities(_) => {
                    report.next(format!("sudo {}", format::command_line())).next(STRACE)
                }
                Missing::UserNamespace | Missing::PidNamespace => {
                    report.next("# run it on the host, outside of the container").next(STRACE)
                }
                _ => report.next(STRACE),
            }
            .into()
        }
        Unavailable::Unknown(cause) => {
            Failure::new(Exit::Failed, what).why(cause.to_string()).next(STRACE).into()
        }
    }
}
