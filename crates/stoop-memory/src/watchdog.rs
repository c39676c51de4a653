//! A thread that ends a wait which has no timeout of its own.
//!
//! Arming and disarming take a lock that is almost always free, and no system call while waits
//! follow each other. The thread wakes when the first of them would have timed out, finds a later
//! one, and sleeps again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Calls a function once if a wait exceeds its limit. The thread exits when this is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The deadline of the current wait.
    due: Option<Instant>,
    /// When the thread next wakes by itself.
    wakes: Option<Instant>,
    has_expired: bool,
    ends: bool,
}

impl Watchdog {
    /// Starts the thread. It calls `expire` on the first wait that exceeds its deadline, and then
    /// exits.
    pub(crate) fn start(expire: impl FnOnce() + Send + 'static) -> std::io::Result<Watchdog> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("stoop-watch".into()).spawn(move || theirs.run(expire))?;
        Ok(Watchdog { shared, thread: Some(thread) })
    }

    /// Begins a wait. `None` has no deadline.
    pub(crate) fn arm(&self, due: Option<Instant>) {
        let mut state = self.shared.lock();
        state.due = due;
        if due.is_some_and(|due| state.wakes.is_none_or(|wakes| due < wakes)) {
            self.shared.changed.notify_one();
        }
    }

    /// Ends the wait. Returns whether it has expired, now or earlier.
    pub(crate) fn disarm(&self) -> bool {
        let mut state = self.shared.lock();
        state.due = None;
        state.has_expired
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // The thread does not panic; if it did, a drop could do nothing about it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, expire: impl FnOnce()) {
        let mut state = self.lock();
        while !state.ends {
            let left = state.due.map(|due| due.saturating_duration_since(Instant::now()));
            state.wakes = state.due;
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if !left.is_zero() => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    state.has_expired = true;
                    // Called under the lock, so that a concurrent `disarm` sees the outcome.
                    return expire();
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{TryRecvError, channel};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn only_a_wait_that_is_too_long_is_ended() {
        let (expire, expired) = channel();
        let watchdog = Watchdog::start(move || expire.send(()).unwrap()).unwrap();
        watchdog.arm(Some(Instant::now() + LONG));
        assert!(!watchdog.disarm());
        watchdog.arm(None);
        assert_eq!(expired.try_recv(), Err(TryRecvError::Empty));
        // The deadline is before the thread would wake by itself.
        watchdog.arm(Some(Instant::now() + Duration::from_millis(5)));
        expired.recv_timeout(LONG).unwrap();
        assert!(watchdog.disarm());
    }

    #[test]
    fn dropping_it_ends_the_thread() {
        let (expire, expired) = channel::<()>();
        let watchdog = Watchdog::start(move || drop(expire)).unwrap();
        watchdog.arm(Some(Instant::now() + LONG));
        stoop_testkit::deadline(LONG, move || drop(watchdog));
        assert_eq!(expired.try_recv(), Err(TryRecvError::Disconnected));
    }
}
