//! Plans what is measured, in which order, and how long each run may take. Pure.

use std::time::Duration;

use super::measure::Span;
use super::transport::Transport;
use super::workload::Workload;
use crate::args::Bench;

const SIZES: [usize; 4] = [64, 1024, 65536, 1 << 20];
const QUICK_SIZES: [usize; 2] = [64, 65536];

const TOTAL: Duration = Duration::from_secs(24);
const QUICK_TOTAL: Duration = Duration::from_secs(5);

/// The number of rounds. Every measurement runs once per round, so that other activity on the
/// machine affects all alike.
const ROUNDS: u32 = 3;

/// The time to start and end a process.
const AROUND_A_RUN: Duration = Duration::from_millis(6);

/// The minimum duration of a run, to count anything, and the maximum, which is enough.
const SHORTEST_RUN: Duration = Duration::from_millis(10);
const LONGEST_RUN: Duration = Duration::from_secs(3);

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) transport: Transport,
    pub(super) work: Workload,
    /// The message size in bytes.
    pub(super) size: usize,
}

/// All measurements.
pub(super) struct Plan {
    pub(super) cells: Vec<Cell>,
    pub(super) rounds: u32,
    total: Duration,
}

impl Plan {
    pub(super) fn new(flags: &Bench) -> Plan {
        let default: &[usize] = if flags.quick { &QUICK_SIZES } else { &SIZES };
        let sizes = if flags.sizes.is_empty() { default } else { &flags.sizes };
        let wanted = |work: Workload| match flags.rate {
            Some(_) => work == Workload::PingPong,
            None => flags.works.is_empty() || flags.works.contains(&work),
        };
        let mut cells = Vec::new();
        for work in Workload::ALL.into_iter().filter(|&work| wanted(work)) {
            let sizes = if work.has_sizes() { sizes } else { &sizes[..1] };
            for &size in sizes {
                let chosen = |transport: &Transport| {
                    flags.transports.is_empty() || flags.transports.contains(transport)
                };
                let able = Transport::ALL.into_iter().filter(chosen).filter(|transport| transport.does(work));
                cells.extend(able.map(|transport| Cell { transport, work, size }));
            }
        }
        let total = flags.total.unwrap_or(if flags.quick { QUICK_TOTAL } else { TOTAL });
        let rounds = if flags.quick { 1 } else { ROUNDS };
        Plan { cells, rounds, total }
    }

    /// Returns the number of runs in all rounds.
    pub(super) fn runs(&self) -> u32 {
        self.cells.iter().map(|cell| runs(*cell)).sum::<u32>() * self.rounds
    }

    /// Returns the order of this round. Each round starts elsewhere, and every second one runs
    /// backwards, so that no measurement always follows the same one.
    pub(super) fn order(&self, round: u32) -> Vec<usize> {
        let (count, begin) = (self.cells.len(), self.cells.len() * round as usize / self.rounds as usize);
        let mut order: Vec<usize> = (0..count).map(|at| (at + begin) % count).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        order
    }

    /// Returns the duration of one run: an equal share of the remaining time. On a busy machine, on
    /// which starting processes takes long, runs become shorter, and the total stays the same.
    pub(super) fn span(&self, cell: Cell, is_paced: bool, gone: Duration, runs_left: u32) -> Span {
        let share = self.total.saturating_sub(gone) / runs_left.max(1);
        let run = share.saturating_sub(AROUND_A_RUN).clamp(SHORTEST_RUN, LONGEST_RUN);
        let warm_up = run / 5;
        // Reading the clock costs tens of nanoseconds: nothing compared with a round trip, but much
        // compared with a small message.
        let stride = if cell.work.is_answered() || is_paced || cell.size > 4096 { 1 } else { 32 };
        Span { warm_up, counted: run - warm_up, stride }
    }
}

/// Returns how many runs a measurement has in a round: some are compared with another.
pub(super) fn runs(cell: Cell) -> u32 {
    match cell {
        Cell { transport, work, .. } if transport.cannot(work).is_some() => 0,
        Cell { work: Workload::Descriptors | Workload::Credentials, .. } => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn plan(flags: &[&str]) -> Plan {
        let line = [&["stoop", "bench"], flags].concat();
        match crate::args::Cli::try_parse_from(line).unwrap().verb {
            crate::args::Verb::Bench(flags) => Plan::new(&flags),
            _ => unreachable!("bench is bench"),
        }
    }

    #[test]
    fn the_plan_fits_the_total_time() {
        for (flags, most) in [(&[][..], 30), (&["--quick"], 8)] {
            let plan = plan(flags);
            let runs = plan.runs();
            let span = plan.span(plan.cells[0], false, Duration::ZERO, runs);
            let total = (span.warm_up + span.counted + AROUND_A_RUN) * runs;
            assert!(total < Duration::from_secs(most - 2), "{flags:?}: {total:?} for {runs} runs");
            let late = plan.span(plan.cells[0], false, Duration::from_secs(60), runs);
            assert_eq!(late.warm_up + late.counted, SHORTEST_RUN);
            for work in Workload::ALL {
                assert!(plan.cells.iter().any(|cell| cell.work == work), "{work:?}");
            }
        }
    }

    #[test]
    fn flags_select_measurements() {
        let plan = plan(&["--works", "one-way,fan-in", "--transports", "tcp", "--sizes", "64,128"]);
        let cells: Vec<_> = plan.cells.iter().map(|cell| (cell.work, cell.size)).collect();
        assert_eq!(cells, [(Workload::OneWay, 64), (Workload::OneWay, 128), (Workload::FanIn, 64)]);
    }

    #[test]
    fn a_rate_implies_ping_pong() {
        assert!(plan(&["--rate", "100"]).cells.iter().all(|cell| cell.work == Workload::PingPong));
    }

    #[test]
    fn every_round_runs_each_measurement_once() {
        let plan = plan(&[]);
        for round in 0..plan.rounds {
            let mut order = plan.order(round);
            order.sort_unstable();
            assert_eq!(order, (0..plan.cells.len()).collect::<Vec<_>>());
        }
        assert_ne!(plan.order(0), plan.order(1));
    }
}
