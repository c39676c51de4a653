//! Waiting for one of several descriptors, up to an instant.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::{Errno, Result};

/// The instant after this wait; `None`, which is for ever, where no clock goes that far.
pub(super) fn end_of(wait: Duration) -> Option<Instant> {
    Instant::now().checked_add(wait)
}

/// How long to pause if the kernel has no memory to wait with.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until one of the entries has what it asks for; false when the instant came first. `None`
/// is for ever. A signal that is handled meanwhile changes nothing, nor does a kernel that is short
/// of memory.
pub(super) fn poll_until(entries: &mut [PollFd<'_>], end: Option<Instant>) -> Result<bool> {
    loop {
        // A wait too long for the kernel's type ends before its instant; it would take 292 billion years.
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left =
            left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
        match poll(entries, left.as_ref()) {
            Err(Errno::INTR) => {}
            // The wait is what lacks something, not what it waits for.
            Err(Errno::NOMEM | Errno::AGAIN) if is_over(end) => return Ok(false),
            Err(Errno::NOMEM | Errno::AGAIN) => std::thread::sleep(PAUSE),
            result => return Ok(result? > 0),
        }
    }
}

fn is_over(end: Option<Instant>) -> bool {
    end.is_some_and(|end| end <= Instant::now())
}
