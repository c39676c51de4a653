//! A timer for `poll_…` methods, which cannot hold a future of their own while they wait for a
//! condition that no event signals.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::Backoff;

/// The timer of one socket. Nothing is allocated until it is first needed.
#[derive(Default)]
pub(super) struct RetryTimer(Mutex<Option<Box<Retry>>>);

struct Retry {
    sleep: Pin<Box<Sleep>>,
    /// Whether a pause is under way, so that another poll joins it instead of starting one.
    is_armed: bool,
    backoff: Backoff,
}

impl RetryTimer {
    /// Waits for the current pause, or begins one. The pauses grow from the first to the longest,
    /// until [`RetryTimer::reset`].
    ///
    /// Only the last task that polled is woken.
    pub(super) fn poll(&self, cx: &mut Context<'_>, pauses: (Duration, Duration)) -> Poll<()> {
        let mut retry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let retry = retry.get_or_insert_with(|| {
            let sleep = Box::pin(sleep(Duration::ZERO));
            Box::new(Retry { sleep, is_armed: false, backoff: Backoff::between(pauses.0, pauses.1) })
        });
        if !retry.is_armed {
            let end = Instant::now() + retry.backoff.next();
            retry.sleep.as_mut().reset(end);
            retry.is_armed = true;
        }
        ready!(retry.sleep.as_mut().poll(cx));
        retry.is_armed = false;
        Poll::Ready(())
    }

    /// Lets the next pause be the first one again.
    pub(super) fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for RetryTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryTimer").finish_non_exhaustive()
    }
}
