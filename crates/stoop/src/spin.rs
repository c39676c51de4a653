//! Adaptive spinning: polling for a short time before going to sleep.
//!
//! If an answer arrives within microseconds, going to sleep and being woken costs more than the
//! whole transfer. A socket with a spin budget first polls without blocking for up to that budget.
//! It measures whether polling succeeds, and almost stops polling if it does not: with a slow peer,
//! or with one that shares our processor and cannot run while we poll.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The maximum spin budget. Beyond it a sleep is cheaper than the processor time.
pub const SPIN_MAX: Duration = Duration::from_micros(100);

/// With fewer successes than this in the last 32 polls, polling is suspended…
const HITS_MIN: u32 = 3;

/// …for this many waits, then for twice as many, up to the second number. A poll in between
/// notices when the traffic changes.
const SKIPS: (u32, u32) = (16, 4096);

/// The polling state of one socket.
///
/// All of it is a hint, so relaxed atomics suffice: an update lost between threads costs only a
/// little time.
#[derive(Debug)]
pub(crate) struct Spin {
    /// The spin budget; 0 is off.
    budget_nanos: AtomicU32,
    /// One bit for each of the last 32 waits that polled: whether the poll succeeded. The newest is
    /// the lowest bit.
    history: AtomicU32,
    /// How many more waits skip polling, and how many it was when polling was last suspended.
    skips_left: AtomicU32,
    last_skips: AtomicU32,
}

impl Spin {
    pub(crate) const fn off() -> Spin {
        Spin {
            budget_nanos: AtomicU32::new(0),
            history: AtomicU32::new(u32::MAX),
            skips_left: AtomicU32::new(0),
            last_skips: AtomicU32::new(0),
        }
    }

    pub(crate) fn set_budget(&self, budget: Duration) {
        self.budget_nanos.store(budget.min(SPIN_MAX).as_nanos() as u32, Relaxed);
        self.history.store(u32::MAX, Relaxed);
        self.skips_left.store(0, Relaxed);
    }

    pub(crate) fn budget(&self) -> Duration {
        Duration::from_nanos(self.budget_nanos.load(Relaxed).into())
    }

    /// Runs `call`, which takes flags for the system call: repeatedly with `MSG_DONTWAIT` until the
    /// budget is used up, then once without.
    #[inline]
    pub(crate) fn wait<T>(&self, mut call: impl FnMut(i32) -> io::Result<T>) -> io::Result<T> {
        // While polling is suspended, not even one extra system call is made.
        if self.budget_nanos.load(Relaxed) == 0 || !self.is_worthwhile() {
            return call(0);
        }
        self.spin(|| call(libc::MSG_DONTWAIT)).unwrap_or_else(|| call(0))
    }

    /// Polls until the budget is used up. Returns `None` if it is time to sleep.
    fn spin<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> Option<io::Result<T>> {
        // The first attempt is not recorded: data that is already there says nothing about waiting.
        if let Some(done) = outcome(attempt()) {
            return Some(done);
        }
        let (started, budget) = (Instant::now(), self.budget());
        loop {
            if let Some(done) = outcome(attempt()) {
                self.record(true);
                return Some(done);
            }
            if started.elapsed() >= budget {
                self.record(false);
                return None;
            }
        }
    }

    fn is_worthwhile(&self) -> bool {
        match self.skips_left.load(Relaxed) {
            0 => true,
            left => {
                self.skips_left.store(left - 1, Relaxed);
                false
            }
        }
    }

    fn record(&self, hit: bool) {
        // A shift register of the last 32 outcomes: its number of ones is the number of successes.
        let history = self.history.load(Relaxed) << 1 | u32::from(hit);
        self.history.store(history, Relaxed);
        let (first, longest) = SKIPS;
        // One success ends a suspension at once. Failures lengthen it, doubling each time.
        let skips = match hit || history.count_ones() >= HITS_MIN {
            true => 0,
            false => (self.last_skips.load(Relaxed) * 2).clamp(first, longest),
        };
        self.skips_left.store(skips, Relaxed);
        self.last_skips.store(skips, Relaxed);
    }
}

/// Returns the outcome of an attempt, or `None` if there was nothing yet.
fn outcome<T>(result: io::Result<T>) -> Option<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        result => Some(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn spinning() -> Spin {
        let spin = Spin::off();
        spin.set_budget(Duration::from_nanos(1));
        spin
    }

    #[test]
    fn off_makes_one_blocking_call() {
        let mut flags = Vec::new();
        Spin::off()
            .wait(|given| {
                flags.push(given);
                Ok(())
            })
            .unwrap();
        assert_eq!(flags, [0]);
    }

    /// Runs one wait in which nothing arrives before it sleeps. Returns whether it polled.
    fn polls_in_vain(spin: &Spin) -> bool {
        let mut calls = 0;
        spin.wait(|flags| {
            calls += 1;
            if flags == 0 { Ok(()) } else { nothing() }
        })
        .unwrap();
        calls > 2
    }

    #[test]
    fn polling_that_never_succeeds_almost_stops() {
        let spin = spinning();
        let first = (0..32).filter(|_| polls_in_vain(&spin)).count();
        assert!(first > 25, "polls by default: {first}");
        let later = (0..10_000).filter(|_| polls_in_vain(&spin)).count();
        assert!(later < 20, "and learns not to: {later}");
    }

    #[test]
    fn one_success_resumes_polling() {
        let spin = spinning();
        while polls_in_vain(&spin) {}
        while !spin.is_worthwhile() {}
        let mut tries = 0;
        let hit = spin.spin(|| {
            tries += 1;
            if tries == 1 { nothing() } else { Ok(()) }
        });
        assert!(hit.is_some());
        assert!(spin.is_worthwhile());
    }

    #[test]
    fn an_error_ends_the_spin_at_once() {
        let spin = spinning();
        let mut tries = 0;
        let result: Option<io::Result<()>> = spin.spin(|| {
            tries += 1;
            if tries == 1 { nothing() } else { Err(io::ErrorKind::ConnectionReset.into()) }
        });
        assert_eq!(result.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
