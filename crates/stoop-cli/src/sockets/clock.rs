//! The clock of process start times.

use std::time::Duration;

use stoop_inspect::Process;

/// The current time on the clock of process start times: clock ticks since boot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub(crate) since_boot: Duration,
    pub(crate) ticks_per_second: u64,
}

impl Now {
    pub(crate) fn read() -> Now {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Now {
            since_boot: Duration::new(now.tv_sec as u64, now.tv_nsec as u32),
            ticks_per_second: rustix::param::clock_ticks_per_second(),
        }
    }

    /// Returns how long a process has run.
    pub(crate) fn age(self, process: &Process) -> Option<Duration> {
        Some(self.since(process.start?))
    }

    /// Returns how long ago a time is, in clock ticks since boot.
    pub(crate) fn since(self, ticks: u64) -> Duration {
        let start = Duration::from_secs_f64(ticks as f64 / self.ticks_per_second.max(1) as f64);
        self.since_boot.saturating_sub(start)
    }
}
