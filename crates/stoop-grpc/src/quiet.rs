//! When nothing is under way on a connection, and for how long: what an idle one is to a protocol whose calls may be silent for hours.
//! Counts, and closes nothing.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Status, body::Body};

/// How long a client has to hang up once it knows that it is to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// The calls of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Quiet {
    /// How long it may be without any.
    limit: Duration,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Debug)]
struct Calls {
    under_way: usize,
    /// Since when there are none.
    since: Instant,
}

impl Quiet {
    /// For a connection that has just begun.
    pub(crate) fn new(limit: Duration) -> Quiet {
        Quiet { limit, calls: Arc::new(Mutex::new(Calls { under_way: 0, since: Instant::now() })) }
    }

    fn locked(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, until it is dropped.
    pub(crate) fn call(&self) -> Call {
        self.locked().under_way += 1;
        Call(self.clone())
    }

    /// Waits until the limit is reached.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn too_long(&self) {
        self.for_time(self.limit).await;
    }

    /// Waits until a client that was told to go has had its time, and has no call under way.
    ///
    /// # Cancel safety
    /// Begins anew.
    pub(crate) async fn not_gone(&self) {
        sleep(FAREWELL).await;
        self.for_time(FAREWELL).await;
    }

    async fn for_time(&self, time: Duration) {
        loop {
            let end = {
                let calls = self.locked();
                // The earliest that it can be, where a call is under way.
                let since = if calls.under_way > 0 { Instant::now() } else { calls.since };
                since + time
            };
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct Call(Quiet);

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.0.locked();
        calls.under_way -= 1;
        calls.since = Instant::now();
    }
}

/// The answer to a call, which is under way until all of it was taken.
pub(crate) struct Answer {
    body: Body,
    _call: Call,
}

impl Answer {
    pub(crate) fn new(body: Body, call: Call) -> Answer {
        Answer { body, _call: call }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
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
    fn only_the_time_without_a_call_counts() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let time = Duration::from_millis;
        runtime.block_on(async {
            let (quiet, begun) = (Quiet::new(time(30)), Instant::now());
            sleep(time(10)).await;
            let (one, two) = (quiet.call(), quiet.call());
            sleep(time(50)).await;
            drop(one);
            tokio::join!(quiet.too_long(), async {
                sleep(time(40)).await;
                drop(two);
            });
            assert!(begun.elapsed() >= time(10 + 50 + 40 + 30));
        });
    }
}
