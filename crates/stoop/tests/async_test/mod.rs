//! Helpers of the async tests: a runtime with a deadline, and the processor time it used.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::Future;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stoop_kernel_facts::SOON;
use stoop_testkit::deadline;

/// Runs a test on a runtime of one thread. Nothing hangs.
#[track_caller]
pub fn async_test<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    deadline(SOON, move || runtime().block_on(test()));
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Measures the share of one processor that this thread, and so its runtime, used.
pub struct Usage {
    began: Instant,
    used: Duration,
}

impl Usage {
    pub fn begin() -> Usage {
        Usage { began: Instant::now(), used: used() }
    }

    pub fn share(&self) -> f64 {
        (used() - self.used).as_secs_f64() / self.began.elapsed().as_secs_f64() / stoop_testkit::slowness()
    }
}

fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Polls a future once, asserts that it is pending, and drops it.
pub async fn cancel<T>(future: impl Future<Output = T>) {
    assert!(!abandon(future).await, "expected a pending future");
}

/// Polls a future once and drops it. Returns whether it had completed.
pub async fn abandon<T>(future: impl Future<Output = T>) -> bool {
    let done = {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_ready())).await
    };
    // Let the reactor process the cancelled registration.
    tokio::task::yield_now().await;
    done
}
