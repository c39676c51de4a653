//! A relay at work: its counters, its faults, and its end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::counters::Counts;
use crate::fault::Faults;
use crate::once;
use crate::shared::Shared;

/// A relay at work. Dropping it closes all connections.
pub struct Running {
    pub(crate) shared: Arc<Shared>,
    pub(crate) workers: Vec<JoinHandle<()>>,
    pub(crate) acceptor: Option<JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

impl Running {
    /// Returns what has been done so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.counts()
    }

    /// Returns the number of clients at the moment.
    pub fn connections(&self) -> usize {
        self.shared.connections()
    }

    /// Returns a handle that reads the counters from any thread, even after the relay was stopped.
    pub fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Returns the control of the faults, if the relay was built with
    /// [`Relay::faults`](crate::Relay::faults).
    pub fn faults(&self) -> Option<FaultControl> {
        self.shared.faults.as_ref()?;
        Some(FaultControl { shared: Arc::clone(&self.shared) })
    }

    /// Stops gracefully: removes the socket file, or gives the name back to the server that had it.
    /// Then relays the clients that have connected already, and waits until they are done, for at
    /// most `grace`, and closes what is left. Datagrams that have come are passed on as far as the
    /// server takes them at once; answers are not waited for.
    ///
    /// Returns what has been done, and whether all connections had ended by themselves.
    pub fn stop(mut self, grace: Duration) -> (Counts, bool) {
        self.stop_accepting();
        let ended = self.shared.wait_for_clients(grace);
        self.finish();
        once::wait_for_output(grace);
        (self.counts(), ended)
    }

    fn stop_accepting(&mut self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.wake_acceptor();
        if let Some(acceptor) = self.acceptor.take() {
            // It panics only if a handler did.
            let _ = acceptor.join();
        }
    }

    fn finish(&mut self) {
        self.shared.inboxes.iter().for_each(|inbox| inbox.stop());
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        if let Some(recorder) = &self.shared.recorder {
            recorder.stop();
        }
    }
}

/// Changes the faults of a running relay, for connections in progress as well.
#[derive(Clone)]
pub struct FaultControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for FaultControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultControl").field("current", &self.current()).finish()
    }
}

impl FaultControl {
    /// Returns the faults of what clients send, and of what the server sends.
    pub fn current(&self) -> [Faults; 2] {
        self.shared.faults.as_ref().map(|faults| faults.faults()).unwrap_or_default()
    }

    /// Sets the faults of what clients send, and of what the server sends. What waits already
    /// arrives as it was planned.
    pub fn set(&self, up: Faults, down: Faults) {
        if let Some(faults) = &self.shared.faults {
            faults.set(up, down);
        }
        self.shared.inboxes.iter().for_each(|inbox| inbox.wake());
    }
}

/// Reads the counters of a relay from any thread.
#[derive(Clone)]
pub struct Monitor(Arc<Shared>);

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Monitor").field(&self.counts()).finish()
    }
}

impl Monitor {
    /// Returns what has been done so far.
    pub fn counts(&self) -> Counts {
        self.0.counters.counts()
    }

    /// Returns the number of clients at the moment.
    pub fn connections(&self) -> usize {
        self.0.connections()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop_accepting();
        self.finish();
    }
}
