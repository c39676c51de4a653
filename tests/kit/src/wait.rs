//! Time limits for tests: a call that must return, and a condition that must become true.
//!
//! Nothing here measures speed; the limits only turn a hang into a failure. On an emulated machine
//! they are longer ([`slowness`]).

use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::slowness;

/// Returns a limit that was chosen for real hardware as it is for this machine.
#[track_caller]
pub(crate) fn scaled(limit: Duration) -> Duration {
    limit.mul_f64(slowness())
}

/// Runs `work` on a thread of its own and returns its result. Panics, naming the caller, if that
/// takes longer than `limit`.
///
/// A panic of `work` is propagated to the caller. Work that misses its deadline keeps running on
/// its thread until the process exits, so it may not borrow anything.
#[track_caller]
pub fn deadline<T, F>(limit: Duration, work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let limit = scaled(limit);
    let (done, answer) = channel();
    let worker = thread::spawn(move || {
        // The receiver is dropped only after the deadline has passed; the result is then not
        // needed.
        let _ = done.send(work());
    });
    match answer.recv_timeout(limit) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("still not done after {limit:?}"),
        Err(RecvTimeoutError::Disconnected) => {
            resume_unwind(worker.join().expect_err("a worker that sent nothing panicked"))
        }
    }
}

/// Polls `condition`, with pauses, until it is true. Panics, naming the caller, after `limit`.
#[track_caller]
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) {
    let limit = scaled(limit);
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "still not true after {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_in_time_returns_its_result() {
        assert_eq!(deadline(Duration::from_secs(5), || 7), 7);
    }

    #[test]
    #[should_panic(expected = "still not done after 20ms")]
    fn work_that_hangs_times_out() {
        deadline(Duration::from_millis(20), || thread::sleep(Duration::from_secs(600)));
    }

    #[test]
    #[should_panic(expected = "the work's own words")]
    fn a_panic_keeps_its_message() {
        deadline(Duration::from_secs(5), || panic!("the work's own words"));
    }

    #[test]
    fn a_condition_is_polled_until_it_holds() {
        let mut asked = 0;
        eventually(Duration::from_secs(5), || {
            asked += 1;
            asked == 3
        });
        assert_eq!(asked, 3);
    }

    #[test]
    #[should_panic(expected = "still not true after 20ms")]
    fn a_condition_that_never_holds_times_out() {
        eventually(Duration::from_millis(20), || false);
    }
}
