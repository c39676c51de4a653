//! How one end of a ring waits for the other. Independent of rings.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use crate::{Error, ErrorKind, Result};

/// How to wait.
#[doc(alias("futex", "FUTEX_WAIT"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Poll continuously. This has the lowest latency and uses a whole processor. The thread yields
    /// now and then, so that a peer on the same processor makes progress.
    Spin,
    /// Poll for 20 µs, then sleep on a futex until the peer wakes this one.
    Futex,
}

/// How long [`Waiting::Futex`] polls before it sleeps.
const SPIN_TIME: Duration = Duration::from_micros(20);

/// Every this many polls, the clock is read and the thread yields.
const POLLS_PER_CLOCK_READ: u32 = 64;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Poll again.
    Poll,
    /// Sleep, but not longer than this.
    Sleep(Duration),
}

/// The state of one wait.
pub(crate) struct Wait {
    waiting: Waiting,
    limit: Duration,
    polls: u32,
    since: Option<Instant>,
}

impl Wait {
    pub(crate) fn new(waiting: Waiting, limit: Duration) -> Wait {
        Wait { waiting, limit, polls: 0, since: None }
    }

    /// Returns what to do after an unsuccessful poll, or [`ErrorKind::TimedOut`] if the limit has
    /// expired.
    pub(crate) fn step(&mut self, operation: &'static str) -> Result<Step> {
        self.polls = self.polls.wrapping_add(1);
        if !self.polls.is_multiple_of(POLLS_PER_CLOCK_READ) {
            hint::spin_loop();
            return Ok(Step::Poll);
        }
        let elapsed = self.since.get_or_insert_with(Instant::now).elapsed();
        let Some(left) = self.limit.checked_sub(elapsed) else {
            return Err(Error::new(operation, ErrorKind::TimedOut));
        };
        if self.waiting == Waiting::Futex && elapsed >= SPIN_TIME {
            // Count the next poll as the last of its series, so that the clock is read right after
            // the sleep.
            self.polls = POLLS_PER_CLOCK_READ - 1;
            return Ok(Step::Sleep(left));
        }
        thread::yield_now();
        Ok(Step::Poll)
    }
}

/// Sleeps at most this long while the word is unchanged (`FUTEX_WAIT`). May return early: the
/// caller polls again.
pub(crate) fn sleep(word: &AtomicU32, was: u32, limit: Duration) -> std::result::Result<(), Errno> {
    // Longer than any reasonable limit: clamp what does not fit.
    let seconds = limit.as_secs().min(u32::MAX.into()) as i64;
    let limit = Timespec { tv_sec: seconds, tv_nsec: limit.subsec_nanos().into() };
    match futex::wait(word, futex::Flags::empty(), was, Some(&limit)) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Wakes the process that sleeps on the word (`FUTEX_WAKE`).
pub(crate) fn wake(word: &AtomicU32) {
    // There is at most one sleeper. The call cannot fail on mapped memory; if it did, the limit
    // would end the sleep.
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spinner_never_sleeps_and_ends() {
        let mut wait = Wait::new(Waiting::Spin, Duration::from_millis(2));
        let error = loop {
            match wait.step("wait") {
                Ok(step) => assert_eq!(step, Step::Poll),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_sleeper_looks_first() {
        let mut wait = Wait::new(Waiting::Futex, Duration::from_secs(60));
        assert_eq!(wait.step("wait").unwrap(), Step::Poll);
        let left = loop {
            if let Step::Sleep(left) = wait.step("wait").unwrap() {
                break left;
            }
        };
        assert!(left < Duration::from_secs(60));
        assert!(matches!(wait.step("wait").unwrap(), Step::Sleep(_)), "it does not look for long again");
    }

    #[test]
    fn a_sleep_ends_by_itself() {
        let word = AtomicU32::new(7);
        sleep(&word, 6, Duration::from_secs(60)).unwrap();
        sleep(&word, 7, Duration::from_millis(1)).unwrap();
    }
}
