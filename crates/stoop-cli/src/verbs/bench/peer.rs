//! The other process of a measurement: receives an order, runs it, and reports.

use std::os::fd::AsFd;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};
use stoop::SeqPacket;

use super::control::{Order, Report, hear, say};
use super::measure::Tally;
use super::play;
use super::trouble::{Result, Trouble};
use super::wire::{self, Ends};
use super::work::Work;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Runs the order received on standard input.
pub(super) fn run() -> Outcome {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| Failure::io("take standard input", &error))?;
    let control = SeqPacket::from_descriptor(socket)?;
    // Otherwise the ends of a transport might outlive a parent that was killed, and block this
    // process.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let report = match serve(&control) {
        Ok(tally) => Report::Done(tally),
        Err(trouble) => Report::Trouble(trouble),
    };
    // A parent that has exited does not need it.
    let _ = say(&control, &report, &[]);
    // The parent reads what is still queued at the ends before they are closed.
    let _ = control.recv(&mut [0]);
    Ok(Exit::Done)
}

fn serve(control: &SeqPacket) -> Result<Tally> {
    let (order, _) = hear::<Order>(control)?;
    let ends: Vec<Ends> = (0..order.ends)
        .map(|_| hear(control).map(|(names, descriptors)| Ends::passed(names, descriptors)))
        .collect::<Result<_>>()?;
    if let Some(cpu) = order.pin {
        stay_on(cpu)?;
    }
    if order.work == Work::Connect {
        let door = ends.into_iter().next().ok_or_else(Trouble::ended)?;
        let door = wire::Door::new(order.transport, door)?;
        say(control, &Report::Ready, &[])?;
        return play::connect::answer(&order, &door);
    }
    let mut wires = ends
        .into_iter()
        .map(|ends| wire::open(order.transport, ends, order.size))
        .collect::<Result<Vec<_>>>()?;
    for wire in &wires {
        play::one_way::prepare(&order, &**wire)?;
    }
    say(control, &Report::Ready, &[])?;
    match order.work {
        Work::FanIn => play::fan_in::answer(&order, &mut wires),
        Work::PingPong => play::ping_pong::answer(&order, only(&mut wires)?),
        _ => play::one_way::take(&order, only(&mut wires)?),
    }
}

/// Returns the only wire of a workload that has one.
fn only(wires: &mut [Box<dyn wire::Wire>]) -> Result<&mut dyn wire::Wire> {
    match wires.first_mut() {
        Some(wire) => Ok(&mut **wire),
        None => Err(Trouble::ended()),
    }
}

/// Pins this process to one processor.
pub(super) fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .map_err(|errno| Trouble::failed(format!("cannot stay on processor {cpu}: {errno}")))
}
