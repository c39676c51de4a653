//! Checks the condition until it is met, or the time is over.

use std::thread;
use std::time::{Duration, Instant};

use super::args::Wait;
use super::check::{Condition, Observed, check};
use crate::deadline::Deadline;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output, Text};
use crate::{shell, time};

/// The delay between two checks at the beginning, and the longest one: what has not happened for
/// long may be seen a little later.
const DELAYS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// The longest time that one check may take: a server may be replaced while the old one hangs.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// How long a single check may take if there is no time to wait.
const SINGLE_CHECK_LIMIT: Duration = Duration::from_secs(1);

/// Waits.
pub(crate) fn run(flags: &Wait) -> Outcome {
    let condition = Condition::of(flags);
    let started = Instant::now();
    let mut delay = DELAYS.0;
    loop {
        let left = flags.timeout.saturating_sub(started.elapsed());
        let limit = if flags.timeout.is_zero() { SINGLE_CHECK_LIMIT } else { left.min(CHECK_LIMIT) };
        let limit = Deadline::from_now(Some(limit));
        let reason = match check(flags, condition, &limit)? {
            Observed::Met(address) => {
                let time_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let event =
                    Event::Ready { address: Text::from(&address), condition: condition.word(), time_ms };
                Output::new(flags.json, false).emit(&event)?;
                return Ok(Exit::Done);
            }
            Observed::NotYet(reason) => reason,
        };
        let left = flags.timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(not_met(flags, condition, reason));
        }
        thread::sleep(delay.min(left));
        delay = (delay * 2).min(DELAYS.1);
    }
}

fn not_met(flags: &Wait, condition: Condition, reason: String) -> Failure {
    let waited = match flags.timeout {
        Duration::ZERO => String::new(),
        timeout => format!(" after {}", time::show(timeout)),
    };
    let address = shell::word(flags.address.to_string());
    Failure::new(Exit::No, format!("'{}' {}{waited}", flags.address, condition.unmet()))
        .why(reason)
        .next(format!("stoop why {address}    # whether connecting would succeed"))
        .into()
}
