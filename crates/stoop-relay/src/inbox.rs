//! What other threads see of a worker: they give it connections here, and stop it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::pair::Pair;

/// What other threads see of a worker.
#[derive(Debug)]
pub(crate) struct Inbox {
    arrivals: Mutex<Vec<Pair>>,
    wake: OwnedFd,
    /// Connections that it has, or is about to have.
    pub(crate) connections: AtomicUsize,
    stops: AtomicBool,
}

impl Inbox {
    pub(crate) fn new() -> Result<Inbox, Errno> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Inbox {
            arrivals: Mutex::default(),
            wake,
            connections: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
        })
    }

    pub(crate) fn push(&self, pair: Pair) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(pair);
        self.wake();
    }

    /// Ends the worker, with all its connections.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn must_stop(&self) -> bool {
        self.stops.load(Ordering::Acquire)
    }

    /// Lets the worker see what has changed.
    pub(crate) fn wake(&self) {
        // A full counter wakes as well.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Returns the new connections.
    pub(crate) fn take(&self) -> Vec<Pair> {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        std::mem::take(&mut *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
