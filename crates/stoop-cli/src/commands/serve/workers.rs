//! Counts the clients that are served, and the programs that run for them.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::failure::Failure;

/// What a server is busy with.
#[derive(Debug)]
pub(super) struct Workers {
    busy: AtomicUsize,
    limit: usize,
    /// Readable once a client was served.
    finished: OwnedFd,
    children: Mutex<HashSet<u32>>,
}

impl Workers {
    pub(super) fn new(limit: Option<u32>) -> Result<Workers, Failure> {
        let finished = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Failure::io("prepare for clients", &errno.into()))?;
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(Workers { busy: AtomicUsize::new(0), limit, finished, children: Mutex::default() })
    }

    /// Returns how many clients are being served.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.busy() == 0
    }

    /// Counts one client more.
    pub(super) fn begin(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one client less, and makes that known to the poll.
    pub(super) fn end(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
        // The counter overflows only after 2^64 - 2 writes.
        let _ = rustix::io::write(&self.finished, &1u64.to_ne_bytes());
    }

    pub(super) fn has_room(&self) -> bool {
        self.busy() < self.limit
    }

    /// Resets the notification, so that the next client to finish is noticed.
    pub(super) fn acknowledge(&self) {
        let _ = rustix::io::read(&self.finished, &mut [0; 8]);
    }

    /// Registers a child process until the returned value is dropped.
    pub(super) fn register_child(&self, pid: u32) -> ChildGuard<'_> {
        self.children().insert(pid);
        ChildGuard { workers: self, pid }
    }

    /// Terminates the child processes that are still running.
    pub(super) fn terminate_children(&self) {
        for &pid in self.children().iter() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::TERM);
            }
        }
    }

    fn children(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Workers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.finished.as_fd()
    }
}

/// A registered child process.
pub(super) struct ChildGuard<'a> {
    workers: &'a Workers,
    pid: u32,
}

impl Drop for ChildGuard<'_> {
    fn drop(&mut self) {
        self.workers.children().remove(&self.pid);
    }
}
