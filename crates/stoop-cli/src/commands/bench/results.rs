//! The results: the one value from which table, JSON, plots and page are made.

use serde::Serialize;

use super::machine::Machine;
use super::measure::Figures;
use super::plan::Cell;
use super::transport::Transport;
use super::workload::Workload;

/// The result of one measurement.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cell: Cell,
    pub(super) outcome: CellOutcome,
}

/// The figures, or why there are none.
#[derive(Clone, Debug)]
pub(super) enum CellOutcome {
    Measured(Figures),
    NotMeasured(String),
    Failed(String),
}

/// One recommendation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    /// The requirement.
    pub(super) need: String,
    /// The transports to use, the best first. The others are not measurably worse.
    #[serde(rename = "use")]
    pub(super) choose: Vec<&'static str>,
    pub(super) because: String,
}

/// All results.
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) rows: Vec<Row>,
    /// Round trips per second, if they were sent at fixed times.
    pub(super) rate: Option<u32>,
    /// The number of connections of fan-in.
    pub(super) clients: u16,
    pub(super) advice: Vec<Advice>,
}

/// Results, with queries on them.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a>(pub(super) &'a [Row]);

impl<'a> Rows<'a> {
    /// Returns the figures of one measurement.
    pub(super) fn figures(self, transport: Transport, work: Workload, size: usize) -> Option<&'a Figures> {
        let cell = Cell { transport, work, size };
        self.0.iter().find(|row| row.cell == cell).and_then(|row| row.figures())
    }

    /// Returns the sizes with which a workload was measured, in ascending order.
    pub(super) fn sizes(self, work: Workload) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.of(work).map(|row| row.cell.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// Returns the transports of a workload, in the order of the report.
    pub(super) fn transports(self, work: Workload) -> Vec<Transport> {
        let mut transports: Vec<Transport> = self.of(work).map(|row| row.cell.transport).collect();
        transports.sort_unstable();
        transports.dedup();
        transports
    }

    /// Returns the results of one workload with one size.
    pub(super) fn measured(
        self,
        work: Workload,
        size: usize,
    ) -> impl Iterator<Item = (Transport, &'a Figures)> {
        let rows = self.of(work).filter(move |row| row.cell.size == size);
        rows.filter_map(|row| row.figures().map(|figures| (row.cell.transport, figures)))
    }

    /// Returns why parts of a workload were not measured, with transports and sizes that have the
    /// same reason in one line.
    pub(super) fn notes(self, work: Workload) -> Vec<String> {
        let mut notes: Vec<(String, String)> = Vec::new();
        for row in self.of(work) {
            let why = match &row.outcome {
                CellOutcome::Measured(figures) if figures.lost > 0 => {
                    format!("lost {:.0} % of the messages", (figures.lost_share() * 100.0).max(1.0))
                }
                CellOutcome::Measured(_) => continue,
                CellOutcome::NotMeasured(why) => format!("not measured: {why}"),
                CellOutcome::Failed(why) => format!("failed: {why}"),
            };
            let is_all = self
                .of(work)
                .all(|other| other.cell.transport != row.cell.transport || other.figures().is_none());
            let name = row.cell.transport.name();
            let size = super::render::units::size(row.cell.size);
            let who = if is_all { name.to_owned() } else { format!("{name} {size}") };
            match notes.iter_mut().find(|(_, other)| *other == why) {
                Some((names, _)) if names.split(", ").any(|name| name == who) => {}
                Some((names, _)) => *names = format!("{names}, {who}"),
                None => notes.push((who, why)),
            }
        }
        notes.into_iter().map(|(who, why)| format!("{who}: {why}")).collect()
    }

    fn of(self, work: Workload) -> impl Iterator<Item = &'a Row> {
        self.0.iter().filter(move |row| row.cell.work == work)
    }
}

impl Row {
    pub(super) fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            CellOutcome::Measured(figures) => Some(figures),
            _ => None,
        }
    }
}
