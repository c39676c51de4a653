//! The limit of open files of this process (`RLIMIT_NOFILE`), for a server with many clients, and
//! for what inspects the machine: that takes a file descriptor for each network namespace, and two
//! for each view of the files.

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stoop_inspect::internal::AskerRights;

/// A limit with which every machine can be inspected.
const ENOUGH: u64 = 65_536;

/// The limit with which this process was started.
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit as far as that needs no privilege. No program that is started inherits it: the
/// commands that call this start none, or do so to end.
pub(crate) fn raise() {
    let limit = *AT_START.get_or_init(|| getrlimit(Resource::Nofile));
    // If this fails, what cannot be opened later is reported there.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Returns the limit in words.
pub(crate) fn words() -> String {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!("RLIMIT_NOFILE is {limit}"),
        None => "RLIMIT_NOFILE is unlimited".to_owned(),
    }
}

/// Returns the command that raises the limit of the shell with which this process was started.
pub(crate) fn command() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let as_root = AskerRights::read().raise(uid, Some(uid), true);
    command_for(*AT_START.get_or_init(|| getrlimit(Resource::Nofile)), as_root)
}

/// Returns the command, given whether root is required to raise a hard limit. `None` if not even
/// that would suffice.
fn command_for(limit: Rlimit, as_root: Option<bool>) -> String {
    let hard = limit.maximum.unwrap_or(u64::MAX);
    match limit.current.unwrap_or(u64::MAX) {
        soft if soft < hard => {
            format!("ulimit -n {}    # the limit of this shell", hard.min(ENOUGH.max(soft)))
        }
        _ if as_root.is_none() => {
            "# raise the hard limit in what started this shell: LimitNOFILE= of a unit, --ulimit of a container".into()
        }
        soft => {
            let sudo = if as_root == Some(true) { "sudo " } else { "" };
            let more = ENOUGH.max(soft.saturating_mul(2));
            format!("{sudo}prlimit --pid $$ --nofile={more}:{more}    # the limit of this shell")
        }
    }
}

/// Returns whether an error is that this limit is reached.
pub(crate) fn is_reached(errno: Option<i32>) -> bool {
    errno == Some(rustix::io::Errno::MFILE.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_by_who_may() {
        let command = |soft, hard, as_root| command_for(Rlimit { current: soft, maximum: hard }, as_root);
        assert_eq!(command(Some(8), Some(4096), None), "ulimit -n 4096    # the limit of this shell");
        assert_eq!(command(Some(8), None, Some(true)), "ulimit -n 65536    # the limit of this shell");
        let at_hard = |as_root| command(Some(8), Some(8), as_root);
        assert!(at_hard(Some(true)).starts_with("sudo prlimit --pid $$ --nofile=65536:65536 "));
        assert!(at_hard(Some(false)).starts_with("prlimit --pid $$ "));
        // Root without CAP_SYS_RESOURCE, as in a container.
        assert!(at_hard(None).starts_with("# raise the hard limit in what started this shell"));
        assert!(command(Some(65_536), Some(65_536), Some(false)).contains("=131072:131072"));
    }
}
