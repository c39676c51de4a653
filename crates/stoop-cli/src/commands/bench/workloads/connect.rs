//! Connects, makes one round trip, and closes.

use std::time::Instant;

use hdrhistogram::Histogram;

use crate::commands::bench::control::Order;
use crate::commands::bench::error::Result;
use crate::commands::bench::measure::{Meter, Tally, histogram, record};
use crate::commands::bench::message::{LAST, Message, room};
use crate::commands::bench::wire::{Acceptor, Dialer};

/// Connects repeatedly.
pub(in crate::commands::bench) fn ask(order: &Order, dialer: &Dialer) -> Result<(Tally, Histogram<u64>)> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    let mut latency = histogram()?;
    for number in 0.. {
        let since = Instant::now();
        let mut wire = dialer.connect()?;
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
    dialer.connect()?.send(message.numbered(LAST))?;
    Ok((tally, latency))
}

/// Accepts and answers until the last message.
pub(in crate::commands::bench) fn answer(order: &Order, acceptor: &Acceptor) -> Result<Tally> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    loop {
        let mut wire = acceptor.accept()?;
        let number = message.check(wire.receive(&mut room)?)?;
        if number == LAST {
            return meter.finish();
        }
        wire.send(message.numbered(number))?;
        meter.count();
    }
}
