//! The owners of sockets from the links of `/proc/PID/fd`: works on every kernel and for every user, one system call a
//! descriptor. Without privilege only the own processes can be seen.

use std::collections::HashMap;
use std::io;

use super::Holding;
use crate::inspector::Options;
use crate::model::{NamespaceIno, Owner, Pid, Process};
use crate::process;
use crate::procfs::{self, Hidden, ProcessDir, Referent};

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Every descriptor of a socket.
    pub(crate) holdings: Vec<Holding>,
    /// Processes that have sockets of ours.
    pub(crate) processes: HashMap<Pid, Process>,
    /// Descriptors of network namespaces.
    pub(crate) networks: Vec<(NamespaceIno, Owner)>,
    /// Processes that may not be looked at, and why the last of them.
    pub(crate) hidden: Hidden,
}

/// Looks at the descriptors of these processes, and reads those processes that `is_wanted` for a socket.
pub(crate) fn walk(pids: &[Pid], options: &Options, is_wanted: impl Fn(&Holding) -> bool) -> Walk {
    let mut walk = Walk::default();
    let mut buffer = Vec::new();
    for &pid in pids {
        let first = walk.holdings.len();
        match look_at(pid, &mut walk) {
            Ok(directory) => {
                if walk.holdings[first..].iter().any(&is_wanted)
                    && let Ok(process) = process::read(&directory, pid, options, &mut buffer)
                {
                    walk.processes.insert(pid, process);
                }
            }
            Err(error) if procfs::is_gone(&error) => {}
            Err(error) => walk.hidden.add(pid, error),
        }
        walk.holdings[first..].sort_unstable_by_key(|holding| holding.owner);
    }
    walk
}

fn look_at(pid: Pid, walk: &mut Walk) -> io::Result<ProcessDir> {
    let directory = ProcessDir::open(pid)?;
    directory.descriptors(|fd, referent| {
        let owner = Owner { pid, fd };
        match referent {
            Referent::Socket(ino) => walk.holdings.push(Holding { ino, owner, namespace: None }),
            Referent::Network(ino) => walk.networks.push((ino, owner)),
            Referent::Other => {}
        }
    })?;
    Ok(directory)
}
