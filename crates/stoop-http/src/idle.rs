//! Idle tracking: whether and since when no call is under way on a connection. A protocol whose
//! calls may be silent for hours cannot use byte activity for that. Tracks only, and closes
//! nothing.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a client has to disconnect after it was sent `GOAWAY`.
const GOAWAY_GRACE: Duration = Duration::from_secs(1);

/// The number of waits that this time consists of. If this process is stopped or starved meanwhile,
/// one wait is over at once, and the client still has the time of the others.
const GRACE_WAITS: u32 = 10;

/// Tracks the calls of one connection.
#[derive(Clone, Debug)]
pub struct IdleTracker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The deadline for the first call, whatever the client sends before it.
    first: Option<Instant>,
    /// How long the connection may later be without a call.
    between: Option<Duration>,
    begun: AtomicBool,
    /// Notified of the first call.
    beginning: Notify,
    /// Whether the last read has found nothing: HTTP waits for bytes of the client.
    awaits_bytes: AtomicBool,
    /// The number of writes, to detect a client that reads the end of a response slowly.
    written: AtomicU64,
    calls: Mutex<CallState>,
}

#[derive(Debug)]
struct CallState {
    under_way: usize,
    /// Since when no call is under way.
    since: Instant,
}

impl IdleTracker {
    /// Starts tracking a new connection.
    pub fn new(first: Duration, between: Option<Duration>) -> IdleTracker {
        let now = Instant::now();
        IdleTracker(Arc::new(Shared {
            first: now.checked_add(first),
            between,
            begun: AtomicBool::new(false),
            beginning: Notify::new(),
            awaits_bytes: AtomicBool::new(false),
            written: AtomicU64::new(0),
            calls: Mutex::new(CallState { under_way: 0, since: now }),
        }))
    }

    fn locked(&self) -> MutexGuard<'_, CallState> {
        self.0.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_begun(&self) -> bool {
        self.0.begun.load(Relaxed)
    }

    /// Records that the first call has begun.
    pub fn begin(&self) {
        if !self.has_begun() && !self.0.begun.swap(true, Relaxed) {
            self.0.beginning.notify_waiters();
        }
    }

    /// Waits until the first call has begun.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn first_call(&self) {
        // It is notified from here on, even before it is polled.
        let beginning = self.0.beginning.notified();
        if !self.has_begun() {
            beginning.await;
        }
    }

    /// Counts a call until the result is dropped. Returns `None` if calls are not counted.
    pub fn call(&self) -> Option<CallGuard> {
        self.begin();
        self.0.between?;
        self.locked().under_way += 1;
        Some(CallGuard(self.clone()))
    }

    /// Records a read, which has found something or waits.
    pub(crate) fn note_read(&self, waits: bool) {
        self.0.awaits_bytes.store(waits, Relaxed);
    }

    /// Returns whether the last read waits.
    pub(crate) fn awaits_bytes(&self) -> bool {
        self.0.awaits_bytes.load(Relaxed)
    }

    /// Records a write.
    pub fn note_write(&self) {
        self.0.written.fetch_add(1, Relaxed);
    }

    /// Waits until one of the limits is reached.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn expired(&self) {
        tokio::select! {
            biased;
            () = self.first_call() => {}
            () = self.no_first_call() => return,
        }
        match self.0.between {
            Some(time) => self.for_time(time).await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the deadline for the first call passes without one. Otherwise waits
    /// indefinitely.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn no_first_call(&self) {
        if let Some(end) = self.0.first {
            sleep_until(end).await;
        }
        if self.has_begun() || self.0.first.is_none() {
            std::future::pending().await
        }
    }

    /// Waits until a client that was sent `GOAWAY` has had its time and has no call under way.
    ///
    /// # Cancel safety
    /// If dropped, the time starts again with the next call of this method.
    pub async fn goaway_expired(&self) {
        for _ in 0..GRACE_WAITS {
            sleep(GOAWAY_GRACE / GRACE_WAITS).await;
        }
        match self.0.between {
            Some(_) => self.for_time(GOAWAY_GRACE).await,
            // Calls are not counted, so it is known only of a client without a first call that
            // none is under way.
            None if self.has_begun() => std::future::pending().await,
            None => {}
        }
    }

    async fn for_time(&self, time: Duration) {
        loop {
            let written = self.0.written.load(Relaxed);
            let end = {
                let calls = self.locked();
                // While a call is under way, the limit cannot be reached earlier than this.
                let since = if calls.under_way > 0 { Instant::now() } else { calls.since };
                since.checked_add(time)
            };
            match end {
                None => return std::future::pending().await,
                Some(end) if end <= Instant::now() => return,
                Some(end) => sleep_until(end).await,
            }
            if self.0.written.load(Relaxed) != written {
                self.locked().since = Instant::now();
            }
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub struct CallGuard(IdleTracker);

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut calls = self.0.locked();
        calls.under_way -= 1;
        calls.since = Instant::now();
    }
}

/// The response to a call, which counts as under way until its body was read to the end.
pub struct TrackedBody<B> {
    body: B,
    _call: Option<CallGuard>,
}

impl<B> TrackedBody<B> {
    /// Wraps a body.
    pub fn new(body: B, call: Option<CallGuard>) -> TrackedBody<B> {
        TrackedBody { body, _call: call }
    }
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_excludes_calls() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let time = Duration::from_millis;
        runtime.block_on(async {
            let (idle, begun) = (IdleTracker::new(time(5_000), Some(time(30))), Instant::now());
            sleep(time(10)).await;
            let (one, two) = (idle.call(), idle.call());
            sleep(time(50)).await;
            drop(one);
            tokio::join!(idle.expired(), async {
                sleep(time(40)).await;
                drop(two);
            });
            assert!(begun.elapsed() >= time(10 + 50 + 40 + 30));
        });
    }

    #[test]
    fn the_first_call_has_its_own_deadline() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let time = Duration::from_millis;
        runtime.block_on(async {
            IdleTracker::new(time(5), Some(Duration::MAX)).expired().await;
            IdleTracker::new(time(5), None).expired().await;
            for between in [None, Some(Duration::MAX)] {
                let idle = IdleTracker::new(time(5), between);
                drop(idle.call());
                assert!(tokio::time::timeout(time(50), idle.expired()).await.is_err());
            }
        });
    }
}
