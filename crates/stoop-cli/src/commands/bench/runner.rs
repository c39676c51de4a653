//! Runs the measurements, one after the other.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::control::{Ancillary, Order, Peer};
use super::error::{Error, Result};
use super::measure::{Figures, Sample, Tally};
use super::plan::{self, Plan};
use super::progress_bar::ProgressBar;
use super::results::{CellOutcome, Row};
use super::wire::{self, Dialer, QueueNames, UniqueNames, Wire};
use super::workload::Workload;
use super::workloads;
use crate::args::Bench;
use crate::exit::Exit;
use crate::failure::Failure;

/// What all runs share.
struct Runner<'a> {
    flags: &'a Bench,
    plan: &'a Plan,
    pin: Option<(usize, usize)>,
    unique: UniqueNames,
    began: Instant,
    runs_left: Cell<u32>,
    /// How much longer than planned runs are, after one was too short to count anything.
    stretch: Cell<u32>,
}

/// How often a run that was too short is repeated, each time with twice the duration.
const TRIES: u32 = 4;

/// Runs the whole plan. Files are created only in `directory`.
pub(super) fn run(
    flags: &Bench,
    plan: &Plan,
    pin: Option<(usize, usize)>,
    directory: &Path,
) -> std::result::Result<Vec<Row>, Failure> {
    let stop = stop_flag().map_err(|error| Failure::io("prepare for signals", &error))?;
    let unique = UniqueNames::new(directory);
    let (runs_left, stretch) = (Cell::new(plan.runs()), Cell::new(1));
    let runner = Runner { flags, plan, pin, unique, began: Instant::now(), runs_left, stretch };
    let mut runs: Vec<Runs> = plan.cells.iter().map(|&cell| Runs::new(cell)).collect();
    let mut progress = ProgressBar::new(plan.cells.len() * plan.rounds as usize);
    for round in 0..plan.rounds {
        for at in plan.order(round) {
            if stop.load(Ordering::Relaxed) {
                return Err(Failure::new(Exit::Failed, "the measurement was interrupted").into());
            }
            let plan::Cell { transport, work, size } = plan.cells[at];
            progress.begin(&format!("{} {} {size} B", work.name(), transport.name()));
            runs[at].add(|cell| runner.sample_with_retries(cell));
            let left = runner.runs_left.get();
            runner.runs_left.set(left.saturating_sub(plan::runs(plan.cells[at])));
        }
    }
    Ok(runs.into_iter().map(Runs::row).collect())
}

/// Returns a flag that SIGINT and SIGTERM set. A second signal ends the process at once.
fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// A measurement in progress.
struct Runs {
    cell: plan::Cell,
    samples: Vec<Sample>,
    error: Option<Error>,
}

impl Runs {
    fn new(cell: plan::Cell) -> Runs {
        let cannot = cell.transport.cannot(cell.work);
        let error = cannot.map(|why| Error::NotMeasured(why.into()));
        Runs { cell, samples: Vec::new(), error }
    }

    /// Runs it once more, unless it has failed before.
    fn add(&mut self, sample: impl FnOnce(plan::Cell) -> Result<Sample>) {
        if self.error.is_none() {
            match sample(self.cell) {
                Ok(sample) => self.samples.push(sample),
                Err(error) => self.error = Some(error),
            }
        }
    }

    fn row(self) -> Row {
        let outcome = match (self.error, Figures::of(&self.samples)) {
            (Some(Error::NotMeasured(why)), _) => CellOutcome::NotMeasured(why),
            (Some(Error::Failed(why)), _) => CellOutcome::Failed(why),
            (Some(Error::TooShort), _) => {
                CellOutcome::NotMeasured("too slow for the given time; try --for".into())
            }
            (None, Some(figures)) => CellOutcome::Measured(figures),
            (None, None) => CellOutcome::NotMeasured("no run".into()),
        };
        Row { cell: self.cell, outcome }
    }
}

