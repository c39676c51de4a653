//! What all threads of the server share, and how a thread of its own is started.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::service::Service;
use super::workers::Workers;
use crate::output::{ErrorLog, Output};

/// The delay before the next accept if one failed: no file descriptor is available, or a security
/// module denied it.
const PAUSE_WHEN_EXHAUSTED: Duration = Duration::from_millis(50);

/// Enough for a program's thread, whose buffers are on the heap.
const STACK_BYTES: usize = 256 * 1024;

/// How often, and how far apart, spawning a thread is retried if the system has no resources.
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// State shared by all threads of the server.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) service: Service,
    pub(super) output: Output,
    pub(super) errors: Arc<ErrorLog>,
    pub(super) workers: Workers,
}

impl Shared {
    /// Runs `work` in a thread of its own. If no thread can be spawned, retries for some time and
    /// then drops the work.
    pub(super) fn start(self: &Arc<Shared>, work: impl FnOnce(&Shared) + Send + 'static) {
        let guard = BusyGuard::new(self);
        // Kept here as well, because a failed spawn drops its closure.
        let job = Arc::new(Mutex::new(Some((guard, work))));
        for _ in 0..TRIES {
            let theirs = Arc::clone(&job);
            let started = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
                let job = theirs.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some((guard, work)) = job {
                    work(&guard.0);
                }
            });
            if started.is_ok() {
                return;
            }
            thread::sleep(PAUSE);
        }
        self.errors.report(None, "a client was dropped: no more threads can be created");
    }

    /// Leaves the clients in the backlog for a moment.
    pub(super) fn exhausted(&self, error: String) -> Step {
        self.errors.report(None, error);
        thread::sleep(PAUSE_WHEN_EXHAUSTED);
        Step::Exhausted
    }
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A client was accepted.
    Served,
    /// A client was refused.
    Refused,
    /// No client can be accepted at the moment.
    Exhausted,
    /// No client is waiting.
    WouldBlock,
}

/// Counts as busy until it is dropped, even if the work panics.
pub(super) struct BusyGuard(Arc<Shared>);

impl BusyGuard {
    pub(super) fn new(shared: &Arc<Shared>) -> BusyGuard {
        shared.workers.begin();
        BusyGuard(Arc::clone(shared))
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.workers.end();
    }
}

impl fmt::Debug for BusyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusyGuard")
    }
}
