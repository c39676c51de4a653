//! Each adapter against the real thing: the examples are run, and the edges that they do not show.

#[expect(dead_code, reason = "the `main` of each example")]
mod examples;
mod http;
mod reactors;
mod servers;
mod streams;

use std::future::Future;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Runs a future on a runtime of one thread. Panics if it is not done soon.
#[track_caller]
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(async { tokio::time::timeout(SOON, future).await });
    done.unwrap_or_else(|_| panic!("still not done after {SOON:?}"))
}

/// Returns what the kernel says of this process, as the examples print it.
fn myself() -> String {
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    format!("uid {uid}, pid {}", std::process::id())
}
