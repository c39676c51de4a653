//! A time limit for several calls together.

use std::time::{Duration, Instant};

/// A deadline, if there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// The shortest timeout that the kernel does not interpret as infinite.
    const SHORTEST: Duration = Duration::from_millis(1);

    /// Returns the end of a timeout that begins now.
    pub(crate) fn from_now(timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// Returns how much time is left for the next call, or `None` without a limit.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()).max(Deadline::SHORTEST))
    }

    /// Returns the time at which it is over, if there is one.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn at(&self) -> Option<Instant> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_infinite() {
        assert_eq!(Deadline::from_now(None).left(), None);
        assert_eq!(Deadline::from_now(Some(Duration::ZERO)).left(), Some(Deadline::SHORTEST));
        let left = Deadline::from_now(Some(Duration::from_secs(60))).left().unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60));
    }
}
