//! Many connections to one process, with one round trip in flight on each. Both processes have one
//! thread that polls them all.

use std::os::fd::OwnedFd;
use std::time::Instant;

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use crate::commands::bench::control::Order;
use crate::commands::bench::error::{Error, Result};
use crate::commands::bench::measure::{Meter, Tally, histogram, record};
use crate::commands::bench::message::{LAST, Message, room};
use crate::commands::bench::wire::{PEER_TIMEOUT, Wire};

type Wires = [Box<dyn Wire>];

/// Sends requests on all of them.
pub(in crate::commands::bench) fn ask(order: &Order, wires: &mut Wires) -> Result<(Tally, Histogram<u64>)> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    let (mut latency, mut ready) = (histogram()?, Ready::new(wires)?);
    let mut asked: Vec<(u64, Instant)> = Vec::with_capacity(wires.len());
    for (number, wire) in (0..).zip(wires.iter_mut()) {
        asked.push((number, Instant::now()));
        wire.send(message.numbered(number))?;
    }
    let mut next = asked.len() as u64;
    let mut in_flight = wires.len();
    let mut goes_on = true;
    while in_flight > 0 {
        for at in ready.wait()? {
            let (wire, (number, since)) = (&mut wires[at], asked[at]);
            message.expect(wire.receive(&mut room)?, number)?;
            if meter.is_counting() {
                record(&mut latency, since.elapsed());
            }
            goes_on &= meter.count();
            if goes_on {
                asked[at] = (next, Instant::now());
                wire.send(message.numbered(next))?;
                next += 1;
            } else {
                in_flight -= 1;
            }
        }
    }
    let tally = meter.finish()?;
    for wire in wires {
        wire.send(message.numbered(LAST))?;
    }
    Ok((tally, latency))
}

/// Answers on all of them until the last message of each.
pub(in crate::commands::bench) fn answer(order: &Order, wires: &mut Wires) -> Result<Tally> {
    let (mut message, mut room, mut meter) =
        (Message::new(order.size), room(order.size), Meter::new(order.span));
    let mut ready = Ready::new(wires)?;
    let mut left = wires.len();
    while left > 0 {
        for at in ready.wait()? {
            let number = message.check(wires[at].receive(&mut room)?)?;
            if number == LAST {
                left -= 1;
                continue;
            }
            wires[at].send(message.numbered(number))?;
            meter.count();
        }
    }
    meter.finish()
}

/// The wires that are readable.
struct Ready {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Ready {
    fn new(wires: &Wires) -> Result<Ready> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (at, wire) in (0..).zip(wires) {
            let readable = wire.readable().ok_or_else(|| Error::NotMeasured("cannot be polled".into()))?;
            epoll::add(&epoll, readable, epoll::EventData::new_u64(at), epoll::EventFlags::IN)?;
        }
        Ok(Ready { epoll, events: Vec::with_capacity(wires.len()) })
    }

    fn wait(&mut self) -> Result<impl Iterator<Item = usize>> {
        let limit = Timespec { tv_sec: PEER_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
        self.events.clear();
        let events = rustix::buffer::spare_capacity(&mut self.events);
        if epoll::wait(&self.epoll, events, Some(&limit))? == 0 {
            return Err(Error::failed("no message arrived within the timeout"));
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
