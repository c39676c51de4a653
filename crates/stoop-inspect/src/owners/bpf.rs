//! Lists the owners of sockets with a BPF program that visits every file descriptor: one read
//! covers all network namespaces.
//!
//! It requires the privilege to load BPF programs. [`proc`](super::proc) gives the same answer
//! without it.

use std::collections::HashSet;
use std::io;
use std::os::unix::ffi::OsStringExt;

use stoop_bpf::{Record, TaskFiles};

use super::Holding;
use crate::listed;
use crate::model::{NamespaceIno, Pid, SocketIno};
use crate::process::{Known, TICKS_PER_SECOND};

/// Runs the program once, and returns every file descriptor of a Unix domain socket. Calls
/// `process` with what the program reports of each process in addition, as soon as it does.
pub(crate) fn list(program: &TaskFiles, mut process: impl FnMut(Pid, Known)) -> io::Result<Vec<Record>> {
    let (mut records, mut told, mut last) = (Vec::new(), HashSet::new(), None);
    program.read_each(|record| {
        let pid = Pid(record.pid);
        // All descriptors of one table come in sequence; threads may have further tables.
        if last.replace(pid) != Some(pid) && told.insert(pid) {
            process(pid, known(&record));
        }
        records.push(record);
    })?;
    Ok(records)
}

pub(crate) fn holding(record: &Record, own: NamespaceIno) -> Holding {
    Holding {
        ino: SocketIno(record.inode),
        owner: listed::owner(record),
        namespace: Some(listed::namespace(record, own)),
        cookie: record.cookie,
        name: record.name,
        inner: Some(listed::inner(record)),
    }
}

fn known(record: &Record) -> Known {
    Known {
        command: std::ffi::OsString::from_vec(record.command.as_bytes().to_vec()),
        uid: record.user,
        start: record.started_ns / (1_000_000_000 / TICKS_PER_SECOND),
    }
}
