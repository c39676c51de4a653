//! Connects, makes one round trip, and closes.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::verbs::bench::control::Order;
use crate::verbs::bench::measure::{Meter, Tally, histogram, record};
use crate::verbs::bench::message::{LAST, Message, room};
use crate::verbs::bench::trouble::Result;
use crate::verbs::bench::wire::{Dial, Door};

/// Connects repeatedly.
pub(in crate::verbs::bench) fn ask(order: &Order, dial: &Dial) -> Result<(Tally, Histogram<u64>)> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    let mut latency = histogram()?;
    for number in 0.. {
        let since = Instant::now();
        let mut wire = dial.connect()?;
        wire.send(message.numbered(number))?;
        message.expect(wire.receive(&mut room)?, number)?;
        drop(wire);
        if meter.is_counting() {
            record(&mut latency, since.elapsed());
        }
        if !meter.count() {
            break;
        }
    }
    let tally = meter.finish()?;
    dial.connect()?.send(message.numbered(LAST))?;
    Ok((tally, latency))
}

/// Accepts and answers until the last message.
pub(in crate::verbs::bench) fn answer(order: &Order, door: &Door) -> Result<Tally> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    loop {
        let mut wire = door.accept()?;
        let number = message.check(wire.receive(&mut room)?)?;
        if number == LAST {
            return meter.finish();
        }
        wire.send(message.numbered(number))?;
        meter.count();
    }
}