impl Runner<'_> {
    /// Runs it once. If the run was too short, repeats it with a longer duration.
    fn sample_with_retries(&self, cell: plan::Cell) -> Result<Sample> {
        let mut tries = (0..TRIES).map(|again| {
            self.stretch.set(1 << again);
            self.sample(cell)
        });
        let is_long_enough = |sample: &Result<Sample>| !matches!(sample, Err(Error::TooShort));
        tries.find(is_long_enough).unwrap_or(Err(Error::TooShort))
    }

    /// Runs it once, preceded by the run it is compared with, if there is one.
    fn sample(&self, cell: plan::Cell) -> Result<Sample> {
        match cell.work {
            Workload::PingPong => self.ping_pong(cell),
            Workload::FanIn => self.fan_in(cell),
            Workload::Connect => self.connect(cell),
            Workload::OneWay => self.one_way(cell, Ancillary::None),
            Workload::Descriptors => self.compared(cell, Ancillary::Descriptor),
            Workload::Credentials => self.compared(cell, Ancillary::Credentials),
        }
    }

    fn compared(&self, cell: plan::Cell, ancillary: Ancillary) -> Result<Sample> {
        let plain = self.one_way(cell, Ancillary::Empty)?.counted.per_second();
        Ok(Sample { plain: Some(plain), ..self.one_way(cell, ancillary)? })
    }

    fn order(&self, cell: plan::Cell, ancillary: Ancillary, ends: u16) -> Order {
        let (gone, left) = (self.began.elapsed(), self.runs_left.get());
        let span = self.plan.span(cell, self.flags.rate.is_some(), gone, left) * self.stretch.get();
        Order {
            transport: cell.transport,
            work: cell.work,
            size: cell.size,
            span,
            pin: self.pin.map(|(_, theirs)| theirs),
            ancillary,
            ends,
        }
    }

    /// Creates connections, and starts the other process with its ends.
    fn connect_wires(&self, order: &Order) -> Result<(Peer, Vec<Box<dyn Wire>>)> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut names: Vec<Option<QueueNames>> = Vec::new();
        for _ in 0..order.ends {
            let link = wire::link(order.transport, &self.unique, order.size)?;
            ours.push(link.ours);
            theirs.push(link.theirs);
            names.push(link.names);
        }
        let peer = Peer::start(order, theirs)?;
        let wires = ours
            .into_iter()
            .map(|ends| wire::open(order.transport, ends, order.size))
            .collect::<Result<_>>()?;
        Ok((peer, wires))
    }

    fn ping_pong(&self, cell: plan::Cell) -> Result<Sample> {
        let order = self.order(cell, Ancillary::None, 1);
        let (peer, mut wires) = self.connect_wires(&order)?;
        let asked = workloads::ping_pong::ask(&order, &mut *wires[0], self.flags.rate);
        let (ours, latency) = asked.map_err(|error| peer.blame(error))?;
        let theirs = peer.tally()?;
        // To meet fixed times this process spins, which is not part of a message's cost.
        let cpu = self.flags.rate.is_none().then(|| both(&ours, &theirs));
        Ok(Sample { counted: ours, cpu, latency: Some(latency), plain: None })
    }

    fn one_way(&self, cell: plan::Cell, ancillary: Ancillary) -> Result<Sample> {
        let order = self.order(cell, ancillary, 1);
        let (peer, mut wires) = self.connect_wires(&order)?;
        let pushed = workloads::one_way::push(&order, &mut *wires[0], &peer);
        let ours = pushed.map_err(|error| peer.blame(error))?;
        let theirs = peer.tally()?;
        Ok(Sample { counted: theirs, cpu: Some(both(&ours, &theirs)), latency: None, plain: None })
    }

    fn fan_in(&self, cell: plan::Cell) -> Result<Sample> {
        let order = self.order(cell, Ancillary::None, self.flags.clients);
        let (peer, mut wires) = self.connect_wires(&order)?;
        let asked = workloads::fan_in::ask(&order, &mut wires);
        let (ours, latency) = asked.map_err(|error| peer.blame(error))?;
        let theirs = peer.tally()?;
        Ok(Sample { counted: ours, cpu: Some(both(&ours, &theirs)), latency: Some(latency), plain: None })
    }

    fn connect(&self, cell: plan::Cell) -> Result<Sample> {
        let order = self.order(cell, Ancillary::None, 1);
        let (dialer, ends) = Dialer::new(cell.transport, &self.unique)?;
        let peer = Peer::start(&order, vec![ends])?;
        let asked = workloads::connect::ask(&order, &dialer);
        let (ours, latency) = asked.map_err(|error| peer.blame(error))?;
        let theirs = peer.tally()?;
        Ok(Sample { counted: ours, cpu: Some(both(&ours, &theirs)), latency: Some(latency), plain: None })
    }
}

/// Returns the processor time of a message in both processes.
fn both(ours: &Tally, theirs: &Tally) -> f64 {
    ours.cpu_per_message() + theirs.cpu_per_message()
}
