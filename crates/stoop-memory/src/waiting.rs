//! How one end of a ring waits for the other. Knows nothing about rings.

use std::hint;
use std::sync::atomic::AtomicU32;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::Timespec;

use crate::{Error, ErrorKind, Result};

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Look again and again. The soonest, and a whole processor for as long as it takes; gives way
    /// now and then, so that a peer on the same processor gets on as well.
    Spin,
    /// Look for 20 µs, then sleep on a futex until the other side wakes us.
    Futex,
}

/// How long [`Waiting::Futex`] looks before it sleeps.
const LOOKING: Duration = Duration::from_micros(20);

/// One look in this many goes with a look at the clock and with giving way.
const LOOKS: u32 = 64;

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look again.
    Look,
    /// Sleep, but not longer than this.
    Sleep(Duration),
}

/// One wait, from its first look on.
pub(crate) struct Wait {
    waiting: Waiting,
    limit: Duration,
    looks: u32,
    since: Option<Instant>,
}

impl Wait {
    pub(crate) fn new(waiting: Waiting, limit: Duration) -> Wait {
        Wait { waiting, limit, looks: 0, since: None }
    }

    /// What to do after a look that was in vain. [`ErrorKind::TimedOut`] once the limit has passed.
    pub(crate) fn step(&mut self, operation: &'static str) -> Result<Step> {
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(LOOKS) {
            hint::spin_loop();
            return Ok(Step::Look);
        }
        let gone = self.since.get_or_insert_with(Instant::now).elapsed();
        let Some(left) = self.limit.checked_sub(gone) else {
            return Err(Error::new(operation, ErrorKind::TimedOut));
        };
        if self.waiting == Waiting::Futex && gone >= LOOKING {
            // The next look after this sleep counts as the last of its row, so that the clock is looked at.
            self.looks = LOOKS - 1;
            return Ok(Step::Sleep(left));
        }
        thread::yield_now();
        Ok(Step::Look)
    }
}

/// Sleeps while the word is what it was, at most this long. Returns early as it likes: the caller
/// looks again.
pub(crate) fn sleep(word: &AtomicU32, was: u32, limit: Duration) -> std::result::Result<(), Errno> {
    // Longer than any limit that makes sense: what does not fit is cut.
    let seconds = limit.as_secs().min(u32::MAX.into()) as i64;
    let limit = Timespec { tv_sec: seconds, tv_nsec: limit.subsec_nanos().into() };
    match futex::wait(word, futex::Flags::empty(), was, Some(&limit)) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Wakes whoever sleeps on the word.
pub(crate) fn wake(word: &AtomicU32) {
    // There is one sleeper at most. It cannot fail on memory that is mapped; if it did, limits end
    // every sleep.
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
                Ok(step) => assert_eq!(step, Step::Look),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_sleeper_looks_first() {
        let mut wait = Wait::new(Waiting::Futex, Duration::from_secs(60));
        assert_eq!(wait.step("wait").unwrap(), Step::Look);
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
