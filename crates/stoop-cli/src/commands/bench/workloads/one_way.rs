//! Sends messages in one direction as fast as possible, without ancillary data, or with a file
//! descriptor or credentials.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::time::Duration;

use stoop::internal::Socket;
use stoop::{Allow, Outgoing, SocketExt};

use crate::commands::bench::control::{Ancillary, Order, Peer};
use crate::commands::bench::error::{Error, Result};
use crate::commands::bench::measure::{Meter, Tally};
use crate::commands::bench::message::{LAST, Message, room};
use crate::commands::bench::wire::{PEER_TIMEOUT, Wire};

/// How often the end is announced if messages may be lost.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);

/// Sends until the time is over.
pub(in crate::commands::bench) fn push(order: &Order, wire: &mut dyn Wire, peer: &Peer) -> Result<Tally> {
    let (mut message, mut meter) = (Message::new(order.size), Meter::new(order.span));
    let parcel = File::open("/dev/null")?;
    let descriptors = [parcel.as_fd()];
    for number in 0.. {
        let message = message.numbered(number);
        match order.ancillary {
            Ancillary::None => wire.send(message)?,
            Ancillary::Descriptor => send_with(wire, message, &Outgoing::new().descriptors(&descriptors))?,
            Ancillary::Empty | Ancillary::Credentials => send_with(wire, message, &Outgoing::new())?,
        }
        if !meter.count() {
            break;
        }
    }
    let tally = meter.finish();
    wire.send(message.numbered(LAST))?;
    wire.flush()?;
    let mut left = PEER_TIMEOUT.as_millis() / RETRY_INTERVAL.as_millis();
    while order.transport.is_lossy() && left > 0 && !peer.has_spoken(RETRY_INTERVAL)? {
        // If the send fails because the other end is closed, the other process has exited and its
        // report is there.
        let _ = wire.send(message.numbered(LAST));
        left -= 1;
    }
    tally
}

fn send_with(wire: &dyn Wire, message: &[u8], outgoing: &Outgoing<'_>) -> Result<()> {
    match socket(wire)?.send_with(&[IoSlice::new(message)], outgoing)? {
        sent if sent == message.len() => Ok(()),
        _ => Err(Error::failed("a small message was sent in parts")),
    }
}

fn socket(wire: &dyn Wire) -> Result<&Socket> {
    wire.socket().ok_or_else(|| Error::NotMeasured("has no ancillary data".into()))
}

/// Enables ancillary data before the first message is sent.
pub(in crate::commands::bench) fn prepare(order: &Order, wire: &dyn Wire) -> Result<()> {
    match order.ancillary {
        Ancillary::Credentials => Ok(socket(wire)?.set_pass_credentials(true)?),
        _ => Ok(()),
    }
}

/// Receives messages until the last, and counts lost ones if the transport may lose some.
pub(in crate::commands::bench) fn take(order: &Order, wire: &mut dyn Wire) -> Result<Tally> {
    let (message, mut room, mut meter) = (Message::new(order.size), room(order.size), Meter::new(order.span));
    let (mut next, mut lost) = (0, 0);
    loop {
        let came = match order.ancillary {
            Ancillary::None => wire.receive(&mut room)?,
            // The last message has no ancillary data.
            ancillary => receive_with(wire, &mut room, ancillary)?,
        };
        let number = message.check(came)?;
        if number == LAST {
            return Ok(Tally { lost, ..meter.finish()? });
        }
        match number.checked_sub(next) {
            Some(0) => {}
            Some(missing) if order.transport.is_lossy() => {
                lost += if meter.is_counting() { missing } else { 0 };
            }
            _ => return Err(Error::failed(format!("message {number} arrived instead of {next}"))),
        }
        next = number + 1;
        meter.count();
    }
}

fn receive_with<'a>(wire: &dyn Wire, room: &'a mut [u8], ancillary: Ancillary) -> Result<&'a [u8]> {
    let came = socket(wire)?.recv_with(&mut [IoSliceMut::new(room)], Allow::descriptors(1))?;
    let is_last = room.get(..8) == Some(&LAST.to_le_bytes());
    let is_there = match ancillary {
        Ancillary::Descriptor => came.descriptors.len() == 1,
        Ancillary::Credentials => came.credentials.is_some(),
        Ancillary::None | Ancillary::Empty => true,
    };
    if !is_there && !is_last {
        return Err(Error::failed("a message arrived without its ancillary data"));
    }
    Ok(&room[..came.len])
}
