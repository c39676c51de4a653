//! Waiting for one of several file descriptors, until a deadline.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::{Errno, Result};

/// Returns the deadline of this wait; `None`, which means indefinitely, if it exceeds the clock's
/// range.
pub(super) fn deadline_after(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

/// How long to pause if the kernel lacks the memory to poll.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until one of the entries is ready; `false` if the deadline comes first. `None` waits
/// indefinitely. Signals and a temporary lack of kernel memory are retried.
pub(super) fn poll_until(entries: &mut [PollFd<'_>], end: Option<Instant>) -> Result<bool> {
    loop {
        // A wait too long for the kernel's type ends before its deadline; that would take 292
        // billion years.
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left =
            left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match poll(entries, left.as_ref()) {
            Err(Errno::INTR) => {}
            // The poll itself lacks memory, not the file descriptors it waits for.
            Err(Errno::NOMEM | Errno::AGAIN) if has_passed(end) => return Ok(false),
            Err(Errno::NOMEM | Errno::AGAIN) => std::thread::sleep(PAUSE),
            result => return Ok(result? > 0),
        }
    }
}

fn has_passed(end: Option<Instant>) -> bool {
    end.is_some_and(|end| end <= Instant::now())
}
