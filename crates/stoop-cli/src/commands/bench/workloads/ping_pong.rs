//! Round trips: each starts as soon as the previous one ends, or at fixed times.

use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::commands::bench::control::Order;
use crate::commands::bench::error::Result;
use crate::commands::bench::measure::{Meter, Tally, histogram, record};
use crate::commands::bench::message::{LAST, Message, room};
use crate::commands::bench::wire::Wire;

/// How long before a fixed time to stop sleeping and spin: waking up takes longer than a round
/// trip.
const AWAKE: Duration = Duration::from_micros(200);

/// Sends requests.
///
/// With a rate, requests are due at fixed times, and a latency counts from the time its request was
/// due. An answer that is late delays those after it as well, as it would for independent clients.
pub(in crate::commands::bench) fn ask(
    order: &Order,
    wire: &mut dyn Wire,
    rate: Option<u32>,
) -> Result<(Tally, Histogram<u64>)> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    let mut latency = histogram()?;
    let step = rate.map(|rate| Duration::from_secs(1) / rate);
    let mut since = Instant::now();
    for number in 0.. {
        wire.send(message.numbered(number))?;
        wire.flush()?;
        message.expect(wire.receive(&mut room)?, number)?;
        let now = Instant::now();
        if meter.is_counting() {
            record(&mut latency, now - since);
        }
        since = match step {
            Some(step) => wait_until(since + step),
            None => now,
        };
        if !meter.count() {
            break;
        }
    }
    let tally = meter.finish()?;
    wire.send(message.numbered(LAST))?;
    wire.flush()?;
    Ok((tally, latency))
}

/// Waits until this time, unless it has passed.
fn wait_until(due: Instant) -> Instant {
    if let Some(long) = due.saturating_duration_since(Instant::now()).checked_sub(AWAKE) {
        thread::sleep(long);
    }
    while Instant::now() < due {
        std::hint::spin_loop();
    }
    due
}

/// Answers until the last message.
pub(in crate::commands::bench) fn answer(order: &Order, wire: &mut dyn Wire) -> Result<Tally> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    loop {
        let number = message.check(wire.receive(&mut room)?)?;
        if number == LAST {
            return meter.finish();
        }
        wire.send(message.numbered(number))?;
        wire.flush()?;
        meter.count();
    }
}
