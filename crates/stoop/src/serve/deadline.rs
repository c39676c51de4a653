//! When the end of a server has to be over.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// An instant, or none if no clock goes that far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(time: Duration) -> Deadline {
        Deadline(Instant::now().checked_add(time))
    }

    pub(super) fn is_over(self) -> bool {
        self.0.is_some_and(|end| end <= Instant::now())
    }

    /// What a future gives; `None` if the deadline came first.
    pub(super) async fn within<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some(end) => timeout_at(end, future).await.ok(),
            None => Some(future.await),
        }
    }
}
