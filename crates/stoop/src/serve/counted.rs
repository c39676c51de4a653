//! Handlers that count their own end, so that the accept loop need not be woken for each of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::sync::Notify;

use super::counters::{Counters, Ended};
use super::trace;

/// How many tasks may have ended until their memory is released.
pub(super) const MANY: usize = 32;

/// The number of tasks that have ended since tasks were last joined.
#[derive(Debug, Default)]
pub(super) struct Unjoined {
    number: AtomicUsize,
    many: Notify,
}

impl Unjoined {
    /// Returns the number, and starts again.
    pub(super) fn take(&self) -> usize {
        // Relaxed: the tasks are joined by other means, and one that is missed now is joined later.
        self.number.swap(0, Relaxed)
    }

    /// Waits until there are many.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub(super) async fn many(&self) {
        self.many.notified().await;
    }

    fn add(&self) {
        if self.number.fetch_add(1, Relaxed) + 1 == MANY {
            self.many.notify_one();
        }
    }
}

pin_project! {
    /// A handler that counts how it ended, when it is dropped.
    pub(super) struct Counted<F> {
        #[pin]
        handling: F,
        ending: Ending,
    }
}

impl<F> Counted<F> {
    pub(super) fn new(handling: F, counters: &Counters, unjoined: &Arc<Unjoined>) -> Counted<F> {
        let ending = Ending { has_finished: false, counters: counters.clone(), unjoined: unjoined.clone() };
        Counted { handling, ending }
    }
}

impl<F: Future<Output = ()>> Future for Counted<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        ready!(this.handling.poll(cx));
        this.ending.has_finished = true;
        Poll::Ready(())
    }
}

/// Counts one handler's end, after the handler was dropped.
struct Ending {
    has_finished: bool,
    counters: Counters,
    unjoined: Arc<Unjoined>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let how = match self.has_finished {
            true => Ended::Finished,
            // A future that panics is dropped while its panic is unwinding.
            false if std::thread::panicking() => Ended::Panicked,
            false => Ended::Aborted,
        };
        self.counters.ended(how);
        trace::ended(how);
        self.unjoined.add();
    }
}
