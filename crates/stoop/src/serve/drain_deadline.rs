//! The deadline for draining a server.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// An instant, or `None` if it is too far in the future for the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainDeadline(Option<Instant>);

impl DrainDeadline {
    pub(super) fn after(time: Duration) -> DrainDeadline {
        DrainDeadline(Instant::now().checked_add(time))
    }

    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }

    /// Runs a future until the deadline. Returns `None` if the deadline passes first.
    pub(super) async fn within<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some(end) => timeout_at(end, future).await.ok(),
            None => Some(future.await),
        }
    }
}
