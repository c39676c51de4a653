//! Reports errors with clients and messages at a limited rate, so that no client can flood the log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use stoop::Address;

use super::{Event, Output, Text};

/// The minimum time between two reports. Errors in between are counted.
const PAUSE: Duration = Duration::from_secs(1);

/// The error reports of one server.
#[derive(Debug)]
pub(crate) struct ErrorLog {
    output: Output,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    last: Option<Instant>,
    count: u64,
    from: Option<Text>,
    error: String,
}

impl ErrorLog {
    pub(crate) fn new(output: Output) -> ErrorLog {
        ErrorLog { output, held: Mutex::default() }
    }

    /// Reports an error, now or together with the next report.
    pub(crate) fn report(&self, from: Option<&Address>, error: impl Into<String>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.count += 1;
        held.from = from.map(Text::from);
        held.error = error.into();
        if held.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.write(&mut held);
        }
    }

    /// Reports what was held back.
    pub(crate) fn flush(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.count > 0 {
            self.write(&mut held);
        }
    }

    fn write(&self, held: &mut Held) {
        let pending = std::mem::take(held);
        held.last = Some(Instant::now());
        self.output.note(&Event::Error { from: pending.from, error: pending.error, count: pending.count });
    }
}
