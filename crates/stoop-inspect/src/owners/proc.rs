//! Lists the owners of sockets by the links in `/proc/PID/fd`. This works on every kernel and for
//! every user, at one system call per file descriptor. Without privileges, only the caller's own
//! processes are visible.
//!
//! Nearly all of the time is spent in the kernel, which can read several processes in parallel on
//! several processors. So the walk uses a few threads, which it joins before it returns.

use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::Holding;
use crate::model::{NamespaceIno, Owner, Pid, Process};
use crate::options::Options;
use crate::process;
use crate::procfs::{self, Hidden, ProcessDir, Referent};

/// The result of a walk.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// Every file descriptor that refers to a socket.
    pub(crate) holdings: Vec<Holding>,
    /// Processes that have sockets the caller asked for.
    pub(crate) processes: HashMap<Pid, Process>,
    /// File descriptors that refer to network namespaces.
    pub(crate) networks: Vec<(NamespaceIno, Owner)>,
    /// Processes whose descriptors may not be read.
    pub(crate) hidden: Hidden,
    /// Processes that were visited before the tables were read.
    pub(crate) early: Vec<Pid>,
}

/// The maximum number of threads. More would only contend with each other.
const THREADS_MAX: usize = 8;
/// The number of processes for which it is worth starting one more thread.
const PIDS_OF_A_THREAD: usize = 32;

/// Reads the file descriptors of these processes, and the attributes of each that has a socket, of
/// any family, if wanted. `is_read` becomes true when the tables of sockets have been read.
pub(crate) fn walk(pids: &[Pid], options: &Options, is_read: &AtomicBool, with_processes: bool) -> Walk {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut walk = Walk::default();
        let mut buffer = Vec::new();
        while let Some(&pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !is_read.load(Ordering::Acquire) {
                walk.early.push(pid);
            }
            walk.visit(pid, options, with_processes, &mut buffer);
        }
        walk
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let helpers = processors.min(THREADS_MAX).min(pids.len() / PIDS_OF_A_THREAD).saturating_sub(1);
    thread::scope(|scope| {
        // If no thread can be spawned, this one does all the work.
        let start = || thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..helpers).filter_map(|_| start()).collect();
        let own = work();
        helpers.into_iter().filter_map(|helper| helper.join().ok()).fold(own, Walk::and)
    })
}

impl Walk {
    fn visit(&mut self, pid: Pid, options: &Options, with_processes: bool, buffer: &mut Vec<u8>) {
        let first = self.holdings.len();
        match self.look_at(pid) {
            Ok(directory) => {
                if with_processes
                    && self.holdings.len() > first
                    && let Ok(process) = process::read(&directory, pid, None, options, buffer)
                {
                    self.processes.insert(pid, process);
                }
            }
            Err(error) if procfs::is_gone(&error) => {}
            Err(error) => self.hidden.add(pid, error),
        }
    }

    fn look_at(&mut self, pid: Pid) -> io::Result<ProcessDir> {
        let directory = ProcessDir::open(pid)?;
        directory.descriptors(|fd, thread, referent| {
            let owner = Owner { pid, fd, thread };
            match referent {
                Referent::Socket(ino) => {
                    self.holdings.push(Holding::of(ino, owner));
                }
                Referent::Network(ino) => self.networks.push((ino, owner)),
                Referent::Other => {}
            }
        })?;
        Ok(directory)
    }

    fn and(mut self, other: Walk) -> Walk {
        self.holdings.extend(other.holdings);
        self.processes.extend(other.processes);
        self.networks.extend(other.networks);
        self.hidden.extend(other.hidden);
        self.early.extend(other.early);
        self
    }
}
