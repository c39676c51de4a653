//! Lists the owners of sockets with a BPF program that visits every file descriptor: one read
//! covers all network namespaces.
//!
//! It requires the privilege to load BPF programs. [`proc`](super::proc) gives the same answer
//! without it.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStringExt;

use stoop_bpf::{Record, TaskFiles};

use super::Holding;
use crate::join::Inner;
use crate::model::{NamespaceIno, Owner, Pid, SocketIno};
use crate::process::Known;

/// What the program listed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Every file descriptor of a Unix domain socket.
    pub(crate) holdings: Vec<Holding>,
    /// What the program reports of the processes in addition.
    pub(crate) processes: HashMap<Pid, Known>,
}

/// Runs the program once. `own` is the network namespace of a kernel built without network
/// namespaces.
pub(crate) fn list(program: &TaskFiles, own: NamespaceIno) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut last = None;
    program.read_each(|record| {
        let pid = Pid(record.pid);
        // All descriptors of one process come in sequence, so each process is added once.
        if last.replace(pid) != Some(pid) {
            listing.processes.entry(pid).or_insert_with(|| known(&record));
        }
        listing.holdings.push(holding(&record, own));
    })?;
    Ok(listing)
}

fn holding(record: &Record, own: NamespaceIno) -> Holding {
    let pid = Pid(record.pid);
    let thread = (record.tid != record.pid).then_some(Pid(record.tid));
    Holding {
        ino: SocketIno(record.inode),
        owner: Owner { pid, fd: record.fd, thread },
        namespace: Some(record.network.map_or(own, |ino| NamespaceIno(ino.into()))),
        cookie: record.cookie,
        name: record.name,
        inner: Some(Inner {
            is_bound_to_path: record.is_bound_to_path,
            slot: record.slot,
            queue: record.queue,
        }),
    }
}

fn known(record: &Record) -> Known {
    /// The unit of start times in `/proc`: it is 1/100 s on every machine this library supports.
    const TICK_NS: u64 = 10_000_000;
    Known {
        command: std::ffi::OsString::from_vec(record.command.as_bytes().to_vec()),
        uid: record.user,
        start: record.started_ns / TICK_NS,
    }
}
