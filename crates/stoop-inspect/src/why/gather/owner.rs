//! Facts about a process that has a socket open, or serves a file system.

use super::traces;
use crate::model::{Pid, Process, ProcessState};
use crate::procfs::ProcessDir;
use crate::why::facts::Owner;
use crate::{Options, process};

/// Returns what a snapshot has of the process. What keeps it from answering is determined
/// separately, as it takes longer.
pub(super) fn of(process: &Process) -> Owner {
    Owner {
        pid: process.pid.0,
        command: String::from_utf8_lossy(process.command.as_encoded_bytes()).into_owned(),
        uid: process.uid,
        is_blocked: process.state == ProcessState::Blocked,
        hindrance: None,
        parent: process.parent.map(|parent| parent.0),
        clients: 0,
        workload: traces::workload(process.pid.0),
    }
}

/// Reads the same of a process that is in no snapshot. `None` if it has exited.
pub(super) fn read(pid: Pid) -> Option<Owner> {
    let options = Options { process_states: true, workloads: false, ..Options::default() };
    let directory = ProcessDir::open(pid).ok()?;
    process::read(&directory, pid, None, &options, &mut Vec::new()).ok().as_ref().map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_the_effective_one() {
        let own = read(Pid(std::process::id())).unwrap();
        assert_eq!(own.uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(own.parent, rustix::process::getppid().map(|pid| pid.as_raw_pid() as u32));
        assert!(!own.command.is_empty() && own.hindrance.is_none());
    }
}
