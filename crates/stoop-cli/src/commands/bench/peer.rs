//! The other process of a measurement: receives an order, runs it, and reports.

use std::os::fd::AsFd;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};
use stoop::SeqPacket;

use super::control::{Order, PeerReport, receive_json, send_json};
use super::error::{Error, Result};
use super::measure::Tally;
use super::wire::{self, Ends};
use super::workload::Workload;
use super::workloads;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};

/// Runs the order received on standard input.
pub(super) fn run() -> Outcome {
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| Failure::io("duplicate standard input", &error))?;
    let control = SeqPacket::try_from(socket)?;
    // Otherwise the ends of a transport might outlive a parent that was killed, and block this
    // process.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let report = match serve(&control) {
        Ok(tally) => PeerReport::Done(tally),
        Err(error) => PeerReport::Failed(error),
    };
    // A parent that has exited does not need it.
    let _ = send_json(&control, &report, &[]);
    // The parent reads what is still queued at the ends before they are closed.
    let _ = control.recv(&mut [0]);
    Ok(Exit::Done)
}

fn serve(control: &SeqPacket) -> Result<Tally> {
    let (order, _) = receive_json::<Order>(control)?;
    let ends: Vec<Ends> = (0..order.ends)
        .map(|_| receive_json(control).map(|(names, descriptors)| Ends::passed(names, descriptors)))
        .collect::<Result<_>>()?;
    if let Some(cpu) = order.pin {
        stay_on(cpu)?;
    }
    if order.work == Workload::Connect {
        let acceptor = ends.into_iter().next().ok_or_else(Error::ended)?;
        let acceptor = wire::Acceptor::new(order.transport, acceptor)?;
        send_json(control, &PeerReport::Ready, &[])?;
        return workloads::connect::answer(&order, &acceptor);
    }
    let mut wires = ends
        .into_iter()
        .map(|ends| wire::open(order.transport, ends, order.size))
        .collect::<Result<Vec<_>>>()?;
    for wire in &wires {
        workloads::one_way::prepare(&order, &**wire)?;
    }
    send_json(control, &PeerReport::Ready, &[])?;
    match order.work {
        Workload::FanIn => workloads::fan_in::answer(&order, &mut wires),
        Workload::PingPong => workloads::ping_pong::answer(&order, only(&mut wires)?),
        _ => workloads::one_way::take(&order, only(&mut wires)?),
    }
}

/// Returns the only wire of a workload that has one.
fn only(wires: &mut [Box<dyn wire::Wire>]) -> Result<&mut dyn wire::Wire> {
    match wires.first_mut() {
        Some(wire) => Ok(&mut **wire),
        None => Err(Error::ended()),
    }
}

/// Pins this process to one processor.
pub(super) fn stay_on(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .map_err(|errno| Error::failed(format!("cannot pin to processor {cpu}: {errno}")))
}
